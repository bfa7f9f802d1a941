import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { parseEndpoint } from "@sockeye/config-kit/endpoint";
import { raw, startLocalHttp, startShare, until } from "../peers/relay.ts";

const SHOWOFF = join(import.meta.dirname, "..", "..", "cli", "src", "showoff", "main.ts");

type Logged = Readonly<Record<string, unknown>> & { readonly msg: string };

test("showoff serve logs its start, clients, shares, requests, failures and end, each line JSON, and no secret", async () => {
  const anywhere = ["control", "data", "public-http", "admin"].map((name) => `--${name}-address=127.0.0.1:0`);
  const args = ["serve", "--domains=localhost", "--insecure-no-auth", "--log-level=debug", "--names-hold=0"];
  const child = spawn(process.execPath, [SHOWOFF, ...args, ...anywhere], {
    stdio: ["ignore", "inherit", "pipe"],
  });
  const ended = once(child, "exit") as Promise<[number]>;
  const lines: Logged[] = [];
  createInterface(child.stderr).on("line", (line) => lines.push(JSON.parse(line) as Logged));
  const logged = (msg: string) => lines.filter((line) => line.msg === msg);
  try {
    await until(() => logged("the relay is ready").length === 1 || child.exitCode !== null, "it is ready");
    const [warning, ready] = lines;
    assert.deepEqual([warning!["level"], warning!["place"]], ["warn", "--insecure-no-auth"]);
    const at = (name: string) => parseEndpoint(String(ready![name]));
    assert.equal((await fetch(`http://127.0.0.1:${at("admin").port}/readyz`)).status, 200);
    await using local = await startLocalHttp((request, response) =>
      request.url === "/cut" ? request.socket.destroy() : response.end("x"),
    );
    const share = await startShare(
      { control: at("control") },
      { kind: "http", name: "demo", target: local.target },
    );
    for (const [host, path] of [
      ["demo", "/path?token=secret"],
      ["demo", "/cut"],
      ["nobody", "/"],
    ])
      await raw(
        at("http").port,
        `GET ${path} HTTP/1.1\r\nHost: ${host}.localhost\r\nConnection: close\r\n\r\n`,
      );
    await until(() => logged("a request failed").length === 2, "all three are told of");
    const [connected] = logged("a client connected");
    const { client, identity } = connected!;
    const pick = (line: Logged, ...fields: string[]) => fields.map((field) => line[field]);
    const request = ["share", "client", "identity", "method", "path", "status", "code"];
    assert.deepEqual(pick(logged("a share is public")[0]!, "share", "client", "identity"), [
      "demo",
      client,
      identity,
    ]);
    assert.deepEqual(
      [...logged("a request ended"), ...logged("a request failed")].map((line) => pick(line, ...request)),
      [
        ["demo", client, identity, "GET", "/path", 200, undefined],
        ["demo", client, identity, "GET", "/cut", 502, "local-closed"],
        ["nobody", undefined, undefined, "GET", "/", 404, "unknown-name"],
      ],
    );
    for (const line of logged("a request ended"))
      assert.deepEqual(
        pick(line, "duration_ms", "bytes_in", "bytes_out").map((value) => typeof value),
        ["number", "number", "number"],
      );
    share.close();
    await until(() => logged("a client has gone").length === 1, "the client's end is told of");
    assert.deepEqual(pick(logged("a client has gone")[0]!, "client", "identity"), [client, identity]);
    child.kill("SIGTERM");
    assert.deepEqual(await ended, [0, null]);
    assert.deepEqual(
      lines.slice(-2).map(({ msg }) => msg),
      ["the relay drains", "the relay has stopped"],
    );
    for (const line of lines) assert.ok(!Number.isNaN(Date.parse(String(line["time"]))), line.msg);
    assert.doesNotMatch(JSON.stringify(lines), /secret/);
  } finally {
    if (child.exitCode === null) child.kill("SIGKILL");
    await ended;
  }
});
