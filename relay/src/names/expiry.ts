/** Something that ends by itself. It stands in a list by the time of its end. */
export interface Expiring {
  /** As the clock counts. */
  deadline: number;
}

/**
 * Ends what is not put off in time, with one timer for all. Everything in it is put off by the same span, so the order of
 * the last calls is the order of the ends, and a Map that is re-entered at its end keeps it.
 */
export class Expiry<T extends Expiring> {
  readonly #entries = new Set<T>();
  readonly #spanMs: number;
  readonly #clock: () => number;
  readonly #onEnd: (entry: T) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(spanMs: number, clock: () => number, onEnd: (entry: T) => void) {
    this.#spanMs = spanMs;
    this.#clock = clock;
    this.#onEnd = onEnd;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Adds the entry, or puts its end off: a whole span from now. */
  touch(entry: T): void {
    this.#entries.delete(entry);
    entry.deadline = this.#clock() + this.#spanMs;
    this.#entries.add(entry);
    this.#arm();
  }

  /** What would end first, or undefined. */
  oldest(): T | undefined {
    return this.#entries.values().next().value;
  }

  delete(entry: T): boolean {
    return this.#entries.delete(entry);
  }

  /** Ends what is due now. The timer calls it; so may whoever wants to be exact. */
  sweep(): void {
    const now = this.#clock();
    for (let first = this.oldest(); first !== undefined && first.deadline <= now; first = this.oldest()) {
      this.#entries.delete(first);
      this.#onEnd(first);
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#entries.clear();
  }

  #arm(): void {
    const first = this.oldest();
    if (this.#timer !== undefined || first === undefined) return;
    const wait = Math.max(1, first.deadline - this.#clock());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.sweep();
      this.#arm();
    }, wait).unref();
  }
}
