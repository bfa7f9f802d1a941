import { setTimeout as sleep } from "node:timers/promises";
import { median, ratio, type Contender, type Rig, type Table } from "./bench.ts";
import { measureThroughput, type Throughput, type Traffic, type Window } from "./load/load.ts";
import { processorSeconds } from "./usage.ts";

/** What a relay before or behind still holds from the last measure is gone after so long. */
const SETTLE_MS = 200;

interface Sample {
  readonly gigabitsPerSecond: number;
  readonly processorSecondsPerGigabyte: number;
}

export interface Comparison {
  readonly title: string;
  readonly notes: readonly string[];
  readonly contenders: readonly Contender[];
  /** Names those that the others are measured against. */
  readonly bases: readonly string[];
  readonly streams: readonly number[];
  readonly window?: Window;
}

/** Downloads and uploads through each contender, taking turns, so that what else the machine does strikes all alike. */
export async function compareThroughput(rig: Rig, comparison: Comparison): Promise<Table> {
  const rows: string[][] = [];
  for (const direction of ["down", "up"] as const) {
    for (const streams of comparison.streams) {
      const samples = new Map<Contender, Sample[]>(comparison.contenders.map((each) => [each, []]));
      for (let round = 0; round < rig.rounds; round++) {
        for (const [contender, taken] of samples) {
          const sample = await take(rig, contender, { direction, streams }, comparison.window);
          rig.progress(
            `${direction}, ${streams}: ${contender.name}: ${sample.gigabitsPerSecond.toFixed(2)} Gbit/s`,
          );
          taken.push(sample);
        }
      }
      rows.push(
        ...asRows(`${direction}, ${streams === 1 ? "1 stream" : `${streams} streams`}`, comparison, samples),
      );
    }
  }
  const columns = ["traffic", "through", "Gbit/s", "lowest–highest", "CPU s/GB"];
  return {
    title: comparison.title,
    notes: comparison.notes,
    columns: [...columns, ...comparison.bases.map((base) => `÷ ${base}`)],
    rows,
  };
}

async function take(
  rig: Rig,
  contender: Contender,
  traffic: Omit<Traffic, "proxyPort">,
  window: Window = rig.window,
): Promise<Sample> {
  await sleep(SETTLE_MS);
  const before = cost(contender);
  const measured = await measureThroughput(
    { ...traffic, proxyPort: contender.proxyPort },
    rig.target,
    window,
  );
  if (measured.errors > 0) rig.missing(`${contender.name}: ${measured.errors} streams failed`);
  return asSample(measured, cost(contender) - before);
}

function cost(contender: Contender): number {
  return contender.children.reduce((sum, child) => sum + processorSeconds(child.pid), 0);
}

function asSample(measured: Throughput, processor: number): Sample {
  return {
    gigabitsPerSecond: (measured.bytes * 8) / 1e9 / measured.seconds,
    processorSecondsPerGigabyte: processor / (measured.total / 1e9),
  };
}

function asRows(
  traffic: string,
  comparison: Comparison,
  samples: ReadonlyMap<Contender, readonly Sample[]>,
): string[][] {
  const speeds = new Map(
    [...samples].map(([contender, taken]) => [contender.name, taken.map((one) => one.gigabitsPerSecond)]),
  );
  return [...samples].map(([contender, taken]) => {
    const own = speeds.get(contender.name)!;
    const processor = median(taken.map((one) => one.processorSecondsPerGigabyte));
    return [
      traffic,
      contender.name,
      median(own).toFixed(2),
      `${Math.min(...own).toFixed(2)}–${Math.max(...own).toFixed(2)}`,
      contender.children.length === 0 ? "–" : processor.toFixed(2),
      ...comparison.bases.map((base) =>
        base === contender.name ? "1" : ratio(median(own), median(speeds.get(base) ?? [])),
      ),
    ];
  });
}
