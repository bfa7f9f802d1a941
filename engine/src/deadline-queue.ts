import { Roster } from "@sockeye/wire/roster";

/** Deadlines of one length: one timer, however many wait. It keeps no process alive. */
export class DeadlineQueue<T extends object> {
  /** In the order of their deadlines, but after a change to a shorter time. */
  readonly #waiting = new Roster<T>();
  /** The property that is an item's deadline. */
  readonly #at = Symbol("deadline");
  #lengthMs: number;
  readonly #expire: (item: T) => void;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = 0;
  /** Until then an item may stand behind one that has longer to wait. */
  #unorderedUntil = 0;

  /** @param expire called once for each item whose time has come; it is not in the queue any more then. */
  constructor(lengthMs: number, expire: (item: T) => void) {
    this.#lengthMs = lengthMs;
    this.#expire = expire;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** For items from now on. */
  setLength(lengthMs: number): void {
    if (lengthMs < this.#lengthMs) this.#unorderedUntil = performance.now() + this.#lengthMs;
    this.#lengthMs = lengthMs;
  }

  add(item: T): void {
    const now = performance.now();
    const at = now + this.#lengthMs;
    this.#waiting.add(item);
    (item as Record<symbol, number>)[this.#at] = at;
    if (this.#timer === undefined || at < this.#timerAt) this.#wake(at, now);
  }

  /** @returns whether it still waited. */
  delete(item: T): boolean {
    return this.#waiting.delete(item);
  }

  /** Expires every item now. */
  flush(): void {
    this.#expireUntil(Infinity);
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #wake(at: number, now: number): void {
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#sweep(), at - now + 1).unref();
  }

  #sweep(): void {
    const now = performance.now();
    this.#timer = undefined;
    this.#expireUntil(now);
    const next = this.#next(now);
    if (next !== Infinity) this.#wake(next, now);
  }

  #expireUntil(now: number): void {
    const isOrdered = this.#unorderedUntil <= performance.now();
    if (!isOrdered) {
      for (const item of this.#waiting) if (this.#atOf(item) <= now) this.#expireOne(item);
      return;
    }
    for (let item = this.#waiting.first; item !== undefined; item = this.#waiting.first) {
      if (this.#atOf(item) > now) return;
      this.#expireOne(item);
    }
  }

  #expireOne(item: T): void {
    if (this.#waiting.delete(item)) this.#expire(item);
  }

  /** When the next is due; Infinity where nothing waits. */
  #next(now: number): number {
    const { first } = this.#waiting;
    if (first === undefined) return Infinity;
    let next = this.#atOf(first);
    if (this.#unorderedUntil > now) for (const item of this.#waiting) next = Math.min(next, this.#atOf(item));
    return next;
  }

  #atOf(item: T): number {
    return (item as Readonly<Record<symbol, number>>)[this.#at]!;
  }
}
