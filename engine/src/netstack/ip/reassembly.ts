import { addBytes, finish } from "./checksum.ts";
import type { IpPacket } from "./packet.ts";

export interface ReassemblyLimits {
  /** Packets that are being put together at one time; one more, and the oldest is given up. */
  readonly packets: number;
  /** Bytes of fragments that are kept, in all; past it, the oldest packets are given up. */
  readonly bytes: number;
  /** Fragments of one packet. */
  readonly fragments: number;
  /** From a packet's first fragment to its last (RFC 8200 §4.5: 60 s). */
  readonly timeoutMs: number;
}

export const REASSEMBLY_LIMITS: ReassemblyLimits = {
  packets: 256,
  bytes: 4 << 20,
  fragments: 128,
  timeoutMs: 60_000,
};

const MAX_PACKET = 65_535;

/** What a kept fragment costs beside its bytes, about. */
const FRAGMENT_OVERHEAD = 128;

interface Fragment {
  /** Within the payload that was cut. */
  readonly offset: number;
  readonly bytes: Buffer;
}

/** A packet of which some fragments have come. */
interface Partial {
  readonly startedAt: number;
  /** By offset; none overlaps another. */
  fragments: Fragment[];
  /** The headers that go before the payload, once the first fragment has come. */
  head: Buffer | undefined;
  /** Of the payload; -1 until the last fragment has come. */
  length: number;
  received: number;
  /** What it counts for in the sum of bytes. */
  cost: number;
  /** Fragments overlapped: nothing of it is kept, and what still comes is dropped (RFC 5722 §3). */
  spoilt: boolean;
}

/**
 * Puts fragments together again (RFC 791 §3.2, RFC 8200 §4.5). A packet whose fragments overlap is dropped, of either family
 * (RFC 5722); a fragment that came twice counts once.
 */
export class Reassembly {
  readonly #limits: ReassemblyLimits;
  /** By addresses, identification and protocol; oldest first. */
  readonly #partials = new Map<string, Partial>();
  #bytes = 0;
  /** Packets that were given up, spoilt or not of this world. */
  dropped = 0;

  constructor(limits: ReassemblyLimits = REASSEMBLY_LIMITS) {
    this.#limits = limits;
  }

  /** Bytes and packets that are held. */
  get held(): { readonly bytes: number; readonly packets: number } {
    return { bytes: this.#bytes, packets: this.#partials.size };
  }

  /**
   * Takes a fragment (packet.fragmentAt is not -1).
   * @returns the whole packet, of new memory, to be read like any other, when this was the last piece missing.
   */
  add(packet: IpPacket, now: number): Buffer | undefined {
    const { bytes, transportAt, end } = packet;
    const { offset, more } = placeOf(packet);
    const length = end - transportAt;
    const headLength = packet.version === 4 ? transportAt - packet.start : packet.fragmentAt - packet.start;
    // Every fragment but the last is a multiple of 8 bytes; and none may reach beyond the largest packet.
    const counted = packet.version === 4 ? headLength : headLength - 40;
    if (length === 0 || (more && length % 8 !== 0) || counted + offset + length > MAX_PACKET) {
      this.dropped++;
      return undefined;
    }
    const key = keyOf(packet);
    const partial = this.#partials.get(key) ?? this.#begin(key, now);
    if (partial.spoilt) return undefined;
    if (offset === 0 && !partial.head) partial.head = headOf(packet, headLength);
    const fragment = { offset, bytes: bytes.subarray(transportAt, end) };
    const place = this.#placeFor(partial, fragment);
    if (place === "duplicate" && (more || partial.length === offset + length)) return undefined;
    if (typeof place !== "number" || !this.#fits(partial, offset + length, more)) {
      this.#spoil(partial);
      return undefined;
    }
    if (!more) partial.length = offset + length;
    // A copy: the burst's memory is the device's.
    partial.fragments.splice(place, 0, { offset, bytes: Buffer.from(fragment.bytes) });
    partial.received += length;
    this.#charge(partial, length + FRAGMENT_OVERHEAD);
    if (partial.received === partial.length && partial.head) return this.#finish(key, partial.head, partial);
    this.#makeRoom(key);
    return undefined;
  }

  /** Gives up what has waited too long. */
  advance(now: number): void {
    for (const [key, partial] of this.#partials) {
      if (now - partial.startedAt < this.#limits.timeoutMs) return;
      this.#giveUp(key, partial);
    }
  }

  /** When advance() next has something to do; Infinity while nothing waits. */
  next(): number {
    for (const partial of this.#partials.values()) return partial.startedAt + this.#limits.timeoutMs;
    return Infinity;
  }

  #begin(key: string, now: number): Partial {
    const partial: Partial = {
      startedAt: now,
      fragments: [],
      head: undefined,
      length: -1,
      received: 0,
      cost: 0,
      spoilt: false,
    };
    this.#partials.set(key, partial);
    this.#charge(partial, FRAGMENT_OVERHEAD);
    this.#makeRoom(key);
    return partial;
  }

  /** The index at which a fragment goes in; else what is wrong with it. */
  #placeFor(partial: Partial, { offset, bytes }: Fragment): number | "duplicate" | "overlap" {
    const { fragments } = partial;
    let place = fragments.length;
    while (place > 0 && fragments[place - 1]!.offset >= offset) place--;
    const after = fragments[place];
    if (after?.offset === offset && after.bytes.equals(bytes)) return "duplicate";
    const before = fragments[place - 1];
    if (before && before.offset + before.bytes.length > offset) return "overlap";
    if (after && offset + bytes.length > after.offset) return "overlap";
    return place;
  }

  /** False for a fragment that contradicts the length that another has told, or is one too many. */
  #fits(partial: Partial, end: number, more: boolean): boolean {
    if (partial.fragments.length >= this.#limits.fragments) return false;
    if (partial.length !== -1) return more && end <= partial.length;
    const last = partial.fragments.at(-1);
    return more || !last || last.offset + last.bytes.length <= end;
  }

  /** The first fragment's headers count, which may be longer than those by which the others were measured. */
  #finish(key: string, head: Buffer, partial: Partial): Buffer | undefined {
    this.#forget(key, partial);
    const isIpv4 = head[0]! >>> 4 === 4;
    const counted = head.length + partial.length - (isIpv4 ? 0 : 40);
    if (counted > MAX_PACKET) {
      this.dropped++;
      return undefined;
    }
    const whole = Buffer.concat([head, ...partial.fragments.map(({ bytes }) => bytes)]);
    whole.writeUInt16BE(counted, isIpv4 ? 2 : 4);
    if (isIpv4) whole.writeUInt16BE(finish(addBytes(0, whole, 0, head.length)), 10);
    return whole;
  }

  #charge(partial: Partial, bytes: number): void {
    partial.cost += bytes;
    this.#bytes += bytes;
  }

  #spoil(partial: Partial): void {
    this.dropped++;
    partial.spoilt = true;
    partial.fragments = [];
    partial.head = undefined;
    this.#charge(partial, FRAGMENT_OVERHEAD - partial.cost);
  }

  /** Keeps within the caps, at the cost of the oldest; never of `keep`. */
  #makeRoom(keep: string): void {
    if (this.#partials.size <= this.#limits.packets && this.#bytes <= this.#limits.bytes) return;
    for (const [key, partial] of this.#partials) {
      if (key !== keep) this.#giveUp(key, partial);
      if (this.#partials.size <= this.#limits.packets && this.#bytes <= this.#limits.bytes) return;
    }
  }

  #giveUp(key: string, partial: Partial): void {
    if (!partial.spoilt) this.dropped++;
    this.#forget(key, partial);
  }

  #forget(key: string, partial: Partial): void {
    this.#partials.delete(key);
    this.#bytes -= partial.cost;
  }
}

function placeOf({ bytes, version, fragmentAt }: IpPacket): { offset: number; more: boolean } {
  if (version === 4) {
    const field = bytes.readUInt16BE(fragmentAt + 6);
    return { offset: (field & 0x1fff) * 8, more: (field & 0x2000) !== 0 };
  }
  const field = bytes.readUInt16BE(fragmentAt + 2);
  return { offset: field & 0xfff8, more: (field & 1) !== 0 };
}

/** Fragments of one packet share addresses and identification, and in IPv4 the protocol. */
function keyOf(packet: IpPacket): string {
  const { bytes, addressesAt, addressBytes, fragmentAt } = packet;
  const addresses = bytes.toString("latin1", addressesAt, addressesAt + 2 * addressBytes);
  return packet.version === 4
    ? `${addresses}${bytes.readUInt16BE(fragmentAt + 4)} ${packet.protocol}`
    : `${addresses}${bytes.readUInt32BE(fragmentAt + 4)}`;
}

/** The headers of the whole packet, its length and sum left to the end. */
function headOf(packet: IpPacket, length: number): Buffer {
  const { bytes, start, version, fragmentAt } = packet;
  const head = Buffer.from(bytes.subarray(start, start + length));
  if (version === 4) {
    head.writeUInt16BE(0, 6);
    head.writeUInt16BE(0, 10);
  } else {
    // The header before the fragment header names what follows it.
    head[previousHeaderField(bytes, start, fragmentAt) - start] = bytes[fragmentAt]!;
  }
  return head;
}

/** Offset of the field that names the header at `target`: each extension header gives its own length. */
function previousHeaderField(bytes: Buffer, start: number, target: number): number {
  let field = start + 6;
  let at = start + 40;
  while (at < target) {
    field = at;
    at += (bytes[at + 1]! + 1) * 8;
  }
  return field;
}
