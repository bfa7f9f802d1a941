import type { Flow } from "./flow-table.ts";
import type { TcpCounters, TcpLimits } from "./limits.ts";
import type { SegmentOutput } from "./output.ts";
import type { Receiver } from "./receiver.ts";
import { Flag, type Segment } from "./segment.ts";
import type { Sender } from "./sender.ts";
import { before, distance } from "./sequence.ts";

/** In units of 128 bytes a window of 8 MB can be told. */
export const OUR_WINDOW_SCALE = 7;

/** What an application's SYN said. */
export interface Syn {
  readonly seq: number;
  /** -1 where it had no such option. */
  readonly mss: number;
  readonly windowScale: number;
  readonly sackPermitted: boolean;
  readonly hasTimestamps: boolean;
  readonly tsValue: number;
}

/** What the segments of a connection need of the layer. */
export interface OutputHost {
  readonly output: SegmentOutput;
  readonly limits: TcpLimits;
  readonly counters: TcpCounters;
  /** Milliseconds, as they were when the burst or the call began. */
  readonly time: number;
  /** Our timestamp clock (RFC 7323 §5.4), in milliseconds. */
  readonly timestamp: number;
}

export interface ConnectionOutputParts {
  readonly host: OutputHost;
  /** Whose segments they are. */
  readonly flow: Flow;
  readonly syn: Syn;
  readonly sender: Sender;
  readonly receiver: Receiver;
  /** The largest segment that we take, for the MSS option. */
  readonly ourMss: number;
}

/**
 * The segments that a connection sends, each with what it says of the other direction: the acknowledgement, the window, the
 * timestamps, what is missing. It knows when an acknowledgement is due; whether a segment may go is for others to say.
 * `unread`, wherever it is asked for, is the memory that waits for the stream's reader, in bytes.
 */
export class ConnectionOutput {
  /** A segment has come that is to be answered at once. */
  ackNow = false;
  /** When what has come is acknowledged at the latest; Infinity while nothing waits for it. */
  ackAt = Infinity;
  /** The newest timestamp of the application's system (TS.Recent, RFC 7323 §4.3). */
  tsRecent: number;
  /** Whether the application's system and we agreed on them. */
  readonly timestamps: boolean;
  readonly #parts: ConnectionOutputParts;

  constructor(parts: ConnectionOutputParts) {
    this.#parts = parts;
    this.timestamps = parts.syn.hasTimestamps;
    this.tsRecent = parts.syn.tsValue;
  }

  /** The next `bytes` of what the sender has chosen, with its FIN where it is its turn. */
  data(bytes: number, unread: number): void {
    const { host, flow, sender, receiver } = this.#parts;
    const { output } = host;
    if (sender.again) host.counters.retransmissions++;
    const last = sender.again ? !before((sender.at + bytes) | 0, sender.nxt) : bytes === sender.unsent;
    output.begin(flow);
    const flags = Flag.ack | (last && bytes > 0 ? Flag.psh : 0) | (sender.fin ? Flag.fin : 0);
    this.#header(sender.at, flags, unread);
    if (bytes <= sender.mss && output.fits(bytes)) {
      if (bytes > 0) sender.queue.copy(output.writer.heads, output.room(bytes), bytes);
      output.end(bytes, 0, 0);
    } else {
      sender.queue.give(output.writer, bytes);
      output.end(0, bytes, bytes > sender.mss ? sender.mss : 0);
    }
    // What is missing is reported in a segment of its own, so that the payload's size stays the same.
    if (!receiver.outOfOrder) this.#ackSent();
  }

  /** An acknowledgement of its own, where one is due; else it notes until when one may wait (RFC 9293 §3.8.6.3). */
  acknowledge(unread: number): void {
    const { host, flow, syn, sender, receiver } = this.#parts;
    const pending = distance(receiver.nxt, receiver.acked);
    if (!this.ackNow && pending < 2 * receiver.mss) {
      if (pending > 0 && this.ackAt === Infinity) this.ackAt = host.time + host.limits.delayedAck;
      return;
    }
    host.output.begin(flow);
    this.#header(sender.nxt, Flag.ack, unread);
    if (syn.sackPermitted && receiver.outOfOrder) {
      const count = receiver.sackBlocks(sackBlocks, this.timestamps ? 3 : 4);
      if (count > 0) host.output.sacks(sackBlocks, count);
    }
    host.output.end(0, 0, 0);
    this.#ackSent();
  }

  /** An old number, so that the peer answers with an acknowledgement: for a closed window, and to see whether it lives. */
  probe(unread: number): void {
    const { host, flow, sender } = this.#parts;
    host.output.begin(flow);
    this.#header((sender.una - 1) | 0, Flag.ack, unread);
    host.output.end(0, 0, 0);
  }

  /** Our own numbers and sizes, and of the options those that the application's SYN had, too. */
  synAck(): void {
    const { host, flow, syn, sender, receiver, ourMss } = this.#parts;
    const { output, timestamp } = host;
    output.begin(flow);
    output.header(sender.una, receiver.nxt, Flag.syn | Flag.ack, receiver.firstOffer());
    output.mss(ourMss);
    if (syn.windowScale >= 0) output.windowScale(OUR_WINDOW_SCALE);
    if (syn.sackPermitted) output.sackPermitted();
    if (this.timestamps) output.timestamps(timestamp, this.tsRecent);
    output.end(0, 0, 0);
    sender.sentSyn(host.time);
  }

  /** The connection ends here. */
  reset(): void {
    const { sender, receiver } = this.#parts;
    this.#reset(sender.nxt, receiver.nxt, Flag.rst | Flag.ack);
  }

  /** To a handshake's last segment that acknowledges what we never sent (RFC 9293 §3.10.7.4). */
  resetOf({ ack }: Segment): void {
    this.#reset(ack, 0, Flag.rst);
  }

  #reset(seq: number, ack: number, flags: number): void {
    const { host, flow } = this.#parts;
    host.output.begin(flow);
    host.output.header(seq, ack, flags, 0);
    host.output.end(0, 0, 0);
    host.counters.resetsSent++;
  }

  #header(seq: number, flags: number, unread: number): void {
    const { host, receiver } = this.#parts;
    const { output, timestamp } = host;
    output.header(seq, receiver.nxt, flags, receiver.offer(unread));
    if (this.timestamps) output.timestamps(timestamp, this.tsRecent);
  }

  #ackSent(): void {
    this.ackNow = false;
    this.ackAt = Infinity;
  }
}

/** For one call of acknowledge() at a time. */
const sackBlocks = new Int32Array(8);
