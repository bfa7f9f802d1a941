/** What was served within some time. */
export interface TrafficCounts {
  requests: number;
  failed: number;
  bytesIn: number;
  bytesOut: number;
}

/** Two minutes, in steps of two seconds. */
export const STEP_MS = 2_000;
export const STEPS = 60;

/** Over how many whole steps a rate is taken. */
const RATE_STEPS = 5;

interface Step extends TrafficCounts {
  /** Steps since 1970. */
  at: number;
}

/** What was served in the last two minutes, step by step. */
export class Traffic {
  readonly #steps: Step[] = Array.from({ length: STEPS + 1 }, () => ({ at: 0, ...zero() }));

  /** @param now by `Date.now()`. */
  add(now: number, served: TrafficCounts): void {
    const at = Math.floor(now / STEP_MS);
    const step = this.#steps[at % this.#steps.length]!;
    if (step.at !== at) Object.assign(step, { at, ...zero() });
    addTo(step, served);
  }

  /** Each step, the oldest first; the last one is under way. */
  steps(now: number): readonly TrafficCounts[] {
    const last = Math.floor(now / STEP_MS);
    return Array.from({ length: STEPS }, (_, i) => this.#at(last - STEPS + 1 + i));
  }

  /** A second, over the last ten seconds. */
  rates(now: number): TrafficCounts {
    const last = Math.floor(now / STEP_MS);
    const sum = zero();
    for (let back = 1; back <= RATE_STEPS; back++) addTo(sum, this.#at(last - back));
    const seconds = (RATE_STEPS * STEP_MS) / 1000;
    return {
      requests: sum.requests / seconds,
      failed: sum.failed / seconds,
      bytesIn: sum.bytesIn / seconds,
      bytesOut: sum.bytesOut / seconds,
    };
  }

  #at(at: number): TrafficCounts {
    const step = this.#steps[at % this.#steps.length]!;
    return step.at === at ? step : zero();
  }
}

export function zero(): TrafficCounts {
  return { requests: 0, failed: 0, bytesIn: 0, bytesOut: 0 };
}

export function addTo(sum: TrafficCounts, more: TrafficCounts): void {
  sum.requests += more.requests;
  sum.failed += more.failed;
  sum.bytesIn += more.bytesIn;
  sum.bytesOut += more.bytesOut;
}
