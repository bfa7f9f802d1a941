import type { PortRange } from "./pattern.ts";

/** No rule. Larger than every rule's index, so that the lowest of several is `Math.min`. */
export const NO_RULE = 0x7fffffff;

/** The rules of one name or network, which differ in their ports alone. */
export class PortRules {
  readonly #ranges: PortRange[] = [];
  readonly #rules: number[] = [];
  /** Where the answer changes, ascending from port 0, and the answer from there on. Made at the first look-up. */
  #starts: number[] | undefined;
  #answers: number[] = [];

  /** Rules are added in ascending order. */
  add(range: PortRange, rule: number): void {
    this.#ranges.push(range);
    this.#rules.push(rule);
    this.#starts = undefined;
  }

  /** The lowest rule whose range holds `port`, or NO_RULE. */
  lowest(port: number): number {
    if (this.#rules.length === 1) {
      const range = this.#ranges[0]!;
      return port >= range.low && port <= range.high ? this.#rules[0]! : NO_RULE;
    }
    const starts = (this.#starts ??= this.#divide());
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle]! <= port) low = middle;
      else high = middle - 1;
    }
    return this.#answers[low]!;
  }

  /** Cuts the ports where a range begins or has ended; each rule, in order, takes the pieces that no earlier one took. */
  #divide(): number[] {
    const cuts = new Set([0]);
    for (const { low, high } of this.#ranges) cuts.add(low).add(high + 1);
    const starts = [...cuts].sort((a, b) => a - b);
    const pieceAt = new Map(starts.map((start, piece) => [start, piece]));
    const answers = new Array<number>(starts.length).fill(NO_RULE);
    // nextFree[i] leads to the first piece from i on that is not taken (union-find with path halving).
    const nextFree = starts.map((_, piece) => piece);
    nextFree.push(starts.length);
    const free = (piece: number) => {
      while (nextFree[piece] !== piece) {
        nextFree[piece] = nextFree[nextFree[piece]!]!;
        piece = nextFree[piece]!;
      }
      return piece;
    };
    for (const [i, { low, high }] of this.#ranges.entries()) {
      const end = pieceAt.get(high + 1)!;
      for (let piece = free(pieceAt.get(low)!); piece < end; piece = free(piece)) {
        answers[piece] = this.#rules[i]!;
        nextFree[piece] = piece + 1;
      }
    }
    this.#answers = answers;
    return starts;
  }
}
