import { before, distance, earlier, later } from "./sequence.ts";

/** A peer that reports more separate ranges is not believed further. */
const MAX_RANGES = 512;

/** What the peer said that it holds beyond the acknowledged (RFC 2018), for loss recovery by RFC 6675. */
export class Scoreboard {
  // Sorted, apart, none empty.
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  get empty(): boolean {
    return this.#starts.length === 0;
  }

  /** Adds a range. @returns whether it said something new. */
  add(start: number, end: number): boolean {
    const starts = this.#starts;
    const ends = this.#ends;
    // The first range that touches or follows the new one; news are mostly at the end.
    let from = starts.length;
    while (from > 0 && !before(ends[from - 1]!, start)) from--;
    let to = from;
    while (to < starts.length && !before(end, starts[to]!)) to++;
    if (from === to) {
      if (starts.length >= MAX_RANGES) return false;
      starts.splice(from, 0, start);
      ends.splice(from, 0, end);
      return true;
    }
    if (to - from === 1 && !before(start, starts[from]!) && !before(ends[from]!, end)) return false;
    starts[from] = earlier(starts[from]!, start);
    ends[from] = later(ends[to - 1]!, end);
    starts.splice(from + 1, to - from - 1);
    ends.splice(from + 1, to - from - 1);
    return true;
  }

  /** Forgets what is acknowledged. */
  advance(una: number): void {
    let gone = 0;
    while (gone < this.#starts.length && !before(una, this.#ends[gone]!)) gone++;
    if (gone > 0) {
      this.#starts.splice(0, gone);
      this.#ends.splice(0, gone);
    }
    if (this.#starts.length > 0) this.#starts[0] = later(this.#starts[0]!, una);
  }

  clear(): void {
    this.#starts.length = 0;
    this.#ends.length = 0;
  }

  /** The first sequence number from `seq` on that the peer does not hold. */
  skip(seq: number): number {
    for (let i = 0; i < this.#starts.length && !before(seq, this.#starts[i]!); i++) {
      if (before(seq, this.#ends[i]!)) return this.#ends[i]!;
    }
    return seq;
  }

  /** Where the hole that has `seq` ends: the start of the next range, or `limit`. */
  holeEnd(seq: number, limit: number): number {
    for (const start of this.#starts) if (before(seq, start)) return earlier(start, limit);
    return limit;
  }

  /**
   * Up to where the holes are taken for lost: three ranges, or more than two segments, lie beyond (RFC 6675 §4 IsLost).
   * @returns `none` where nothing is.
   */
  lostUpTo(mss: number, none: number): number {
    let bytes = 0;
    for (let i = this.#starts.length - 1, ranges = 1; i >= 0; i--, ranges++) {
      bytes += distance(this.#ends[i]!, this.#starts[i]!);
      if (ranges >= 3 || bytes > 2 * mss) return this.#starts[i]!;
    }
    return none;
  }

  /**
   * Bytes that are thought to be under way (RFC 6675 §4 SetPipe): of what the peer does not hold, that which is not lost,
   * and once more that which was sent again.
   * @param bounds the whole that was sent, and how far of it is lost and sent again.
   */
  pipe(bounds: PipeBounds): number {
    let pipe = 0;
    let at = bounds.una;
    for (let i = 0; i <= this.#starts.length; i++) {
      const end = i < this.#starts.length ? this.#starts[i]! : bounds.nxt;
      pipe += Math.max(0, distance(end, later(at, bounds.lostUpTo)));
      pipe += Math.max(0, distance(earlier(end, bounds.highRxt), at));
      if (i < this.#starts.length) at = this.#ends[i]!;
    }
    return pipe;
  }
}

export interface PipeBounds {
  readonly una: number;
  readonly nxt: number;
  readonly lostUpTo: number;
  readonly highRxt: number;
}
