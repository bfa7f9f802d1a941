import { setTimeout as sleep } from "node:timers/promises";
import { median, ratio, type Rig, type Table } from "../bench.ts";
import { measureConnections, type Window } from "../load/load.ts";
import { costOf, figure, range, takeTurns, type RoundsRig, type Sample } from "../rounds.ts";
import { CLIENTS, measureBody, measureRate, measureRequests } from "./measures.ts";
import type { Way } from "./ways.ts";

const PEER_COLUMN = "÷ best peer alike";
const PEER_NOTE =
  `\`${PEER_COLUMN}\` is against the fastest other relay whose link is alike: in clear, or encrypted. Processor time is that of server ` +
  "and client together.";

const milliseconds = (seconds: readonly number[], digits = 1): string =>
  figure(
    seconds.map((one) => one * 1000),
    digits,
  );

/** Columns 2 to the end: median, range, ÷ direct (where there is one), ÷ best peer alike. */
function rateCells(rates: ReadonlyMap<Way, readonly number[]>, way: Way, digits: number): string[] {
  const own = rates.get(way)!;
  const alike = [...rates].filter(
    ([other]) => !other.isOurs && other.link === way.link && way.link !== "none",
  );
  const best = Math.max(...alike.map(([, taken]) => (taken.length === 0 ? 0 : median(taken))));
  const direct = [...rates].find(([other]) => other.link === "none")?.[1];
  const against = (base: number) => (own.length === 0 ? "–" : ratio(median(own), base));
  return [
    figure(own, digits),
    range(own, digits),
    ...(direct === undefined ? [] : [against(median(direct))]),
    alike.length === 0 ? "–" : against(best),
  ];
}

function rateColumns(ways: readonly Way[]): string[] {
  return ["lowest–highest", ...(ways.some(({ link }) => link === "none") ? ["÷ direct"] : []), PEER_COLUMN];
}

function cost<T>(
  way: Way,
  samples: readonly Sample<T>[],
  units: (value: T) => number,
  digits: number,
): string {
  if (way.children.length === 0) return "–";
  return figure(
    samples.map(({ value, processor }) => processor / units(value)),
    digits,
  );
}

/** wrk, on connections that are kept and on new ones. */
export async function requests(
  rig: Rig,
  ways: readonly Way[],
  title: string,
  seconds: number,
): Promise<Table> {
  const rows: string[][] = [];
  for (const connections of ["kept", "new"] as const) {
    const what = connections === "kept" ? "kept" : "`Connection: close`";
    const samples = await takeTurns(rig, `${title}: ${connections}`, ways, async (way) => {
      const rate = await measureRequests(way, connections, seconds);
      if (rate.errors !== undefined)
        rig.missing(`${way.name}: ${title}: ${what}: some failed: ${rate.errors}`);
      return rate;
    });
    const rates = new Map(
      [...samples].map(([way, taken]) => [way, taken.map(({ value }) => value.perSecond)]),
    );
    for (const [way, taken] of samples) {
      const [middle, ...others] = rateCells(rates, way, 0);
      rows.push([
        what,
        way.name,
        middle!,
        milliseconds(taken.map(({ value }) => value.p50)),
        milliseconds(taken.map(({ value }) => value.p99)),
        cost(way, taken, ({ total }) => total / 1e6, 0),
        ...others,
      ]);
    }
  }
  return {
    title,
    notes: [
      `wrk with ${CLIENTS} connections before \`bench/load/origin.c\`, whose answer is two bytes. ${PEER_NOTE}`,
    ],
    columns: [
      "connections",
      "through",
      "requests/s",
      "median ms",
      "99 % ms",
      "CPU µs each",
      ...rateColumns(ways),
    ],
    rows,
  };
}

/** So many requests a second, whatever becomes of those before. */
export async function rates(rig: Rig, ways: readonly Way[], window: Window): Promise<Table> {
  const rows: string[][] = [await slowRow(rig, ways)].flat();
  for (const perSecond of [1000, 2000, 4000]) {
    const what = `${perSecond} a second`;
    const samples = await takeTurns(rig, what, ways, (way) => measureRate(way, perSecond, window));
    for (const [way, taken] of samples) {
      const lost = taken.map(({ value }) => (value.errors / (value.total + value.errors)) * 100);
      rows.push([
        String(perSecond),
        way.name,
        milliseconds(
          taken.map(({ value }) => value.p50),
          2,
        ),
        milliseconds(
          taken.map(({ value }) => value.p99),
          2,
        ),
        milliseconds(
          taken.map(({ value }) => value.most),
          1,
        ),
        cost(way, taken, ({ total }) => total / 1e6, 0),
        figure(lost, 2),
      ]);
    }
  }
  return {
    title: "relay: latency at a fixed rate",
    notes: [
      "`bench/load/requests.c` begins each request at its time, on up to 256 kept connections, whether or not those before it have been " +
        "answered, and counts its latency from that time (so a server that stands still is not asked less for it). At 1 a second all are " +
        "asked at the same time, for some seconds, and CPU is not told.",
    ],
    columns: ["requests/s", "through", "median ms", "99 % ms", "most ms", "CPU µs each", "failed %"],
    rows,
  };
}

const SLOW_SECONDS = 10;

/** One request a second is no load: all ways at once. */
async function slowRow(rig: Rig, ways: readonly Way[]): Promise<string[][]> {
  const window: Window = { seconds: rig.quick ? 3 : SLOW_SECONDS, warmUp: 0 };
  const answers = await Promise.all(
    ways.map(async (way, index) => {
      // One after the other within the second, so that they do not wait for each other.
      await sleep((index * 1000) / ways.length);
      return measureRate(way, 1, window);
    }),
  );
  rig.progress("1 a second");
  return ways.map((way, index) => {
    const { p50, p99, most, errors, total } = answers[index]!;
    const lost = (errors / (total + errors)) * 100;
    return [
      "1",
      way.name,
      milliseconds([p50], 2),
      milliseconds([p99], 2),
      milliseconds([most]),
      "–",
      lost.toFixed(2),
    ];
  });
}

/** One large body each way. */
export async function bodies(
  rig: RoundsRig,
  ways: readonly Way[],
  title: string,
  size: { readonly bytes: number; readonly window: Window },
): Promise<Table> {
  const rows: string[][] = [];
  for (const direction of ["down", "up"] as const) {
    const samples = await takeTurns(rig, `${title}: ${direction}`, ways, (way) =>
      measureBody(way, direction, size.bytes, size.window),
    );
    const speeds = new Map(
      [...samples].map(([way, taken]) => [
        way,
        taken.map(({ value }) => (value.bytes * 8) / 1e9 / value.seconds),
      ]),
    );
    for (const [way, taken] of samples) {
      const [middle, ...others] = rateCells(speeds, way, 2);
      const wall = taken.map(({ value }) => (value.whole ? value.seconds : Number.NaN));
      const whole = wall.some(Number.isNaN) ? "–" : figure(wall, 2);
      rows.push([
        direction,
        way.name,
        middle!,
        whole,
        cost(way, taken, ({ total }) => total / 1e9, 2),
        ...others,
      ]);
    }
  }
  const { bytes, window } = size;
  return {
    title,
    notes: [
      `One request with, or one answer of, ${bytes / 1e9} GB; where it takes longer than ${window.seconds + window.warmUp} s it is cut, ` +
        `and the rate is of what had come${window.warmUp > 0 ? `, after the first ${window.warmUp} s` : ""}. ${PEER_NOTE}`,
    ],
    columns: ["body", "through", "Gbit/s", "whole in s", "CPU s/GB", ...rateColumns(ways)],
    rows,
  };
}

/** Connections to a TCP port: connect, one byte echoed, close. */
export async function connections(rig: Rig, ways: readonly Way[], window: Window): Promise<Table> {
  const open = ways.filter((way) => way.echo !== undefined);
  const samples = await takeTurns(rig, "connections", open, async (way) => {
    const rate = await measureConnections({ clients: CLIENTS, proxyPort: 0 }, { echo: way.echo! }, window);
    if (rate.errors > 0) rig.missing(`${way.name}: ${rate.errors} connections failed`);
    return rate;
  });
  const perSecond = new Map(
    [...samples].map(([way, taken]) => [way, taken.map(({ value }) => value.connections / value.seconds)]),
  );
  return {
    title: "relay: new connections",
    notes: [
      `${CLIENTS} clients at once, each: connect to a published TCP port, one byte echoed, close. ${PEER_NOTE}`,
    ],
    columns: ["through", "connections/s", "median ms", "99 % ms", "CPU µs each", ...rateColumns(open)],
    rows: [...samples].map(([way, taken]) => {
      const [middle, ...others] = rateCells(perSecond, way, 0);
      return [
        way.name,
        middle!,
        milliseconds(taken.map(({ value }) => value.p50)),
        milliseconds(taken.map(({ value }) => value.p99)),
        cost(way, taken, ({ total }) => total / 1e6, 0),
        ...others,
      ];
    }),
  };
}

/** Runs each way for a moment, so that what is compiled at run time is compiled. */
export async function warmUp(rig: Rig, ways: readonly Way[]): Promise<void> {
  for (const way of ways) {
    const before = costOf(way);
    await measureRequests(way, "kept", 1);
    await measureRequests(way, "new", 1);
    rig.progress(`${way.name}: warm after ${(costOf(way) - before).toFixed(1)} s of processor time`);
  }
}
