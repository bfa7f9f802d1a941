/** What every connection may be sent, however many there are: one kernel-joined packet. */
const MIN_WINDOW = 64 * 1024;

/**
 * What applications may make us hold in one direction, for all connections together. A window that was offered can't be taken back, so the
 * budget counts promises, not what lies in buffers: however many readers stall at once, no more than `maxBytes` and
 * MIN_WINDOW for each connection is held.
 */
export class BufferBudget {
  readonly maxBytes: number;
  #promised = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Bytes promised now. */
  get promised(): number {
    return this.#promised;
  }

  /** @returns the buffer of a new connection: `wanted`, or less where others have it already. */
  open(wanted: number): number {
    // A quarter stays for connections that carry something.
    const free = Math.floor(this.maxBytes * 0.75) - this.#promised;
    const window = Math.max(Math.min(wanted, MIN_WINDOW), Math.min(wanted, free));
    this.#promised += window;
    return window;
  }

  /** @returns by how much a buffer may grow, at most by `bytes`. */
  grow(bytes: number): number {
    const granted = Math.max(0, Math.min(bytes, this.maxBytes - this.#promised));
    this.#promised += granted;
    return granted;
  }

  giveBack(bytes: number): void {
    this.#promised -= bytes;
  }
}
