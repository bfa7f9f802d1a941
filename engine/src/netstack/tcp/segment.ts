import type { IpPacket } from "../ip/packet.ts";
import { read16, read32 } from "./sequence.ts";

/** The control bits of RFC 9293 §3.1. */
export const Flag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32 } as const;

/** Option kinds (RFC 9293 §3.2, RFC 7323, RFC 2018). */
export const Option = {
  end: 0,
  none: 1,
  mss: 2,
  windowScale: 3,
  sackPermitted: 4,
  sack: 5,
  timestamps: 8,
} as const;

/** Bytes of a TCP header without options. */
export const HEADER_BYTES = 20;
/** Larger shifts are taken for this one (RFC 7323 §2.3). */
export const MAX_WINDOW_SCALE = 14;
const MAX_SACK_BLOCKS = 4;

/** One TCP segment that has been read. The layer has one and fills it anew, so that reading allocates nothing. */
export class Segment {
  bytes: Uint8Array = new Uint8Array(0);
  seq = 0;
  ack = 0;
  flags = 0;
  /** As it stands in the header, not scaled. */
  window = 0;
  /** The payload is `bytes` from here to dataTo. */
  dataFrom = 0;
  dataTo = 0;
  /** Of a SYN: the option's value, or -1. */
  mss = -1;
  windowScale = -1;
  sackPermitted = false;
  hasTimestamps = false;
  tsValue = 0;
  tsEcho = 0;
  sackCount = 0;
  /** Start and end of each SACK block, one after the other. */
  readonly sacks = new Int32Array(2 * MAX_SACK_BLOCKS);

  /** Sequence numbers that the segment takes: payload, SYN and FIN. */
  get length(): number {
    return this.dataTo - this.dataFrom + ((this.flags >> 1) & 1) + (this.flags & 1);
  }

  /** @returns false for what is no TCP segment: cut short, or with a header length that can't be. */
  read(packet: IpPacket): boolean {
    const { bytes, transportAt: at, end } = packet;
    if (end - at < HEADER_BYTES) return false;
    const dataFrom = at + (bytes[at + 12]! >> 4) * 4;
    if (dataFrom < at + HEADER_BYTES || dataFrom > end) return false;
    this.bytes = bytes;
    this.seq = read32(bytes, at + 4);
    this.ack = read32(bytes, at + 8);
    this.flags = bytes[at + 13]! & 0x3f;
    this.window = read16(bytes, at + 14);
    this.dataFrom = dataFrom;
    this.dataTo = end;
    this.mss = -1;
    this.windowScale = -1;
    this.sackPermitted = false;
    this.hasTimestamps = false;
    this.sackCount = 0;
    if (dataFrom > at + HEADER_BYTES) this.#readOptions(at + HEADER_BYTES, dataFrom);
    return true;
  }

  /** An option whose length can't be ends the reading; what stands before it counts (RFC 9293 §3.1, MUST-7). */
  #readOptions(at: number, end: number): void {
    const bytes = this.bytes;
    while (at < end) {
      const kind = bytes[at]!;
      if (kind === Option.end) return;
      if (kind === Option.none) {
        at++;
        continue;
      }
      if (at + 1 >= end) return;
      const length = bytes[at + 1]!;
      if (length < 2 || at + length > end) return;
      this.#readOption(kind, at, length);
      at += length;
    }
  }

  #readOption(kind: number, at: number, length: number): void {
    const bytes = this.bytes;
    if (kind === Option.timestamps && length === 10) {
      this.hasTimestamps = true;
      this.tsValue = read32(bytes, at + 2);
      this.tsEcho = read32(bytes, at + 6);
    } else if (kind === Option.sack && length >= 10 && length % 8 === 2) {
      this.sackCount = Math.min(MAX_SACK_BLOCKS, (length - 2) / 8);
      for (let i = 0; i < 2 * this.sackCount; i++) this.sacks[i] = read32(bytes, at + 2 + 4 * i);
    } else if ((this.flags & Flag.syn) === 0) {
      // The rest means something on a SYN only.
    } else if (kind === Option.mss && length === 4) {
      this.mss = read16(bytes, at + 2);
    } else if (kind === Option.windowScale && length === 3) {
      this.windowScale = Math.min(MAX_WINDOW_SCALE, bytes[at + 2]!);
    } else if (kind === Option.sackPermitted && length === 2) {
      this.sackPermitted = true;
    }
  }
}
