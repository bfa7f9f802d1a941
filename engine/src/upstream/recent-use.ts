/** Use that is older than this says nothing of what a person needs now. */
const RECENT_MS = 5 * 60_000;

/** Which upstreams traffic went to lately. */
export class RecentUse {
  readonly #usedAt = new Map<string, number>();

  /** Traffic goes to it now. The names are those of a configuration, so there are not many. */
  note(name: string): void {
    this.#usedAt.set(name, performance.now());
  }

  has(name: string): boolean {
    const at = this.#usedAt.get(name);
    return at !== undefined && performance.now() - at < RECENT_MS;
  }
}
