import { once } from "node:events";
import http2 from "node:http2";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";
import { WindowBudget } from "@sockeye/wire/mux";
import { LinkConnection } from "@sockeye/link/link-connection";

/*
 * What carries streams between relay and client: our own frames, or node:http2 with the roles reversed. Both ends are in this
 * process, so that its processor time is that of the link and of nothing else. `node bench/relay/link.ts`
 */

const REQUEST = Buffer.alloc(300, "q");
const RESPONSE = Buffer.alloc(1000, "a");
const CONCURRENT = 48;
const CHUNK = Buffer.alloc(65_536, "x");

interface Contender {
  readonly name: string;
  /** One stream: the request out, the response back, the end. */
  exchange(): Promise<void>;
  /** Sends so many bytes through one stream and waits until they were read. */
  bulk(bytes: number): Promise<void>;
  close(): void;
}

async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer({ noDelay: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const near = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", noDelay: true });
  const [far] = await accepted;
  server.close();
  return [near, far];
}

async function ownFrames(): Promise<Contender> {
  const [near, far] = await socketPair();
  const budget = new WindowBudget(268_435_456);
  const nobody = { opened: () => idle, control: () => {}, closed: () => {} };
  const idle: StreamReceiver = { data: () => {}, end: () => {}, reset: () => {}, drain: () => {} };
  const relay = new LinkConnection(near, { role: "relay", handler: nobody, budget });
  const client = new LinkConnection(far, {
    role: "client",
    budget,
    handler: {
      ...nobody,
      opened: (stream) => ({
        data: (chunk) => {
          stream.consumed(chunk.length);
          if (chunk.length === REQUEST.length) stream.write(RESPONSE);
        },
        end: () => stream.end(),
        reset: () => {},
        drain: () => {},
      }),
    },
  });
  const open = (receiver: Partial<StreamReceiver>): TunnelStream =>
    relay.open(Buffer.alloc(2), { ...idle, ...receiver });
  return {
    name: "own frames",
    exchange: () =>
      new Promise((resolve) => {
        const stream = open({ data: (chunk) => stream.consumed(chunk.length), end: resolve });
        stream.write(REQUEST);
        stream.end();
      }),
    bulk: (bytes) =>
      new Promise((resolve) => {
        let left = bytes;
        const more = () => {
          while (left > 0) {
            left -= CHUNK.length;
            if (!stream.write(CHUNK)) break;
          }
          if (left <= 0) stream.end();
        };
        const stream = open({ drain: more, end: resolve });
        more();
      }),
    close: () => {
      relay.close();
      client.close();
    },
  };
}

async function http2Reversed(): Promise<Contender> {
  const [near, far] = await socketPair();
  const settings = { initialWindowSize: 16 * 1_048_576, maxConcurrentStreams: 16_384, enablePush: false };
  const server = http2.createServer({ settings });
  server.on("session", (session) => session.setLocalWindowSize(64 * 1_048_576));
  server.on("stream", (stream) => {
    let bytes = 0;
    stream.on("data", (chunk: Buffer) => (bytes += chunk.length));
    stream.on("end", () => {
      stream.respond({ ":status": 200 });
      stream.end(bytes === REQUEST.length ? RESPONSE : undefined);
    });
    stream.on("error", () => {});
  });
  server.emit("connection", far);
  const session = http2.connect("http://relay", { createConnection: () => near, settings });
  await once(session, "connect");
  session.setLocalWindowSize(64 * 1_048_576);
  return {
    name: "node:http2",
    exchange: () =>
      new Promise((resolve) => {
        const stream = session.request({ ":method": "POST", ":path": "/" });
        stream.on("data", () => {});
        stream.on("end", resolve);
        stream.end(REQUEST);
      }),
    bulk: (bytes) =>
      new Promise((resolve) => {
        const stream = session.request({ ":method": "POST", ":path": "/" });
        stream.on("data", () => {});
        stream.on("end", resolve);
        let left = bytes;
        const more = () => {
          while (left > 0) {
            left -= CHUNK.length;
            if (!stream.write(CHUNK)) {
              if (left > 0) stream.once("drain", more);
              break;
            }
          }
          if (left <= 0) stream.end();
        };
        more();
      }),
    close: () => {
      session.close();
      server.close();
    },
  };
}

/** @returns processor seconds and wall seconds. */
async function timed(work: () => Promise<void>): Promise<[number, number]> {
  const cpu = process.cpuUsage();
  const started = performance.now();
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return [(user + system) / 1e6, (performance.now() - started) / 1000];
}

async function exchanges(contender: Contender, count: number): Promise<void> {
  let left = count;
  await Promise.all(
    Array.from({ length: CONCURRENT }, async () => {
      while (left-- > 0) await contender.exchange();
    }),
  );
}

const BULK = 512 * 1_048_576;
const contenders = [await ownFrames(), await http2Reversed()];
for (const contender of contenders) await exchanges(contender, 5000);
for (let round = 0; round < 3; round++) {
  for (const contender of contenders) {
    const [cpu, wall] = await timed(() => exchanges(contender, 20_000));
    const [bulkCpu, bulkWall] = await timed(() => contender.bulk(BULK));
    console.log(
      `${contender.name}: ${(cpu / 0.02).toFixed(1)} µs CPU a stream, ${Math.round(20_000 / wall)}/s; ` +
        `${(bulkCpu / (BULK / 1e9)).toFixed(2)} s CPU a GB, ${(BULK / 1e9 / bulkWall).toFixed(2)} GB/s`,
    );
  }
}
for (const contender of contenders) contender.close();
process.exit(0);
