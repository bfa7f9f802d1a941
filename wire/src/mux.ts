import { Numbered } from "./numbered.ts";
import { FrameBatch } from "./frame-batch.ts";
import {
  MuxError,
  type Frame,
  FrameReader,
  FrameType,
  MAX_CONTROL_BYTES,
  frame,
  numberFrame,
} from "./mux-frames.ts";
import { MuxStream, type StreamEnds, type StreamLimits, type StreamReceiver } from "./mux-stream.ts";

/**
 * Many streams over one connection between the relay and a client, without I/O: bytes and calls in, bytes and calls out.
 *
 * The relay opens streams, the client takes them. Each direction of a stream has a window of its own, so a reader that
 * stands still holds up nobody else; the streams that have something to send take turns. There is no window for the
 * connection as a whole, which slow readers could use up together: what one connection may make us hold is bounded by the
 * number of streams times the first window, and by the budget from which windows grow.
 */

export interface MuxHandler {
  /** There is something to send: `take` it soon. Called once until everything was taken. */
  wake(): void;
  /** The peer opened a stream. @returns who reads from it. */
  opened(stream: MuxStream, header: Buffer): StreamReceiver;
  /** A control message, at most 64 KB. */
  control(message: Buffer): void;
  /** The peer has seen our ping: `roundTripMs` is how long both ways took. */
  pong(roundTripMs: number): void;
}

export interface MuxOptions {
  readonly role: "relay" | "client";
  readonly handler: MuxHandler;
  readonly limits?: Partial<MuxLimits>;
  /** Where windows that grow take their bytes from; may be shared by many connections. */
  readonly budget: WindowBudget;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
}

export interface MuxLimits {
  readonly maxStreams: number;
  /** Bytes that a stream may receive before its reader has taken any. */
  readonly firstWindow: number;
  /** 16 MB carry 1 Gbit/s over a round trip of 130 ms. */
  readonly largestWindow: number;
  /** Answers that wait for a peer who does not read. */
  readonly maxWaitingControl: number;
}

export const MUX_LIMITS: MuxLimits = {
  maxStreams: 16_384,
  firstWindow: 65_536,
  largestWindow: 16 * 1_048_576,
  maxWaitingControl: 4 * 1_048_576,
};

/** Bytes that windows may grow by, together. */
export class WindowBudget {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** @returns whether there was that much left. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#left += bytes;
  }
}

/** Bytes that a stream may send before the next one has its turn. */
const TURN_BYTES = 65_536;

export class Mux {
  readonly #role: "relay" | "client";
  readonly #handler: MuxHandler;
  readonly #limits: MuxLimits;
  readonly #budget: WindowBudget;
  readonly #now: () => number;
  readonly #reader: FrameReader;
  readonly #streams = new Numbered<MuxStream>();
  /** Whole frames that go before any data. */
  #urgent: Buffer[] = [];
  #urgentBytes = 0;
  /** Streams that have something to send, in the order of their turns. */
  #turns: MuxStream[] = [];
  #awake = false;
  #lastId = 0;
  #pingSentAt: number | undefined;
  #pings = 0;
  #closed = false;
  /** The least round trip seen, ms; 0 while none is known. */
  #roundTripMs = 0;
  readonly #ends: StreamEnds;
  readonly #streamLimits: StreamLimits;

  constructor(options: MuxOptions) {
    this.#role = options.role;
    this.#handler = options.handler;
    this.#limits = { ...MUX_LIMITS, ...options.limits };
    this.#budget = options.budget;
    this.#now = options.now;
    this.#reader = new FrameReader({
      data: (id, bytes) => this.#onData(id, bytes),
      frame: (received) => this.#onFrame(received),
    });
    this.#ends = {
      ready: (stream) => this.#ready(stream),
      urgent: (bytes) => this.#sendUrgent(bytes),
      forget: (stream) => this.#streams.delete(stream.id),
      grow: (stream, by) => this.#mayGrow(stream, by),
      shrink: (by) => this.#budget.giveBack(by),
      now: () => this.#now(),
    };
    this.#streamLimits = this.#limits;
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** False once nothing more can be opened: the connection has ended, or has as many streams as it may have. */
  get canOpen(): boolean {
    return !this.#closed && this.#streams.size < this.#limits.maxStreams;
  }

  /** Milliseconds; 0 while none is known. */
  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  /**
   * Opens a stream; what is written to it follows at once, without waiting for the peer.
   * @param header at most 512 bytes, for the peer's `opened`.
   */
  open(header: Buffer, receiver: StreamReceiver): MuxStream {
    if (!this.canOpen) throw new MuxError("limit", "no more streams can be opened on this connection");
    let id = this.#lastId;
    do id = id === 0xffffffff ? 1 : id + 1;
    while (this.#streams.has(id));
    this.#lastId = id;
    const stream = new MuxStream(id, this.#ends, this.#streamLimits);
    stream.receiver = receiver;
    this.#streams.add(id, stream);
    this.#sendUrgent(frame(FrameType.open, id, header));
    return stream;
  }

  /** Sends a control message, at most 64 KB. Messages arrive in order, ahead of data. */
  sendControl(message: Buffer): void {
    if (message.length > MAX_CONTROL_BYTES) throw new MuxError("limit", "the control message is too long");
    this.#sendUrgent(frame(FrameType.control, 0, message));
  }

  /** Asks for a sign of life, unless the last one asked for is still awaited. */
  ping(): void {
    if (this.#pingSentAt !== undefined) return;
    this.#pingSentAt = this.#now();
    this.#pings = (this.#pings + 1) >>> 0;
    this.#sendUrgent(numberFrame(FrameType.ping, 0, this.#pings));
  }

  /**
   * Takes what the peer sent.
   * @throws {MuxError} the peer breaks the protocol: end the connection.
   */
  receive(chunk: Buffer): void {
    if (this.#closed) return;
    this.#reader.push(chunk);
    if (this.#urgentBytes > this.#limits.maxWaitingControl)
      throw new MuxError("limit", "the peer asks for more than it reads");
  }

  /** @returns pieces to write, in order, `maxBytes` or a little more; none when there is nothing to send. */
  take(maxBytes: number): Buffer[] {
    const batch = new FrameBatch();
    for (const whole of this.#urgent) batch.add(whole);
    let bytes = this.#urgentBytes;
    this.#urgent = [];
    this.#urgentBytes = 0;
    let turn = 0;
    while (bytes < maxBytes && turn < this.#turns.length) {
      const stream = this.#turns[turn++]!;
      bytes += stream.takeTurn(batch, TURN_BYTES);
      if (stream.hasTurn) this.#turns.push(stream);
    }
    const served = this.#turns.splice(0, turn);
    this.#awake = this.#turns.length > 0;
    const pieces = batch.take();
    for (const stream of served) stream.tellRoom();
    return pieces;
  }

  /** The connection has ended: every stream is told so. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#turns = [];
    this.#urgent = [];
    for (const stream of this.#streams.all()) stream.connectionLost();
  }

  #ready(stream: MuxStream): void {
    if (this.#closed) return;
    this.#turns.push(stream);
    this.#wake();
  }

  #sendUrgent(bytes: Buffer): void {
    if (this.#closed) return;
    this.#urgent.push(bytes);
    this.#urgentBytes += bytes.length;
    this.#wake();
  }

  #wake(): void {
    if (this.#awake) return;
    this.#awake = true;
    this.#handler.wake();
  }

  /** A window grows where half of it was used up within two round trips, for then it is what limits the sender. */
  #mayGrow(stream: MuxStream, by: number): boolean {
    const halfTook = this.#now() - stream.creditedAt;
    return this.#roundTripMs > 0 && halfTook <= 2 * this.#roundTripMs && this.#budget.take(by);
  }

  #onData(id: number, bytes: Buffer): void {
    this.#streams.get(id)?.onData(bytes);
  }

  #onFrame(received: Frame): void {
    switch (received.type) {
      case FrameType.open: {
        this.#onOpen(received);
        return;
      }
      case FrameType.end:
        this.#streams.get(received.id)?.onEnd();
        return;
      case FrameType.reset:
        this.#streams.get(received.id)?.onReset(received.payload[0] ?? 0);
        return;
      case FrameType.window:
        this.#streams.get(received.id)?.onCredit(received.payload.readUInt32BE(0));
        return;
      case FrameType.ping:
        this.#sendUrgent(frame(FrameType.pong, 0, received.payload));
        return;
      case FrameType.pong: {
        this.#onPong(received.payload.readUInt32BE(0));
        return;
      }
      case FrameType.control:
        this.#handler.control(received.payload);
        return;
      case FrameType.data:
        throw new MuxError("protocol", "data is not a whole frame");
    }
  }

  #onOpen(received: Frame): void {
    if (this.#role === "relay") throw new MuxError("protocol", "only the relay opens streams");
    if (received.id === 0 || this.#streams.has(received.id))
      throw new MuxError("protocol", `stream ${received.id} is opened a second time`);
    const stream = new MuxStream(received.id, this.#ends, this.#streamLimits);
    this.#streams.add(received.id, stream);
    if (this.#streams.size > this.#limits.maxStreams) {
      stream.reset("overload");
      return;
    }
    stream.receiver = this.#handler.opened(stream, received.payload);
  }

  #onPong(number: number): void {
    if (this.#pingSentAt === undefined || number !== this.#pings) return;
    const roundTripMs = Math.max(0.01, this.#now() - this.#pingSentAt);
    this.#pingSentAt = undefined;
    this.#roundTripMs = this.#roundTripMs === 0 ? roundTripMs : Math.min(this.#roundTripMs, roundTripMs);
    this.#handler.pong(roundTripMs);
  }
}
