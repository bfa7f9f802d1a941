/**
 * Something with a deadline. One object may have several waits: it arms the soonest and looks at its own state in expire().
 * Times are milliseconds of whatever clock run() is given.
 */
export abstract class Timer {
  /** @internal When it is to expire; Infinity while it is not armed. */
  due = Infinity;
  /** @internal Its place in the heap is by this, which may be earlier than `due`. */
  heapKey = Infinity;
  /** @internal Index in the heap, or -1. */
  heapIndex = -1;

  /** Called by TimerQueue.run, not armed any more. It may arm and cancel any timer, this one too. */
  abstract expire(now: number): void;
}

/**
 * Timers by deadline: a binary heap that knows each timer's place. Pushing a deadline further away, which is what a busy
 * connection does for each packet, only notes the new time: the timer moves when its old place comes up. Arming allocates
 * nothing but the heap's own growth.
 */
export class TimerQueue {
  readonly #heap: Timer[] = [];

  /** Timers that are armed. */
  get size(): number {
    return this.#heap.length;
  }

  /** Sets the timer's only deadline, in place of an earlier one. Infinity is as cancel(). */
  arm(timer: Timer, due: number): void {
    if (due === Infinity) {
      this.cancel(timer);
      return;
    }
    timer.due = due;
    if (timer.heapIndex === -1) {
      timer.heapKey = due;
      this.#heap.push(timer);
      this.#rise(timer, this.#heap.length - 1);
    } else if (due < timer.heapKey) {
      timer.heapKey = due;
      this.#rise(timer, timer.heapIndex);
    }
  }

  /** Forgets the timer, and holds no reference to it any more. */
  cancel(timer: Timer): void {
    timer.due = Infinity;
    if (timer.heapIndex !== -1) this.#remove(timer);
  }

  /** When the next timer is due; Infinity if none is armed. */
  next(): number {
    this.#settle();
    return this.#heap.length === 0 ? Infinity : this.#heap[0]!.due;
  }

  /** Expires, soonest first, what was due at `now` or before. What is armed meanwhile for a time in the past waits for the next run. */
  run(now: number): void {
    // A timer that arms itself for `now` again and again must not hold the loop.
    for (let most = this.#heap.length; most > 0 && this.next() <= now; most--) {
      const timer = this.#heap[0]!;
      this.cancel(timer);
      timer.expire(now);
    }
  }

  /** Moves timers that were put off from the root to where they belong. */
  #settle(): void {
    while (this.#heap.length > 0) {
      const root = this.#heap[0]!;
      if (root.due === root.heapKey) return;
      root.heapKey = root.due;
      this.#sink(root, 0);
    }
  }

  #remove(timer: Timer): void {
    const at = timer.heapIndex;
    const last = this.#heap.pop()!;
    timer.heapIndex = -1;
    if (last === timer) return;
    this.#rise(last, at);
    if (last.heapIndex === at) this.#sink(last, at);
  }

  #rise(timer: Timer, index: number): void {
    const heap = this.#heap;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex]!;
      if (parent.heapKey <= timer.heapKey) break;
      heap[index] = parent;
      parent.heapIndex = index;
      index = parentIndex;
    }
    heap[index] = timer;
    timer.heapIndex = index;
  }

  #sink(timer: Timer, index: number): void {
    const heap = this.#heap;
    const count = heap.length;
    for (;;) {
      let childIndex = 2 * index + 1;
      if (childIndex >= count) break;
      if (childIndex + 1 < count && heap[childIndex + 1]!.heapKey < heap[childIndex]!.heapKey) childIndex++;
      const child = heap[childIndex]!;
      if (timer.heapKey <= child.heapKey) break;
      heap[index] = child;
      child.heapIndex = index;
      index = childIndex;
    }
    heap[index] = timer;
    timer.heapIndex = index;
  }
}
