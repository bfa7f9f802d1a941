import { Checksum, type PacketBurst } from "./device.ts";
import { icmp, internetSum, ip, type SampleFlow, udp, udpDatagram } from "./ip/sample-packets.ts";
import { ACK, encode, FIN, PSH, RST, SYN } from "./tcp/test-wire.ts";

/*
 * Random packets for fuzz.ts, made quickly: sound ones are taken from a stock that is renewed bit by bit, and broken where
 * they lie in the burst; others answer what the stack has sent, so that connections come to be and carry something.
 */

const PACKETS_IN_BURST = 16;
const SLOT_BYTES = 4096;
const STOCK = 2048;
const ANSWERABLE = 32;
const TCP = 6;

export const ADDRESSES = [
  "10.0.0.2",
  "10.0.0.3",
  "192.0.2.1",
  "192.0.2.2",
  "fd00::2",
  "2001:db8::1",
  "2001:db8::2",
];

/** A small generator (xorshift), so that a run can be had again. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0 || 1;
  }

  /** 32 bits, with a sign. */
  word(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x;
  }

  next(): number {
    return (this.word() >>> 0) / 0x1_0000_0000;
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
    const words = new Int32Array((length + 3) >> 2);
    for (let i = 0; i < words.length; i++) words[i] = this.word();
    return Buffer.from(words.buffer, 0, length);
  }
}

/** One burst that is filled again and again. */
export class RandomBurst implements PacketBurst {
  readonly bytes = Buffer.alloc(PACKETS_IN_BURST * SLOT_BYTES);
  readonly count = PACKETS_IN_BURST;
  readonly starts = Uint32Array.from({ length: PACKETS_IN_BURST }, (_, i) => i * SLOT_BYTES);
  readonly lengths = new Uint32Array(PACKETS_IN_BURST);
  readonly checksums = new Uint8Array(PACKETS_IN_BURST);
  readonly #random: Random;
  readonly #stock: Buffer[];
  readonly #noise: Buffer;
  readonly #sent: Buffer[] = [];
  #sentCount = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#stock = Array.from({ length: STOCK }, () => packetOf(random));
    this.#noise = random.bytes(2 * SLOT_BYTES);
  }

  /** What the stack has sent may be answered from now on. */
  learn(packets: readonly Buffer[]): void {
    for (const packet of packets) {
      const isTcp = packet[0]! >> 4 === 4 ? packet[9] === TCP : packet[6] === TCP;
      if (isTcp) this.#sent[this.#sentCount++ % ANSWERABLE] = packet;
    }
  }

  fill(): void {
    const random = this.#random;
    this.#stock[random.below(STOCK)] = packetOf(random);
    for (let i = 0; i < PACKETS_IN_BURST; i++) {
      const answers = this.#sent.length > 0 && random.chance(0.4);
      const length = answers
        ? this.#answer(i * SLOT_BYTES, random.pick(this.#sent))
        : this.#any(i * SLOT_BYTES);
      const breaks = random.chance(answers ? 0.1 : 0.6);
      this.lengths[i] = breaks ? this.#break(i * SLOT_BYTES, length) : length;
      this.checksums[i] = random.chance(answers ? 0.95 : 0.7) ? Checksum.good : Checksum.unknown;
    }
  }

  #any(at: number): number {
    const random = this.#random;
    if (random.chance(0.03)) return this.#addNoise(at, random.below(200));
    return random.pick(this.#stock).copy(this.bytes, at);
  }

  #addNoise(at: number, length: number): number {
    const from = this.#random.below(SLOT_BYTES);
    return this.#noise.copy(this.bytes, at, from, from + length);
  }

  /** What a peer might say to a segment, more or less: RFC 9293's next numbers, or some near them. */
  #answer(at: number, sent: Buffer): number {
    const random = this.#random;
    const bytes = this.bytes;
    const isIpv4 = sent[0]! >> 4 === 4;
    const ipBytes = isIpv4 ? 20 : 40;
    const half = isIpv4 ? 4 : 16;
    const addressesAt = ipBytes - 2 * half;
    const tcpAt = at + ipBytes;
    const flags = sent[ipBytes + 13]!;
    const dataAt = ipBytes + (sent[ipBytes + 12]! >> 4) * 4;
    const numbers = sent.length - dataAt + (flags & SYN ? 1 : 0) + (flags & FIN ? 1 : 0);
    const aside = (chance: number) => (random.chance(chance) ? random.below(6000) - 3000 : 0);

    sent.copy(bytes, at, 0, ipBytes);
    sent.copy(bytes, at + addressesAt, addressesAt + half, ipBytes);
    sent.copy(bytes, at + addressesAt + half, addressesAt, addressesAt + half);
    sent.copy(bytes, tcpAt, ipBytes + 2, ipBytes + 4);
    sent.copy(bytes, tcpAt + 2, ipBytes, ipBytes + 2);
    bytes.writeInt32BE((sent.readInt32BE(ipBytes + 8) + aside(0.3)) | 0, tcpAt + 4);
    bytes.writeInt32BE((sent.readInt32BE(ipBytes + 4) + numbers + aside(0.15)) | 0, tcpAt + 8);
    bytes[tcpAt + 13] = random.chance(0.9)
      ? random.pick([ACK, ACK, ACK | PSH, ACK, ACK | PSH, ACK | FIN])
      : random.pick([RST, RST | ACK, SYN, SYN | ACK, random.below(256)]);
    bytes.writeUInt16BE(random.pick([0, 1, 500, 0xffff, random.below(65_536)]), tcpAt + 14);
    bytes.writeUInt32BE(0, tcpAt + 16);
    let end = tcpAt + 20;
    const timestampsAt = timestampsOf(sent, ipBytes + 20, dataAt);
    if (timestampsAt !== -1) {
      bytes.writeUInt32BE(0x0101080a, end);
      bytes.writeInt32BE((sent.readInt32BE(timestampsAt + 6) + random.below(3)) | 0, end + 4);
      sent.copy(bytes, end + 8, timestampsAt + 2, timestampsAt + 6);
      end += 12;
    }
    if (random.chance(0.1)) {
      const start = (sent.readInt32BE(ipBytes + 4) + random.below(20_000)) | 0;
      bytes.writeUInt32BE(0x0101050a, end);
      bytes.writeInt32BE(start, end + 4);
      bytes.writeInt32BE((start + random.below(5000)) | 0, end + 8);
      end += 12;
    }
    bytes[tcpAt + 12] = ((end - tcpAt) >> 2) << 4;
    if (random.chance(0.6)) end += this.#addNoise(end, random.below(random.chance(0.3) ? 1400 : 100));
    this.#mendLength(at, end - at);
    return end - at;
  }

  /** Some bytes changed, cut or added; the lengths and sums that would end the reading at once are often mended. */
  #break(at: number, whole: number): number {
    const random = this.#random;
    const bytes = this.bytes;
    let length = whole;
    for (let changes = random.below(4); changes >= 0 && length > 0; changes--) {
      switch (random.below(4)) {
        case 0:
          length = random.below(length + 1);
          break;
        case 1:
          length += this.#addNoise(at + length, random.below(64));
          break;
        default: {
          const where = random.below(random.chance(0.7) ? Math.min(length, 64) : length);
          bytes[at + where] = random.pick([0, 0xff, 0x80, 1, random.below(256)]);
        }
      }
    }
    if (length >= 40 && random.chance(0.7)) this.#mendLength(at, length);
    return length;
  }

  #mendLength(at: number, length: number): void {
    const bytes = this.bytes;
    if (bytes[at]! >> 4 !== 4) {
      bytes.writeUInt16BE(length - 40, at + 4);
      return;
    }
    bytes.writeUInt16BE(length, at + 2);
    bytes.writeUInt16BE(0, at + 10);
    bytes.writeUInt16BE(internetSum([bytes.subarray(at, at + (bytes[at]! & 15) * 4)]), at + 10);
  }
}

/** Where the option's length is, or -1. The stack itself has written it. */
function timestampsOf(sent: Buffer, from: number, to: number): number {
  for (let at = from; at + 1 < to; at += sent[at] === 1 ? 1 : sent[at + 1]!) {
    if (sent[at] === 8) return at;
    if (sent[at] === 0) return -1;
  }
  return -1;
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
        flags: random.pick([SYN, SYN, ACK, ACK, 24, 17, RST, 20, 18, random.below(64)]),
        window: random.below(65_536),
        mss: random.chance(0.5) ? random.below(65_536) : undefined,
        windowScale: random.chance(0.3) ? random.below(20) : undefined,
        sackPermitted: random.chance(0.3),
        timestamps: random.chance(0.3) ? [random.below(2 ** 32), random.below(2 ** 32)] : undefined,
        payload,
      });
  }
}
