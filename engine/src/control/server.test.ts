import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { WebSocket, type ClientOptions } from "ws";
import { createTestHost, testFlow, type TestHost } from "../../../test/peers/control-host.ts";
import { connectControl, findEngine, NoEngineError, type ControlClient } from "./client.ts";
import { calls, streams, type StreamEvent } from "./contract.ts";
import { ControlError } from "./control-error.ts";
import { findEngines } from "./directory.ts";
import { MAX_CALLS, MAX_STREAMS } from "./protocol.ts";
import { startControlServer, type ControlServer } from "./server.ts";

const directory = mkdtempSync(join(tmpdir(), "sockeye-control-"));
after(() => rmSync(directory, { recursive: true }));
const ORIGIN = "http://localhost:5173";

let host: TestHost;
let server: ControlServer;
let token: string;
let port: number;
let clients: ControlClient[];

beforeEach(async () => {
  host = createTestHost();
  server = await startControlServer(host, {
    address: { host: "127.0.0.1", port: 0 },
    version: "1.2.3",
    directory,
    allowedOrigins: [ORIGIN],
  });
  port = server.address.port;
  token = findEngine({ directory }).token;
  clients = [];
});

afterEach(async () => {
  for (const client of clients) client.close();
  await server.close();
  assert.deepEqual(findEngines(directory), []);
});

/** Waits for what a client is about to see. */
async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!holds()) {
    assert.ok(performance.now() < end, "nothing came of it in 10 seconds");
    await delay(10);
  }
}

async function connected(): Promise<ControlClient> {
  const client = await connectControl(findEngine({ directory }));
  clients.push(client);
  return client;
}

/** The status of the answer to an upgrade; 101 where it was let in. */
async function upgrade(
  headers: Record<string, string>,
  options: { path?: string; protocols?: string[] } = {},
): Promise<number> {
  const clientOptions: ClientOptions = { headers };
  const url = `ws://127.0.0.1:${port}${options.path ?? "/"}`;
  const socket = new WebSocket(url, options.protocols ?? ["sockeye.v1"], clientOptions);
  socket.on("error", () => {});
  return new Promise((resolve) => {
    socket.on("unexpected-response", (outgoing, response) => {
      resolve(response.statusCode!);
      outgoing.destroy();
    });
    socket.on("open", () => {
      assert.equal(socket.protocol, "sockeye.v1");
      socket.terminate();
      resolve(101);
    });
  });
}

const isCode = (code: string) => (error: unknown) => error instanceof ControlError && error.code === code;

/** Resolves with the first event that passes. */
function eventually<Name extends keyof typeof streams>(
  client: ControlClient,
  name: Name,
  params: object,
  passes: (event: StreamEvent<Name>) => boolean,
): Promise<StreamEvent<Name>> {
  return new Promise((resolve, reject) => {
    const stop = client.listen(name, params as never, {
      onEvent: (event) => {
        if (!passes(event)) return;
        stop();
        resolve(event);
      },
      onError: reject,
      onEnd: () => reject(new Error("ended")),
    });
  });
}

test("only who holds the token is let in, by header or by subprotocol", async () => {
  assert.equal(await upgrade({ authorization: `Bearer ${token}` }), 101);
  assert.equal(await upgrade({}, { protocols: ["sockeye.v1", `sockeye.token.${token}`] }), 101);
  assert.equal(await upgrade({}), 401);
  assert.equal(await upgrade({ authorization: `Bearer ${token}x` }), 401);
  assert.equal(await upgrade({ authorization: `Bearer ${token.slice(0, -1)}` }), 401);
  assert.equal(await upgrade({ authorization: `Basic ${token}` }), 401);
  assert.equal(await upgrade({}, { protocols: ["sockeye.v1", `sockeye.token.${"A".repeat(43)}`] }), 401);
  assert.equal(await upgrade({}, { path: `/?token=${token}` }), 401);
});

test("a web page is refused whatever it holds, unless its origin is allowed", async () => {
  const authorization = `Bearer ${token}`;
  for (const origin of ["https://evil.example", "null", `http://127.0.0.1:${port}`, "http://localhost"]) {
    assert.equal(await upgrade({ authorization, origin }), 403, origin);
  }
  assert.equal(await upgrade({ authorization, origin: ORIGIN }), 101);
});

test("a Host that is not this machine with our port is refused: a rebound name gets nowhere", async () => {
  const authorization = `Bearer ${token}`;
  for (const name of [
    "evil.example",
    `evil.example:${port}`,
    "127.0.0.1",
    "localhost:1",
    `128.0.0.1:${port}`,
    `localhost.evil.example:${port}`,
    `127.0.0.1.evil.example:${port}`,
    `[::2]:${port}`,
  ]) {
    assert.equal(await upgrade({ authorization, host: name }), 421, name);
  }
  for (const name of [`localhost:${port}`, `LOCALHOST:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`]) {
    assert.equal(await upgrade({ authorization, host: name }), 101, name);
  }
});

test("the token is never said back, and another path or a plain request gets nothing", async () => {
  assert.equal(await upgrade({ authorization: `Bearer ${token}` }, { path: "/x" }), 404);
  const outgoing = request({ port, host: "127.0.0.1", headers: { authorization: `Bearer ${token}` } });
  outgoing.end();
  const [response] = (await once(outgoing, "response")) as [NodeJS.ReadableStream & { statusCode: number }];
  let body = "";
  for await (const chunk of response) body += String(chunk);
  assert.equal(response.statusCode, 426);
  assert.ok(!body.includes(token));
});

test("an address that is not loopback is refused before anything is opened", async () => {
  for (const name of ["0.0.0.0", "::", "192.168.1.1"]) {
    await assert.rejects(
      startControlServer(host, { address: { host: name, port: 0 }, version: "1", directory, name: "open" }),
      (error: unknown) => isCode("unavailable")(error) && (error as Error).message.includes("loopback only"),
    );
  }
});

test("each call answers with what its schema says", async () => {
  const client = await connected();
  host.live = [testFlow(1), testFlow(2, { upstream: "direct" }), testFlow(3)];
  host.ended = [testFlow(0, { state: "ended", error: { code: "refused", message: "no" } })];
  calls.status.result.parse(await client.call("status", {}));
  assert.equal(calls.upstreams.result.parse(await client.call("upstreams", {}))[0]!.name, "production");
  const ids = async (filter: object) => (await client.call("flows", filter)).flows.map((flow) => flow.id);
  assert.deepEqual(await ids({}), [1, 2, 3]);
  assert.deepEqual(await ids({ upstream: "production" }), [1, 3]);
  assert.deepEqual(await ids({ text: "host-2." }), [2]);
  assert.deepEqual(await ids({ ended: true }), [0, 1, 2, 3]);
  assert.deepEqual(await client.call("flows", { limit: 1 }), { flows: [testFlow(3)], total: 3 });
  assert.deepEqual(await client.call("flows.close", { flows: [1] }), { closed: 1 });
  await assert.rejects(client.call("flows.close", { flows: [1] }), isCode("unknown-flow"));
  assert.deepEqual(await client.call("flows.close", { flows: "all" }), { closed: 2 });
  const target = { host: "a.example", port: 443 };
  assert.deepEqual((await client.call("explain", { target })).chain, ["corp-proxy", "production"]);
  assert.deepEqual(await client.call("log.level", { level: "warn" }), { level: "warn" });
  assert.equal(host.logLevel, "warn");
  await client.call("reload", {});
  assert.equal(host.reloads, 1);
});

test("wrong names and parameters are told apart, and cost the client nothing else", async () => {
  const client = await connected();
  await assert.rejects(client.call("nothing" as "status", {}), isCode("unknown-call"));
  await assert.rejects(client.call("constructor" as "status", {}), isCode("unknown-call"));
  await assert.rejects(client.call("state" as "status", {}), isCode("unknown-call"));
  await assert.rejects(client.call("explain", { target: { host: "", port: 70000 } }), isCode("bad-request"));
  await assert.rejects(client.call("status", { extra: 1 } as never), isCode("bad-request"));
  await assert.rejects(
    eventually(client, "nothing" as "state", {}, () => true),
    isCode("unknown-call"),
  );
  await assert.rejects(
    eventually(client, "flows", { limit: 0 }, () => true),
    isCode("bad-request"),
  );
  assert.equal((await client.call("status", {})).version, "1.2.3");
});

test("config: read masks secrets, a write with problems or an old revision changes nothing", async () => {
  const client = await connected();
  await assert.rejects(client.call("config.read", {}), isCode("no-config-file"));
  const path = join(directory, "sockeye.yaml");
  writeFileSync(path, "default: direct\n");
  host.configFile = path;
  const read = await client.call("config.read", {});
  assert.equal(read.text, "default: direct\n");
  const masked = { password: "•••", passphrase: { file: "/run/pw" }, known_hosts_file: ["/a"] };
  assert.deepEqual(read.config, { upstreams: { production: masked }, log: { level: "info" } });

  const { problems } = await client.call("config.validate", { text: "a: b\nc: wrong" });
  assert.deepEqual([problems[0]!.line, problems[0]!.column], [2, 4]);
  const { revision } = read;
  await assert.rejects(client.call("config.write", { text: "wrong", revision }), (error: ControlError) => {
    return error.code === "invalid-config" && error.problems?.[0]?.hint === "write right";
  });
  await assert.rejects(client.call("config.write", { text: "x: y", revision: "old" }), isCode("conflict"));
  assert.equal(readFileSync(path, "utf8"), "default: direct\n");
  assert.equal(host.reloads, 0);

  const written = await client.call("config.write", { text: "default: block\n", revision });
  assert.equal(readFileSync(path, "utf8"), "default: block\n");
  assert.equal(host.reloads, 1);
  host.failReload = new ControlError("unavailable", "127.0.0.1:1080 is in use");
  await assert.rejects(
    client.call("config.write", { text: "default: direct\n", revision: written.revision }),
    isCode("unavailable"),
  );
  assert.equal(readFileSync(path, "utf8"), "default: block\n", "what could not be applied is taken back");
});

test("of two writes at the same moment with one revision, one wins and the other hears of a conflict", async () => {
  const client = await connected();
  const path = join(directory, "race.yaml");
  writeFileSync(path, "default: direct\n");
  host.configFile = path;
  const { revision } = await client.call("config.read", {});
  const outcomes = await Promise.allSettled(
    ["a", "b", "c"].map((name) => client.call("config.write", { text: `default: ${name}\n`, revision })),
  );
  assert.deepEqual(outcomes.map((outcome) => outcome.status).sort(), ["fulfilled", "rejected", "rejected"]);
  assert.equal(readFileSync(path, "utf8"), "default: a\n");
});

test("edits are previewed, applied with the rest of the text kept, and refused with a sentence", async () => {
  const client = await connected();
  const path = join(directory, "edited.yaml");
  const text = "# mine\nupstreams:\n  a: { address: h } # the first\ndefault: a\n";
  writeFileSync(path, text);
  host.configFile = path;
  const { revision } = await client.call("config.read", {});
  const rename = { kind: "rename-upstream" as const, name: "a", to: "b" };
  const renamed = text.replace("  a:", "  b:").replace("default: a", "default: b");
  const preview = await client.call("config.edit", { edits: [rename], revision, preview: true });
  assert.deepEqual([preview.text, preview.problems, preview.revision], [renamed, [], revision]);
  const wrong = { kind: "set-default" as const, to: "wrong" };
  const bad = await client.call("config.edit", { edits: [wrong], revision, preview: true });
  assert.equal(bad.problems[0]?.message, "this is wrong");
  await assert.rejects(client.call("config.edit", { edits: [wrong], revision }), isCode("invalid-config"));
  const clear = {
    kind: "set-upstream" as const,
    name: "a",
    upstream: { password: "hunter2" },
  };
  await assert.rejects(client.call("config.edit", { edits: [clear], revision }), (error: ControlError) => {
    return error.code === "invalid-config" && error.message.includes("would stand in clear");
  });
  assert.equal(readFileSync(path, "utf8"), text);

  const written = await client.call("config.edit", { edits: [rename], revision });
  assert.equal(readFileSync(path, "utf8"), renamed);
  assert.equal(written.text, renamed);
  assert.notEqual(written.revision, revision);
  assert.equal(host.reloads, 1);
  await assert.rejects(client.call("config.edit", { edits: [rename], revision }), isCode("conflict"));
  await assert.rejects(
    client.call("config.edit", { edits: [rename], revision, preview: true }),
    isCode("conflict"),
  );
});

test("rules come with their hits, and again only when one has changed", async () => {
  const client = await connected();
  host.routeHits.adopt([{ match: "*.corp", to: "production" }], "direct");
  const events: StreamEvent<"routes">[] = [];
  client.listen("routes", {}, { onEvent: (event) => events.push(streams.routes.event.parse(event)) });
  await until(() => events.length === 1);
  assert.deepEqual(events[0]!.routes, [{ match: "*.corp", to: "production", hits: 0 }]);
  host.routeHits.count({ to: "production", rule: 0 });
  await until(() => events.length === 2);
  assert.equal(events[1]!.routes[0]!.hits, 1);
  await delay(1_200);
  assert.equal(events.length, 2);
});

test("who listens to questions is there to answer them", async () => {
  const client = await connected();
  const events: StreamEvent<"prompts">[] = [];
  assert.equal(host.prompts.present, false);
  const stop = client.listen(
    "prompts",
    {},
    { onEvent: (event) => events.push(streams.prompts.event.parse(event)) },
  );
  await until(() => events.length === 1);
  assert.equal(host.prompts.present, true);
  const question = { kind: "password", upstream: "production", user: "u", host: "h" } as const;
  const answer = host.prompts.ask(question, new AbortController().signal);
  await until(() => events.length === 2);
  const { id } = events[1]!.pending[0]!;
  assert.deepEqual(await client.call("prompt.answer", { id, answer: "s3cret" }), { taken: true });
  assert.equal(await answer, "s3cret");
  await until(() => events.at(-1)!.pending.length === 0);
  stop();
  await until(() => !host.prompts.present);
});

test("connecting and disconnecting are calls, and a failure has its sentence", async () => {
  const client = await connected();
  await client.call("disconnect", {});
  assert.equal((await client.call("status", {})).connection.state, "off");
  host.failConnect = new ControlError("helper", "there is no helper");
  await assert.rejects(client.call("connect", {}), isCode("helper"));
  host.failConnect = undefined;
  await client.call("connect", {});
  assert.equal((await client.call("status", {})).connection.state, "connected");
});

test("state comes as one snapshot, then only what changed", async () => {
  const client = await connected();
  const events: StreamEvent<"state">[] = [];
  client.listen("state", {}, { onEvent: (event) => events.push(streams.state.event.parse(event)) });
  await delay(300);
  assert.equal(events.length, 1, "nothing changed, nothing is sent");
  assert.equal(events[0]!.status?.version, "1.2.3");
  assert.equal(events[0]!.upstreams?.length, 1);
  host.known = [
    { ...host.known[0]!, state: "failing" },
    { ...host.known[0]!, name: "new" },
  ];
  await delay(300);
  assert.deepEqual(
    events[1]!.upstreams?.map((upstream) => upstream.name),
    ["production", "new"],
  );
  assert.equal(events[1]!.status, undefined);
  host.known = host.known.slice(1);
  await delay(300);
  assert.deepEqual(events[2], { removed: ["production"] });
});

test("flows come as a snapshot, then opened, moved and gone ones", async () => {
  const client = await connected();
  host.live = [testFlow(1), testFlow(2)];
  const events: StreamEvent<"flows">[] = [];
  client.listen("flows", {}, { onEvent: (event) => events.push(streams.flows.event.parse(event)) });
  await delay(100);
  assert.deepEqual(events[0], { changed: [testFlow(1), testFlow(2)], total: 2 });
  host.live = [testFlow(2, { up: 500 }), testFlow(3)];
  await delay(600);
  assert.deepEqual(events[1], { changed: [testFlow(2, { up: 500 }), testFlow(3)], removed: [1], total: 2 });
});

test("an empty table is told once, so that a client knows it", async () => {
  const client = await connected();
  assert.deepEqual(await eventually(client, "flows", {}, () => true), { changed: [], total: 0 });
});

test("logs come from the ring first, then as they are written, by level and upstream", async () => {
  const client = await connected();
  host.logger.info("before");
  host.logger.debug("too fine");
  const messages: string[] = [];
  client.listen(
    "logs",
    { level: "info" },
    {
      onEvent: (event) =>
        messages.push(...streams.logs.event.parse(event).records.map((record) => record.message)),
    },
  );
  await delay(50);
  host.logger.warn({ upstream: "production" }, "after");
  const ofOne = eventually(client, "logs", { upstream: "production" }, (event) => event.records.length > 0);
  assert.equal((await ofOne).records[0]!.message, "after");
  await delay(150);
  assert.deepEqual(messages, ["before", "after"]);
});

test("metrics come with a line for each upstream", async () => {
  const client = await connected();
  host.metrics.flowOpened("production");
  const event = streams.metrics.event.parse(await eventually(client, "metrics", {}, () => true));
  assert.deepEqual(
    event.upstreams.map((numbers) => [numbers.upstream, numbers.connections]),
    [
      ["direct", 0],
      ["block", 0],
      ["production", 1],
    ],
  );
});

test("a test of an upstream streams its steps and its outcome, and ends", async () => {
  const client = await connected();
  const run = (name: string, config?: Record<string, unknown>) =>
    new Promise<StreamEvent<"upstream.test">[]>((resolve, reject) => {
      const events: StreamEvent<"upstream.test">[] = [];
      const params = config === undefined ? { name, timeoutMs: 100 } : { name, config };
      client.listen("upstream.test", params, {
        onEvent: (event) => events.push(streams["upstream.test"].event.parse(event)),
        onEnd: () => resolve(events),
        onError: reject,
      });
    });
  const passed = await run("production");
  assert.deepEqual(
    passed.map((event) => event.kind),
    ["started", "started", "done"],
  );
  const failed = (await run("broken")).at(-1)!;
  assert.ok(failed.kind === "done" && !failed.ok && failed.failure?.code === "host-key");
  const slow = (await run("slow")).at(-1)!;
  assert.ok(slow.kind === "done" && slow.failure?.code === "timeout");
  await assert.rejects(run("nowhere"), isCode("unknown-upstream"));
  await assert.rejects(run("production", { wrong: true }), isCode("invalid-config"));
});

test("a client that leaves ends the test that it started", async () => {
  const client = await connected();
  const signal = new Promise<AbortSignal>((resolve) => (host.onTest = resolve));
  client.listen("upstream.test", { name: "slow" }, { onEvent: () => {} });
  const testing = await signal;
  client.close();
  if (!testing.aborted) await once(testing, "abort", { signal: AbortSignal.timeout(2_000) });
});

test("calls and streams of one client are capped, and the cap says so", async () => {
  const client = await connected();
  const path = join(directory, "cap.yaml");
  writeFileSync(path, "a: b\n");
  host.configFile = path;
  const outcomes = await Promise.allSettled(
    Array.from({ length: MAX_CALLS + 5 }, () => client.call("config.read", {})),
  );
  const refused = outcomes.filter((outcome) => outcome.status === "rejected");
  assert.ok(refused.length >= 1 && refused.length <= 5);
  assert.ok(refused.every((outcome) => isCode("limit")(outcome.reason)));
  for (let i = 0; i < MAX_STREAMS; i++) client.listen("metrics", {}, { onEvent: () => {} });
  await assert.rejects(
    eventually(client, "state", {}, () => true),
    isCode("limit"),
  );
});

test("a slow client gets the newest state in few events, the logs it missed are counted, and memory is bounded", async () => {
  const socket = connect(port, "127.0.0.1");
  const key = Buffer.from("0123456789abcdef").toString("base64");
  socket.write(
    `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\nUpgrade: websocket\r\n` +
      `Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  await once(socket, "data");
  const listen = (id: number, name: string, params: object) =>
    socket.write(maskedFrame(JSON.stringify({ type: "listen", id, name, params })));
  listen(4, "logs", { level: "info", backlog: 0 });
  // Its first event, which is empty: from then on each record counts.
  await once(socket, "data");
  // From here on it does not read.
  socket.pause();
  host.live = Array.from({ length: 10_000 }, (_, i) => testFlow(i));
  for (const id of [1, 2, 3]) listen(id, "flows", { limit: 10_000 });
  await delay(300);
  const before = process.memoryUsage();
  for (let round = 1; round <= 6; round++) {
    host.live = host.live.map((flow) => ({ ...flow, up: round * 1_000_000 }));
    for (let i = 0; i < 2_000; i++) host.logger.info({ seq: i, round }, "busy");
    await delay(250);
  }
  const after = process.memoryUsage();
  const grown = after.heapUsed + after.external - before.heapUsed - before.external;
  assert.ok(grown < 60e6, `${Math.round(grown / 1e6)} MB grown`);

  const messages = readFrames(socket);
  socket.resume();
  let records = 0;
  let dropped = 0;
  const ups = new Map<number, { events: number; up: number }>();
  const deadline = Date.now() + 8_000;
  for await (const message of messages) {
    const { id, event } = message as { id: number; event: never };
    if (id === 4) {
      const logs = event as StreamEvent<"logs">;
      records += logs.records.length;
      dropped += logs.dropped;
    } else {
      const flows = event as StreamEvent<"flows">;
      const seen = ups.get(id) ?? { events: 0, up: 0 };
      ups.set(id, { events: seen.events + 1, up: flows.changed?.at(-1)?.up ?? seen.up });
    }
    const allNewest = ups.size === 3 && [...ups.values()].every(({ up }) => up === 6_000_000);
    if ((allNewest && records + dropped === 12_000) || Date.now() > deadline) break;
  }
  socket.destroy();
  assert.equal(records + dropped, 12_000, "each record was sent or counted");
  assert.ok(dropped > 0 && records <= 12_000);
  for (const { events, up } of ups.values()) {
    assert.equal(up, 6_000_000);
    assert.ok(events < 7, `${events} events: those it could not take were merged`);
  }
});

/** A client's text frame (RFC 6455 §5.2) with a mask of zeros. */
function maskedFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  assert.ok(payload.length < 126);
  return Buffer.concat([Buffer.of(0x81, 0x80 | payload.length, 0, 0, 0, 0), payload]);
}

/** The server's text frames, parsed; pings are passed over. */
async function* readFrames(socket: NodeJS.ReadableStream): AsyncGenerator {
  let buffered = Buffer.alloc(0);
  for await (const chunk of socket) {
    buffered = Buffer.concat([buffered, chunk as Buffer]);
    for (;;) {
      if (buffered.length < 2) break;
      let length = buffered[1]! & 0x7f;
      let head = 2;
      if (length >= 126 && buffered.length < 10) break;
      if (length === 126) {
        length = buffered.readUInt16BE(2);
        head = 4;
      } else if (length === 127) {
        length = Number(buffered.readBigUInt64BE(2));
        head = 10;
      }
      if (buffered.length < head + length) break;
      const isText = (buffered[0]! & 0x0f) === 1;
      const payload = buffered.subarray(head, head + length);
      if (isText) yield JSON.parse(payload.toString());
      buffered = buffered.subarray(head + length);
    }
  }
}

test("what is no message of the protocol is answered or cut, and the server goes on", async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { authorization: `Bearer ${token}` } });
  await once(socket, "open");
  const answers: { type: string; id: number; error: { code: string } }[] = [];
  socket.on("message", (data: Buffer) => answers.push(JSON.parse(data.toString()) as (typeof answers)[0]));
  for (const text of [
    "",
    "{",
    "null",
    "[]",
    '{"type":"call"}',
    '{"type":"call","id":7,"name":5}',
    '{"id":-1}',
  ]) {
    socket.send(text);
  }
  socket.send(Buffer.from("{}"), { binary: true });
  socket.send('{"type":"cancel","id":99}');
  while (answers.length < 8) await once(socket, "message");
  assert.ok(answers.every(({ type, error }) => type === "error" && error.code === "bad-request"));
  assert.deepEqual(
    answers.map((answer) => answer.id),
    [0, 0, 0, 0, 0, 7, 0, 0],
  );

  socket.send('{"type":"listen","id":1,"name":"state"}');
  socket.send('{"type":"listen","id":1,"name":"state"}');
  const [code] = (await once(socket, "close")) as [number];
  assert.equal(code, 1008);

  const large = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { authorization: `Bearer ${token}` } });
  await once(large, "open");
  large.on("error", () => {});
  large.send("x".repeat(1024 * 1024 + 1));
  const [tooBig] = (await once(large, "close")) as [number];
  assert.equal(tooBig, 1009);
  assert.equal((await (await connected()).call("status", {})).version, "1.2.3");
});

test("the 33rd client is refused, and there is room again when one leaves", async () => {
  const held = await Promise.all(Array.from({ length: 32 }, connected));
  assert.equal(await upgrade({ authorization: `Bearer ${token}` }), 503);
  held[0]!.close();
  await held[0]!.closed;
  await delay(20);
  assert.equal(await upgrade({ authorization: `Bearer ${token}` }), 101);
});

test("a client that no longer answers pings is cut", async () => {
  const quick = await startControlServer(host, {
    address: { host: "127.0.0.1", port: 0 },
    version: "1",
    directory,
    name: "quick",
    pingIntervalMs: 50,
  });
  const { token: quickToken } = findEngine({ directory, name: "quick" });
  const headers = { authorization: `Bearer ${quickToken}` };
  const silent = new WebSocket(quick.url, { headers, autoPong: false });
  silent.on("error", () => {});
  const lively = new WebSocket(quick.url, { headers });
  await Promise.all([once(silent, "open"), once(lively, "open")]);
  await once(silent, "close", { signal: AbortSignal.timeout(2_000) });
  assert.equal(lively.readyState, WebSocket.OPEN);
  lively.terminate();
  await quick.close();
});

test("a connection that sends nothing, or half a request, is ended at its deadline", async () => {
  const silent = connect(port, "127.0.0.1");
  silent.write("GET / HTTP/1.1\r\nHost: ");
  const started = Date.now();
  silent.resume();
  await once(silent, "close", { signal: AbortSignal.timeout(8_000) });
  assert.ok(Date.now() - started < 7_500);
});

test("stopping the server tells its clients, ends what they wait for and takes the token away", async () => {
  const client = await connected();
  const failure = new Promise<ControlError>((resolve) => {
    client.listen("state", {}, { onEvent: () => {}, onError: resolve });
  });
  await client.call("status", {});
  await server.close();
  assert.equal((await failure).code, "closed");
  await client.closed;
  await assert.rejects(client.call("status", {}), isCode("closed"));
  assert.throws(() => findEngine({ directory }), NoEngineError);
});

test("an engine is chosen by name where several run, and the sentence says which there are", async () => {
  const other = await startControlServer(host, {
    address: { host: "127.0.0.1", port: 0 },
    version: "1",
    directory,
    name: "office",
  });
  assert.throws(() => findEngine({ directory }), /several engines are running.*--engine NAME.*office/);
  assert.equal(findEngine({ directory, name: "office" }).url, other.url);
  assert.throws(() => findEngine({ directory, name: "home" }), /no engine named "home".*office/);
  await other.close();
});

test("an entry at whose address nobody listens, or that holds another token, says so in a sentence", async () => {
  const entry = findEngine({ directory });
  await assert.rejects(
    connectControl({ ...entry, url: "ws://127.0.0.1:1/" }),
    (error: unknown) => error instanceof NoEngineError && error.message.includes("no engine listens"),
  );
  await assert.rejects(
    connectControl({ ...entry, token: "x".repeat(43) }),
    (error: unknown) => error instanceof NoEngineError && error.message.includes("401"),
  );
});
