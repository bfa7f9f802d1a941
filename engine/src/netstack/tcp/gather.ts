/** Small parts are joined up to this, so that the reader gets few chunks. */
const JOIN_BYTES = 64 * 1024;
const NONE = -1;
const NO_BYTES = new Uint8Array(0);

/** Where a connection's parts of the current burst stand. */
export interface Gathered {
  firstPart: number;
  lastPart: number;
}

/**
 * What a burst brought in order for each connection, as places in the burst's own memory: it is copied once, at the burst's
 * end, when it is known how much there is.
 */
export class Gather {
  readonly #bytes: Uint8Array[] = [];
  readonly #from: number[] = [];
  readonly #to: number[] = [];
  readonly #next: number[] = [];
  #count = 0;

  /** @param bytes must stay as they are until deliver(). */
  add(to: Gathered, bytes: Uint8Array, from: number, end: number): void {
    const index = this.#count++;
    this.#bytes[index] = bytes;
    this.#from[index] = from;
    this.#to[index] = end;
    this.#next[index] = NONE;
    if (to.lastPart === NONE) to.firstPart = index;
    else this.#next[to.lastPart] = index;
    to.lastPart = index;
  }

  /**
   * Hands over what was gathered for one connection, in order, in few chunks, each in memory of its own.
   * `gathered` is empty before the first chunk is handed over.
   */
  deliver(gathered: Gathered, reader: { receive(chunk: Buffer): void }): void {
    let at = gathered.firstPart;
    gathered.firstPart = NONE;
    gathered.lastPart = NONE;
    while (at !== NONE) {
      let bytes = this.#to[at]! - this.#from[at]!;
      let stop = this.#next[at]!;
      while (stop !== NONE && bytes + this.#to[stop]! - this.#from[stop]! <= JOIN_BYTES) {
        bytes += this.#to[stop]! - this.#from[stop]!;
        stop = this.#next[stop]!;
      }
      reader.receive(this.#join(at, stop, bytes));
      at = stop;
    }
  }

  /** The burst is over: nothing is waiting any more. */
  clear(): void {
    for (let i = 0; i < this.#count; i++) this.#bytes[i] = NO_BYTES;
    this.#count = 0;
  }

  #join(first: number, stop: number, bytes: number): Buffer {
    // Its own ArrayBuffer where that is worth its cost, so that it can be given back alone.
    const chunk = bytes >= 4096 ? Buffer.allocUnsafeSlow(bytes) : Buffer.allocUnsafe(bytes);
    let at = 0;
    for (let part = first; part !== stop; part = this.#next[part]!) {
      const from = this.#from[part]!;
      const to = this.#to[part]!;
      const source = this.#bytes[part]!;
      chunk.set(from === 0 && to === source.length ? source : source.subarray(from, to), at);
      at += to - from;
    }
    return chunk;
  }
}
