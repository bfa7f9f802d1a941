import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { isIP } from "node:net";
import { afterEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { answerA, DnsServer } from "../../../test/peers/dns-server.ts";
import { startEcho, startTcpServer, startUdpEcho } from "../../../test/peers/echo.ts";
import { FrameReader, writeFrame } from "../dns/frames.ts";
import { readMessage, writeQuery } from "../dns/message.ts";
import type { Endpoint } from "../endpoint.ts";
import { abortReason, DialError, type DialErrorCode } from "../errors.ts";
import { connect, DialDeadlines } from "../flow/connect.ts";
import { associate, type DatagramContext } from "../flow/datagrams.ts";
import { DnsCarrier } from "../flow/dns-carrier.ts";
import { FlowTable } from "../flow/table.ts";
import { UdpSupport } from "../flow/udp-support.ts";
import { type SampleFlow, udp } from "../netstack/ip/sample-packets.ts";
import { SampleClient } from "../netstack/sample-client.ts";
import { SampleDevice } from "../netstack/sample-device.ts";
import { UDP_LIMITS } from "../netstack/udp/udp-layer.ts";
import { createLogger } from "../observe/log.ts";
import { Metrics } from "../observe/metrics.ts";
import { RouteHits } from "../router/hits.ts";
import { createRouter } from "../router/router.ts";
import { DirectDialer } from "../upstream/direct.ts";
import type { Dialer } from "../upstream/dialer.ts";
import { openTun, type TunInbound, type TunOptions } from "./tun.ts";

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const application = { source: "10.0.0.2", sourcePort: 40_000 };
/** Networks of documentation, each with an upstream of its own. */
const networks = { full: "192.0.2.1", plain: "198.51.100.1", blocked: "203.0.113.1" };

/** Where datagrams come from that went to a name: only the far end knows its address. */
const farEnd = "203.0.113.50";

/** Bytes that are held once what is garbage is collected. */
function heldMemory(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc()");
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

async function until(condition: () => boolean, what = "it did not happen"): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    assert.ok(tries < 2000, what);
    await sleep(5);
  }
}

/** Whatever the target's address, its port of loopback is reached: packets can't name loopback itself. */
class ToLoopback implements Dialer {
  readonly dialled: Endpoint[] = [];
  readonly aborted: Endpoint[] = [];
  readonly #direct = new DirectDialer();
  /** What becomes of dials, where they do not just go through. */
  before: (target: Endpoint) => Promise<void> = () => Promise.resolve();
  readonly udp: Dialer["udp"];
  /** Where DNS goes. */
  nameServer: Endpoint | undefined;

  constructor(hasUdp: boolean) {
    const { udp } = this.#direct;
    this.udp = hasUdp
      ? {
          associate: async (receiver, options) => {
            let last = farEnd;
            const inner = await udp.associate(
              {
                onDatagram: ({ port }, payload) => receiver.onDatagram({ host: last, port }, payload),
                onClose: (error) => receiver.onClose(error),
              },
              options,
            );
            return {
              send: ({ host, port }, payload) => {
                last = isIP(host) === 0 ? farEnd : host;
                inner.send({ host: "127.0.0.1", port }, payload);
              },
              close: () => inner.close(),
            };
          },
        }
      : undefined;
  }

  async dial(target: Endpoint, options: Parameters<Dialer["dial"]>[1]): Promise<Duplex> {
    this.dialled.push(target);
    options.signal.addEventListener("abort", () => this.aborted.push(target));
    await Promise.race([
      this.before(target),
      new Promise((_resolve, reject) => {
        options.signal.addEventListener("abort", () => reject(abortReason(options.signal)));
      }),
    ]);
    const there =
      target.port === 53 && this.nameServer ? this.nameServer : { host: "127.0.0.1", port: target.port };
    return this.#direct.dial(there, options);
  }
}

interface World {
  readonly device: SampleDevice;
  readonly tun: TunInbound;
  readonly table: FlowTable;
  /** Of 192.0.2.0/24 and everything else; of 198.51.100.0/24, without UDP. */
  readonly full: ToLoopback;
  readonly plain: ToLoopback;
  /** What came for applications and is no TCP. */
  readonly packets: Buffer[];
  client(flow: SampleFlow): SampleClient;
}

/** The stack, the inbound and the engine's way of a flow; nothing between them is made for the test. */
function worldWith(options: Partial<TunOptions> = {}): World {
  const metrics = new Metrics("0.0.0-test");
  for (const name of ["full", "plain"]) metrics.declare(name);
  const table = new FlowTable({ idle_timeout: 0, half_close_timeout: 0, udp_idle_timeout: 0 }, metrics);
  const router = createRouter(
    [
      { match: "198.51.100.0/24", to: "plain" },
      { match: "203.0.113.0/24", to: "block" },
    ],
    "full",
  );
  const [full, plain] = [new ToLoopback(true), new ToLoopback(false)];
  const support = new UdpSupport();
  const dns = new DnsCarrier(support);
  const context: DatagramContext = {
    table,
    observer: metrics,
    log: createLogger({ level: "silent", format: "json" }),
    router: () => router,
    dialer: (name) => (name === "full" ? full : plain),
    dialTimeoutMs: () => 10_000,
    dialDeadlines: new DialDeadlines(),
    requestId: (flow) => String(flow),
    hits: new RouteHits(),
    dns,
    udp: support,
  };
  const device = new SampleDevice();
  const clients: SampleClient[] = [];
  const packets: Buffer[] = [];
  device.onPacket = (packet) => {
    for (const client of clients) client.take(packet);
    if (packet[9] !== 6) packets.push(packet);
  };
  const tun = openTun(
    { device, ...options },
    {
      connect: (request) => connect(context, request),
      associate: (port) => associate(context, port),
      udpAvailable: () => true,
    },
  );
  opened.push(
    () => table.close(),
    () => dns.close(),
    () => tun.close(),
    () => table.drain(0),
  );
  return {
    device,
    tun,
    table,
    full,
    plain,
    packets,
    client: (flow) => {
      const client = new SampleClient(device, flow);
      clients.push(client);
      return client;
    },
  };
}

async function peer<P extends { port: number; stop(): Promise<void> }>(starting: Promise<P>): Promise<P> {
  const started = await starting;
  opened.push(() => started.stop());
  return started;
}

/** ICMP unreachable: its code, and the packet that it quotes. */
function unreachableIn(packets: readonly Buffer[]): { code: number; quoted: Buffer } | undefined {
  const packet = packets.find((one) => one[9] === 1 && one[20] === 3);
  return packet && { code: packet[21]!, quoted: packet.subarray(28) };
}

describe("a connection through the TUN device", () => {
  it("hears that it is connected once its target is, carries bytes both ways, and ends in halves", async () => {
    const echo = await peer(startEcho());
    const world = worldWith();
    let letThrough: () => void = () => {};
    world.full.before = () => new Promise((resolve) => (letThrough = resolve));
    const client = world.client({ ...application, target: networks.full, targetPort: echo.port });
    client.connect();
    await until(() => world.full.dialled.length === 1);
    assert.deepEqual([world.tun.pending, client.connected], [1, false]);
    client.connect();
    assert.equal(world.full.dialled.length, 1, "a SYN that is sent again dials once");
    letThrough();
    await until(() => client.connected);
    assert.equal(world.tun.pending, 0);
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
    client.write(bytes);
    await until(() => client.bytes.length >= bytes.length);
    const [flow] = [...world.table];
    assert.deepEqual(
      [flow?.origin.inbound, flow?.origin.source, flow?.origin.target.host],
      ["tun", { host: application.source, port: application.sourcePort }, networks.full],
    );
    assert.equal(client.ended, false);
    client.end();
    await until(() => client.ended);
    await until(() => world.table.size === 0);
    assert.ok(client.bytes.equals(bytes));
    assert.deepEqual(world.table.totals, { total: 1, failed: 0, up: bytes.length, down: bytes.length });
  });

  it("hears a server that speaks first, and one that ends first", async () => {
    const server = await peer(startTcpServer((socket) => void socket.end("220 ready\r\n")));
    const world = worldWith();
    const client = world.client({ ...application, target: networks.full, targetPort: server.port });
    client.connect();
    await until(() => client.ended);
    assert.equal(client.bytes.toString(), "220 ready\r\n");
    client.end();
    await until(() => world.table.size === 0);
  });

  it("cancels its dial when the application resets it", async () => {
    const world = worldWith();
    world.full.before = () => new Promise(() => {});
    const client = world.client({ ...application, target: networks.full, targetPort: 9 });
    client.connect();
    await until(() => world.full.dialled.length === 1);
    client.abort();
    await until(() => world.full.aborted.length === 1);
    await until(() => world.table.size === 0 && world.tun.pending === 0);
  });

  it("is cut on one side when the other is", async () => {
    const server = await peer(startTcpServer((socket) => socket.on("data", () => socket.resetAndDestroy())));
    const world = worldWith();
    const client = world.client({ ...application, target: networks.full, targetPort: server.port });
    client.connect();
    await until(() => client.connected);
    client.write(Buffer.from("x"));
    await until(() => client.reset);
    await until(() => world.table.size === 0);
  });

  it("is answered, where it can't be made, in words that the application's system understands", async () => {
    const answers: [DialErrorCode, "target" | "upstream", "RST" | number][] = [
      ["refused", "target", "RST"],
      ["forbidden", "target", "RST"],
      ["unreachable", "target", 1],
      ["timeout", "target", 1],
      ["dns", "target", 1],
      ["refused", "upstream", 1],
      ["auth", "upstream", 1],
    ];
    const world = worldWith();
    for (const [i, [code, scope, answer]] of answers.entries()) {
      world.packets.length = 0;
      world.full.before = () => Promise.reject(new DialError(code, "no", { scope }));
      const flow = { ...application, sourcePort: 100 + i, target: networks.full, targetPort: 9 };
      const client = world.client(flow);
      client.connect();
      await until(() => client.reset || unreachableIn(world.packets) !== undefined);
      assert.deepEqual(
        [client.reset, unreachableIn(world.packets)?.code],
        answer === "RST" ? [true, undefined] : [false, answer],
      );
      const quoted = unreachableIn(world.packets)?.quoted;
      if (quoted)
        assert.deepEqual([quoted[9], quoted.readUInt16BE(20), quoted.readUInt16BE(22)], [6, 100 + i, 9]);
    }
    const client = world.client({ ...application, target: networks.blocked, targetPort: 9 });
    client.connect();
    await until(() => client.reset);
  });

  it("is reset by nobody and holds nothing when the device goes away", async () => {
    const echo = await peer(startEcho());
    const lost: unknown[] = [];
    const world = worldWith({ events: { onLost: (error) => lost.push(error) } });
    const client = world.client({ ...application, target: networks.full, targetPort: echo.port });
    client.connect();
    await until(() => client.connected);
    const error = new Error("the TUN device was deleted");
    world.device.lose(error);
    await until(() => world.table.size === 0 && echo.open === 0);
    assert.deepEqual(lost, [error]);
  });

  it("leaves no memory behind: 400 flows hold what the 400 before them did", async () => {
    const echo = await peer(startEcho());
    const world = worldWith();
    const clients = new Map<number, SampleClient>();
    world.device.onPacket = (packet) => clients.get(packet.readUInt16BE(22))?.take(packet);
    const fourHundred = async (): Promise<number> => {
      for (let port = 20_000; port < 20_400; port++) {
        const flow = { source: "10.0.0.2", sourcePort: port, target: networks.full, targetPort: echo.port };
        const client = new SampleClient(world.device, flow);
        clients.set(port, client);
        client.connect();
        // More at a time than a listener's backlog would be sent again after a second only.
        if (port % 100 === 99) await until(() => [...clients.values()].every(({ connected }) => connected));
      }
      const all = [...clients.values()];
      for (const client of all) client.write(Buffer.alloc(2000, 1));
      await until(() => all.every(({ received }) => received.length > 0));
      for (const [port, client] of clients) {
        if (port % 2 === 0) client.end();
        else client.abort();
      }
      await until(() => world.table.size + world.tun.stats.tcp + echo.open === 0);
      clients.clear();
      await sleep(50);
      return heldMemory();
    };
    await fourHundred();
    // What is kept shows in every round; what a collection had not reached yet, in one.
    const growths: number[] = [];
    for (let before = await fourHundred(), round = 0; round < 4; round++) {
      const after = await fourHundred();
      growths.push(after - before);
      if (after - before < 400_000) return;
      before = after;
    }
    assert.fail(`${growths.join(", ")} bytes more`);
  });

  it("ends with the inbound, which gives the device back", async () => {
    const echo = await peer(startEcho());
    const lost: unknown[] = [];
    const world = worldWith({ events: { onLost: (error) => lost.push(error) } });
    const client = world.client({ ...application, target: networks.full, targetPort: echo.port });
    client.connect();
    await until(() => client.connected);
    await world.tun.close();
    await until(() => world.table.size === 0 && world.device.closed);
    await sleep(10);
    assert.deepEqual(lost, []);
  });
});

describe("datagrams through the TUN device", () => {
  it("go to their target and back, and their flow ends when they are quiet", async () => {
    const echo = await peer(startUdpEcho());
    const world = worldWith({ limits: { udp: { ...UDP_LIMITS, idleMs: 300 } } });
    const flow = { ...application, target: networks.full, targetPort: echo.port };
    world.device.send(udp(flow, "there and back"));
    await until(() => world.packets.length === 1);
    const [packet] = world.packets;
    assert.equal(packet!.subarray(28).toString(), "there and back");
    assert.deepEqual(
      [packet!.readUInt16BE(20), packet!.readUInt16BE(22)],
      [echo.port, application.sourcePort],
    );
    assert.equal(world.table.size, 1);
    await until(() => world.table.size === 0);
    assert.equal(world.tun.stats.udpSources, 0);
  });

  it("hear port unreachable at once where their upstream has no UDP, so that QUIC falls back", async () => {
    const world = worldWith();
    const quic = udp({ ...application, target: networks.plain, targetPort: 443 }, "Initial");
    world.device.send(quic);
    await until(() => world.packets.length === 1);
    assert.deepEqual(unreachableIn(world.packets), { code: 3, quoted: quic });
    world.packets.length = 0;
    world.device.send(udp({ ...application, target: networks.blocked, targetPort: 443 }));
    await until(() => world.packets.length === 1);
    assert.equal(unreachableIn(world.packets)?.code, 13);
  });

  it("are carried over TCP where they are DNS and their upstream has no UDP, all over one connection", async () => {
    const server = await DnsServer.start(({ query }) => answerA(query, "192.0.2.99"));
    opened.push(() => server[Symbol.asyncDispose]());
    const world = worldWith();
    world.plain.nameServer = server.endpoint;
    for (let i = 0; i < 20; i++) {
      const flow = { ...application, sourcePort: 2000 + i, target: networks.plain, targetPort: 53 };
      world.device.send(udp(flow, writeQuery(i, "a.example", 1)));
    }
    await until(() => world.packets.length === 20);
    for (const packet of world.packets) {
      const answer = readMessage(packet.subarray(28));
      assert.equal(answer?.id, packet.readUInt16BE(22) - 2000);
      assert.deepEqual(
        [packet.readUInt16BE(20), [...packet.subarray(12, 16)].join(".")],
        [53, networks.plain],
      );
    }
    assert.equal(server.connections, 1);
  });
});

describe("names behind addresses", () => {
  function namesOf(known: Record<string, string>) {
    const held: string[] = [];
    return {
      held,
      targetOf: (address: string): string => {
        if (address.startsWith("198.18.") && !known[address]) throw new DialError("dns", "unknown");
        return known[address] ?? address;
      },
      hold: (address: string): boolean => {
        if (!known[address]) return false;
        held.push(address);
        return true;
      },
      release: (address: string): void => void held.splice(held.indexOf(address), 1),
    };
  }

  it("are what is routed and dialled, and the address is held as long as the connection", async () => {
    const echo = await peer(startEcho());
    const names = namesOf({ "198.18.0.7": "wiki.corp.internal" });
    const world = worldWith({ names });
    const client = world.client({ ...application, target: "198.18.0.7", targetPort: echo.port });
    client.connect();
    await until(() => client.connected);
    assert.deepEqual(world.full.dialled, [{ host: "wiki.corp.internal", port: echo.port }]);
    assert.deepEqual(names.held, ["198.18.0.7"]);
    client.end();
    await until(() => client.ended);
    await until(() => names.held.length === 0);
  });

  it("are let go when the dial fails; an address that stands for none any more is unreachable", async () => {
    const names = namesOf({ "198.18.0.7": "wiki.corp.internal" });
    const world = worldWith({ names });
    world.full.before = () => Promise.reject(new DialError("refused", "no"));
    const client = world.client({ ...application, target: "198.18.0.7", targetPort: 9 });
    client.connect();
    await until(() => client.reset);
    assert.deepEqual(names.held, []);
    world.client({ ...application, target: "198.18.0.8", targetPort: 9 }).connect();
    world.device.send(udp({ ...application, target: "198.18.0.8", targetPort: 9 }));
    await until(() => world.packets.length === 2);
    assert.deepEqual(
      world.packets.map((packet) => [packet[9], packet[21]]),
      [
        [1, 1],
        [1, 3],
      ],
    );
  });

  it("answer datagrams under the address that the application knows, and others under their own", async () => {
    const echo = await peer(startUdpEcho());
    const names = namesOf({ "198.18.0.7": "wiki.corp.internal" });
    const world = worldWith({ names, limits: { udp: { ...UDP_LIMITS, idleMs: 400 } } });
    const flow = { ...application, target: "198.18.0.7", targetPort: echo.port };
    world.device.send(
      udp(flow, "by name"),
      udp({ ...flow, sourcePort: 3, target: networks.full }, "by address"),
    );
    await until(() => world.packets.length === 2);
    const answers = world.packets.map((packet) => [...packet.subarray(12, 16)].join("."));
    assert.deepEqual(answers.sort(), [networks.full, "198.18.0.7"]);
    await until(() => names.held.length === 0);
  });
});

describe("DNS that is answered by the engine", () => {
  const dns = {
    answerDatagram: async (query: Buffer): Promise<Buffer | undefined> => {
      const read = readMessage(query);
      return read?.question && answerA({ ...read, question: read.question }, "198.18.0.7");
    },
    serve: (stream: Duplex): void => {
      const frames = new FrameReader();
      stream.on("data", (chunk: Buffer) => {
        for (const query of frames.push(chunk)) {
          void dns.answerDatagram(query).then((answer) => stream.end(writeFrame(answer!)));
        }
      });
      stream.resume();
    },
  };

  it("hears both what comes by UDP and by TCP, whatever the address", async () => {
    const world = worldWith({ dns });
    const query = writeQuery(5, "a.example", 1)!;
    world.device.send(udp({ ...application, target: networks.plain, targetPort: 53 }, query));
    await until(() => world.packets.length === 1);
    assert.equal(readMessage(world.packets[0]!.subarray(28))?.id, 5);
    const client = world.client({ ...application, target: "203.0.113.53", targetPort: 53 });
    client.connect();
    await until(() => client.connected);
    client.write(writeFrame(query));
    await until(() => client.ended);
    assert.equal(readMessage(client.bytes.subarray(2))?.id, 5);
    assert.deepEqual([world.full.dialled, world.plain.dialled], [[], []]);
  });
});
