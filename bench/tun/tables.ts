import type { Table } from "../bench.ts";
import type { Window } from "../load/load.ts";
import {
  DATAGRAM_FLOWS,
  HTTP_CLIENTS,
  measureDatagrams,
  measureDelay,
  measureRequests,
  measureStreams,
  type Reach,
  type Stream,
} from "./measures.ts";
import type { Namespaces } from "./namespaces.ts";
import { compareRates, figure, takeTurns, type RoundsRig } from "../rounds.ts";
import type { Way } from "./way.ts";

/** What the others are measured against, where it was started. */
const BASES = ["raw", "SOCKS only, C", "hev-socks5-tunnel"];
const STREAMS: readonly Stream[] = [
  { direction: "up", streams: 1 },
  { direction: "up", streams: 10 },
  { direction: "down", streams: 1 },
  { direction: "down", streams: 10 },
];

export interface Story {
  readonly rig: RoundsRig;
  readonly window: Window;
  readonly namespaces: Namespaces;
  readonly ways: readonly Way[];
}

function basesOf({ ways }: Story): string[] {
  return BASES.filter((base) => ways.some((way) => way.name === base));
}

function reach({ at }: Way, family: 4 | 6 = 4): Reach {
  return { host: family === 4 ? at.host4 : at.host6, shift: at.shift };
}

/** iperf3 over IPv4, and once over IPv6. */
export async function throughput(story: Story, notes: readonly string[]): Promise<Table> {
  const rows: string[][] = [];
  for (const stream of STREAMS) rows.push(...(await streamRows(story, stream, 4)));
  const once: Story = { ...story, rig: { ...story.rig, rounds: 1 } };
  for (const direction of story.namespaces.hasIpv6 ? (["up", "down"] as const) : []) {
    rows.push(...(await streamRows(once, { direction, streams: 1 }, 6)));
  }
  if (!story.namespaces.hasIpv6) story.rig.missing("IPv6: this machine has none");
  const columns = ["traffic", "through", "Gbit/s", "lowest–highest", "CPU s/GB"];
  return {
    title: "tun: throughput",
    notes,
    columns: [...columns, ...basesOf(story).map((base) => `÷ ${base}`)],
    rows,
  };
}

async function streamRows(story: Story, stream: Stream, family: 4 | 6): Promise<string[][]> {
  const what =
    `${stream.direction}, ${stream.streams === 1 ? "1 stream" : `${stream.streams} streams`}` +
    (family === 6 ? ", IPv6" : "");
  const samples = await takeTurns(story.rig, what, story.ways, (way) =>
    measureStreams(story.namespaces, reach(way, family), stream, story.window),
  );
  const rates = new Map(
    [...samples].map(([way, taken]) => [way, taken.map(({ value }) => value.gigabitsPerSecond)]),
  );
  const compared = compareRates(rates, basesOf(story), 2);
  return [...samples].map(([way, taken]) => {
    const { figures, ratios } = compared.get(way)!;
    const costs = taken.map(({ value, processor }) => processor / (value.totalBytes / 1e9));
    return [what, way.name, ...figures, way.children.length === 0 ? "–" : figure(costs, 2), ...ratios];
  });
}

/** wrk with new connections and with kept ones. */
export async function requests(story: Story): Promise<Table> {
  const rows: string[][] = [];
  for (const connections of ["new", "kept"] as const) {
    const what = connections === "new" ? "connections" : "requests";
    const samples = await takeTurns(story.rig, what, story.ways, async (way) => {
      const rate = await measureRequests(reach(way), connections, story.window);
      if (rate.errors !== undefined) story.rig.missing(`${way.name}: ${what}: some failed: ${rate.errors}`);
      return rate;
    });
    const rates = new Map(
      [...samples].map(([way, taken]) => [way, taken.map(({ value }) => value.perSecond)]),
    );
    const compared = compareRates(rates, basesOf(story), 0);
    for (const [way, taken] of samples) {
      const { figures, ratios } = compared.get(way)!;
      const costs = taken.map(({ value, processor }) => (processor / value.total) * 1e6);
      rows.push([what, way.name, ...figures, way.children.length === 0 ? "–" : figure(costs, 0), ...ratios]);
    }
  }
  const columns = ["what", "through", "a second", "lowest–highest", "CPU µs each"];
  return {
    title: "tun: connections and requests",
    notes: [
      `wrk with ${HTTP_CLIENTS} clients before \`bench/load/site.c\`, whose answer is two bytes: \`connections\` are requests with ` +
        "`Connection: close`, each on a connection of its own; `requests` are on connections that are kept.",
    ],
    columns: [...columns, ...basesOf(story).map((base) => `÷ ${base}`)],
    rows,
  };
}

/** One byte there and back, alone: a stack that waits for more before it acts would show here. */
export async function delays(story: Story): Promise<Table> {
  const window: Window = { seconds: story.window.seconds / 2, warmUp: 0.2 };
  const asked = await takeTurns(story.rig, "delay, open connection", story.ways, (way) =>
    measureDelay(reach(way), "ask", window),
  );
  const met = await takeTurns(story.rig, "delay, new connection", story.ways, (way) =>
    measureDelay(reach(way), "meet", window),
  );
  const microseconds = (values: readonly number[]): string =>
    figure(
      values.map((value) => value * 1e6),
      0,
    );
  return {
    title: "tun: delay of one small request",
    notes: [
      "One byte there and back through `bench/load/apps.c`, one after the other and with nothing else on the way: on a connection " +
        "that is open, and with a connection made for it (from connect to the answer). A forwarder accepts before it has asked the " +
        "SOCKS5 server, a tunnel after that.",
    ],
    columns: ["through", "open: median µs", "99 % µs", "new: median µs", "99 % µs"],
    rows: story.ways.map((way) => [
      way.name,
      ...[asked, met].flatMap((samples) => {
        const taken = samples.get(way)!.map(({ value }) => value);
        return [microseconds(taken.map(({ p50 }) => p50)), microseconds(taken.map(({ p99 }) => p99))];
      }),
    ]),
  };
}

/** Small datagrams there and back. */
export async function datagrams(story: Story): Promise<Table> {
  const ways = story.ways.filter((way) => way.isTunnel || way.children.length === 0);
  const window: Window = { seconds: story.window.seconds, warmUp: 0.4 };
  const samples = await takeTurns(story.rig, "datagrams", ways, (way) =>
    measureDatagrams(reach(way), window),
  );
  const rates = new Map(
    [...samples].map(([way, taken]) => [way, taken.map(({ value }) => value.returned / value.seconds)]),
  );
  const bases = basesOf(story).filter((base) => ways.some((way) => way.name === base));
  const compared = compareRates(rates, bases, 0);
  return {
    title: "tun: datagrams",
    notes: [
      `${DATAGRAM_FLOWS} flows of UDP, each with 8 datagrams of 64 bytes on their way to an echo and back (\`bench/load/apps.c\`), through ` +
        "SOCKS5 UDP ASSOCIATE. A datagram there and back counts once; what is not back when the measure has ended is lost. " +
        "The forwarders carry no datagrams.",
    ],
    columns: [
      "through",
      "a second",
      "lowest–highest",
      "lost",
      "CPU µs each",
      ...bases.map((base) => `÷ ${base}`),
    ],
    rows: [...samples].map(([way, taken]) => {
      const { figures, ratios } = compared.get(way)!;
      const lost = taken.map(({ value }) => (value.lost / value.sent) * 100);
      const costs = taken.map(({ value, processor }) => (processor / value.sent) * 1e6);
      const cost = way.children.length === 0 ? "–" : figure(costs, 1);
      return [way.name, ...figures, lost.length === 0 ? "–" : `${figure(lost, 2)} %`, cost, ...ratios];
    }),
  };
}
