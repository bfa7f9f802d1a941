import type { Duplex } from "node:stream";
import { abortReason, DialError, type DialStep } from "../errors.ts";
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
  options: { readonly signal: AbortSignal; readonly step: DialStep },
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const { signal, step } = options;
    let heard = false;
    const stop = () => {
      signal.removeEventListener("abort", onAbort);
      stream.removeListener("data", onData);
      stream.removeListener("end", onLost);
      stream.removeListener("close", onLost);
      stream.removeListener("error", onLost);
      if (stream.listenerCount("error") === 0) stream.on("error", ignoreError);
    };
    const fail = (error: Error) => {
      stop();
      stream.destroy();
      reject(error);
    };
    const onAbort = () => fail(abortReason(signal));
    const onLost = (cause?: unknown) => {
      const ErrorClass = heard ? DialError : NoAnswerError;
      const words = heard
        ? "the proxy closed the connection in the middle of its answer"
        : "the proxy closed the connection without an answer";
      fail(new ErrorClass("closed", words, { step, ...(cause instanceof Error && { cause }) }));
    };
    const onData = (chunk: Buffer) => {
      heard = true;
      let next: ExchangeStep<Result>;
      try {
        next = conversation.push(chunk);
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      if (next === undefined) return;
      if ("send" in next) {
        stream.write(next.send);
        return;
      }
      stop();
      stream.pause();
      if (next.rest.length > 0) stream.unshift(next.rest);
      resolve(next.result);
    };
    if (signal.aborted) {
      stream.destroy();
      reject(abortReason(signal));
      return;
    }
    if (stream.destroyed) {
      onLost();
      return;
    }
    signal.addEventListener("abort", onAbort);
    stream.on("data", onData);
    stream.on("end", onLost);
    stream.on("close", onLost);
    stream.on("error", onLost);
    stream.write(conversation.opening);
    stream.resume();
  });
}
