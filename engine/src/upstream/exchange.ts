import type { Duplex } from "node:stream";
import type { CancelSignal } from "../cancel.ts";
import { abortReason, DialError, type DialStep } from "../errors.ts";
import { keeper } from "../keeper.ts";
import { ignoreError } from "./egress.ts";

/** One side of a handshake without I/O: it takes the peer's bytes and says what to do. */
export interface Conversation<Result> {
  /** Written at the start, in one piece. */
  readonly opening: Buffer;
  /**
   * @returns undefined to wait for more bytes, bytes to send, or the result with the bytes that came after it.
   * @throws when the peer breaks the protocol or says no; it becomes the exchange's error as it is.
   */
  push(chunk: Buffer): ExchangeStep<Result>;
}

export type ExchangeStep<Result> =
  undefined | { readonly send: Buffer } | { readonly result: Result; readonly rest: Buffer };

/** The connection ended before the peer answered a single byte: a connection that had been dead before it was used. */
export class NoAnswerError extends DialError {}

/**
 * Holds a conversation on a stream. Afterwards the stream is paused, the bytes that came too early are put back, and every
 * listener of the exchange is gone. When it fails the stream is destroyed.
 * @throws {DialError} `closed` (as NoAnswerError where no byte came), the signal's reason, or what the conversation throws.
 */
export function exchange<Result>(
  stream: Duplex,
  conversation: Conversation<Result>,
  options: { readonly signal: CancelSignal; readonly step: DialStep },
): Promise<Result> {
  const { promise, resolve, reject } = Promise.withResolvers<Result>();
  const { signal, step } = options;
  if (signal.aborted) {
    stream.destroy();
    reject(abortReason(signal));
  } else if (stream.destroyed) {
    // What ended it may not have been told yet.
    if (stream.listenerCount("error") === 0) stream.on("error", ignoreError);
    reject(lostError(step, false));
  } else {
    new Exchange<Result>({ stream, conversation, signal, step, resolve, reject }).begin();
  }
  return promise;
}

interface ExchangeParts<Result> {
  readonly stream: Duplex;
  readonly conversation: Conversation<Result>;
  readonly signal: CancelSignal;
  readonly step: DialStep;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
}

/** The exchange that a stream is in, so that the listeners are shared functions: thousands of dials a second make no closures. */
interface Talker extends Duplex {
  [keeper]?: Talk | undefined;
}

interface Talk {
  took(chunk: Buffer): void;
  lost(cause?: Error): void;
}

class Exchange<Result> implements Talk {
  readonly #parts: ExchangeParts<Result>;
  #heard = false;

  constructor(parts: ExchangeParts<Result>) {
    this.#parts = parts;
  }

  begin(): void {
    const { signal, conversation } = this.#parts;
    const stream: Talker = this.#parts.stream;
    stream[keeper] = this;
    signal.addEventListener("abort", this);
    stream.on("data", onData);
    stream.on("end", onEnd);
    stream.on("close", onEnd);
    stream.on("error", onError);
    stream.write(conversation.opening);
    stream.resume();
  }

  took(chunk: Buffer): void {
    const { stream, conversation, resolve } = this.#parts;
    this.#heard = true;
    let next: ExchangeStep<Result>;
    try {
      next = conversation.push(chunk);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (next === undefined) return;
    if ("send" in next) {
      stream.write(next.send);
      return;
    }
    this.#stop();
    stream.pause();
    if (next.rest.length > 0) stream.unshift(next.rest);
    resolve(next.result);
  }

  lost(cause?: Error): void {
    this.#fail(lostError(this.#parts.step, this.#heard, cause));
  }

  /** The signal fired. */
  handleEvent(): void {
    this.#fail(abortReason(this.#parts.signal));
  }

  #fail(error: Error): void {
    this.#stop();
    this.#parts.stream.destroy();
    this.#parts.reject(error);
  }

  #stop(): void {
    const stream: Talker = this.#parts.stream;
    stream[keeper] = undefined;
    this.#parts.signal.removeEventListener("abort", this);
    stream.removeListener("data", onData);
    stream.removeListener("end", onEnd);
    stream.removeListener("close", onEnd);
    stream.removeListener("error", onError);
    if (stream.listenerCount("error") === 0) stream.on("error", ignoreError);
  }
}

function onData(this: Talker, chunk: Buffer): void {
  this[keeper]?.took(chunk);
}

function onEnd(this: Talker): void {
  this[keeper]?.lost();
}

function onError(this: Talker, error: Error): void {
  this[keeper]?.lost(error);
}

function lostError(step: DialStep, heard: boolean, cause?: Error): DialError {
  const ErrorClass = heard ? DialError : NoAnswerError;
  const words = heard
    ? "the proxy closed the connection in the middle of its answer"
    : "the proxy closed the connection without an answer";
  return new ErrorClass("closed", words, { step, ...(cause && { cause }) });
}
