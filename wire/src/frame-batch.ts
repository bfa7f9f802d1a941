import { letGo } from "./given-memory.ts";
import { type FrameType, HEADER_BYTES, writeFrameHeader } from "./mux-frames.ts";

/** Pieces smaller than this are copied together: a system call for each would cost more. */
const WORTH_OWN_PIECE = 16_384;
/** Holds any piece that is copied, with its header. */
const SLAB_BYTES = 32_768;

/** Where all batches write, one behind the other; views of what was written lead a life of their own. */
let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let used = 0;

/** Frames that leave together, as few pieces. To be filled and taken within one turn of the event loop. */
export class FrameBatch {
  readonly #pieces: Buffer[] = [];
  /** Where in the slab begins what is no piece yet. */
  #from = used;

  /** The header of a frame whose payload follows. */
  header(type: FrameType, id: number, length: number): void {
    this.#makeRoom(HEADER_BYTES);
    writeFrameHeader(slab, used, { type, id, length });
    used += HEADER_BYTES;
  }

  /** A chunk that is given is let go where it is copied, and stays given where it is not. */
  add(chunk: Buffer): void {
    if (chunk.length >= WORTH_OWN_PIECE) {
      this.#cut();
      this.#pieces.push(chunk);
      return;
    }
    this.#makeRoom(chunk.length);
    chunk.copy(slab, used);
    used += chunk.length;
    letGo(chunk);
  }

  /** @returns pieces to write, in order. */
  take(): Buffer[] {
    this.#cut();
    return this.#pieces;
  }

  #makeRoom(bytes: number): void {
    if (used + bytes <= SLAB_BYTES) return;
    this.#cut();
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    this.#from = used = 0;
  }

  #cut(): void {
    if (used > this.#from) this.#pieces.push(slab.subarray(this.#from, used));
    this.#from = used;
  }
}
