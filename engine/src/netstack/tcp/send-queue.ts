import { MAX_PIECES, type PacketWriter } from "../device.ts";
import { releaseGiven } from "../../release.ts";

/**
 * What was written and is not acknowledged, by reference: nothing is copied until the device takes it. Offsets count from
 * the first byte that is not acknowledged.
 */
export class SendQueue {
  #chunks: Buffer[] = [];
  /** Index of the first chunk that is still needed, and its bytes that are not. */
  #first = 0;
  #skip = 0;
  #bytes = 0;
  // Where the last take() ended, so that the next one need not search.
  #cursorAt = 0;
  #cursorIndex = 0;
  #cursorSkip = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get chunks(): number {
    return this.#chunks.length - this.#first;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** Drops the first `bytes`, and gives back the memory of chunks that are done with. */
  drop(bytes: number): void {
    this.#bytes -= bytes;
    this.#skip += bytes;
    const chunks = this.#chunks;
    while (this.#first < chunks.length) {
      const chunk = chunks[this.#first]!;
      if (this.#skip < chunk.length) break;
      this.#skip -= chunk.length;
      chunks[this.#first++] = EMPTY;
      releaseGiven(chunk);
    }
    this.#cursorAt -= bytes;
    if (this.#first === chunks.length) {
      chunks.length = 0;
      this.#first = 0;
    } else if (this.#first >= 64 && 2 * this.#first >= chunks.length) {
      chunks.splice(0, this.#first);
      this.#cursorIndex -= this.#first;
      this.#first = 0;
    }
    if (this.#cursorAt <= 0) this.#rewind();
  }

  /** Forgets everything. Memory that the device may still be about to read is left to the collector. */
  clear(): void {
    this.#chunks = [];
    this.#first = 0;
    this.#skip = 0;
    this.#bytes = 0;
    this.#rewind();
  }

  /** @returns how many of the `bytes` from `offset` on go into one packet, for the number of its pieces is limited. */
  measure(offset: number, bytes: number): number {
    this.#seek(offset);
    let index = this.#cursorIndex;
    let left = bytes + this.#cursorSkip;
    for (let pieces = 0; pieces < MAX_PIECES && left > 0; pieces++) left -= this.#chunks[index++]!.length;
    return left > 0 ? bytes - left : bytes;
  }

  /** Puts the bytes that measure() was asked for last, or the first of them, into the packet. */
  give(writer: PacketWriter, bytes: number): void {
    this.#cursorAt += bytes;
    while (bytes > 0) {
      const chunk = this.#chunks[this.#cursorIndex]!;
      const from = this.#cursorSkip;
      const to = Math.min(chunk.length, from + bytes);
      writer.piece(chunk, from, to);
      this.#walk(chunk, to);
      bytes -= to - from;
    }
  }

  /** As give(), for a few bytes: copies them to `into` at `at`. */
  copy(into: Uint8Array, at: number, bytes: number): void {
    this.#cursorAt += bytes;
    while (bytes > 0) {
      const chunk = this.#chunks[this.#cursorIndex]!;
      const from = this.#cursorSkip;
      const to = Math.min(chunk.length, from + bytes);
      for (let i = from; i < to; i++) into[at++] = chunk[i]!;
      this.#walk(chunk, to);
      bytes -= to - from;
    }
  }

  #walk(chunk: Buffer, to: number): void {
    if (to === chunk.length) {
      this.#cursorIndex++;
      this.#cursorSkip = 0;
    } else {
      this.#cursorSkip = to;
    }
  }

  #rewind(): void {
    this.#cursorAt = 0;
    this.#cursorIndex = this.#first;
    this.#cursorSkip = this.#skip;
  }

  #seek(offset: number): void {
    if (offset < this.#cursorAt) this.#rewind();
    let left = offset - this.#cursorAt;
    while (left > 0) {
      const rest = this.#chunks[this.#cursorIndex]!.length - this.#cursorSkip;
      if (left < rest) {
        this.#cursorSkip += left;
        break;
      }
      left -= rest;
      this.#cursorIndex++;
      this.#cursorSkip = 0;
    }
    this.#cursorAt = offset;
  }
}

const EMPTY = Buffer.alloc(0);
