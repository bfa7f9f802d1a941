import type { Duplex } from "node:stream";
import { ignoreError } from "../upstream/direct.ts";
import { FrameReader, writeFrame } from "./frames.ts";

/** Questions of one connection that are being answered; no more is read until one is. */
export const MAX_CONCURRENT = 64;
/** A connection without a question, or whose client takes no answer (RFC 7766 §6.2.3). */
const IDLE_MS = 10_000;

/** @returns undefined for what gets no answer. */
export type AnswerQuery = (query: Buffer) => Promise<Buffer | undefined>;

/**
 * Serves DNS on a connection that somebody made to port 53 (RFC 7766): questions are answered as they can be, in any order.
 * The stream is this function's from now on: it ends when the client does and all is answered, or after a while of silence.
 */
export function serveStream(
  stream: Duplex,
  answer: AnswerQuery,
  options: { readonly idleMs?: number } = {},
): void {
  const idleMs = options.idleMs ?? IDLE_MS;
  const frames = new FrameReader();
  let queued: Buffer[] = [];
  let running = 0;
  let ended = false;
  const timer = setTimeout(() => stream.destroy(), idleMs);
  stream.on("error", ignoreError);
  stream.on("close", () => {
    clearTimeout(timer);
    queued = [];
  });
  stream.on("drain", () => proceed());
  stream.on("end", () => {
    ended = true;
    proceed();
  });
  stream.on("data", (chunk: Buffer) => {
    queued.push(...frames.push(chunk));
    proceed();
  });
  if (stream.destroyed) clearTimeout(timer);
  else stream.resume();

  function proceed(): void {
    if (stream.destroyed) return;
    while (queued.length > 0 && running < MAX_CONCURRENT && !stream.writableNeedDrain) start(queued.shift()!);
    const isFull = queued.length > 0;
    if (isFull !== stream.isPaused()) {
      if (isFull) stream.pause();
      else stream.resume();
    }
    if (running > 0) return;
    if (ended && !isFull) stream.end();
  }

  function start(query: Buffer): void {
    running += 1;
    timer.refresh();
    answer(query).then(
      (message) => finish(message),
      () => finish(undefined),
    );
  }

  function finish(message: Buffer | undefined): void {
    running -= 1;
    if (stream.destroyed) return;
    timer.refresh();
    if (message !== undefined) stream.write(writeFrame(message));
    proceed();
  }
}
