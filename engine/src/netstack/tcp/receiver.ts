import assert from "node:assert/strict";
import type { Gather, Gathered } from "./gather.ts";
import { Reassembly } from "./reassembly.ts";
import type { BufferBudget } from "./buffer-budget.ts";
import type { Segment } from "./segment.ts";
import { Flag } from "./segment.ts";
import { before, distance, earlier, later } from "./sequence.ts";

export interface ReceiverOptions {
  /** The peer's initial sequence number. */
  readonly irs: number;
  /** Payload of a full segment from the peer. */
  readonly mss: number;
  /** Our window scale, or 0. */
  readonly scale: number;
  readonly budget: BufferBudget;
  readonly firstBuffer: number;
  readonly maxBuffer: number;
}

/** A buffer's worth within this time, or within two round trips, means that the buffer is what limits the peer. */
const FAST_MS = 2;
const MAX_WINDOW_FIELD = 0xffff;

/**
 * The receiving half of a connection: RCV.NXT and RCV.WND of RFC 9293 §3.3.1.
 *
 * What always holds: `nxt` never goes back; `edge`, the furthest right edge that was offered, never goes back, and what is sent
 * up to it is taken, unless it comes in crumbs that nobody reads. (The field of a header is rounded down to the window scale's unit, RFC 7323 §2.4, so that an edge may
 * seem to go back by less than one unit.) No more than `buffer` bytes wait for the reader.
 */
export class Receiver implements Gathered {
  firstPart = -1;
  lastPart = -1;
  nxt: number;
  /** The last acknowledgement sent (Last.ACK.sent of RFC 7323). */
  acked: number;
  edge: number;
  /** Bytes that may wait for the reader; it tunes itself. */
  buffer: number;
  /** The peer's FIN has been taken: nothing follows. */
  finished = false;
  readonly mss: number;
  readonly #scale: number;
  readonly #budget: BufferBudget;
  readonly #firstBuffer: number;
  readonly #maxBuffer: number;
  #reassembly: Reassembly | undefined;
  #finSeq = 0;
  #finKnown = false;
  #stalled = false;
  #tuneSeq: number;
  #tuneAt = 0;

  constructor(options: ReceiverOptions) {
    this.nxt = (options.irs + 1) | 0;
    this.acked = this.nxt;
    this.mss = options.mss;
    this.#scale = options.scale;
    this.#budget = options.budget;
    this.#firstBuffer = options.firstBuffer;
    this.#maxBuffer = options.maxBuffer;
    this.buffer = options.budget.open(options.firstBuffer);
    this.edge = this.nxt;
    this.#tuneSeq = this.nxt;
  }

  get outOfOrder(): boolean {
    return this.#reassembly !== undefined && !this.#reassembly.empty;
  }

  /** Bytes that the peer may still send. */
  get window(): number {
    return distance(this.edge, this.nxt);
  }

  /** RFC 9293 §3.4 table 6. An empty segment at the very edge is taken, too: a peer that has filled the window sends such. */
  acceptable(segment: Segment): boolean {
    const { seq, length } = segment;
    if (length === 0) return !before(seq, this.nxt) && !before(this.edge, seq);
    return before(seq, this.edge) && before(this.nxt, (seq + length) | 0);
  }

  /**
   * Takes what is new of an acceptable segment's payload, and its FIN.
   * @returns false where the peer is to hear of it at once: it was not what comes next, or filled a gap (RFC 5681 §4.2).
   */
  take(segment: Segment, gather: Gather): boolean {
    const dataEnd = (segment.seq + segment.dataTo - segment.dataFrom) | 0;
    // A FIN beyond the window, or a second one elsewhere, does not count.
    if (
      segment.flags & Flag.fin &&
      before(dataEnd, this.edge) &&
      !this.#finKnown &&
      !before(dataEnd, this.nxt)
    ) {
      this.#finKnown = true;
      this.#finSeq = dataEnd;
    }
    let end = earlier(dataEnd, this.edge);
    if (this.#finKnown) end = earlier(end, this.#finSeq);
    const start = later(segment.seq, this.nxt);
    const wasNxt = this.nxt;
    const hadGap = this.outOfOrder;
    if (before(start, end)) {
      const from = segment.dataFrom + distance(start, segment.seq);
      const to = from + distance(end, start);
      if (start === this.nxt) {
        gather.add(this, segment.bytes, from, to);
        this.nxt = end;
        if (this.#reassembly) this.#drain(gather);
      } else {
        this.#reassembly ??= new Reassembly();
        this.#reassembly.add(start, segment.bytes, from, to);
      }
    }
    if (this.#finKnown && this.nxt === this.#finSeq && !this.finished) {
      this.nxt = (this.nxt + 1) | 0;
      this.finished = true;
      this.edge = later(this.edge, this.nxt);
    }
    assert(!before(this.edge, this.nxt), "took more than was offered");
    return this.nxt !== wasNxt && !hadGap && !this.outOfOrder;
  }

  #drain(gather: Gather): void {
    for (;;) {
      const piece = this.#reassembly!.take(this.nxt);
      if (!piece) break;
      // A peer may have sent bytes behind the FIN before it sent the FIN.
      const left = this.#finKnown ? distance(this.#finSeq, this.nxt) : Infinity;
      const bytes = Math.min(piece.length, left);
      if (bytes <= 0) break;
      gather.add(this, piece, 0, bytes);
      this.nxt = (this.nxt + bytes) | 0;
    }
    if (this.#reassembly!.empty) this.#reassembly = undefined;
  }

  /**
   * The window to put into a header, scaled; it becomes the offer.
   * @param waiting bytes that the reader has not taken.
   */
  offer(waiting: number): number {
    const free = (this.nxt + Math.max(0, this.buffer - waiting)) | 0;
    if (distance(free, this.edge) >= this.#worthTelling(waiting)) this.edge = free;
    const field = Math.min(this.window >> this.#scale, MAX_WINDOW_FIELD);
    this.acked = this.nxt;
    return field;
  }

  /** As offer(), for a SYN-ACK, whose window is never scaled (RFC 7323 §2.2). */
  firstOffer(): number {
    const field = Math.min(this.buffer, MAX_WINDOW_FIELD);
    this.edge = later(this.edge, (this.nxt + field) | 0);
    return field;
  }

  /** RFC 9293 §3.8.6.2.2: a window does not open by crumbs. One that is wide open is told as it is. */
  #worthTelling(waiting: number): number {
    return waiting === 0 ? 0 : Math.min(this.mss, this.buffer >> 1);
  }

  /** True when the reader has taken so much that the peer should hear of it although it sent nothing. */
  wantsUpdate(waiting: number): boolean {
    if (this.finished) return false;
    if (this.#stalled && waiting <= this.buffer >> 2) this.#shrink(waiting);
    const more = distance((this.nxt + Math.max(0, this.buffer - waiting)) | 0, this.edge);
    return more >= this.buffer >> 2 || (this.window < this.mss && more >= this.mss);
  }

  /**
   * Looks at what a burst brought, once it has been handed to the reader: the buffer doubles where a whole buffer's worth
   * came within two round trips and the reader keeps up.
   */
  tune(waiting: number, roundTrip: number, now: number): void {
    if (waiting > this.buffer >> 1) this.#stalled = true;
    const came = distance(this.nxt, this.#tuneSeq);
    if (came < this.buffer) return;
    const took = now - this.#tuneAt;
    this.#tuneSeq = this.nxt;
    this.#tuneAt = now;
    if (took > Math.max(FAST_MS, 2 * roundTrip) || waiting > this.buffer >> 3) return;
    this.buffer += this.#budget.grow(Math.min(this.buffer, this.#maxBuffer - this.buffer));
  }

  /** The reader stood still with half a buffer unread: it does not need one that large. What was offered stays offered. */
  #shrink(waiting: number): void {
    this.#stalled = false;
    const least = Math.min(this.buffer, Math.max(this.#firstBuffer, waiting + this.window));
    const size = Math.max(least, this.buffer >> 1);
    this.#budget.giveBack(this.buffer - size);
    this.buffer = size;
  }

  /** Ranges to report (RFC 2018). @returns how many were written. */
  sackBlocks(into: Int32Array, most: number): number {
    return this.#reassembly ? this.#reassembly.blocks(into, most) : 0;
  }

  /** The connection is over, or the peer has ended and all of it was taken. */
  clear(): void {
    this.#reassembly = undefined;
    this.#budget.giveBack(this.buffer);
    this.buffer = 0;
  }
}
