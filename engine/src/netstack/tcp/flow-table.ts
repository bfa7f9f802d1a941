import { addBytes } from "../ip/checksum.ts";
import { type IpPacket, Protocol } from "../ip/packet.ts";
import { Timer } from "../timers.ts";

const HOP_LIMIT = 64;
const DONT_FRAGMENT = 0x40;

/**
 * One four-tuple: an attempt or a connection. It keeps the head of every packet that goes back: the IP header and the ports,
 * which are also the key by which it is found.
 */
export abstract class Flow extends Timer {
  /** IP header (20 bytes, or 40 with IPv6) with lengths, identification and checksum zero, and then the two ports. */
  readonly head: Uint8Array;
  /** The one's complement sum of the addresses and the protocol, for the pseudo-header. */
  readonly addressSum: number;
  /** @internal */
  readonly hash: number;
  /** @internal The next in the same bucket. */
  chain: Flow | undefined = undefined;

  /** @param from whose head, sums and hash are taken over, or the packet and its hash. */
  constructor(from: Flow | { readonly packet: IpPacket; readonly hash: number }) {
    super();
    this.hash = from.hash;
    if (from instanceof Flow) {
      this.head = from.head;
      this.addressSum = from.addressSum;
      return;
    }
    const { bytes, addressesAt: at, addressBytes } = from.packet;
    this.head = replyHead(from.packet);
    this.addressSum = addBytes(Protocol.tcp, bytes, at, at + 2 * addressBytes);
  }

  /** Bytes of the IP header. */
  get ipBytes(): number {
    return this.head.length - 4;
  }

  /** True when the packet comes from this flow's application. */
  matches(packet: IpPacket): boolean {
    const { bytes, addressesAt, addressBytes, transportAt } = packet;
    const head = this.head;
    const ipBytes = head.length - 4;
    if ((ipBytes === 20) !== (addressBytes === 4)) return false;
    if (
      head[ipBytes] !== bytes[transportAt + 2] ||
      head[ipBytes + 1] !== bytes[transportAt + 3] ||
      head[ipBytes + 2] !== bytes[transportAt] ||
      head[ipBytes + 3] !== bytes[transportAt + 1]
    )
      return false;
    // In a head the addresses are the last thing before the ports.
    const ours = ipBytes - 2 * addressBytes;
    for (let i = 0; i < addressBytes; i++) {
      if (head[ours + i] !== bytes[addressesAt + addressBytes + i]) return false;
      if (head[ours + addressBytes + i] !== bytes[addressesAt + i]) return false;
    }
    return true;
  }
}

/** The IP header and ports of an answer to the packet. IPv4 has DF set, so that its identification means nothing (RFC 6864). */
function replyHead(packet: IpPacket): Uint8Array {
  const { bytes, addressesAt, addressBytes, transportAt } = packet;
  const ipBytes = addressBytes === 4 ? 20 : 40;
  const head = new Uint8Array(ipBytes + 4);
  if (addressBytes === 4) {
    head[0] = 0x45;
    head[6] = DONT_FRAGMENT;
    head[8] = HOP_LIMIT;
    head[9] = Protocol.tcp;
  } else {
    head[0] = 0x60;
    head[6] = Protocol.tcp;
    head[7] = HOP_LIMIT;
  }
  const ours = ipBytes - 2 * addressBytes;
  for (let i = 0; i < addressBytes; i++) {
    head[ours + i] = bytes[addressesAt + addressBytes + i]!;
    head[ours + addressBytes + i] = bytes[addressesAt + i]!;
  }
  head[ipBytes] = bytes[transportAt + 2]!;
  head[ipBytes + 1] = bytes[transportAt + 3]!;
  head[ipBytes + 2] = bytes[transportAt]!;
  head[ipBytes + 3] = bytes[transportAt + 1]!;
  return head;
}

const FIRST_BUCKETS = 256;

/** Flows by four-tuple: chained hashing over the bytes of the packet, with a secret so that no one can choose collisions. */
export class FlowTable {
  readonly #seed: number;
  #buckets: (Flow | undefined)[] = new Array<Flow | undefined>(FIRST_BUCKETS).fill(undefined);
  #count = 0;

  /** @param seed a random 32-bit integer. */
  constructor(seed: number) {
    this.#seed = seed | 1;
  }

  get size(): number {
    return this.#count;
  }

  hash(packet: IpPacket): number {
    const { bytes, addressesAt, addressBytes, transportAt } = packet;
    let hash = this.#seed;
    const end = addressesAt + 2 * addressBytes;
    for (let at = addressesAt; at < end; at += 2) hash = mix(hash, (bytes[at]! << 8) | bytes[at + 1]!);
    hash = mix(hash, (bytes[transportAt]! << 8) | bytes[transportAt + 1]!);
    hash = mix(hash, (bytes[transportAt + 2]! << 8) | bytes[transportAt + 3]!);
    return hash ^ (hash >>> 15);
  }

  find(packet: IpPacket, hash: number): Flow | undefined {
    let flow = this.#buckets[hash & (this.#buckets.length - 1)];
    while (flow !== undefined && (flow.hash !== hash || !flow.matches(packet))) flow = flow.chain;
    return flow;
  }

  add(flow: Flow): void {
    if (this.#count >= this.#buckets.length) this.#grow();
    this.#count++;
    this.#put(flow);
  }

  /** @returns whether it was there. */
  remove(flow: Flow): boolean {
    const index = flow.hash & (this.#buckets.length - 1);
    let earlier: Flow | undefined;
    for (let at = this.#buckets[index]; at !== undefined; earlier = at, at = at.chain) {
      if (at !== flow) continue;
      if (earlier) earlier.chain = flow.chain;
      else this.#buckets[index] = flow.chain;
      flow.chain = undefined;
      this.#count--;
      return true;
    }
    return false;
  }

  *[Symbol.iterator](): Generator<Flow> {
    for (const bucket of this.#buckets) {
      for (let flow = bucket; flow !== undefined;) {
        const next = flow.chain;
        yield flow;
        flow = next;
      }
    }
  }

  #put(flow: Flow): void {
    const index = flow.hash & (this.#buckets.length - 1);
    flow.chain = this.#buckets[index];
    this.#buckets[index] = flow;
  }

  #grow(): void {
    const flows = [...this];
    this.#buckets = new Array<Flow | undefined>(2 * this.#buckets.length).fill(undefined);
    for (const flow of flows) this.#put(flow);
  }
}

function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1);
  return (mixed << 13) | (mixed >>> 19);
}
