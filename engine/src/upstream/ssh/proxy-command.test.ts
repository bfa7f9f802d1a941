import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { SshHost } from "./host.ts";
import { expandTokens, ProxyCommandStream } from "./proxy-command.ts";

const host = {
  alias: "gate",
  server: { host: "192.0.2.1", port: 2222 },
  user: "deploy",
} as unknown as SshHost;

test("tokens are expanded, and an unknown one is an error", () => {
  assert.equal(expandTokens("nc %h %p # %r@%n 100%%", host), "nc 192.0.2.1 2222 # deploy@gate 100%");
  assert.throws(() => expandTokens("nc %x", host), { message: /%x is not a token/ });
  assert.throws(() => expandTokens("nc %", host), { message: /% is not a token/ });
});

test("a host or user that a shell would take for more than a word runs nothing", () => {
  const users = [
    "$(id)",
    "`id`",
    "a;id",
    "a b",
    "a|id",
    "a&id",
    "-oProxyCommand=id",
    "a'",
    'a"',
    "a\nid",
    "~a",
    "a*",
    "a\\",
  ];
  for (const user of users) {
    assert.throws(() => expandTokens("ssh -l %r gate", { ...host, user }), {
      code: "unsupported",
      message: /the value of %r would mean more than itself to a shell/,
    });
    assert.equal(expandTokens("nc %h %p", { ...host, user }), "nc 192.0.2.1 2222");
  }
  const server = { host: "-x$(id)", port: 22 };
  assert.throws(() => expandTokens("nc %h", { ...host, server }), { message: /the value of %h/ });
  assert.throws(() => expandTokens("nc %n", { ...host, alias: "$(id)" }), { message: /the value of %n/ });
  for (const user of ["deploy", "jürgen", "first.last+x@corp", "CORP\\deploy", "a_b-c%1"]) {
    assert.equal(expandTokens("ssh -l %r", { ...host, user }), `ssh -l ${user}`);
  }
  const v6 = { host: "2001:db8::1", port: 22 };
  assert.equal(expandTokens("nc %h", { ...host, server: v6 }), "nc 2001:db8::1");
});

test("bytes go through the program both ways, with backpressure, and its end is the stream's end", async () => {
  const stream = new ProxyCommandStream("cat");
  const sent = randomBytes(3 * 1024 * 1024);
  stream.end(sent);
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  assert.ok(Buffer.concat(chunks).equals(sent));
});

test("destroy ends the program and what it started, even one that ignores the polite signal", async () => {
  const stream = new ProxyCommandStream(
    `sh -c 'trap "" TERM; sleep 60 & echo $!; echo $$; wait; wait; sleep 60'`,
  );
  let printed = "";
  while (printed.trim().split("\n").length < 2) {
    const [chunk] = (await once(stream, "data")) as [Buffer];
    printed += chunk.toString();
  }
  const pids = printed.trim().split("\n").map(Number);
  assert.ok(pids.every(isRunning));
  stream.destroy();
  const deadline = Date.now() + 4000;
  while (pids.some(isRunning) && Date.now() < deadline) await sleep(20);
  assert.deepEqual(pids.filter(isRunning), []);
});

test("a program that fails tells its status and its last words", async () => {
  const stream = new ProxyCommandStream("sh -c 'echo first >&2; echo last words >&2; exit 7'");
  stream.resume();
  await once(stream, "end");
  await sleep(50);
  assert.match(stream.describe(), /ended \(exit status 7\): last words$/);
  stream.destroy();
});

test("the end of its output waits for the program's own end, so that its status can be told", async () => {
  const stream = new ProxyCommandStream("sh -c 'exec >&-; sleep 0.05; echo too late >&2; exit 4'");
  stream.resume();
  await once(stream, "end");
  assert.match(stream.describe(), /ended \(exit status 4\): too late$/);
  stream.destroy();
});

test("a program that lives on without output is not said to run", async () => {
  const stream = new ProxyCommandStream("sh -c 'exec >&-; sleep 60'");
  stream.resume();
  await once(stream, "end");
  assert.match(stream.describe(), /closed its output$/);
  stream.destroy();
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
