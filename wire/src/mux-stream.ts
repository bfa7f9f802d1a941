import { givePart, letGo } from "./given-memory.ts";
import type { FrameBatch } from "./frame-batch.ts";
import { frame, FrameType, MuxError, numberFrame, RESET_REASONS, type ResetReason } from "./mux-frames.ts";

/** Who reads from a stream. Nothing here may throw. */
export interface StreamReceiver {
  /** Bytes that came. Each byte is to be told to `consumed` once it has been passed on; the chunk may be given. */
  data(chunk: Buffer): void;
  /** The peer sends no more; this direction only. */
  end(): void;
  /** The stream was cut: nothing more comes, and nothing more can be sent. */
  reset(reason: ResetReason): void;
  /** After a `write` that returned false: there is room again. */
  drain(): void;
}

/** One end of a stream between relay and client, whatever carries it. */
export interface TunnelStream {
  receiver: StreamReceiver;
  /** A chunk that is given is let go when it has been sent. @returns false where the writer should wait for `drain`. On a stream that has ended or was cut it does nothing. */
  write(chunk: Buffer): boolean;
  /** No more will be written. */
  end(): void;
  /** Cuts both directions; the receiver hears nothing more. */
  reset(reason: ResetReason): void;
  /** So many of the bytes that came have been passed on: the peer may send as many again. */
  consumed(bytes: number): void;
  /** For whoever opened it: true until the peer shows that it has taken the stream up. Absent where it is taken up from the start. */
  readonly untaken?: boolean;
  /** Called once when the stream is taken up, or ends before. */
  onTaken?: (() => void) | undefined;
  /** For whom it was opened to: tells the peer that it is taken up, though there is nothing to send yet. */
  takeUp?(): void;
}

/** What a stream needs of its connection. */
export interface StreamEnds {
  ready(stream: MuxStream): void;
  urgent(bytes: Buffer): void;
  forget(stream: MuxStream): void;
  grow(stream: MuxStream, by: number): boolean;
  shrink(by: number): void;
  now(): number;
}

export interface StreamLimits {
  readonly firstWindow: number;
  readonly largestWindow: number;
}

/** Bytes that wait for the peer's window, after which `write` asks the writer to wait. */
const ENOUGH_WAITING = 65_536;
/**
 * The same where the window has room for it, so that a reader need not stop and start for each chunk. Windows beyond the first come
 * out of the peer's budget, so there are not many of these.
 */
const ENOUGH_FLOWING = 262_144;

/**
 * A window that can't grow is told back in so many parts, for what was consumed and not yet told is missing on the way. One that
 * can is told in halves, by which it learns whether it is what limits the sender.
 */
const PARTS_OF_LARGEST = 8;

const NOBODY: StreamReceiver = { data: () => {}, end: () => {}, reset: () => {}, drain: () => {} };

/** One stream of a `Mux`. */
export class MuxStream implements TunnelStream {
  readonly id: number;
  receiver: StreamReceiver = NOBODY;
  /** When the peer was last allowed to send more. */
  creditedAt: number;
  /** True while the stream stands among those whose turn comes. */
  hasTurn = false;
  onTaken: (() => void) | undefined;
  #untaken = true;
  readonly #ends: StreamEnds;
  readonly #limits: StreamLimits;
  /** What the peer lets us send. */
  #credit: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #wantsDrain = false;
  #ending: "open" | "asked" | "sent" = "open";
  #remoteEnded = false;
  #closed = false;
  #window: number;
  /** Received, and not yet consumed. */
  #unread = 0;
  /** Consumed, and not yet told to the peer. */
  #owed = 0;

  constructor(id: number, ends: StreamEnds, limits: StreamLimits) {
    this.id = id;
    this.#ends = ends;
    this.#limits = limits;
    this.#credit = limits.firstWindow;
    this.#window = limits.firstWindow;
    this.creditedAt = ends.now();
  }

  write(chunk: Buffer): boolean {
    if (this.#closed || this.#ending !== "open" || chunk.length === 0) return true;
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    this.#askForTurn();
    if (this.#waitingBytes < ENOUGH_WAITING) return true;
    if (this.#waitingBytes < ENOUGH_FLOWING && this.#waitingBytes < this.#credit) return true;
    this.#wantsDrain = true;
    return false;
  }

  end(): void {
    if (this.#closed || this.#ending !== "open") return;
    this.#ending = "asked";
    this.#askForTurn();
  }

  reset(reason: ResetReason): void {
    if (this.#closed) return;
    this.#forget();
    this.#ends.urgent(frame(FrameType.reset, this.id, Buffer.of(RESET_REASONS.indexOf(reason))));
  }

  get untaken(): boolean {
    return this.#untaken;
  }

  /** Room for 0 bytes more: it says nothing but that somebody is there. */
  takeUp(): void {
    if (!this.#closed) this.#ends.urgent(numberFrame(FrameType.window, this.id, 0));
  }

  consumed(bytes: number): void {
    if (this.#closed || this.#remoteEnded) return;
    this.#unread -= bytes;
    this.#owed += bytes;
    const mayGrow = this.#window * 2 <= this.#limits.largestWindow;
    if (this.#owed < this.#window / (mayGrow ? 2 : PARTS_OF_LARGEST)) return;
    let credit = this.#owed;
    if (mayGrow && this.#ends.grow(this, this.#window)) {
      credit += this.#window;
      this.#window *= 2;
    }
    this.#owed = 0;
    this.creditedAt = this.#ends.now();
    this.#ends.urgent(numberFrame(FrameType.window, this.id, credit));
  }

  /** @internal Adds what may be sent now. @returns its bytes. */
  takeTurn(batch: FrameBatch, maxBytes: number): number {
    this.hasTurn = false;
    if (this.#closed) return 0;
    let taken = 0;
    let used = 0;
    while (used < this.#waiting.length && this.#credit > 0 && taken < maxBytes) {
      const chunk = this.#waiting[used]!;
      const length = Math.min(chunk.length, this.#credit, maxBytes - taken);
      batch.header(FrameType.data, this.id, length);
      if (length === chunk.length) {
        batch.add(chunk);
        used++;
      } else {
        const first = chunk.subarray(0, length);
        const rest = chunk.subarray(length);
        givePart(chunk, first);
        givePart(chunk, rest);
        letGo(chunk);
        batch.add(first);
        this.#waiting[used] = rest;
      }
      this.#credit -= length;
      taken += length;
    }
    if (used > 0) this.#waiting = used === this.#waiting.length ? [] : this.#waiting.slice(used);
    this.#waitingBytes -= taken;
    if (this.#waitingBytes === 0 && this.#ending === "asked") {
      this.#ending = "sent";
      batch.header(FrameType.end, this.id, 0);
      if (this.#remoteEnded) this.#forget();
    } else if (this.#waitingBytes > 0 && this.#credit > 0) {
      this.hasTurn = true;
    }
    return taken;
  }

  /** @internal After a turn: whoever waited for room may write again. */
  tellRoom(): void {
    if (this.#closed || !this.#wantsDrain || this.#waitingBytes >= ENOUGH_WAITING / 2) return;
    this.#wantsDrain = false;
    this.receiver.drain();
  }

  /** @internal @throws {MuxError} more than the window allows. */
  onData(bytes: Buffer): void {
    if (this.#remoteEnded) throw new MuxError("protocol", `data after the end of stream ${this.id}`);
    this.#unread += bytes.length;
    if (this.#unread + this.#owed > this.#window)
      throw new MuxError("protocol", `stream ${this.id} was sent more than its window`);
    this.#taken();
    this.receiver.data(bytes);
  }

  /** @internal */
  onEnd(): void {
    if (this.#remoteEnded) throw new MuxError("protocol", `stream ${this.id} ended twice`);
    this.#remoteEnded = true;
    this.#taken();
    if (this.#ending === "sent") this.#forget();
    this.receiver.end();
  }

  /** @internal */
  onReset(reason: number): void {
    this.#forget();
    this.receiver.reset(RESET_REASONS[reason] ?? "closed");
  }

  /** @internal @throws {MuxError} */
  onCredit(bytes: number): void {
    this.#credit += bytes;
    if (this.#credit > 2 ** 40)
      throw new MuxError("protocol", `the window of stream ${this.id} is too large`);
    this.#taken();
    if (this.#waiting.length > 0) this.#askForTurn();
  }

  /** @internal */
  connectionLost(): void {
    this.#forget();
    this.receiver.reset("lost");
  }

  #taken(): void {
    if (!this.#untaken) return;
    this.#untaken = false;
    const tell = this.onTaken;
    this.onTaken = undefined;
    tell?.();
  }

  #askForTurn(): void {
    if (this.hasTurn) return;
    const onlyEnds = this.#waitingBytes === 0 && this.#ending === "asked";
    if (this.#credit === 0 && !onlyEnds) return;
    this.hasTurn = true;
    this.#ends.ready(this);
  }

  #forget(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#taken();
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (this.#window > this.#limits.firstWindow) this.#ends.shrink(this.#window - this.#limits.firstWindow);
    this.#ends.forget(this);
  }
}
