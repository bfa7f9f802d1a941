import { Socket } from "node:net";
import type { Writable } from "node:stream";

/*
 * Memory that flows through. Each read from a socket brings 64 KB of new memory, which the garbage collector does not see
 * until tens of megabytes of it wait; then it walks the whole heap to free it. That costs a fifth of the processor time of
 * a busy flow. Whoever hands the last use of a chunk to the kernel, or to a cipher, knows that its memory is free and
 * says so here; where nobody does, the collector finds it as ever.
 */

/** Below this, giving memory back one by one costs more than it brings. */
const WORTH_RELEASING = 16 * 1024;

/** Marks a stream that releases, by `releaseGiven`, what it is given here once it needs it no more. */
export const TAKES_CHUNKS = Symbol("takes chunks");

/** Marks a chunk that nobody else holds. */
const GIVEN = Symbol("given");

/**
 * As `sink.write(chunk)`, for a chunk that nobody else holds and the caller does not touch again: its memory is given back
 * once the sink is done with it.
 */
export function writeAndRelease(sink: Writable, chunk: Buffer & { [GIVEN]?: true }): boolean {
  if (TAKES_CHUNKS in sink) {
    chunk[GIVEN] = true;
    return sink.write(chunk);
  }
  const more = sink.write(chunk);
  // The kernel took it at once; what waits for a slow socket is left to the collector.
  if (sink.writableLength === 0 && sink instanceof Socket) releaseChunk(chunk);
  return more;
}

export function releaseGiven(chunk: Buffer & { [GIVEN]?: true }): void {
  if (chunk[GIVEN]) releaseChunk(chunk);
}

/** Memory whose parts go to several users within one call: it is free when each has released its own. */
export interface SharedChunk {
  memory: ArrayBufferLike | undefined;
  users: number;
}

let current: SharedChunk | undefined;

/** Begins to hand out parts of `chunk`; count each in `shared.users`. @returns what leaveShared wants back. */
export function enterShared(shared: SharedChunk, chunk: Buffer): SharedChunk | undefined {
  const outer = current;
  shared.memory = chunk.buffer;
  shared.users = 0;
  current = shared;
  return outer;
}

/** Ends it. @returns true when no user is left, so that the memory may be written again. */
export function leaveShared(outer: SharedChunk | undefined): boolean {
  const free = current?.users === 0;
  if (current) current.memory = undefined;
  current = outer;
  return free;
}

/** Says that a chunk, which nobody else holds, is needed no more. */
export function releaseChunk(chunk: Buffer): void {
  if (chunk.buffer === current?.memory) current.users--;
  else if (chunk.length >= WORTH_RELEASING && isWhole(chunk)) free(chunk.buffer);
}

/** A view of less than its whole memory may have neighbours, as in Buffer's pool. */
function isWhole(chunk: Buffer): boolean {
  return chunk.byteOffset === 0 && chunk.length === chunk.buffer.byteLength;
}

function free(memory: ArrayBufferLike): void {
  // Moving it into nothing detaches it: every view of it has the length 0 from now on.
  if (memory instanceof ArrayBuffer) memory.transfer(0);
}
