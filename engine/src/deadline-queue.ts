import { Place, Row } from "@sockeye/wire/row";

/** One item's deadline, kept by whoever set it. */
export class Deadline<T> extends Place<T> {
  /** On the monotonic clock. */
  readonly at: number;

  constructor(item: T, at: number) {
    super(item);
    this.at = at;
  }
}

/** Deadlines of one length: one timer, however many wait. It keeps no process alive. */
export class DeadlineQueue<T> {
  /** In the order of their deadlines, but after a change to a shorter time. */
  readonly #waiting = new Row<T, Deadline<T>>();
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

  /** @returns what lifts the deadline again. */
  add(item: T): Deadline<T> {
    const now = performance.now();
    const at = now + this.#lengthMs;
    if (this.#timer === undefined || at < this.#timerAt) this.#wake(at, now);
    return this.#waiting.enter(new Deadline(item, at));
  }

  /** @returns whether it still waited. */
  lift(deadline: Deadline<T>): boolean {
    return this.#waiting.leave(deadline);
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
      for (const waiting of this.#waiting) if (waiting.at <= now) this.#expireOne(waiting);
      return;
    }
    for (let next = this.#waiting.first; next !== undefined; next = this.#waiting.first) {
      if (next.at > now) return;
      this.#expireOne(next);
    }
  }

  #expireOne(deadline: Deadline<T>): void {
    if (this.#waiting.leave(deadline)) this.#expire(deadline.item);
  }

  /** When the next is due; Infinity where nothing waits. */
  #next(now: number): number {
    const { first } = this.#waiting;
    if (first === undefined) return Infinity;
    let next = first.at;
    if (this.#unorderedUntil > now) for (const { at } of this.#waiting) next = Math.min(next, at);
    return next;
  }
}
