/**
 * So many a second, and as many at once as a `burst` of seconds brings. It keeps a number and a time, and no timer: what has
 * come in since is reckoned when somebody takes.
 */
export class TokenBucket {
  readonly #perMs: number;
  readonly #capacity: number;
  #tokens: number;
  #at: number;

  /**
   * @param rate a second; 0 is no limit.
   * @param burst seconds; one token is always had.
   * @param now milliseconds.
   */
  constructor(rate: number, burst: number, now: number) {
    this.#perMs = rate / 1000;
    this.#capacity = Math.max(1, rate * burst);
    this.#tokens = this.#capacity;
    this.#at = now;
  }

  /** Takes one. @returns 0, or the milliseconds until there is one; nothing is taken then. */
  take(now: number): number {
    const wait = this.wait(now);
    if (wait === 0) this.#tokens -= 1;
    return wait;
  }

  /** The milliseconds until there is one to take; 0 where there is. */
  wait(now: number): number {
    if (this.#perMs === 0) return 0;
    this.#tokens = Math.min(this.#capacity, this.#tokens + Math.max(0, now - this.#at) * this.#perMs);
    this.#at = Math.max(this.#at, now);
    // A sum of many small parts may end a hair below a whole one.
    return this.#tokens >= 1 - 1e-9 ? 0 : (1 - this.#tokens) / this.#perMs;
  }

  /** After this long without a take it is full, and says no more than a new one. */
  static msToFill(rate: number, burst: number): number {
    return rate === 0 ? 0 : (Math.max(1, rate * burst) / rate) * 1000;
  }
}
