/** Answers that hold for a while; the one that was asked for longest ago leaves when there are too many. */
export class AnswerCache<T> {
  readonly #entries = new Map<string, { readonly answer: T; readonly until: number }>();
  readonly #max: number;
  readonly #ttlMs: number;

  constructor(max: number, ttlMs: number) {
    this.#max = max;
    this.#ttlMs = ttlMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @param now milliseconds that only grow. */
  get(key: string, now: number): T | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.until > now) return entry?.answer;
    this.#entries.delete(key);
    return undefined;
  }

  set(key: string, answer: T, now: number): void {
    if (this.#ttlMs === 0) return;
    this.#entries.delete(key);
    this.#entries.set(key, { answer, until: now + this.#ttlMs });
    if (this.#entries.size > this.#max) this.#entries.delete(this.#entries.keys().next().value!);
  }

  clear(): void {
    this.#entries.clear();
  }
}
