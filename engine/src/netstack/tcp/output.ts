import { finish, fold } from "../ip/checksum.ts";
import { MAX_HEAD, type PacketWriter } from "../device.ts";
import type { Flow } from "./flow-table.ts";
import type { TcpCounters } from "./limits.ts";
import { HEADER_BYTES, Option } from "./segment.ts";
import { write16, write32 } from "./sequence.ts";

const CHECKSUM_AT = 16;
/** Bytes of the timestamps option with the two NOPs before it, as RFC 7323 appendix A lays it out. */
export const TIMESTAMPS_BYTES = 12;

/**
 * Writes segments to the device: begin(), any options, the payload as pieces or by room() into the head, end().
 * It writes only the pseudo-header's sum; the device completes it.
 */
export class SegmentOutput {
  readonly writer: PacketWriter;
  readonly #counters: Pick<TcpCounters, "segmentsOut">;
  #identification = 0;
  #flow!: Flow;
  #start = 0;
  #tcpAt = 0;
  #at = 0;

  constructor(writer: PacketWriter, counters: Pick<TcpCounters, "segmentsOut">) {
    this.writer = writer;
    this.#counters = counters;
  }

  begin(flow: Flow): void {
    const head = flow.head;
    const heads = this.writer.heads;
    const start = this.writer.begin();
    for (let i = 0; i < head.length; i++) heads[start + i] = head[i]!;
    this.#flow = flow;
    this.#start = start;
    this.#tcpAt = start + head.length - 4;
    this.#at = this.#tcpAt + HEADER_BYTES;
  }

  /** @param window as it stands in the header. */
  header(seq: number, ack: number, flags: number, window: number): void {
    const heads = this.writer.heads;
    const at = this.#tcpAt;
    write32(heads, at + 4, seq);
    write32(heads, at + 8, ack);
    heads[at + 13] = flags;
    write16(heads, at + 14, window);
    write32(heads, at + 16, 0);
  }

  timestamps(value: number, echo: number): void {
    const heads = this.writer.heads;
    const at = this.#at;
    write32(heads, at, (Option.none << 24) | (Option.none << 16) | (Option.timestamps << 8) | 10);
    write32(heads, at + 4, value);
    write32(heads, at + 8, echo);
    this.#at += TIMESTAMPS_BYTES;
  }

  mss(value: number): void {
    write32(this.writer.heads, this.#at, (Option.mss << 24) | (4 << 16) | value);
    this.#at += 4;
  }

  windowScale(shift: number): void {
    write32(this.writer.heads, this.#at, (Option.none << 24) | (Option.windowScale << 16) | (3 << 8) | shift);
    this.#at += 4;
  }

  sackPermitted(): void {
    write32(this.writer.heads, this.#at, 0x01010000 | (Option.sackPermitted << 8) | 2);
    this.#at += 4;
  }

  /** @param blocks start and end of each. */
  sacks(blocks: Int32Array, count: number): void {
    const heads = this.writer.heads;
    write32(heads, this.#at, 0x01010000 | (Option.sack << 8) | (2 + 8 * count));
    for (let i = 0; i < 2 * count; i++) write32(heads, this.#at + 4 + 4 * i, blocks[i]!);
    this.#at += 4 + 8 * count;
  }

  /** @returns whether so many bytes of payload still fit behind the head. */
  fits(bytes: number): boolean {
    return this.#at - this.#start + bytes <= MAX_HEAD;
  }

  /** Takes `bytes` of payload into the head. @returns where to write them in `writer.heads`. */
  room(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    return at;
  }

  /**
   * @param inHead bytes of payload that were written to the head.
   * @param inPieces bytes of payload in pieces.
   * @param segment as PacketWriter.end wants it.
   */
  end(inHead: number, inPieces: number, segment: number): void {
    const heads = this.writer.heads;
    const start = this.#start;
    const tcpAt = this.#tcpAt;
    const ipBytes = tcpAt - start;
    const headBytes = this.#at - start;
    const tcpBytes = headBytes - ipBytes + inPieces;
    heads[tcpAt + 12] = ((this.#at - inHead - tcpAt) >> 2) << 4;
    if (ipBytes === 20) {
      const identification = (this.#identification = (this.#identification + 1) & 0xffff);
      const bytes = 20 + tcpBytes;
      write16(heads, start + 2, bytes);
      write16(heads, start + 4, identification);
      const sum = this.#flow.addressSum + IPV4_CONSTANT_SUM + bytes + identification;
      write16(heads, start + 10, finish(sum));
    } else {
      write16(heads, start + 4, tcpBytes);
    }
    write16(heads, tcpAt + CHECKSUM_AT, fold(this.#flow.addressSum + tcpBytes));
    this.#counters.segmentsOut++;
    this.writer.end(headBytes, ipBytes, CHECKSUM_AT, segment);
  }
}

/** Version, header length, DF and hop limit of every head's IPv4 header; the protocol is in Flow.addressSum. */
const IPV4_CONSTANT_SUM = 0x4500 + 0x4000 + (64 << 8);
