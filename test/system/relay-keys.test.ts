import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, test } from "node:test";
import { configKeys } from "@sockeye/relay/config/keys";
import { commandFor, type Settings, startKeyedRelay, type Way, WAYS } from "../peers/keyed-relay.ts";
import { startLocalHttp, startShare, until } from "../peers/relay.ts";
import { auth } from "./relay-keys/auth.ts";
import { limits } from "./relay-keys/limits.ts";
import { listeners } from "./relay-keys/listeners.ts";
import { folder, request, talk } from "./relay-keys/row.ts";

/** Every key of the relay, set by a flag, by a variable and in the file, each time seen from outside a running relay. */

const rows = { ...listeners, ...auth, ...limits };

/** Keys of the admin listener and of what is looked at through it, in relay-admin.test.ts. */
const ELSEWHERE = [
  "admin.address",
  "admin.tls_cert",
  "admin.tls_key",
  "admin.credentials_file",
  "limits.max_pending_per_client",
  "limits.pending_timeout",
  "otel_endpoint",
  "profiling",
];
const SECRET = "token-that-is-a-secret";
/** Keys of the program, below. */
const OF_THE_PROGRAM = ["log.level", "log.format"];

test("no key is left out, and none is listed that there is not", () => {
  const listed = [...Object.keys(rows), ...ELSEWHERE, ...OF_THE_PROGRAM];
  assert.deepEqual(listed.sort(), configKeys.map(({ path }) => path.join(".")).sort());
});

describe("each key does what it is for, whichever way it is set", { concurrency: 12 }, () => {
  for (const [name, { value, base = {}, check }] of Object.entries(rows)) {
    for (const way of WAYS)
      test(`${name}, by ${way}`, async () => {
        await using relay = await startKeyedRelay(way, base, {
          [name]: typeof value === "string" ? value : value[way],
        });
        await check(relay);
      });
  }
});

describe("how much is logged, and in which form", { concurrency: 3 }, () => {
  for (const way of WAYS)
    test(`log.level and log.format, by ${way}`, async () => {
      const lines = await linesOf(way, { "log.level": "debug", "log.format": "pretty" });
      assert.match(lines, /the relay is ready/);
      assert.match(lines, /DEBUG.*a request ended/);
      assert.doesNotMatch(lines, /^\{/m, "pretty is not JSON");
      assert.ok(!lines.includes(SECRET), "what a client shows is logged nowhere");
    });
});

/** What `showoff serve` logs of one request to a share. */
async function linesOf(way: Way, given: Settings): Promise<string> {
  const port = 14_950 + WAYS.indexOf(way);
  const { args, env } = commandFor(folder, way, { "public_http.address": `127.0.0.1:${port}` }, given);
  const program = join(import.meta.dirname, "../../cli/src/showoff/main.ts");
  const child = spawn(process.execPath, [program, "serve", ...args], {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const ended = once(child, "exit");
  try {
    await until(() => said.includes("ready"), "it is ready");
    const control = Number(/127\.0\.0\.1:(\d+)/.exec(said)![1]);
    await using local = await startLocalHttp((_request, response) => response.end("here"));
    const relay = { control: { host: "127.0.0.1", port: control } };
    await using share = await startShare(
      relay,
      { kind: "http", name: "demo", target: local.target },
      { token: SECRET },
    );
    assert.match(await talk({ port }, request()), /here$/);
    share.close();
    await until(() => said.includes("a client has gone"), "all of it is logged", 5000);
  } finally {
    child.kill("SIGTERM");
    await ended;
  }
  return said;
}
