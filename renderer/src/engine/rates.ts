import type { UpstreamNumbers } from "@sockeye/engine/control/contract";

/** Five minutes, a value each second. */
export const RATE_SECONDS = 300;

/** One second: bytes that went up and down in it, for each second, all upstreams together. */
export interface Rate {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly up: number;
  readonly down: number;
}

/** The rates that follow from the counters, oldest first; they start over with the engine. */
export class RateHistory {
  #last: { readonly at: number; readonly up: number; readonly down: number } | undefined;
  #rates: readonly Rate[] = [];

  get rates(): readonly Rate[] {
    return this.#rates;
  }

  add(at: number, numbers: readonly UpstreamNumbers[]): readonly Rate[] {
    let [up, down] = [0, 0];
    for (const one of numbers) {
      up += one.up;
      down += one.down;
    }
    const last = this.#last;
    this.#last = { at, up, down };
    if (last === undefined || at <= last.at) return this.#rates;
    const seconds = (at - last.at) / 1000;
    // An upstream that was taken away took its bytes with it: no traffic flows backwards.
    const rate = {
      at,
      up: Math.max(0, up - last.up) / seconds,
      down: Math.max(0, down - last.down) / seconds,
    };
    const oldest = at - RATE_SECONDS * 1000;
    this.#rates = [...this.#rates.filter((one) => one.at >= oldest), rate];
    return this.#rates;
  }

  /** What is known of the time before the page was there: spans of `stepMs`, oldest first, which end before the first second. */
  before(
    spans: readonly { readonly at: number; readonly up: number; readonly down: number }[],
    stepMs: number,
  ): readonly Rate[] {
    const first = this.#rates[0]?.at ?? Infinity;
    const past = spans
      .filter(({ at }) => at < first)
      .map(({ at, up, down }) => ({ at, up: (1000 * up) / stepMs, down: (1000 * down) / stepMs }));
    this.#rates = [...past, ...this.#rates];
    return this.#rates;
  }

  clear(): void {
    this.#last = undefined;
    this.#rates = [];
  }
}
