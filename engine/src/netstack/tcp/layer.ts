import { Place, Row } from "@sockeye/wire/row";
import { hash as digestOf } from "node:crypto";
import type { Duplex } from "node:stream";
import { addBytes, finish } from "../ip/checksum.ts";
import { Checksum, type PacketWriter } from "../device.ts";
import type { Refusal, TcpAttempt } from "../handler.ts";
import { type IpPacket, Protocol } from "../ip/packet.ts";
import type { TimerQueue } from "../timers.ts";
import { Attempt, type AttemptHost } from "./attempt.ts";
import { type ConnectionHost, TcpConnection } from "./connection.ts";
import { Flow, FlowTable } from "./flow-table.ts";
import { Gather } from "./gather.ts";
import { defaultTcpLimits, type TcpCounters, type TcpLimits } from "./limits.ts";
import { SegmentOutput } from "./output.ts";
import { BufferBudget } from "./buffer-budget.ts";
import { Flag, Segment } from "./segment.ts";
import { before, read32 } from "./sequence.ts";

export interface TcpLayerOptions {
  readonly writer: PacketWriter & { readonly mtu: number; readonly segmentation: boolean };
  /** Whoever owns it calls run() and then endBurst(). */
  readonly timers: TimerQueue;
  /** Milliseconds that never go back: the clock by which `timers` is run. */
  readonly now: () => number;
  /** At least 16 random bytes, which nobody else knows (RFC 6528 §3). */
  readonly secret: Uint8Array;
  /** A new SYN. Called from within arrive(). */
  readonly onAttempt: (attempt: TcpAttempt) => void;
  /** Something outside of a burst, as a write to a stream, wants to send: call endBurst() and writer.flush() soon. Called once until then. */
  readonly wake: () => void;
  /** Sends the ICMP error for a SYN; `syn` is its packet from the IP header on, cut short. Absent: such SYNs get a RST. */
  readonly refuseUnreachable?: ((syn: Buffer, why: Exclude<Refusal, "refused">) => void) | undefined;
  readonly limits?: Partial<TcpLimits>;
}

/**
 * All TCP of the stack. What the stack below must give:
 *
 * - arrive() for each TCP packet of a burst, then endBurst() once, then writer.flush(). Everything with a payload is sent in
 *   endBurst(), so between it and the next arrive() there must be a flush(): an acknowledgement gives memory back
 *   that the device must not read any more.
 * - the packets' bytes stay as they are until endBurst(): payloads are copied only then.
 * - timers.run() when the queue's next() is due, and then endBurst() and flush().
 * - after wake(): endBurst() and flush(), from a microtask, say. It is never called within a burst.
 *
 * Streams hand out data, and attempts are announced, from within these calls.
 */
export class TcpLayer implements ConnectionHost, AttemptHost {
  limits: TcpLimits;
  readonly timers: TimerQueue;
  readonly output: SegmentOutput;
  readonly gather = new Gather();
  readonly budget: BufferBudget;
  readonly sendBudget: BufferBudget;
  readonly counters: TcpCounters = {
    segmentsIn: 0,
    segmentsOut: 0,
    bad: 0,
    attemptsDropped: 0,
    retransmissions: 0,
    resetsSent: 0,
    resetsReceived: 0,
    timeouts: 0,
  };
  readonly mtu: number;
  readonly segmentation: boolean;
  time: number;
  readonly #options: TcpLayerOptions;
  readonly #flows: FlowTable;
  readonly #segment = new Segment();
  readonly #timestampOffset: number;
  /** What an initial sequence number is made from. */
  readonly #secretAndHead: Buffer;
  // A list through the connections, so that a burst allocates nothing.
  #firstWanting: TcpConnection | undefined;
  #lastWanting: TcpConnection | undefined;
  #inBurst = false;
  #awake = false;
  /** Attempts, and connections whose SYN-ACK has not been acknowledged, in all and by source. */
  #halfOpen = 0;
  readonly #halfOpenBySource = new Map<string, number>();
  /** The latter. */
  #handshakes = 0;
  readonly #timeWaits = new Row<TcpConnection>();
  #resetsLeft: number;
  #resetsAt: number;

  constructor(options: TcpLayerOptions) {
    this.#options = options;
    this.limits = { ...defaultTcpLimits, ...options.limits };
    this.timers = options.timers;
    this.output = new SegmentOutput(options.writer, this.counters);
    this.budget = new BufferBudget(this.limits.receiveBudget);
    this.sendBudget = new BufferBudget(this.limits.sendBudget);
    this.mtu = options.writer.mtu;
    this.segmentation = options.writer.segmentation;
    this.time = options.now();
    const seeds = digestOf("sha256", Buffer.concat([options.secret, Buffer.from("seeds")]), "buffer");
    this.#secretAndHead = Buffer.concat([options.secret, Buffer.alloc(MAX_HEAD_BYTES)]);
    this.#flows = new FlowTable(read32(seeds, 0));
    this.#timestampOffset = read32(seeds, 4);
    this.#resetsLeft = this.limits.resetsPerSecond;
    this.#resetsAt = this.time;
  }

  /** Changes some of the limits, for what comes from now on; but for the budgets, which stay. */
  setLimits(limits: Partial<TcpLimits>): void {
    this.limits = { ...this.limits, ...limits };
  }

  /** Attempts and connections, those in TIME-WAIT included. */
  get size(): number {
    return this.#flows.size;
  }

  /** SYNs that wait for their answer. */
  get attempts(): number {
    return this.#halfOpen - this.#handshakes;
  }

  /** SYNs that wait for their answer, and SYN-ACKs that wait for theirs. */
  get halfOpen(): number {
    return this.#halfOpen;
  }

  /** The connection behind a stream that accept() returned, while it lives. */
  connectionOf(stream: Duplex): TcpConnection | undefined {
    for (const flow of this.#flows) if (flow instanceof TcpConnection && flow.stream === stream) return flow;
    return undefined;
  }

  get timestamp(): number {
    return (Math.floor(this.time) + this.#timestampOffset) | 0;
  }

  // --- From the device ---

  /** A TCP packet whose IP header has been read, and that is no fragment. */
  arrive(packet: IpPacket): void {
    if (!this.#inBurst) this.#beginBurst();
    const segment = this.#segment;
    this.counters.segmentsIn++;
    if (!this.#isWhole(packet) || !segment.read(packet)) {
      this.counters.bad++;
      return;
    }
    if (segment.flags & Flag.rst) this.counters.resetsReceived++;
    const hash = this.#flows.hash(packet);
    const flow = this.#flows.find(packet, hash);
    if (flow instanceof TcpConnection) this.#toConnection(flow, segment, packet);
    else if (flow instanceof Attempt) this.#toAttempt(flow, segment, packet);
    else this.#toNobody(hash, segment, packet);
  }

  /** The burst is over, or timers have run, or wake() was called: hands over what came and sends. The caller then flushes. */
  endBurst(): void {
    this.#inBurst = true;
    this.time = this.#options.now();
    // The queue grows meanwhile: what is handed over may want to send in turn.
    let connection = this.#firstWanting;
    while (connection !== undefined) {
      connection.service();
      const next: TcpConnection | undefined = connection.nextWanting;
      connection.nextWanting = undefined;
      connection.wanted = false;
      connection = next;
    }
    this.#firstWanting = undefined;
    this.#lastWanting = undefined;
    this.gather.clear();
    this.#inBurst = false;
    this.#awake = false;
  }

  /** Ends everything at once: streams in an error, and the applications' system hears a RST of each, for the caller to flush. */
  reset(): void {
    const error = Object.assign(new Error("the network device was closed"), { code: "ENETDOWN" });
    for (const flow of [...this.#flows]) {
      if (flow instanceof TcpConnection) {
        flow.reset(error);
      } else if (flow instanceof Attempt && flow.waiting) {
        this.#refuseSyn(flow);
        flow.cancel();
      }
    }
    this.endBurst();
  }

  #beginBurst(): void {
    this.#inBurst = true;
    this.time = this.#options.now();
  }

  #isWhole(packet: IpPacket): boolean {
    if (packet.checksum !== Checksum.unknown) return packet.checksum === Checksum.good;
    const { bytes, addressesAt, addressBytes, transportAt, end } = packet;
    const length = end - transportAt;
    const addresses = addBytes(Protocol.tcp + length, bytes, addressesAt, addressesAt + 2 * addressBytes);
    return finish(addBytes(addresses, bytes, transportAt, end)) === 0;
  }

  #toConnection(connection: TcpConnection, segment: Segment, packet: IpPacket): void {
    if (isSyn(segment) && connection.mayBeReplacedBy(segment)) {
      const after = connection.sender.nxt;
      connection.expire(Infinity);
      this.#onSyn(connection.hash, segment, packet, after);
    } else {
      connection.arrive(segment);
    }
  }

  #toAttempt(attempt: Attempt, segment: Segment, packet: IpPacket): void {
    if (segment.flags & Flag.rst) {
      if (attempt.isReset(segment)) attempt.cancel();
    } else if (!isSyn(segment)) {
      this.#resetUnknown(segment, packet);
    } else if (segment.seq === attempt.seq) {
      attempt.repeated(segment);
    } else {
      // The application gave up in silence, and its system took the port for another connection.
      attempt.cancel();
      this.#onSyn(attempt.hash, segment, packet, undefined);
    }
  }

  /** RFC 9293 §3.10.7.1 and §3.10.7.2. */
  #toNobody(hash: number, segment: Segment, packet: IpPacket): void {
    if (segment.flags & Flag.rst) return;
    if (isSyn(segment)) this.#onSyn(hash, segment, packet, undefined);
    else this.#resetUnknown(segment, packet);
  }

  #resetUnknown(segment: Segment, packet: IpPacket): void {
    if (!this.#mayReset()) return;
    const flow = new Stranger({ packet, hash: 0 });
    if (segment.flags & Flag.ack) this.#sendReset(flow, segment.ack, 0, Flag.rst);
    else this.#sendReset(flow, 0, (segment.seq + segment.length) | 0, Flag.rst | Flag.ack);
  }

  #mayReset(): boolean {
    const { resetsPerSecond } = this.limits;
    const earned = ((this.time - this.#resetsAt) * resetsPerSecond) / 1000;
    this.#resetsLeft = Math.min(resetsPerSecond, this.#resetsLeft + earned);
    this.#resetsAt = this.time;
    if (this.#resetsLeft < 1) return false;
    this.#resetsLeft--;
    return true;
  }

  #sendReset(flow: Flow, seq: number, ack: number, flags: number): void {
    this.output.begin(flow);
    this.output.header(seq, ack, flags, 0);
    this.output.end(0, 0, 0);
    this.counters.resetsSent++;
    this.#wake();
  }

  // --- Attempts ---

  #onSyn(hash: number, segment: Segment, packet: IpPacket, after: number | undefined): void {
    if (this.#flows.size - this.#timeWaits.size >= this.limits.connections) {
      this.counters.attemptsDropped++;
      this.#resetUnknown(segment, packet);
      return;
    }
    if (this.#halfOpen >= this.limits.attempts) {
      this.counters.attemptsDropped++;
      return;
    }
    const attempt = new Attempt(this, { packet, hash }, segment, after);
    const { host } = attempt.source;
    const ofSource = this.#halfOpenBySource.get(host) ?? 0;
    if (ofSource >= this.limits.attemptsPerSource) {
      this.timers.cancel(attempt);
      this.counters.attemptsDropped++;
      return;
    }
    this.#halfOpen++;
    this.#halfOpenBySource.set(host, ofSource + 1);
    this.#flows.add(attempt);
    this.#options.onAttempt(attempt);
  }

  accept(attempt: Attempt): Duplex {
    const waiting = attempt.waiting;
    const connection = new TcpConnection(this, attempt, attempt, this.#initialSequence(attempt));
    const stream = connection.stream!;
    if (waiting) {
      this.timers.cancel(attempt);
      this.#flows.remove(attempt);
      attempt.answered();
      connection.halfOpenOf = attempt.source.host;
      this.#handshakes++;
      this.#flows.add(connection);
      this.#list(connection);
    } else {
      connection.abandon(Object.assign(new Error("the application gave up"), { code: "ECONNRESET" }));
    }
    return stream;
  }

  refuse(attempt: Attempt, why: Refusal): void {
    this.#forget(attempt);
    attempt.answered();
    const unreachable = this.#options.refuseUnreachable;
    if (why === "refused" || !unreachable) {
      this.#refuseSyn(attempt);
    } else {
      unreachable(attempt.packet, why);
      this.#wake();
    }
  }

  #refuseSyn(attempt: Attempt): void {
    this.#sendReset(attempt, 0, (attempt.seq + 1) | 0, Flag.rst | Flag.ack);
  }

  gaveUp(attempt: Attempt): void {
    this.#forget(attempt);
  }

  silentAt(since: number, heard: number): number {
    return heard + this.limits.attemptSilence + 2.5 * (heard - since);
  }

  watch(attempt: Attempt, due: number): void {
    this.timers.arm(attempt, due);
  }

  #forget(attempt: Attempt): void {
    this.timers.cancel(attempt);
    if (this.#flows.remove(attempt)) this.#release(attempt.source.host);
  }

  #release(host: string): void {
    this.#halfOpen--;
    const left = this.#halfOpenBySource.get(host)! - 1;
    if (left === 0) this.#halfOpenBySource.delete(host);
    else this.#halfOpenBySource.set(host, left);
  }

  /** RFC 6528 §3: a clock of 4 µs, plus a secret function of the four-tuple. */
  #initialSequence(attempt: Attempt): number {
    this.time = this.#options.now();
    const { head } = attempt;
    const secretBytes = this.#options.secret.length;
    this.#secretAndHead.set(head, secretBytes);
    const digest = digestOf("sha256", this.#secretAndHead.subarray(0, secretBytes + head.length), "buffer");
    const iss = (read32(digest, 0) + Math.floor(this.time * 250)) | 0;
    const { after } = attempt;
    return after !== undefined && before(iss, after) ? (after + AFTER_REUSE) | 0 : iss;
  }

  // --- For the connections ---

  want(connection: TcpConnection): void {
    connection.wanted = true;
    this.#list(connection);
  }

  #list(connection: TcpConnection): void {
    if (this.#lastWanting) this.#lastWanting.nextWanting = connection;
    else this.#firstWanting = connection;
    this.#lastWanting = connection;
    this.#wake();
  }

  #wake(): void {
    if (this.#inBurst || this.#awake) return;
    this.#awake = true;
    this.#options.wake();
  }

  established(connection: TcpConnection): void {
    const source = connection.halfOpenOf;
    if (source === undefined) return;
    connection.halfOpenOf = undefined;
    this.#handshakes--;
    this.#release(source);
  }

  enteredTimeWait(connection: TcpConnection): void {
    if (connection.timeWait) this.#timeWaits.leave(connection.timeWait);
    connection.timeWait = this.#timeWaits.enter(new Place(connection));
    if (this.#timeWaits.size <= this.limits.timeWaits) return;
    this.#timeWaits.first?.item.expire(Infinity);
  }

  closed(connection: TcpConnection): void {
    this.#flows.remove(connection);
    this.established(connection);
    if (connection.timeWait) this.#timeWaits.leave(connection.timeWait);
  }
}

/** A four-tuple that belongs to nobody. */
class Stranger extends Flow {
  override expire(): void {}
}

/** The longest head of a flow: IPv6 and the ports. */
const MAX_HEAD_BYTES = 44;

/** How far beyond the old connection's last number a new one begins. */
const AFTER_REUSE = 128_000;

function isSyn(segment: Segment): boolean {
  return (segment.flags & (Flag.syn | Flag.ack)) === Flag.syn;
}
