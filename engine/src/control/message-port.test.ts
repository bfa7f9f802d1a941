import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { afterEach, beforeEach, test } from "node:test";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { createTestHost, testFlow, type TestHost } from "../../../test/peers/control-host.ts";
import type { ControlClient } from "./control-client.ts";
import type { StreamEvent } from "./contract.ts";
import { ControlError } from "./control-error.ts";
import { connectPort, PortServer, type Port } from "./message-port.ts";
import { createService } from "./service.ts";

let host: TestHost;
let server: PortServer;
let raw: MessagePort;
let serverSide: MessagePort;

beforeEach(() => {
  host = createTestHost();
  server = new PortServer(createService(host));
  const channel = new MessageChannel();
  raw = channel.port1;
  serverSide = channel.port2;
});

afterEach(() => {
  server.close();
  raw.close();
});

function connected(): ControlClient {
  server.serve(serverSide);
  return connectPort(raw);
}

const isCode = (code: string) => (error: unknown) => error instanceof ControlError && error.code === code;

test("calls and streams go over a port as over a WebSocket", async () => {
  const client = connected();
  assert.equal((await client.call("status", {})).version, "1.2.3");
  await assert.rejects(client.call("flows.close", { flows: [9] }), isCode("unknown-flow"));
  const event = await new Promise<StreamEvent<"state">>((resolve, reject) => {
    const stop = client.listen(
      "state",
      {},
      {
        onEvent: (first) => {
          stop();
          resolve(first);
        },
        onError: reject,
      },
    );
  });
  assert.equal(event.upstreams![0]!.name, "production");
  client.close();
  await client.closed;
  await assert.rejects(client.call("status", {}), isCode("closed"));
});

test("whoever ends it, the other side hears so and what it waits for ends", async () => {
  const client = connected();
  await client.call("status", {});
  const failure = new Promise<ControlError>((resolve) => {
    client.listen("state", {}, { onEvent: () => {}, onError: resolve });
  });
  server.close();
  assert.match((await failure).message, /the engine is stopping/);
  await client.closed;
});

test("a client whose process died is let go, streams and all", async () => {
  server.serve(serverSide);
  let aborted = false;
  host.onTest = (signal) => signal.addEventListener("abort", () => (aborted = true));
  raw.postMessage({
    kind: "text",
    text: JSON.stringify({ type: "listen", id: 1, name: "upstream.test", params: { name: "slow" } }),
  });
  await once(raw, "message");
  const closed = once(serverSide, "close");
  raw.close();
  await closed;
  assert.equal(aborted, true);
});

test("a client that does not say that it took what came gets no more events, and then the newest", async () => {
  server.serve(serverSide);
  host.live = Array.from({ length: 10_000 }, (_, i) => testFlow(i));
  const texts: string[] = [];
  const heard = (): Promise<unknown> => once(raw, "message");
  raw.on("message", (data: { kind: string; text?: string }) => {
    if (data.kind === "text") texts.push(data.text!);
  });
  raw.postMessage({
    kind: "text",
    text: JSON.stringify({ type: "listen", id: 1, name: "flows", params: { limit: 10_000 } }),
  });
  while (texts.length === 0) await heard();
  assert.ok(texts[0]!.length > 1024 * 1024, "one snapshot fills the way");
  for (let round = 1; round <= 3; round++) {
    host.live = host.live.map((flow) => ({ ...flow, up: round }));
    await new Promise((resolve) => setTimeout(resolve, 600));
  }
  assert.deepEqual(texts.slice(1), [], "nothing was sent meanwhile");
  raw.postMessage({ kind: "taken", length: texts[0]!.length });
  while (texts[1] === undefined) await heard();
  const { event } = JSON.parse(texts[1]) as { event: StreamEvent<"flows"> };
  assert.equal(event.changed![0]!.up, 3);
});

test("a client that asks on without reading is cut off", async () => {
  server.serve(serverSide);
  host.live = Array.from({ length: 10_000 }, (_, i) => testFlow(i));
  const bye = new Promise<string>((resolve) => {
    raw.on("message", (data: { kind: string; reason?: string }) => {
      if (data.kind === "bye") resolve(data.reason!);
    });
  });
  for (let id = 1; id <= 24; id++) {
    raw.postMessage({
      kind: "text",
      text: JSON.stringify({ type: "call", id, name: "flows", params: { limit: 10_000 } }),
    });
  }
  assert.equal(await bye, "the answers are not being read");
});

test("the 33rd client is let go with a word, those before it stay, and there is room again when one leaves", async () => {
  const raws: MessagePort[] = [];
  const join = (): MessagePort => {
    const { port1, port2 } = new MessageChannel();
    server.serve(port1);
    raws.push(port2);
    return port2;
  };
  const said = (port: MessagePort): Promise<string> =>
    new Promise((resolve) => {
      port.on("message", (data: { kind: string; reason?: string }) => {
        if (data.kind === "bye") resolve(data.reason!);
      });
    });
  const first = connectPort(join());
  for (let i = 2; i <= 32; i++) join();
  assert.match(await said(join()), /as many clients as it takes/);
  assert.equal((await first.call("status", {})).version, "1.2.3");
  raws[1]!.postMessage({ kind: "bye", reason: "done" });
  await once(raws[1]!, "close");
  assert.equal((await connectPort(join()).call("status", {})).version, "1.2.3");
});

test("what is no message of the protocol ends the connection or is answered, and never throws", async () => {
  const junk: unknown[] = [
    null,
    7,
    "text",
    {},
    { kind: "text" },
    { kind: "taken", length: -1 },
    { kind: "taken", length: 0.5 },
  ];
  for (const message of junk) {
    const { port1, port2 } = new MessageChannel();
    server.serve(port2);
    const closed = once(port1, "close");
    // A port that nobody reads is not closed by the other side.
    port1.on("message", () => {});
    port1.postMessage(message);
    await closed;
  }
  const { port1, port2 } = new MessageChannel();
  server.serve(port2);
  const answers: string[] = [];
  const bye = new Promise<string>((resolve) => {
    port1.on("message", (data: { kind: string; text: string; reason: string }) => {
      if (data.kind === "text") answers.push(data.text);
      if (data.kind === "bye") resolve(data.reason);
    });
  });
  for (const text of ["", "{", "null", '{"type":"call","id":7,"name":5}'])
    port1.postMessage({ kind: "text", text });
  port1.postMessage({ kind: "text", text: "x".repeat(1024 * 1024 + 1) });
  assert.equal(await bye, "the message is too long");
  assert.ok(answers.length === 4 && answers.every((text) => text.includes('"bad-request"')));
});

test("a port that has `on` and no addEventListener, as Electron's in the main process, serves as well", async () => {
  /** Two ends that hand each other copies. */
  class EmitterPort extends EventEmitter implements Port {
    peer: EmitterPort | undefined;
    postMessage(message: unknown): void {
      const data: unknown = structuredClone(message);
      setImmediate(() => this.peer?.emit("message", { data, ports: [] }));
    }
    start(): void {}
    close(): void {
      setImmediate(() => this.peer?.emit("close"));
    }
  }
  const [near, far] = [new EmitterPort(), new EmitterPort()];
  near.peer = far;
  far.peer = near;
  server.serve(far);
  const client = connectPort(near);
  assert.equal((await client.call("status", {})).version, "1.2.3");
  client.close();
  await client.closed;
});
