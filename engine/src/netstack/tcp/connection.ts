import type { Place } from "@sockeye/wire/row";
import type { TimerQueue } from "../timers.ts";
import { Flow } from "./flow-table.ts";
import type { Gather } from "./gather.ts";
import { TIMESTAMPS_BYTES } from "./output.ts";
import type { BufferBudget } from "./buffer-budget.ts";
import { ConnectionOutput, OUR_WINDOW_SCALE, type OutputHost, type Syn } from "./connection-output.ts";
import { Receiver } from "./receiver.ts";
import { Flag, HEADER_BYTES, type Segment } from "./segment.ts";
import { Sender } from "./sender.ts";
import { before } from "./sequence.ts";
import { type StreamTransport, TcpStream } from "./stream.ts";

/** The states of RFC 9293 §3.3.2 that a connection has from its SYN-ACK on. */
export const State = {
  synReceived: "SYN-RECEIVED",
  established: "ESTABLISHED",
  finWait1: "FIN-WAIT-1",
  finWait2: "FIN-WAIT-2",
  closeWait: "CLOSE-WAIT",
  closing: "CLOSING",
  lastAck: "LAST-ACK",
  timeWait: "TIME-WAIT",
  closed: "CLOSED",
} as const;
export type State = (typeof State)[keyof typeof State];

/** What a connection needs of the layer. */
export interface ConnectionHost extends OutputHost {
  readonly timers: TimerQueue;
  readonly gather: Gather;
  readonly budget: BufferBudget;
  /** For send buffers beyond their first size. */
  readonly sendBudget: BufferBudget;
  /** Of the device; and whether it cuts large packets. */
  readonly mtu: number;
  readonly segmentation: boolean;
  /** Has service() called soon. */
  want(connection: TcpConnection): void;
  /** Its SYN-ACK was acknowledged. */
  established(connection: TcpConnection): void;
  enteredTimeWait(connection: TcpConnection): void;
  closed(connection: TcpConnection): void;
}

const MAX_UNSCALED = 0xffff;
/** A peer may not make us send smaller segments than this. */
const MIN_MSS = 64;
const MAX_PACKET = 0xffff;
/** Answers to what is not acceptable and carries nothing: two peers could keep answering each other (RFC 5961 §7). */
const CHALLENGE_INTERVAL_MS = 50;
/** A timestamp older than this says nothing any more (RFC 7323 §5.5). */
const TIMESTAMP_AGE_MS = 24 * 24 * 3600 * 1000;
/** Written chunks beyond which the stream waits, so that it joins small ones. */
const MAX_CHUNKS = 512;

/** The largest segment that fits into the MTU, as told in the MSS option (RFC 9293 §3.7.1). */
export function maxSegmentSize(mtu: number, ipBytes: number): number {
  return Math.min(mtu - ipBytes - HEADER_BYTES, MAX_UNSCALED);
}

/**
 * One TCP connection that an application opened, from our SYN-ACK on (RFC 9293 §3.10). It sends only in service(), once for
 * each burst: arrive() and the stream only note what there is to do.
 */
export class TcpConnection extends Flow implements StreamTransport {
  state: State = State.synReceived;
  /** @internal It waits for service(). */
  wanted = true;
  /** @internal The next that waits for it. */
  nextWanting: TcpConnection | undefined = undefined;
  /** @internal The source among whose half-open connections it counts. */
  halfOpenOf: string | undefined = undefined;
  /** Where it stands among those in TIME-WAIT. */
  timeWait: Place<TcpConnection> | undefined = undefined;
  readonly sender: Sender;
  readonly receiver: Receiver;
  readonly #host: ConnectionHost;
  #stream: TcpStream | undefined;
  readonly #output: ConnectionOutput;
  readonly #irs: number;
  readonly #peerScale: number;

  #synAckWanted = true;
  #synAcks = 0;
  #probeWanted = false;
  #resetWanted = false;
  #endTold = false;
  readonly #firstSendLimit: number;
  #sendLimit: number;
  #keepaliveProbes = 0;
  #challengedAt = -Infinity;
  #lastHeard: number;
  #lastCarried: number;
  /** When the stream was done with (the rest is sent), and then when TIME-WAIT began. */
  #leftAt = Infinity;

  /** @param iss our initial sequence number. */
  constructor(host: ConnectionHost, flow: Flow, syn: Syn, iss: number) {
    super(flow);
    const { limits } = host;
    this.#host = host;
    this.#irs = syn.seq;
    this.#peerScale = Math.max(0, syn.windowScale);
    const ourMss = maxSegmentSize(host.mtu, this.ipBytes);
    this.#firstSendLimit = limits.sendBuffer;
    this.#sendLimit = limits.sendBuffer;
    this.#lastHeard = host.time;
    this.#lastCarried = host.time;
    const optionBytes = syn.hasTimestamps ? TIMESTAMPS_BYTES : 0;
    const defaultMss = this.ipBytes === 20 ? 536 : 1220;
    const peerMss = Math.max(MIN_MSS, syn.mss >= 0 ? syn.mss : defaultMss);
    const mss = Math.min(peerMss, ourMss) - optionBytes;
    const most = MAX_PACKET - this.ipBytes - HEADER_BYTES - optionBytes;
    this.sender = new Sender({
      iss,
      mss,
      packetBytes: host.segmentation ? most - (most % mss) : mss,
      initialWindow: Math.max(limits.initialWindow, 2 * mss),
      sack: syn.sackPermitted,
    });
    const scaled = syn.windowScale >= 0;
    const most16 = scaled ? Infinity : MAX_UNSCALED;
    this.receiver = new Receiver({
      irs: syn.seq,
      mss: ourMss - optionBytes,
      scale: scaled ? OUR_WINDOW_SCALE : 0,
      budget: host.budget,
      firstBuffer: Math.min(limits.receiveBuffer, most16),
      maxBuffer: Math.min(limits.maxReceiveBuffer, most16),
    });
    const { sender, receiver } = this;
    this.#output = new ConnectionOutput({ host, flow: this, syn, sender, receiver, ourMss });
    this.#stream = new TcpStream(this);
  }

  /** Gone once the stream was destroyed. */
  get stream(): TcpStream | undefined {
    return this.#stream;
  }

  // --- A segment arrives (RFC 9293 §3.10.7.4) ---

  arrive(segment: Segment): void {
    const { flags } = segment;
    if (this.state === State.synReceived && (flags & (Flag.syn | Flag.ack)) === Flag.syn) {
      if (segment.seq === this.#irs) {
        this.#synAckWanted = true;
        this.#want();
        return;
      }
    }
    if (!this.#passesTimestamps(segment)) return;
    if (!this.receiver.acceptable(segment)) {
      this.#onUnacceptable(segment);
      return;
    }
    if (flags & Flag.rst) {
      // RFC 5961 §3: only the very next number is believed at once.
      if (segment.seq === this.receiver.nxt) this.#onReset();
      else this.#challenge();
      return;
    }
    if (flags & Flag.syn) {
      this.#challenge();
      return;
    }
    if (!(flags & Flag.ack)) return;
    if (segment.hasTimestamps && this.#output.timestamps) this.#noteTimestamp(segment);
    this.#lastHeard = this.#host.time;
    this.#keepaliveProbes = 0;
    if (!this.#takeAck(segment)) return;
    if (segment.length > 0) this.#takeData(segment);
  }

  /** PAWS (RFC 7323 §5.3), and §3.2: once timestamps were agreed on, a segment without is dropped. */
  #passesTimestamps(segment: Segment): boolean {
    if (!this.#output.timestamps || segment.flags & Flag.rst) return true;
    if (!segment.hasTimestamps) return (segment.flags & Flag.syn) !== 0;
    if (!before(segment.tsValue, this.#output.tsRecent)) return true;
    if (this.#host.time - this.#lastHeard > TIMESTAMP_AGE_MS) return true;
    this.#challenge();
    return false;
  }

  #noteTimestamp(segment: Segment): void {
    if (!before(this.receiver.acked, segment.seq)) this.#output.tsRecent = segment.tsValue;
  }

  #onUnacceptable(segment: Segment): void {
    const { flags, seq } = segment;
    if (flags & Flag.rst) return;
    const isAck = (flags & (Flag.ack | Flag.syn)) === Flag.ack;
    if (isAck && this.receiver.window === 0 && seq === this.receiver.nxt) {
      // Our window is closed: what it carries is dropped, what it acknowledges is not (RFC 9293 §3.10.7.4).
      this.#lastHeard = this.#host.time;
      this.#keepaliveProbes = 0;
      this.#takeAck(segment);
      this.#ackSoon();
    } else if (segment.length === 0 || flags & Flag.syn) {
      // The acknowledgement of a probe of ours may stand in an old place, and counts as an answer.
      if (isAck) this.#lastHeard = this.#host.time;
      this.#challenge();
    } else {
      if (this.state === State.timeWait && flags & Flag.fin) this.#enterTimeWait();
      this.#ackSoon();
    }
  }

  /** @returns whether the rest of the segment counts. */
  #takeAck(segment: Segment): boolean {
    const { sender } = this;
    const { ack } = segment;
    if (this.state === State.synReceived) {
      if (ack !== sender.nxt) {
        this.#output.resetOf(segment);
        this.#want();
        return false;
      }
      this.state = State.established;
      this.#host.established(this);
      sender.setWindow(segment, segment.window << this.#peerScale);
    } else if (before(sender.nxt, ack)) {
      this.#ackSoon();
      return false;
    } else if (before(ack, (sender.una - sender.maxWnd) | 0)) {
      // RFC 5961 §5: too old to be true.
      this.#challenge();
      return false;
    } else if (before(ack, sender.una)) {
      return true;
    }
    return this.#progress(segment);
  }

  #progress(segment: Segment): boolean {
    const { sender } = this;
    const host = this.#host;
    const echoed =
      this.#output.timestamps && segment.tsEcho !== 0 ? (host.timestamp - segment.tsEcho) | 0 : -1;
    if (sender.onAck(segment, segment.window << this.#peerScale, echoed, host.time) > 0) {
      this.#lastCarried = host.time;
    }
    this.#want();
    if (!sender.finAcked) return true;
    if (this.state === State.finWait1) {
      this.state = State.finWait2;
      this.#lastCarried = host.time;
    } else if (this.state === State.closing) {
      this.#enterTimeWait();
    } else if (this.state === State.lastAck) {
      this.#close();
      return false;
    }
    return true;
  }

  #takeData(segment: Segment): void {
    const { receiver, state } = this;
    this.#want();
    if (state !== State.established && state !== State.finWait1 && state !== State.finWait2) {
      // Behind a FIN there is nothing; the FIN itself, when it comes again, is acknowledged again.
      this.#output.ackNow = true;
      if (state === State.timeWait && segment.flags & Flag.fin) this.#enterTimeWait();
      return;
    }
    // Crumbs cost more than their bytes, which are all that was offered: what is too much is dropped, and sent again.
    if (this.#unread > 2 * receiver.buffer) this.#output.ackNow = true;
    else if (!receiver.take(segment, this.#host.gather)) this.#output.ackNow = true;
    this.#lastCarried = this.#host.time;
    if (!receiver.finished) return;
    this.#output.ackNow = true;
    if (state === State.established) this.state = State.closeWait;
    else if (state === State.finWait1) this.state = State.closing;
    else this.#enterTimeWait();
  }

  #onReset(): void {
    if (this.state === State.timeWait) {
      this.#close();
      return;
    }
    this.#fail(failure("ECONNRESET", "the application reset the connection"));
  }

  #challenge(): void {
    const { time } = this.#host;
    if (time - this.#challengedAt < CHALLENGE_INTERVAL_MS) return;
    this.#challengedAt = time;
    this.#ackSoon();
  }

  #ackSoon(): void {
    this.#output.ackNow = true;
    this.#want();
  }

  #want(): void {
    if (!this.wanted) this.#host.want(this);
  }

  // --- What the stream wants ---

  write(chunk: Buffer): void {
    if (this.state === State.closed) return;
    this.sender.queue.push(chunk);
    this.#want();
  }

  get hasRoom(): boolean {
    const { queue } = this.sender;
    return queue.bytes < this.#sendLimit && queue.chunks < MAX_CHUNKS;
  }

  end(): void {
    if (this.state === State.closed) return;
    this.sender.finQueued = true;
    this.#lastCarried = this.#host.time;
    this.#want();
  }

  onRead(): void {
    if (this.state === State.closed || !this.receiver.wantsUpdate(this.#unread)) return;
    this.#ackSoon();
  }

  onDestroy(clean: boolean): void {
    this.#stream = undefined;
    if (this.state === State.closed || this.state === State.timeWait) return;
    if (clean && this.receiver.finished && this.sender.finQueued) this.#leftAt = this.#host.time;
    else this.#resetWanted = true;
    this.#want();
  }

  /** Memory that waits for the reader. */
  get #unread(): number {
    return this.#stream ? this.#stream.held : 0;
  }

  // --- Sending ---

  /** Hands over what has come, and sends what there is to send. Called once for each burst in which it wanted it. */
  service(): void {
    // Both call out, to whoever may end the stream; below, nothing does.
    this.#deliver();
    this.#makeRoom();
    if (this.#resetWanted && !this.#closed) {
      this.#output.reset();
      this.#close();
    }
    if (this.#closed) return;
    if (this.state !== State.synReceived) this.#sendData();
    else if (this.#synAckWanted) this.#output.synAck();
    if (this.#probeWanted) this.#output.probe(this.#unread);
    this.#synAckWanted = false;
    this.#probeWanted = false;
    this.#output.acknowledge(this.#unread);
    this.sender.watchWindow(this.#host.time);
    this.#host.timers.arm(this, this.#nextDue());
  }

  /** A getter, since the state changes behind the compiler's back in whatever calls out. */
  get #closed(): boolean {
    return this.state === State.closed;
  }

  #deliver(): void {
    const { receiver } = this;
    if (receiver.firstPart !== -1) {
      if (this.#stream) this.#host.gather.deliver(receiver, this.#stream);
      receiver.tune(this.#unread, this.sender.roundTrip.smoothed, this.#host.time);
    }
    if (receiver.finished && !this.#endTold) {
      this.#endTold = true;
      this.#stream?.receiveEnd();
    }
  }

  #makeRoom(): void {
    const stream = this.#stream;
    if (!stream?.waits || this.#closed) return;
    // All that was written has been sent: our own buffer is what holds the writer back.
    if (this.sender.unsent === 0) {
      const { limits, sendBudget } = this.#host;
      const more = Math.min(this.#sendLimit, limits.maxSendBuffer - this.#sendLimit);
      this.#sendLimit += sendBudget.grow(more);
    }
    if (this.hasRoom) stream.onRoom();
  }

  #sendData(): void {
    const { sender } = this;
    for (let bytes = sender.next(); bytes >= 0; bytes = sender.next()) {
      this.#output.data(bytes, this.#unread);
      sender.sent(bytes, this.#host.time);
      if (!sender.fin || sender.again) continue;
      if (this.state === State.established) this.state = State.finWait1;
      else if (this.state === State.closeWait) this.state = State.lastAck;
    }
  }

  // --- Time ---

  #nextDue(): number {
    const { retransmitAt, persistAt } = this.sender;
    return Math.min(retransmitAt, persistAt, this.#output.ackAt, this.#keepaliveAt, this.#endsAt);
  }

  get #keepaliveAt(): number {
    const { keepalive, keepaliveInterval } = this.#host.limits;
    if (keepalive === 0 || !this.sender.idle || this.#leftAt !== Infinity) return Infinity;
    return this.#lastHeard + keepalive + this.#keepaliveProbes * keepaliveInterval;
  }

  /** When the connection ends if nothing more happens. */
  get #endsAt(): number {
    const { limits } = this.#host;
    if (this.state === State.timeWait) return this.#leftAt + limits.timeWait;
    if (this.#leftAt !== Infinity) return this.#leftAt + limits.linger;
    if (this.receiver.finished || this.sender.finQueued) return this.#lastCarried + limits.halfClosed;
    return limits.idle > 0 ? this.#lastCarried + limits.idle : Infinity;
  }

  override expire(now: number): void {
    const { sender } = this;
    const { limits } = this.#host;
    this.#want();
    if (this.#endsAt <= now) {
      if (this.state === State.timeWait) this.#close();
      else this.#timedOut();
    } else if (sender.retransmitAt <= now || sender.persistAt <= now) {
      if (now - sender.unansweredSince >= limits.unanswered) this.#timedOut();
      else this.#remind(now);
    } else if (this.#keepaliveAt <= now) {
      if (this.#keepaliveProbes++ >= limits.keepaliveProbes) this.#timedOut();
      else this.#probeWanted = true;
    }
    if (this.#output.ackAt <= now) this.#output.ackNow = true;
  }

  #remind(now: number): void {
    const { sender } = this;
    if (this.state === State.synReceived) {
      if (++this.#synAcks >= this.#host.limits.synAcks) this.#timedOut();
      sender.roundTrip.backoff++;
      this.#synAckWanted = true;
    } else if (sender.retransmitAt <= now) {
      sender.onTimeout(now);
      // The peer has taken its window back; nothing may go out again until it says otherwise.
      if (sender.wnd === 0) this.#probeWanted = true;
    } else {
      this.#probeWanted = sender.onPersist(now);
    }
  }

  // --- The end ---

  #timedOut(): void {
    this.#host.counters.timeouts++;
    this.#resetWanted = true;
    this.#want();
    this.#stream?.destroy(failure("ETIMEDOUT", "the application did not answer in time"));
  }

  #fail(error: Error): void {
    const stream = this.#stream;
    this.#close();
    stream?.destroy(error);
  }

  /** Ends the connection without a word to the application's system. */
  abandon(error: Error): void {
    this.#fail(error);
  }

  /** Ends the connection, and tells the application's system by a RST. */
  reset(error: Error): void {
    if (this.state !== State.timeWait && this.state !== State.closed) this.#output.reset();
    this.#fail(error);
  }

  #enterTimeWait(): void {
    this.state = State.timeWait;
    this.#leftAt = this.#host.time;
    this.sender.clear();
    this.receiver.clear();
    this.#giveBackSendBuffer();
    this.#host.enteredTimeWait(this);
  }

  #close(): void {
    if (this.state === State.closed) return;
    this.state = State.closed;
    this.sender.clear();
    this.receiver.clear();
    this.#giveBackSendBuffer();
    this.#host.timers.cancel(this);
    this.#host.closed(this);
  }

  #giveBackSendBuffer(): void {
    this.#host.sendBudget.giveBack(this.#sendLimit - this.#firstSendLimit);
    this.#sendLimit = this.#firstSendLimit;
  }

  /**
   * Whether a SYN for this four-tuple, which is in TIME-WAIT, begins a new connection (RFC 6191 §2, RFC 9293 §3.6.1): by its
   * timestamp where both connections have them, else by its sequence number.
   */
  mayBeReplacedBy(segment: Segment): boolean {
    if (this.state !== State.timeWait) return false;
    if (this.#output.timestamps && segment.hasTimestamps && segment.tsValue !== this.#output.tsRecent) {
      return before(this.#output.tsRecent, segment.tsValue);
    }
    return before(this.receiver.nxt, segment.seq);
  }
}

function failure(code: "ECONNRESET" | "ETIMEDOUT", message: string): Error {
  return Object.assign(new Error(message), { code });
}
