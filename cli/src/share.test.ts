import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { describe, type TestContext, test } from "node:test";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const SAYS_MS = 20_000;

type Child = ReturnType<typeof shareWith>;

function shareWith(t: TestContext, variables: Readonly<Record<string, string>>, ...args: string[]) {
  const child = spawn(process.execPath, [MAIN, "share", ...args], {
    env: { PATH: process.env["PATH"], ...variables },
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

function share(t: TestContext, ...args: string[]): Child {
  return shareWith(t, {}, ...args);
}

async function textOf(stream: Readable): Promise<string> {
  return (await stream.toArray()).join("");
}

async function outcomeOf(child: Child): Promise<{ status: number | null; err: string }> {
  child.stdout.resume();
  const closed = once(child, "close") as Promise<[number | null]>;
  const err = await textOf(child.stderr);
  return { status: (await closed)[0], err };
}

/** What it says first, whether it goes on trying or not. */
async function firstLine(t: TestContext, ...args: string[]): Promise<string> {
  const reader = createInterface(share(t, ...args).stderr);
  const [line] = (await once(reader, "line", { signal: AbortSignal.timeout(SAYS_MS) })) as [string];
  return line;
}

/** A web server, which knows neither our protocol nor TLS. @returns its port. */
async function webServer(t: TestContext): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

describe("sockeye share on the command line", { concurrency: 4 }, () => {
  test("where no relay listens, it says so in words, and never that it waits no time at all", async (t) => {
    const line = await firstLine(t, "3000", "--relay", "127.0.0.1:1");
    assert.equal(
      line,
      "sockeye: the relay 127.0.0.1:1 can't be reached: nothing listens there; trying again in 1 s",
    );
  });

  test("with --connect-timeout, or its variable, it gives up by then with a status of its own and the reason", async (t) => {
    const sentence = "sockeye: nothing is shared through 127.0.0.1:1 after 1 s: nothing listens there";
    const given = ["3000", "--relay", "127.0.0.1:1"];
    const children = [
      share(t, ...given, "--connect-timeout", "1"),
      shareWith(t, { SOCKEYE_CONNECT_TIMEOUT: "1" }, ...given),
    ];
    for (const { status, err } of await Promise.all(children.map(outcomeOf))) {
      assert.equal(status, 6);
      assert.equal(err.trimEnd().split("\n").at(-1), sentence);
    }
  });

  test("a relay that takes the connection and says nothing is given up by --connect-timeout, too", async (t) => {
    const silent = createServer((socket) => socket.on("error", () => {}));
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    t.after(() => silent.close());
    const relay = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const { status, err } = await outcomeOf(share(t, "3000", "--relay", relay, "--connect-timeout", "1"));
    assert.equal(status, 6);
    assert.equal(err, `sockeye: nothing is shared through ${relay} after 1 s: it did not answer\n`);
  });

  test("a switch's variable can say no", async (t) => {
    const given = ["3000", "--relay", "127.0.0.1:1", "--connect-timeout", "1"];
    const ends = [
      { SOCKEYE_INSPECT: "0", SOCKEYE_ONE_CONNECTION_PER_TUNNEL: "off" },
      { SOCKEYE_ONE_CONNECTION_PER_TUNNEL: "maybe" },
    ].map(async (env) => outcomeOf(shareWith(t, env, ...given)));
    const [off, wrong] = await Promise.all(ends);
    assert.equal(off!.status, 6);
    assert.deepEqual(
      [wrong!.status, wrong!.err],
      [2, 'sockeye: SOCKEYE_ONE_CONNECTION_PER_TUNNEL is "maybe"; write 1 or 0\n'],
    );
  });

  test("what answers and is no relay is told from one that is away", async (t) => {
    const relay = `127.0.0.1:${await webServer(t)}`;
    assert.match(
      await firstLine(t, "3000", "--relay", relay),
      /^sockeye: the relay 127\.0\.0\.1:\d+ can't be reached: what answers there is no relay; trying again/,
    );
  });

  test("what does not speak TLS is told without OpenSSL's own words, and nothing warns of an address as a name", async (t) => {
    const relay = `127.0.0.1:${await webServer(t)}`;
    assert.match(
      await firstLine(t, "3000", "--relay", relay, "--ca", "/dev/null"),
      /^sockeye: the relay 127\.0\.0\.1:\d+ can't be reached: what answers there does not speak TLS; trying again/,
    );
  });

  test("a token's file that others can read is told of, and used", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "sockeye-share-"));
    t.after(() => rm(folder, { recursive: true }));
    const [open, empty] = [join(folder, "open"), join(folder, "empty")];
    await writeFile(open, "token");
    await chmod(open, 0o644);
    await writeFile(empty, "\n");
    const line = await firstLine(t, "3000", "--relay", "127.0.0.1:1", "--token-file", open);
    assert.equal(line, `sockeye: others can read the token in ${open}; run chmod 600 on it`);
    const { status, err } = await outcomeOf(
      share(t, "3000", "--relay", "127.0.0.1:1", "--token-file", empty),
    );
    assert.deepEqual([status, err], [3, `sockeye: ${empty} is empty; it should hold the relay's token\n`]);
  });

  const wrong: [name: string, args: string[], status: number, sentence: RegExp][] = [
    [
      "a token's file that is not there",
      ["3000", "--token-file", "/nowhere"],
      3,
      /\/nowhere can't be read: it does not exist\n$/,
    ],
    [
      "a name that no share can have, before anybody is asked",
      ["3000", "--name", "My_Shop"],
      2,
      /--name: "My_Shop": a name is up to 63 letters, digits and hyphens, with a letter or digit at both ends\n$/,
    ],
    ["a name with dots", ["3000", "--name", "a.b"], 2, /--name: "a\.b": a name is up to 63 letters/],
    ["a name that shows as another", ["3000", "--name", "xn--e1awd7f"], 2, /a name can't begin with xn--/],
    ["no time at all", ["3000", "--connect-timeout", "0"], 2, /--connect-timeout: "0" is not a whole number/],
    ["a URL", ["http://localhost:3000"], 2, /"http:\/\/localhost:3000" is a URL; write .* 3000 or HOST:PORT/],
  ];

  for (const [name, args, status, sentence] of wrong) {
    test(`refused, in a sentence: ${name}`, async (t) => {
      const { status: ended, err } = await outcomeOf(share(t, ...args, "--relay", "127.0.0.1:1"));
      assert.equal(ended, status);
      assert.match(err, sentence);
      assert.match(err, /^sockeye: [^\n]+\n$/);
    });
  }
});
