import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { Checksum } from "./device.ts";
import type { StackHandler, UdpSource } from "./handler.ts";
import { icmp, internetSum, ip, type SampleFlow, udp, udpDatagram } from "./ip/sample-packets.ts";
import { REASSEMBLY_LIMITS } from "./ip/reassembly.ts";
import { PacketCollector } from "./packet-collector.ts";
import { SampleBurst } from "./sample-burst.ts";
import { Stack, type StackStats } from "./stack.ts";
import { encode } from "./tcp/test-wire.ts";
import { UDP_LIMITS } from "./udp/udp-layer.ts";

/*
 * Throws random and broken packets at a whole stack, with a handler that does anything at any time. A run is told by its seed.
 *
 *   node engine/src/netstack/fuzz.ts [MILLIONS of packets, default 10] [SEED, default the time]
 */

const LIMITS = { udpSources: 256, attempts: 64, flows: 2048 };
const PACKETS_IN_BURST = 16;

export interface FuzzResult {
  readonly stats: StackStats;
  /** Packets that the stack sent. The collector checks each: lengths, sums, the writer's contract. */
  readonly sent: number;
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
  let sent = 0;
  for (let done = 0; done < packets; done += PACKETS_IN_BURST) {
    stack.receive(burstOf(random));
    sent += device.take().length;
    handler.act();
    stack.flush();
    sent += device.take().length;
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
  return { stats, sent };
}

function checkCaps(stats: StackStats): void {
  assert.ok(stats.udpSources <= LIMITS.udpSources);
  assert.ok(stats.tcpAttempts <= LIMITS.attempts);
  assert.ok(stats.tcp <= LIMITS.flows, `${stats.tcp} connections`);
  assert.ok(stats.reassembling.bytes <= REASSEMBLY_LIMITS.bytes);
  assert.ok(stats.reassembling.packets <= REASSEMBLY_LIMITS.packets);
}

/** Does what a handler may, at any time and in any order. */
class AnyHandler implements StackHandler {
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
      if (act < 0.05) stream.destroy(random.chance(0.5) ? new Error("cut") : undefined);
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
    for (const stream of this.#streams) stream.destroy(new Error("over"));
  }

  #keep(stream: Duplex): void {
    stream.resume();
    if (this.#streams.length < 32) this.#streams.push(stream);
    else {
      const at = this.#random.below(32);
      this.#streams[at]!.destroy(new Error("one too many"));
      this.#streams[at] = stream;
    }
  }
}

const ADDRESSES = ["10.0.0.2", "10.0.0.3", "192.0.2.1", "192.0.2.2", "fd00::2", "2001:db8::1", "2001:db8::2"];

function burstOf(random: Random): SampleBurst {
  const packets = Array.from({ length: PACKETS_IN_BURST }, () => {
    const packet = random.chance(0.03) ? random.bytes(random.below(200)) : packetOf(random);
    return random.chance(0.6) ? mutated(random, packet) : packet;
  });
  const burst = SampleBurst.of(...packets);
  for (let i = 0; i < burst.count; i++) {
    if (random.chance(0.7)) burst.checksums[i] = Checksum.good;
  }
  return burst;
}

/** A sound packet of any kind; few addresses and ports, so that packets meet what others have begun. */
function packetOf(random: Random): Buffer {
  const isIpv4 = random.chance(0.5);
  const flow: SampleFlow = {
    source: isIpv4 ? random.pick(ADDRESSES.slice(0, 2)) : "fd00::2",
    target: isIpv4 ? random.pick(ADDRESSES.slice(2, 4)) : random.pick(ADDRESSES.slice(5)),
    sourcePort: random.chance(0.9) ? 1000 + random.below(20) : random.below(65_536),
    targetPort: random.pick([53, 80, 443]),
  };
  const payload = random.bytes(random.below(random.chance(0.1) ? 1400 : 60));
  switch (random.below(8)) {
    case 0:
      return udp(flow, payload);
    case 1:
      return icmp(flow, [isIpv4 ? 8 : 128, 0, random.below(1 << 30)], payload);
    case 2: {
      const { source, target } = flow;
      const quoted = udp({
        source: target,
        target: source,
        sourcePort: flow.targetPort,
        targetPort: flow.sourcePort,
      });
      const type = isIpv4 ? 3 : random.pick([1, 2]);
      return icmp(flow, [type, random.below(6), random.below(3000)], quoted);
    }
    case 3: {
      const datagram = udpDatagram(flow, random.bytes(random.below(3000)));
      const offset = random.below(Math.ceil(datagram.length / 8)) * 8;
      const piece = datagram.subarray(offset, offset + 8 * (1 + random.below(150)));
      const more = offset + piece.length < datagram.length;
      return ip({ ...flow, protocol: 17, id: random.below(8), offset, more }, piece);
    }
    case 4: {
      if (isIpv4) return ip({ ...flow, protocol: random.below(256) }, payload);
      const first = random.pick([0, 43, 44, 60]);
      const options = Buffer.concat([
        Buffer.of(random.pick([0, 6, 17, 43, 44, 58, 59, 60]), random.below(3)),
        random.bytes(6 + 8 * random.below(4)),
      ]);
      return ip({ ...flow, protocol: first }, Buffer.concat([options, udpDatagram(flow, payload)]));
    }
    default:
      return encode({
        ...flow,
        seq: random.chance(0.5) ? 1000 + random.below(3000) : random.below(2 ** 32),
        ack: random.below(2 ** 32),
        flags: random.pick([2, 2, 16, 16, 24, 17, 4, 20, 18, random.below(64)]),
        window: random.below(65_536),
        mss: random.chance(0.5) ? random.below(65_536) : undefined,
        windowScale: random.chance(0.3) ? random.below(20) : undefined,
        sackPermitted: random.chance(0.3),
        timestamps: random.chance(0.3) ? [random.below(2 ** 32), random.below(2 ** 32)] : undefined,
        payload,
      });
  }
}

/** Some bytes changed, cut or repeated; the lengths and sums that would end the reading at once are often mended. */
function mutated(random: Random, original: Buffer): Buffer {
  let packet = Buffer.from(original);
  for (let changes = random.below(4); changes >= 0 && packet.length > 0; changes--) {
    switch (random.below(4)) {
      case 0:
        packet = packet.subarray(0, random.below(packet.length + 1));
        break;
      case 1:
        packet = Buffer.concat([packet, random.bytes(random.below(64))]);
        break;
      default: {
        const at = random.below(random.chance(0.7) ? Math.min(packet.length, 64) : packet.length);
        packet[at] = random.pick([0, 0xff, 0x80, 1, random.below(256)]);
      }
    }
  }
  if (packet.length >= 40 && random.chance(0.7)) {
    if (packet[0]! >> 4 === 4) {
      packet.writeUInt16BE(packet.length, 2);
      packet.writeUInt16BE(0, 10);
      const header = packet.subarray(0, (packet[0]! & 15) * 4);
      packet.writeUInt16BE(internetSum([header]), 10);
    } else packet.writeUInt16BE(packet.length - 40, 4);
  }
  return packet;
}

/** A small generator (xorshift), so that a run can be had again. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0 || 1;
  }

  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) / 0x1_0000_0000;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) bytes[i] = this.below(256);
    return bytes;
  }
}

/** In runs of a million, each with a seed of its own, so that one that fails is found again soon. */
async function main(millions: number, first: number): Promise<void> {
  for (let run = 0; run < millions; run++) {
    const seed = (first + run) | 0;
    const started = performance.now();
    try {
      const { stats, sent } = await fuzz(1_000_000, seed);
      const seconds = (performance.now() - started) / 1000;
      const megabytes = Math.round(process.memoryUsage().heapUsed / 1e6);
      console.log(
        `seed ${seed}: ${stats.packets} packets, ${stats.malformed} malformed, ${sent} sent, ${seconds.toFixed(1)} s, heap ${megabytes} MB`,
      );
    } catch (error) {
      console.error(`seed ${seed} fails`);
      throw error;
    }
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await main(Number(process.argv[2] ?? 10), Number(process.argv[3] ?? Date.now()));
}
