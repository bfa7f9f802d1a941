import type { Child } from "./child.ts";
import type { Target, Window } from "./load/load.ts";

/** One story of the benchmark, by name. */
export interface Bench {
  readonly name: string;
  /** One line for `--help`. */
  readonly about: string;
  /** What may be asked for alone, as `NAME/SECTION`. */
  readonly sections?: readonly string[];
  /** The heading of its own part of the results; a whole run of it alone writes that part anew. */
  readonly part?: string;
  run(rig: Rig): Promise<Table[]>;
}

/** What every bench is given. */
export interface Rig {
  readonly target: Target;
  readonly window: Window;
  /** How often each measure is taken; the median counts. */
  readonly rounds: number;
  readonly quick: boolean;
  /** Whether a section of it was asked for; all are where none was named. */
  wants(section: string): boolean;
  /** Tells a person how far it is. */
  progress(text: string): void;
  /** Says what could not be measured and why; it stands in the results. */
  missing(text: string): void;
}

/** Somebody whose way the traffic takes. */
export interface Contender {
  readonly name: string;
  /** Its SOCKS5 port; 0: straight to the target. */
  readonly proxyPort: number;
  /** The processes whose processor time is its cost. */
  readonly children: readonly Child[];
}

export interface Table {
  readonly title: string;
  readonly notes: readonly string[];
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** The middle of some figures; of an even number the lower of the two, so that it is a figure that was measured. */
export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}

/** `1.23×`, of two medians of one run. */
export function ratio(figure: number, base: number): string {
  return base > 0 && Number.isFinite(figure) ? `${(figure / base).toFixed(2)}×` : "–";
}
