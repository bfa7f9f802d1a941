import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { startEcho, startSource, startTcpServer, type TcpPeer } from "../peers/echo.ts";
import { Line } from "../peers/line.ts";
import { freePort } from "../peers/peer-process.ts";
import { connectThrough, Refused } from "./client.ts";
import { type EngineUnderTest, startEngineUnderTest } from "./engine-under-test.ts";
import { type Peers, skipWithoutPeers, startPeers } from "./peers.ts";

const inbounds = ["socks5", "http"] as const;
const kinds = ["ssh", "socks5", "http"] as const;
/** Seconds; short, so that a deadline is seen quickly. */
const limits = { dial_timeout: 10, idle_timeout: 1, half_close_timeout: 1 };
/** What the engine's deadlines of a second are seen within, on a busy machine too. */
const DEADLINE_MS = 8_000;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

describe("each upstream, with flows under way", { skip: skipWithoutPeers() }, () => {
  let peers: Peers;
  let echo: TcpPeer;
  before(async () => {
    peers = await startPeers();
    echo = await startEcho();
  });
  after(async () => {
    await peers[Symbol.asyncDispose]();
    await echo.stop();
  });

  /** An engine whose default upstream is a real one of this kind, at the end of a line. */
  async function withEngine(
    kind: (typeof kinds)[number],
    work: (sut: EngineUnderTest, line: Line) => Promise<void>,
  ): Promise<void> {
    const upstream = peers.upstreams[kind];
    await using line = await Line.to(Number(String(upstream["address"]).split(":").at(-1)));
    const { host, port } = line.address.control;
    await using sut = await startEngineUnderTest({
      // The key that a host shows is that of another port.
      upstreams: { it: { ...upstream, address: `${host}:${port}`, ...(kind === "ssh" && trustAny) } },
      default: "it",
      limits,
    });
    await work(sut, line);
  }

  for (const kind of kinds) {
    it(`${kind}: dies, and the application's connection is reset, by each inbound`, async () => {
      await withEngine(kind, async (sut, line) => {
        for (const inbound of inbounds) {
          const socket = await talking(sut, inbound, echo);
          line.reset();
          await assert.rejects(lastOf(socket), { code: "ECONNRESET" });
          await settled(sut);
          assert.equal(lastEnded(sut)?.error?.code, "closed");
        }
        (await talking(sut, "socks5", echo)).destroy();
        await settled(sut);
      });
    });

    it(`${kind}: goes silent, and the flow ends at its idle_timeout`, async () => {
      await withEngine(kind, async (sut, line) => {
        const sockets = await Promise.all(inbounds.map((inbound) => talking(sut, inbound, echo)));
        line.deaf = true;
        for (const socket of sockets) socket.write("are you there?");
        await Promise.all(sockets.map((socket) => assert.rejects(lastOf(socket), { code: "ECONNRESET" })));
        await settled(sut);
        assert.equal(lastEnded(sut)?.error?.code, "timeout");
      });
    });

    it(`${kind}: is slow, and every byte arrives all the same`, async () => {
      await withEngine(kind, async (sut, line) => {
        line.delayMs = 100;
        const sockets = await Promise.all(inbounds.map((inbound) => talking(sut, inbound, echo)));
        const long = Buffer.alloc(100_000, "slow and steady ");
        for (const socket of sockets) {
          socket.write(long);
          assert.ok((await read(socket, long.length)).equals(long));
          socket.destroy();
        }
        await settled(sut);
        assert.equal(sut.engine.status().flows.failed, 0);
      });
    });

    it(`${kind}: a target that refuses is told as refused, and costs no other flow anything`, async () => {
      await withEngine(kind, async (sut) => {
        const other = await talking(sut, "socks5", echo);
        const nowhere = { host: "127.0.0.1", port: await freePort() };
        // RFC 1928 §6: 5 is "connection refused"; squid says no more than that it could not connect.
        const answers = { socks5: kind === "http" ? [1, 3, 4, 5] : [5], http: [502, 503, 504] };
        for (const inbound of inbounds) {
          const refused = connectThrough(inbound, sut[inbound], nowhere);
          const error: unknown = await refused.then(
            () => undefined,
            (reason: unknown) => reason,
          );
          assert.ok(error instanceof Refused && answers[inbound].includes(error.answer), String(error));
        }
        other.write("still here");
        assert.equal((await read(other, 10)).toString(), "still here");
        other.destroy();
        await settled(sut);
        assert.equal(sut.engine.upstreams().find(({ name }) => name === "it")?.state, "connected");
      });
    });

    it(`${kind}: a client that ends its direction and vanishes leaves nothing behind`, async (t) => {
      const stuck = await startTcpServer((socket) => void socket.resume());
      t.after(() => stuck.stop());
      const upstreams = { it: peers.upstreams[kind] };
      await using sut = await startEngineUnderTest({ upstreams, default: "it", limits });
      for (const inbound of inbounds) {
        const waiting = await connectThrough(inbound, sut[inbound], stuck);
        waiting.on("error", () => {}).end("the last word");
        const vanished = await connectThrough(inbound, sut[inbound], stuck);
        vanished.end("the last word");
        await sleep(100);
        vanished.resetAndDestroy();
      }
      await settled(sut);
      assert.equal(sut.engine.upstreams().find(({ name }) => name === "it")?.pool.active, 0);
      // Squid takes the end of one direction for the end of both.
      if (kind === "http") return;
      const codes = [...sut.engine.endedFlows()].map(({ error }) => error?.code);
      assert.deepEqual(codes, ["timeout", "timeout", "timeout", "timeout"]);
    });

    it(`${kind}: flows that are cut with bytes in them give their memory back`, async (t) => {
      const source = await startSource(1 << 20);
      t.after(() => source.stop());
      await withEngine(kind, async (sut, line) => {
        const cutSome = async (): Promise<void> => {
          // What was cut may be waited with: this is no test of that.
          sut.engine.networkChanged("network-changed");
          const sockets = await Promise.all(
            Array.from({ length: 16 }, () => connectThrough("socks5", sut.socks5, source)),
          );
          // Nobody reads: what the engine may hold it holds.
          await sleep(200);
          line.reset();
          for (const socket of sockets) socket.on("error", () => {}).destroy();
          await settled(sut);
        };
        await cutSome();
        const before = memoryInUse();
        for (let round = 0; round < 3; round++) await cutSome();
        for (let tries = 0; memoryInUse() > before + (4 << 20); tries++) {
          assert.ok(tries < 40, `${Math.round((memoryInUse() - before) / 1e6)} MB are still held`);
          await sleep(50);
        }
      });
    });
  }
});

const trustAny = { host_key_check: "off" };

/** A connection over which a word has gone there and come back. */
async function talking(
  sut: EngineUnderTest,
  inbound: (typeof inbounds)[number],
  echo: TcpPeer,
): Promise<Socket> {
  const socket = await connectThrough(inbound, sut[inbound], echo);
  socket.write("hello");
  assert.equal((await read(socket, 5)).toString(), "hello");
  return socket;
}

/** The next so many bytes; no more are on their way. */
async function read(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const deadline = Date.now() + DEADLINE_MS;
  for (let bytes = 0; bytes < length;) {
    const chunk = socket.read() as Buffer | null;
    if (chunk) {
      chunks.push(chunk);
      bytes += chunk.length;
      continue;
    }
    assert.ok(!socket.readableEnded && Date.now() < deadline, `${bytes} of ${length} bytes came`);
    await sleep(2);
  }
  return Buffer.concat(chunks);
}

/** Rejects with what a connection ended in; a connection that ends in good order is no failure. */
function lastOf(socket: Socket): Promise<unknown> {
  socket.resume();
  return once(socket, "close", { signal: AbortSignal.timeout(DEADLINE_MS) });
}

async function settled(sut: EngineUnderTest): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (sut.engine.status().flows.active > 0 && Date.now() < deadline) await sleep(10);
  assert.deepEqual([...sut.engine.flows()], []);
}

function lastEnded(sut: EngineUnderTest) {
  return [...sut.engine.endedFlows()].at(-1);
}

function memoryInUse(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
