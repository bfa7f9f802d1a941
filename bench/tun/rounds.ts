import { setTimeout as sleep } from "node:timers/promises";
import { median, ratio } from "../bench.ts";
import type { Child } from "../child.ts";
import { processorSeconds } from "../usage.ts";
import type { Place } from "./namespaces.ts";

/** What a tunnel still holds from the last measure is gone after so long. */
const SETTLE_MS = 200;

/** A way from the applications to the targets. */
export interface Way {
  readonly name: string;
  readonly at: Place;
  /** Whose processor time is its cost; none for the bare network. */
  readonly child?: Child;
  /** Whether datagrams can take it. */
  readonly isTunnel: boolean;
}

/** The part of a benchmark's rig that crosses into the namespaces. */
export interface TunRig {
  readonly rounds: number;
  readonly quick: boolean;
  progress(text: string): void;
  missing(text: string): void;
}

export interface Sample<T> {
  readonly value: T;
  /** Processor seconds of the way's process and its children. */
  readonly processor: number;
}

/**
 * Takes a measure of each way in turn, round for round, so that what else the machine does strikes all alike. One that
 * fails is told as missing, and the others go on.
 */
export async function takeTurns<T>(
  rig: TunRig,
  what: string,
  ways: readonly Way[],
  take: (way: Way) => Promise<T>,
): Promise<Map<Way, Sample<T>[]>> {
  const samples = new Map<Way, Sample<T>[]>(ways.map((way) => [way, []]));
  for (let round = 0; round < rig.rounds; round++) {
    for (const [way, taken] of samples) {
      await sleep(SETTLE_MS);
      const used = (): number => (way.child === undefined ? 0 : processorSeconds(way.child.pid));
      const before = used();
      try {
        const value = await take(way);
        taken.push({ value, processor: used() - before });
      } catch (error) {
        rig.missing(`${way.name}: ${what}: ${oneLine(error)}`);
      }
    }
    rig.progress(`${what}: round ${round + 1} of ${rig.rounds}`);
  }
  return samples;
}

/** How a terminal is told of colours; some programs say it to files, too. */
const COLOURS = /\x1b\[[\d;]*m/g;

/** The last line that says something, for the results' list of what is missing. */
export function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (
    text.replaceAll(COLOURS, "").trim().split("\n").filter(Boolean).at(-1)?.slice(0, 300) ?? "no reason given"
  );
}

/** Median, range and ratios of rates, as cells of a table. */
export function compareRates(
  rates: ReadonlyMap<Way, readonly number[]>,
  bases: readonly string[],
  digits: number,
): Map<Way, { readonly figures: readonly [string, string]; readonly ratios: readonly string[] }> {
  const medians = new Map([...rates].map(([way, own]) => [way.name, median(own)]));
  return new Map(
    [...rates].map(([way, own]) => {
      const range = `${Math.min(...own).toFixed(digits)}–${Math.max(...own).toFixed(digits)}`;
      const ratios = bases.map((base) =>
        base === way.name ? "1" : ratio(median(own), medians.get(base) ?? Number.NaN),
      );
      if (own.length === 0) return [way, { figures: ["–", "–"], ratios: bases.map(() => "–") }];
      return [way, { figures: [median(own).toFixed(digits), range], ratios }];
    }),
  );
}

/** A figure of the median, or a dash where nothing was measured. */
export function figure(values: readonly number[], digits: number): string {
  return values.length === 0 ? "–" : median(values).toFixed(digits);
}
