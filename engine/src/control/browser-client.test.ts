import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createTestHost } from "../../../test/peers/control-host.ts";
import { connect } from "./browser-client.ts";
import { findEngine } from "./client.ts";
import { ControlError } from "./control-error.ts";
import { startControlServer, type ControlServer } from "./server.ts";

const directory = mkdtempSync(join(tmpdir(), "sockeye-browser-"));
let server: ControlServer;
before(async () => {
  server = await startControlServer(createTestHost(), {
    address: { host: "127.0.0.1", port: 0 },
    version: "1.2.3",
    directory,
  });
});
after(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

const isCode = (code: string) => (error: unknown) => error instanceof ControlError && error.code === code;

test("a page calls and listens with the token as a subprotocol", async () => {
  const { url, token } = findEngine({ directory });
  const client = await connect(url, token);
  assert.equal((await client.call("status", {})).version, "1.2.3");
  await assert.rejects(client.call("flows.close", { flows: [9] }), isCode("unknown-flow"));
  const first = await new Promise((resolve, reject) => {
    client.listen("metrics", {}, { onEvent: resolve, onError: reject });
  });
  assert.ok(first);
  client.close();
  await client.closed;
  await assert.rejects(client.call("status", {}), isCode("closed"));
});

test("a wrong token, nobody there and no answer are each said in a sentence", async () => {
  const { url } = findEngine({ directory });
  await assert.rejects(connect(url, "A".repeat(43)), isCode("closed"));
  await assert.rejects(connect("ws://127.0.0.1:1/", "A".repeat(43)), isCode("closed"));
  const silent = createServer((socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  await assert.rejects(connect(`ws://127.0.0.1:${port}/`, "x", { timeoutMs: 50 }), isCode("timeout"));
  silent.close();
});

test("an engine that goes away ends what the page waits for", async () => {
  const { url, token } = findEngine({ directory });
  const other = await startControlServer(createTestHost(), {
    address: { host: "127.0.0.1", port: 0 },
    version: "1",
    directory,
    name: "other",
  });
  const client = await connect(other.url, findEngine({ directory, name: "other" }).token);
  const failure = new Promise<ControlError>((resolve) => {
    client.listen("state", {}, { onEvent: () => {}, onError: resolve });
  });
  await client.call("status", {});
  await other.close();
  assert.equal((await failure).code, "closed");
  await client.closed;
  assert.ok(await connect(url, token).then((still) => (still.close(), true)));
});

/** What a page loads must load there. */
test("the clients for pages need nothing of Node", async () => {
  const { globSync, readFileSync } = await import("node:fs");
  const seen = new Set<string>();
  const follow = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const [statement, from] of readFileSync(path, "utf8").matchAll(
      /^(?:import|export) [^;]*?from "([^"]+)";/gms,
    )) {
      if (/^(?:import|export) type /.test(statement)) continue;
      assert.ok(from === "zod" || from!.startsWith("."), `${path} imports ${from}`);
      if (from!.startsWith(".")) follow(join(path, "..", from!));
    }
  };
  for (const file of globSync("{browser-client,message-port,contract}.ts", { cwd: import.meta.dirname })) {
    follow(join(import.meta.dirname, file));
  }
  assert.ok(seen.size > 4);
});
