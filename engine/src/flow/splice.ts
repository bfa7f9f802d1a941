import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { DialError } from "../errors.ts";
import { keeper } from "../keeper.ts";
import { TAKES_CHUNKS, writeAndRelease } from "../release.ts";

/**
 * Carries bytes between an application and its upstream until both directions have ended.
 *
 * An end in one direction is passed on and leaves the other open. An error, or a stream that closes before its end, cuts
 * both; a TCP socket is then reset, so that nobody takes a cut for the end of the data. A side that does not drain pauses
 * the other. The listeners are shared functions that find their state on the stream, so a flow costs no closures.
 */
export class Splice {
  readonly #up: Leg;
  readonly #down: Leg;
  readonly #onDone: (error: Error | undefined) => void;
  #openStreams = 2;
  #error: Error | undefined;

  /** @param onDone called once, when both streams are closed; with the error that cut them, if one did. */
  constructor(application: Duplex, upstream: Duplex, onDone: (error: Error | undefined) => void) {
    this.#onDone = onDone;
    this.#up = new Leg(this, application, upstream);
    this.#down = new Leg(this, upstream, application);
    attach(application as Spliced, this.#up);
    attach(upstream as Spliced, this.#down);
  }

  /** Bytes from the application. */
  get bytesUp(): number {
    return this.#up.bytes;
  }

  /** Bytes to the application. */
  get bytesDown(): number {
    return this.#down.bytes;
  }

  /** True while one direction has ended and the other has not. */
  get halfClosed(): boolean {
    return this.#up.ended !== this.#down.ended;
  }

  /** Cuts both directions. */
  abort(error: Error): void {
    if (this.#openStreams === 0) return;
    this.#error ??= error;
    cut(this.#up.from, error);
    cut(this.#down.from, error);
  }

  /** @internal A stream closed; `leg` is the one that reads from it. */
  closed(leg: Leg): void {
    this.#openStreams--;
    const opposite = leg === this.#up ? this.#down : this.#up;
    const cutShort = !leg.ended || !opposite.ended;
    if (cutShort && this.#openStreams > 0) {
      this.abort(this.#error ?? new DialError("closed", "the connection closed before its end"));
    }
    if (this.#openStreams === 0) this.#onDone(this.#error);
  }

  /** @internal */
  opposite(leg: Leg): Leg {
    return leg === this.#up ? this.#down : this.#up;
  }
}

/** One direction: reads `from`, writes `to`. */
class Leg {
  readonly splice: Splice;
  readonly from: Duplex;
  readonly to: Duplex;
  /** What it reads is new memory of its own; another stream may pass on what somebody else still holds. */
  readonly ownsChunks: boolean;
  bytes = 0;
  ended = false;

  constructor(splice: Splice, from: Duplex, to: Duplex) {
    this.splice = splice;
    this.from = from;
    this.to = to;
    this.ownsChunks = from instanceof Socket || TAKES_CHUNKS in from;
  }
}

interface Spliced extends Duplex {
  [keeper]: Leg;
}

function attach(stream: Spliced, reading: Leg): void {
  stream[keeper] = reading;
  stream.on("error", onError);
  stream.on("close", onClose);
  stream.on("end", onEnd);
  stream.on("drain", onDrain);
  stream.on("data", onData);
  // 'data' alone does not restart a stream that was paused on purpose.
  stream.resume();
  // What happened before we listened is told to nobody any more.
  if (stream.readableEnded) queueMicrotask(onEnd.bind(stream));
  if (stream.closed) queueMicrotask(onClose.bind(stream));
}

function onData(this: Spliced, chunk: Buffer): void {
  const reading = this[keeper];
  reading.bytes += chunk.length;
  const more = reading.ownsChunks ? writeAndRelease(reading.to, chunk) : reading.to.write(chunk);
  if (!more) this.pause();
}

function onDrain(this: Spliced): void {
  const reading = this[keeper];
  reading.splice.opposite(reading).from.resume();
}

function onEnd(this: Spliced): void {
  const reading = this[keeper];
  reading.ended = true;
  endWriting(reading.to);
}

/** Passes an end on. Where the stream's own end has been read and nothing waits, closing the socket says the same, in one step. */
function endWriting(stream: Duplex): void {
  // Not one of its kin: TLS has a word to say at the end.
  const isPlainSocket: boolean = stream.constructor === Socket;
  if (isPlainSocket && stream.readableEnded && stream.writableLength === 0) stream.destroy();
  else stream.end();
}

function onError(this: Spliced, error: Error): void {
  this[keeper].splice.abort(error);
}

function onClose(this: Spliced): void {
  const reading = this[keeper];
  this.off("close", onClose);
  reading.splice.closed(reading);
}

/** Ends a stream so that its peer sees a failure: a reset where the transport has one. */
function cut(stream: Duplex, error: Error): void {
  if (stream.destroyed) return;
  if (stream instanceof Socket && !isEnding(stream)) stream.resetAndDestroy();
  else stream.destroy(error);
}

/**
 * True while a socket's end is on its way, and all that came before it with the kernel. libuv refuses a reset then, of which Node
 * takes no notice: the socket would stay open for good, with its descriptor, and never say 'close'. Its end is a true one.
 */
function isEnding({ writableEnded, writableFinished, writableLength }: Socket): boolean {
  return writableEnded && !writableFinished && writableLength === 0;
}
