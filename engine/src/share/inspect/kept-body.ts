/** Of each body of a request or an answer that is kept. */
export const MAX_KEPT_BODY_BYTES = 131_072;

/** The first bytes of a body, as copies: the chunks that they came in belong to whoever carries them. */
export class KeptBody {
  readonly #maxBytes: number;
  readonly #parts: Buffer[] = [];
  #kept = 0;
  #bytes = 0;

  constructor(maxBytes = MAX_KEPT_BODY_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes that passed. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes that are kept. */
  get kept(): number {
    return this.#kept;
  }

  get isCut(): boolean {
    return this.#bytes > this.#kept;
  }

  /** @returns how many of the bytes are kept. */
  take(chunk: Buffer): number {
    this.#bytes += chunk.length;
    const room = Math.min(chunk.length, this.#maxBytes - this.#kept);
    // Once something is left out, what comes later would not follow what is kept.
    if (room <= 0 || this.#bytes - chunk.length > this.#kept) return 0;
    this.#parts.push(Buffer.from(chunk.subarray(0, room)));
    this.#kept += room;
    return room;
  }

  content(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
