import { type Pattern, type PortRange } from "./pattern.ts";
import { PatternIndex } from "./pattern-index.ts";

/** A rule that never decides, because `by`, an earlier one, matches all that it matches. */
export interface ShadowedRule {
  readonly rule: number;
  readonly by: number;
}

/**
 * The rules that one earlier rule covers. (Rules that only several earlier ones cover together are not found.)
 * @param patterns undefined where a rule could not be read; it takes no part.
 */
export function findShadowedRules(patterns: readonly (Pattern | undefined)[]): ShadowedRule[] {
  const index = new PatternIndex<PortFrontier>();
  const covering: PortFrontier[] = [];
  const shadowed: ShadowedRule[] = [];
  for (const [rule, pattern] of patterns.entries()) {
    if (pattern === undefined) continue;
    index.collectCovering(pattern, covering);
    let by = rule;
    for (const frontier of covering) by = Math.min(by, frontier.covers(pattern.ports) ?? rule);
    covering.length = 0;
    if (by < rule) shadowed.push({ rule, by });
    else index.getOrCreate(pattern, () => new PortFrontier()).add(pattern.ports, rule);
  }
  return shadowed;
}

/** Port ranges none of which holds another, so that both their ends ascend together. */
class PortFrontier {
  readonly #ranges: (PortRange & { rule: number })[] = [];

  /** The rule of a range that holds `range`. */
  covers(range: PortRange): number | undefined {
    const candidate = this.#ranges[this.#after(range.low) - 1];
    return candidate !== undefined && candidate.high >= range.high ? candidate.rule : undefined;
  }

  /** @param range that no range here holds. */
  add(range: PortRange, rule: number): void {
    const from = this.#after(range.low - 1);
    let to = from;
    while (to < this.#ranges.length && this.#ranges[to]!.high <= range.high) to++;
    this.#ranges.splice(from, to - from, { ...range, rule });
  }

  /** The position after the last range that begins at `low` or before. */
  #after(low: number): number {
    let from = 0;
    let to = this.#ranges.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#ranges[middle]!.low <= low) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
