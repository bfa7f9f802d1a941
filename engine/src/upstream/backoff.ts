/** Capped exponential backoff with full jitter, so that many clients of one dead peer do not come back in step. */
export class Backoff {
  #failures = 0;
  readonly #firstMs: number;
  readonly #capMs: number;
  readonly #random: () => number;

  /** @param random in [0, 1); given by tests. */
  constructor(firstMs = 250, capMs = 30_000, random: () => number = Math.random) {
    this.#firstMs = firstMs;
    this.#capMs = capMs;
    this.#random = random;
  }

  /** Milliseconds to wait before the next try: between half and the whole of the doubled, capped step. */
  next(): number {
    const step = Math.min(this.#capMs, this.#firstMs * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    return step / 2 + (step / 2) * this.#random();
  }

  reset(): void {
    this.#failures = 0;
  }
}
