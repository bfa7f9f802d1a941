import { setTimeout as sleep } from "node:timers/promises";
import { median, ratio } from "./bench.ts";
import type { Child } from "./child.ts";
import { processorSeconds } from "./usage.ts";

/** What a way still holds from the last measure is gone after so long. */
const SETTLE_MS = 200;

/** Something that traffic takes its way through. */
export interface Measured {
  readonly name: string;
  /** Whose processor time is its cost; none for the bare network. */
  readonly children: readonly Child[];
}

/** The part of a benchmark's rig that rounds need. */
export interface RoundsRig {
  readonly rounds: number;
  readonly quick: boolean;
  progress(text: string): void;
  missing(text: string): void;
}

export interface Sample<T> {
  readonly value: T;
  /** Processor seconds of the way's processes and their children. */
  readonly processor: number;
}

/**
 * Takes a measure of each way in turn, round for round, so that what else the machine does strikes all alike. One that
 * fails is told as missing, and the others go on.
 */
export async function takeTurns<W extends Measured, T>(
  rig: RoundsRig,
  what: string,
  ways: readonly W[],
  take: (way: W) => Promise<T>,
): Promise<Map<W, Sample<T>[]>> {
  const samples = new Map<W, Sample<T>[]>(ways.map((way) => [way, []]));
  for (let round = 0; round < rig.rounds; round++) {
    for (const [way, taken] of samples) {
      await sleep(SETTLE_MS);
      const before = costOf(way);
      try {
        const value = await take(way);
        taken.push({ value, processor: costOf(way) - before });
      } catch (error) {
        rig.missing(`${way.name}: ${what}: ${oneLine(error)}`);
      }
    }
    rig.progress(`${what}: round ${round + 1} of ${rig.rounds}`);
  }
  return samples;
}

/** Processor seconds that a way has cost so far. */
export function costOf({ children }: Measured): number {
  return children.reduce((sum, { pid }) => sum + processorSeconds(pid), 0);
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
export function compareRates<W extends Measured>(
  rates: ReadonlyMap<W, readonly number[]>,
  bases: readonly string[],
  digits: number,
): Map<W, { readonly figures: readonly [string, string]; readonly ratios: readonly string[] }> {
  const medians = new Map([...rates].map(([way, own]) => [way.name, median(own)]));
  return new Map(
    [...rates].map(([way, own]) => {
      const ratios = bases.map((base) =>
        base === way.name ? "1" : ratio(median(own), medians.get(base) ?? Number.NaN),
      );
      if (own.length === 0) return [way, { figures: ["–", "–"], ratios: bases.map(() => "–") }];
      return [way, { figures: [figure(own, digits), range(own, digits)], ratios }];
    }),
  );
}

/** A figure of the median, or a dash where nothing was measured. */
export function figure(values: readonly number[], digits: number): string {
  return values.length === 0 ? "–" : median(values).toFixed(digits);
}

/** The lowest and the highest, or a dash where nothing was measured. */
export function range(values: readonly number[], digits: number): string {
  return values.length === 0
    ? "–"
    : `${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)}`;
}
