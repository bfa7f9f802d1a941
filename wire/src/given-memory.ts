/*
 * Memory that flows through. Each read from a socket brings 64 KB of new memory, of which the garbage collector takes no notice
 * until tens of megabytes of it wait; then it walks the whole heap to free them, which cost a third of the processor time of a
 * large body. Whoever reads a chunk that nobody else holds gives it on; whoever has it in the end, and has handed it to the
 * kernel, lets its memory go. Where nobody does, the collector finds it as ever.
 */

/** Below this, giving memory back one by one costs more than it brings. */
const WORTH_GIVING = 16_384;

const GIVEN = Symbol("given");

interface Memory {
  readonly buffer: ArrayBuffer;
  /** Parts that somebody still needs. */
  users: number;
}

type Given = Buffer & { [GIVEN]?: Memory | undefined };

/** Says that nobody else holds the chunk. Chunks that are small, or only a part of their memory, are left alone. */
export function give(chunk: Given): void {
  const { buffer } = chunk;
  const isWhole = chunk.byteOffset === 0 && chunk.length === buffer.byteLength;
  if (isWhole && chunk.length >= WORTH_GIVING && buffer instanceof ArrayBuffer)
    chunk[GIVEN] = { buffer, users: 1 };
}

export function isGiven(chunk: Given): boolean {
  return chunk[GIVEN] !== undefined;
}

/** One more needs this part of the chunk, and will let it go by itself. */
export function givePart(chunk: Given, part: Given): void {
  const memory = chunk[GIVEN];
  if (memory === undefined) return;
  memory.users++;
  part[GIVEN] = memory;
}

/** Somebody keeps it after all: its memory stays. */
export function keepGiven(chunk: Given): void {
  chunk[GIVEN] = undefined;
}

/** It is needed no more. Its memory goes with its last part: every view of it has the length 0 from then on. */
export function letGo(chunk: Given): void {
  const memory = chunk[GIVEN];
  if (memory === undefined) return;
  chunk[GIVEN] = undefined;
  // Moving it into nothing detaches it.
  if (--memory.users === 0) memory.buffer.transfer(0);
}
