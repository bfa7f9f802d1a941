/** Whoever wants to hear of something, until they say that they do not. */
export class Listeners {
  readonly #all = new Set<() => void>();

  /** @returns stops telling. */
  add(listener: () => void): () => void {
    // One function may be added twice, and each is taken out by itself.
    const own = () => listener();
    this.#all.add(own);
    return () => void this.#all.delete(own);
  }

  tell(): void {
    for (const listener of [...this.#all]) listener();
  }

  clear(): void {
    this.#all.clear();
  }
}
