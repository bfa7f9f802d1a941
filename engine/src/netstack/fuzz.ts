import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { ADDRESSES, Random, RandomBurst } from "./fuzz-packets.ts";
import type { StackHandler, UdpSource } from "./handler.ts";
import { REASSEMBLY_LIMITS } from "./ip/reassembly.ts";
import { PacketCollector } from "./packet-collector.ts";
import { Stack, type StackStats } from "./stack.ts";
import { UDP_LIMITS } from "./udp/udp-layer.ts";

/*
 * Throws random and broken packets at a whole stack, with a handler that does anything at any time. A run is told by its seed.
 *
 *   node engine/src/netstack/fuzz.ts [MILLIONS of packets, default 10] [SEED, default the time]
 */

const LIMITS = { udpSources: 256, attempts: 64, flows: 2048 };

export interface FuzzResult {
  readonly stats: StackStats;
  /** Packets that the stack sent. The collector checks each: lengths, sums, the writer's contract. */
  readonly sent: number;
  /** Bytes that connections have carried to the handler. */
  readonly carried: number;
}

/** Rejects with what the stack throws, or an AssertionError where it grows or keeps something. */
export async function fuzz(packets: number, seed: number): Promise<FuzzResult> {
  const random = new Random(seed);
  const device = new PacketCollector({
    mtu: random.pick([1280, 1500, 65_535]),
    segmentation: random.chance(0.5),
  });
  const handler = new AnyHandler(random);
  let now = 0;
  const stack = new Stack({
    device,
    handler,
    now: () => now,
    random: () => random.next(),
    secret: Buffer.alloc(32, seed & 0xff),
    limits: {
      udp: { ...UDP_LIMITS, sources: LIMITS.udpSources, sourcesPerHost: LIMITS.udpSources / 2 },
      tcp: {
        attempts: LIMITS.attempts,
        attemptsPerSource: LIMITS.attempts / 2,
        sendBuffer: 32_768,
        maxSendBuffer: 65_536,
      },
    },
  });
  const burst = new RandomBurst(random);
  let sent = 0;
  const take = (): void => {
    const packets = device.take();
    sent += packets.length;
    burst.learn(packets);
  };
  for (let done = 0; done < packets; done += burst.count) {
    burst.fill();
    stack.receive(burst);
    take();
    handler.act();
    stack.flush();
    take();
    now += random.chance(0.01) ? random.below(60_000) : random.below(10);
    if (now >= stack.next()) stack.advance(now);
    if (done % 1024 === 0) {
      checkCaps(stack.stats);
      // Streams tell of themselves in ticks of the event loop.
      await nextTurn();
    }
  }
  handler.endAll();
  for (let tries = 0; stack.next() < Infinity; tries++) {
    assert.ok(tries < 1_000_000, "deadlines without end");
    now = Math.max(now + 1, stack.next());
    stack.advance(now);
    sent += device.take().length;
  }
  const { stats } = stack;
  const left = [
    stats.tcp,
    stats.tcpAttempts,
    stats.udpSources,
    stats.reassembling.packets,
    stats.reassembling.bytes,
  ];
  assert.deepEqual(left, [0, 0, 0, 0, 0], "something is kept for ever");
  stack.close();
  await nextTurn();
  return { stats, sent, carried: handler.carried };
}

function checkCaps(stats: StackStats): void {
  assert.ok(stats.udpSources <= LIMITS.udpSources);
  assert.ok(stats.tcpAttempts <= LIMITS.attempts);
  assert.ok(stats.tcp <= LIMITS.flows, `${stats.tcp} connections`);
  assert.ok(stats.reassembling.bytes <= REASSEMBLY_LIMITS.bytes);
  assert.ok(stats.reassembling.packets <= REASSEMBLY_LIMITS.packets);
}

/** One for all: its stack trace would cost more than the packet. */
const CUT = new Error("cut");

/** Does what a handler may, at any time and in any order. */
class AnyHandler implements StackHandler {
  carried = 0;
  readonly #random: Random;
  readonly #streams: Duplex[] = [];
  readonly #sources: UdpSource[] = [];
  readonly #later: (() => void)[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  tcp(attempt: Parameters<StackHandler["tcp"]>[0]): void {
    const random = this.#random;
    const answer = (): void => {
      if (random.chance(0.7)) this.#keep(attempt.accept());
      else attempt.refuse(random.pick(["refused", "unreachable", "prohibited"]));
    };
    if (random.chance(0.5)) answer();
    else this.#later.push(answer);
  }

  udp(source: UdpSource): void {
    const random = this.#random;
    source.onDatagram = (target, payload) => {
      switch (random.below(6)) {
        case 0:
          source.refuse(target, random.pick(["refused", "unreachable", "prohibited"]));
          return;
        case 1:
          source.deliver(target, payload);
          return;
        case 2:
          if (random.chance(0.1)) source.close();
      }
    };
    if (this.#sources.length < 64) this.#sources.push(source);
    else this.#sources[random.below(64)] = source;
  }

  echo(_target: string, reachable: (yes: boolean) => void): void {
    if (this.#random.chance(0.5)) reachable(this.#random.chance(0.5));
    else this.#later.push(() => reachable(true));
  }

  /** Outside of any burst. */
  act(): void {
    const random = this.#random;
    while (this.#later.length > 32 || (this.#later.length > 0 && random.chance(0.3))) {
      this.#later.splice(random.below(this.#later.length), 1)[0]!();
    }
    if (this.#streams.length > 0 && random.chance(0.3)) {
      const stream = random.pick(this.#streams);
      const size = random.below(20_000);
      const act = random.next();
      if (act < 0.05) stream.destroy(random.chance(0.5) ? CUT : undefined);
      else if (act < 0.15) stream.end();
      else if (act < 0.3) stream.resume();
      else if (act < 0.45) stream.pause();
      else if (!stream.writableEnded && !stream.destroyed && !stream.writableNeedDrain) {
        stream.write(Buffer.alloc(size + 1, 0x77));
      }
    }
    if (this.#sources.length > 0 && random.chance(0.3)) {
      const source = random.pick(this.#sources);
      const from = { host: random.pick(ADDRESSES), port: random.below(65_536) };
      if (random.chance(0.8))
        source.deliver(from, Buffer.alloc(random.below(random.chance(0.05) ? 70_000 : 2000)));
      else source.refuse(from, "refused");
    }
  }

  endAll(): void {
    for (const later of this.#later.splice(0)) later();
    for (const stream of this.#streams) stream.destroy(CUT);
  }

  #keep(stream: Duplex): void {
    stream.on("data", (chunk: Buffer) => (this.carried += chunk.length));
    if (this.#streams.length < 32) this.#streams.push(stream);
    else {
      const at = this.#random.below(32);
      this.#streams[at]!.destroy(CUT);
      this.#streams[at] = stream;
    }
  }
}

/** In runs of a million, each with a seed of its own, so that one that fails is found again soon. */
async function main(millions: number, first: number): Promise<void> {
  if (process.env["SOCKEYE_FUZZ_TRACE"] === undefined) Error.stackTraceLimit = 0;
  for (let run = 0; run < millions; run++) {
    const seed = (first + run) | 0;
    const started = performance.now();
    try {
      const { stats, sent, carried } = await fuzz(1_000_000, seed);
      const seconds = (performance.now() - started) / 1000;
      const megabytes = Math.round(process.memoryUsage().heapUsed / 1e6);
      console.log(
        `seed ${seed}: ${stats.packets} packets, ${stats.malformed} malformed, ${sent} sent, ${carried} bytes carried, ${seconds.toFixed(1)} s, heap ${megabytes} MB`,
      );
    } catch (error) {
      console.error(`seed ${seed} fails: run it with SOCKEYE_FUZZ_TRACE=1 for the stack trace`);
      throw error;
    }
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await main(Number(process.argv[2] ?? 10), Number(process.argv[3] ?? Date.now()));
}
