import assert from "node:assert/strict";
import { Congestion } from "./congestion.ts";
import { RoundTrip } from "./round-trip.ts";
import { Scoreboard } from "./scoreboard.ts";
import type { Segment } from "./segment.ts";
import { SendQueue } from "./send-queue.ts";
import { before, distance, earlier, later } from "./sequence.ts";

export interface SenderOptions {
  /** Our initial sequence number. */
  readonly iss: number;
  /** Payload of one segment, less its options. */
  readonly mss: number;
  /** Payload of one packet: a multiple of `mss`, more than one where the device cuts packets. */
  readonly packetBytes: number;
  readonly initialWindow: number;
  readonly sack: boolean;
}

/** Duplicate acknowledgements that mean a loss (RFC 5681 §3.2). */
const DUPLICATES = 3;
const NOTHING_LOST = -2;

/**
 * The sending half of a connection: SND.UNA, SND.NXT and SND.WND of RFC 9293 §3.3.1, what to send next, and loss recovery
 * by RFC 6675 with SACK and by RFC 6582 without. It sends nothing itself.
 *
 * What always holds, unless the peer takes its own window back: `una` <= `nxt` <= `una + wnd`; `una` never goes back; nothing
 * beyond the window goes out, whether new or sent again; nothing goes out twice unless it is taken for lost.
 */
export class Sender {
  readonly mss: number;
  readonly packetBytes: number;
  readonly queue = new SendQueue();
  readonly congestion: Congestion;
  readonly roundTrip = new RoundTrip();
  una: number;
  nxt: number;
  /** The peer's window in bytes, from `una` on, and the segment that told it (SND.WL1, SND.WL2). */
  wnd = 0;
  wl1 = 0;
  wl2 = 0;
  maxWnd = 0;
  /** The application has ended: a FIN follows the queue. */
  finQueued = false;
  finSent = false;
  finAcked = false;
  /** When what is under way is taken for lost; Infinity while nothing is. */
  retransmitAt = Infinity;
  /** When to ask again for a window that is closed, or to send into one that is small. */
  persistAt = Infinity;
  /** Since when the peer owes an answer; Infinity while it does not. */
  unansweredSince = Infinity;

  /** What next() decided. */
  at = 0;
  fin = false;
  again = false;

  /** Sequence number of the queue's first byte. */
  #queueSeq: number;
  readonly #sack: boolean;
  #scoreboard: Scoreboard | undefined;
  #duplicates = 0;
  // Loss recovery: what is lost up to where, how far of it was sent again, and the end of what was sent when it began.
  #recovering = false;
  #afterTimeout = false;
  #recoverSeq: number;
  #lostUpTo: number;
  #highRxt: number;
  #mayRetransmit = false;
  #mayProbe = false;
  // One segment at a time is timed where there are no timestamps (RFC 6298 §3: never one that was sent twice).
  #timedSeq = 0;
  #timedAt = -1;

  constructor(options: SenderOptions) {
    this.mss = options.mss;
    this.packetBytes = options.packetBytes;
    this.#sack = options.sack;
    this.congestion = new Congestion(options.initialWindow);
    this.una = options.iss;
    this.nxt = options.iss;
    this.#queueSeq = (options.iss + 1) | 0;
    this.#recoverSeq = options.iss;
    this.#lostUpTo = options.iss;
    this.#highRxt = options.iss;
  }

  /** Bytes that were written and not sent yet. */
  get unsent(): number {
    return this.finSent ? 0 : distance(this.#dataEnd, this.nxt);
  }

  /** Nothing is under way. */
  get idle(): boolean {
    return this.una === this.nxt;
  }

  get #dataEnd(): number {
    return (this.#queueSeq + this.queue.bytes) | 0;
  }

  // --- What to send ---

  /**
   * Decides what to send now.
   * @returns its bytes of payload, with `at`, `fin` and `again` set; -1 for nothing.
   */
  next(): number {
    if (this.#recovering) {
      const lost = this.#nextLost();
      if (lost !== NOTHING_LOST) return lost;
    }
    return this.#nextNew();
  }

  /** @returns as next(), or NOTHING_LOST: new data waits until what is lost has been sent again. */
  #nextLost(): number {
    let at = later(this.#highRxt, this.una);
    if (this.#scoreboard) at = this.#scoreboard.skip(at);
    const lostUpTo = earlier(this.#lostUpTo, this.nxt);
    if (!before(at, lostUpTo)) return NOTHING_LOST;
    const end = this.#scoreboard ? this.#scoreboard.holeEnd(at, lostUpTo) : lostUpTo;
    const inWindow = distance((this.una + this.wnd) | 0, at);
    let bytes = Math.min(distance(end, at), this.packetBytes, inWindow);
    const room = this.congestion.window - this.#pipe();
    if (bytes > room) {
      if (room < this.mss && !this.#mayRetransmit) return -1;
      bytes = Math.min(bytes, Math.max(this.mss, room - (room % this.mss)));
    }
    if (bytes <= 0) return -1;
    this.#mayRetransmit = false;
    this.at = at;
    this.again = true;
    // The FIN takes the last number.
    this.fin = this.finSent && ((at + bytes) | 0) === this.nxt;
    if (this.fin) bytes--;
    const measured = bytes > 0 ? this.queue.measure(distance(at, this.#queueSeq), bytes) : 0;
    if (measured < bytes) this.fin = false;
    return measured;
  }

  #nextNew(): number {
    if (this.finSent) return -1;
    const unsent = this.unsent;
    const inWindow = distance((this.una + this.wnd) | 0, this.nxt);
    if (unsent === 0 && !(this.finQueued && inWindow > 0)) return -1;
    let bytes = Math.min(unsent, inWindow, this.packetBytes);
    if (unsent > 0) {
      bytes = Math.min(bytes, this.congestion.window - this.#pipe());
      if (bytes <= 0) return -1;
      // RFC 9293 §3.8.6.2.1: rather wait than send little. Half of the largest window ever is not little.
      if (bytes < unsent && bytes >= this.mss) bytes -= bytes % this.mss;
      else if (bytes < unsent && bytes < this.maxWnd >> 1 && !this.#mayProbe) return -1;
      bytes = this.queue.measure(distance(this.nxt, this.#queueSeq), bytes);
    }
    this.#mayProbe = false;
    this.at = this.nxt;
    this.again = false;
    this.fin = this.finQueued && bytes === unsent && inWindow > bytes;
    return bytes;
  }

  /** What next() decided has been sent. */
  sent(bytes: number, now: number): void {
    const end = (this.at + bytes + (this.fin ? 1 : 0)) | 0;
    assert(!before((this.una + this.wnd) | 0, end), "sent beyond the peer's window");
    if (this.again) {
      this.#highRxt = end;
      this.#timedAt = -1;
    } else {
      assert(this.at === this.nxt && !this.finSent, "new data out of order");
      this.nxt = end;
      this.finSent = this.fin;
      if (this.#timedAt < 0) {
        this.#timedAt = now;
        this.#timedSeq = end;
      }
    }
    if (this.retransmitAt === Infinity) this.retransmitAt = now + this.roundTrip.timeout;
    this.persistAt = Infinity;
  }

  /** The SYN-ACK has been sent. */
  sentSyn(now: number): void {
    if (this.idle) {
      this.nxt = (this.nxt + 1) | 0;
      this.#timedAt = now;
      this.#timedSeq = this.nxt;
    } else {
      this.#timedAt = -1;
    }
    this.retransmitAt = now + this.roundTrip.timeout;
  }

  /** Sees to it that a closed or too small window is asked for again (RFC 9293 §3.8.6.1): called when all that may go is sent. */
  watchWindow(now: number): void {
    const waits = this.idle && this.#established && !this.finSent && (this.unsent > 0 || this.finQueued);
    if (!waits) this.persistAt = Infinity;
    else if (this.persistAt === Infinity) this.persistAt = now + this.roundTrip.timeout;
  }

  /** Our SYN has been acknowledged. */
  get #established(): boolean {
    return !before(this.una, this.#queueSeq);
  }

  /** Bytes under way as congestion control sees them. */
  #pipe(): number {
    const flight = distance(this.nxt, this.una);
    if (this.#scoreboard && !this.#scoreboard.empty) {
      const { una, nxt } = this;
      const lostUpTo = this.#recovering ? this.#lostUpTo : una;
      const highRxt = this.#recovering ? this.#highRxt : una;
      return this.#scoreboard.pipe({ una, nxt, lostUpTo, highRxt });
    }
    const left = this.#duplicates * this.mss;
    if (!this.#recovering) return Math.max(0, flight - left);
    const lost = Math.max(0, distance(earlier(this.#lostUpTo, this.nxt), this.una));
    const again = Math.max(0, distance(this.#highRxt, this.una));
    return Math.max(0, flight - left - lost) + again;
  }

  // --- What the peer says ---

  /**
   * Takes an acceptable acknowledgement: una <= ack <= nxt.
   * @param echoed milliseconds since the moment that the peer's timestamp echoes, or -1.
   * @returns bytes of payload that it acknowledged.
   */
  onAck(segment: Segment, window: number, echoed: number, now: number): number {
    const acked = distance(segment.ack, this.una);
    assert(acked >= 0 && !before(this.nxt, segment.ack), "an acknowledgement of what was not sent");
    const news = this.#noteSacks(segment);
    let payload = 0;
    if (acked > 0) {
      payload = this.#onProgress(segment.ack, echoed, now);
    } else if (segment.length === 0 && !this.idle && (this.#sack ? news : window === this.wnd)) {
      this.#duplicates++;
    }
    this.#updateWindow(segment, window);
    this.#detectLoss();
    return payload;
  }

  #onProgress(ack: number, echoed: number, now: number): number {
    const acked = distance(ack, this.una);
    const limited = this.#pipe() + this.packetBytes >= this.congestion.window;
    const timed = this.#timedAt >= 0 && !before(ack, this.#timedSeq);
    if (echoed >= 0) this.roundTrip.sample(echoed);
    else if (timed) this.roundTrip.sample(now - this.#timedAt);
    if (timed) this.#timedAt = -1;
    this.una = ack;
    this.wnd = Math.max(0, this.wnd - acked);
    this.roundTrip.backoff = 0;
    this.unansweredSince = Infinity;
    const payload = Math.min(Math.max(0, distance(ack, this.#queueSeq)), this.queue.bytes);
    if (payload > 0) {
      this.queue.drop(payload);
      this.#queueSeq = (this.#queueSeq + payload) | 0;
    }
    if (this.finSent && ack === this.nxt) this.finAcked = true;
    this.#scoreboard?.advance(ack);
    if (this.#recovering) this.#progressInRecovery(ack, acked);
    else {
      this.#duplicates = 0;
      this.#recoverSeq = later(this.#recoverSeq, ack);
      this.congestion.onProgress(acked, this.mss, limited);
    }
    this.retransmitAt = this.idle ? Infinity : now + this.roundTrip.timeout;
    return payload;
  }

  #progressInRecovery(ack: number, acked: number): void {
    if (!before(ack, this.#recoverSeq)) {
      this.#recovering = false;
      this.#duplicates = 0;
      return;
    }
    if (this.#afterTimeout) this.congestion.onProgress(acked, this.mss, true);
    else if (!this.#sack) {
      // A partial acknowledgement (RFC 6582 §3.2): the next segment is lost, too.
      this.#lostUpTo = (ack + this.mss) | 0;
      this.#highRxt = ack;
      this.#duplicates = 0;
      this.#mayRetransmit = true;
    }
  }

  #noteSacks(segment: Segment): boolean {
    if (!this.#sack || segment.sackCount === 0) return false;
    let news = false;
    for (let i = 0; i < segment.sackCount; i++) {
      const start = segment.sacks[2 * i]!;
      const end = segment.sacks[2 * i + 1]!;
      // A range below `ack` reports a duplicate (RFC 2883); one beyond what was sent is wrong.
      if (before(start, segment.ack) || !before(start, end) || before(this.nxt, end)) continue;
      this.#scoreboard ??= new Scoreboard();
      if (this.#scoreboard.add(start, end)) news = true;
    }
    return news;
  }

  /** RFC 9293 §3.10.7.4: an older segment does not change the window. */
  #updateWindow(segment: Segment, window: number): void {
    if (before(segment.seq, this.wl1) || (segment.seq === this.wl1 && before(segment.ack, this.wl2))) return;
    this.setWindow(segment, window);
  }

  setWindow(segment: Segment, window: number): void {
    this.wl1 = segment.seq;
    this.wl2 = segment.ack;
    if (window > this.wnd && this.persistAt !== Infinity) {
      this.persistAt = Infinity;
      this.roundTrip.backoff = 0;
    }
    // A peer that answers may keep its window closed for as long as it likes.
    if (window === 0) this.unansweredSince = Infinity;
    this.wnd = window;
    if (window > this.maxWnd) this.maxWnd = window;
  }

  #detectLoss(): void {
    if (this.idle) return;
    const scoreboard = this.#scoreboard;
    const known = this.#recovering ? this.#lostUpTo : this.una;
    const lostUpTo = scoreboard && !scoreboard.empty ? scoreboard.lostUpTo(this.mss, known) : known;
    if (this.#recovering) {
      this.#lostUpTo = later(known, lostUpTo);
      return;
    }
    const counted = this.#duplicates >= DUPLICATES && (this.#sack || !before(this.una, this.#recoverSeq));
    if (lostUpTo === this.una && !counted) return;
    this.congestion.onLoss(distance(this.nxt, this.una), this.mss);
    this.#beginRecovery(later(lostUpTo, (this.una + this.mss) | 0));
  }

  #beginRecovery(lostUpTo: number): void {
    this.#recovering = true;
    this.#afterTimeout = false;
    this.#recoverSeq = this.nxt;
    this.#lostUpTo = earlier(lostUpTo, this.nxt);
    this.#highRxt = this.una;
    this.#mayRetransmit = true;
  }

  // --- Time ---

  /** The retransmission timer fired (RFC 6298 §5.4): all that is under way is taken for lost. */
  onTimeout(now: number): void {
    this.congestion.onTimeout(distance(this.nxt, this.una), this.mss, this.roundTrip.backoff === 0);
    // The peer may have thrown away what it reported (RFC 2018 §8).
    this.#scoreboard?.clear();
    this.#duplicates = 0;
    this.#timedAt = -1;
    this.#beginRecovery(this.nxt);
    this.#afterTimeout = true;
    this.#backOff(now);
    this.retransmitAt = now + this.roundTrip.timeout;
  }

  /**
   * The persist timer fired.
   * @returns true where the window is closed, and a probe is to go out; else next() gives what fits into the window.
   */
  onPersist(now: number): boolean {
    this.#backOff(now);
    this.persistAt = now + this.roundTrip.timeout;
    this.#mayProbe = this.wnd > 0;
    return !this.#mayProbe;
  }

  #backOff(now: number): void {
    this.roundTrip.backoff++;
    if (this.unansweredSince === Infinity) this.unansweredSince = now;
  }

  /** The connection is over. */
  clear(): void {
    this.queue.clear();
    this.#scoreboard = undefined;
    this.retransmitAt = Infinity;
    this.persistAt = Infinity;
  }
}
