/** How many of a kind are let through in a time, and how long that is. */
const ALLOWED = 20;
const WINDOW_MS = 10_000;

interface Window {
  seen: number;
  /** Says how many there were that were not let through. */
  readonly summarize: (held: number) => void;
}

/**
 * Keeps what comes by the thousand from filling a log: of one kind the first 20 in 10 seconds pass; the others are counted and told
 * of once, at the end of that time.
 */
export class Brake {
  readonly #windows = new Map<string, Window>();

  /**
   * @param kind of a closed list; it is remembered for 10 seconds.
   * @param summarize called at the end of the time, if any were held back.
   * @returns whether this one passes.
   */
  admits(kind: string, summarize: (held: number) => void): boolean {
    let window = this.#windows.get(kind);
    if (!window) {
      window = { seen: 0, summarize };
      this.#windows.set(kind, window);
      setTimeout(() => this.#end(kind), WINDOW_MS).unref();
    }
    window.seen++;
    return window.seen <= ALLOWED;
  }

  #end(kind: string): void {
    const { seen, summarize } = this.#windows.get(kind)!;
    this.#windows.delete(kind);
    if (seen > ALLOWED) summarize(seen - ALLOWED);
  }
}
