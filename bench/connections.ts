import { setTimeout as sleep } from "node:timers/promises";
import { median, ratio, type Bench, type Contender, type Rig, type Table } from "./bench.ts";
import { contender, proxyUpstream, sockeye } from "./contenders.ts";
import { measureConnections, startFastUpstream, type ConnectionRate, type Window } from "./load/load.ts";
import { startPlainRelay } from "./peers/peers.ts";
import { processorSeconds } from "./usage.ts";

const CLIENTS = 64;
/** Closed connections in TIME-WAIT hold their ports; on loopback Linux gives one back after a second. */
const SETTLE_MS = 1_100;

/** V8 compiles during the first thirty thousand connections, which a proxy that runs for days has behind it. */
const COMPILING: Window = { warmUp: 8, seconds: 1 };

interface Sample extends ConnectionRate {
  readonly processor: number;
}

export const connections: Bench = {
  name: "connections",
  about: "new connections a second, SOCKS5 in and SOCKS5 out",
  async run(rig: Rig): Promise<Table[]> {
    await using stack = new AsyncDisposableStack();
    const upstream = stack.use(await startFastUpstream());
    const relay = stack.use(await startPlainRelay(upstream.port));
    const contenders: Contender[] = [
      contender("upstream alone", upstream),
      contender("plain Node relay → upstream", relay),
      ...(await sockeye(rig, stack, {
        name: "sockeye → SOCKS5 upstream",
        upstream: proxyUpstream("socks5", upstream.port),
      })),
    ];
    const samples = new Map<Contender, Sample[]>(contenders.map((each) => [each, []]));
    if (!rig.quick) for (const each of contenders) await take(rig, each, COMPILING);
    for (let round = 0; round < rig.rounds; round++) {
      for (const [each, taken] of samples) {
        const sample = await take(rig, each);
        rig.progress(`${each.name}: ${perSecond(sample).toFixed(0)} a second`);
        taken.push(sample);
      }
    }
    return [asTable(samples, rig.quick)];
  },
};

async function take(rig: Rig, from: Contender, window = rig.window): Promise<Sample> {
  await sleep(SETTLE_MS);
  const used = (): number => from.children.reduce((sum, child) => sum + processorSeconds(child.pid), 0);
  const before = used();
  const rate = await measureConnections({ clients: CLIENTS, proxyPort: from.proxyPort }, rig.target, window);
  if (rate.errors > 0) rig.missing(`${from.name}: ${rate.errors} connections failed`);
  return { ...rate, processor: used() - before };
}

function perSecond(rate: ConnectionRate): number {
  return rate.connections / rate.seconds;
}

function asTable(samples: ReadonlyMap<Contender, readonly Sample[]>, quick: boolean): Table {
  const rates = [...samples].map(([each, taken]) => [each.name, median(taken.map(perSecond))] as const);
  const base = rates.find(([name]) => name.startsWith("plain Node relay"))?.[1] ?? Number.NaN;
  return {
    title: "connections: SOCKS5 in, SOCKS5 out",
    notes: [
      `${CLIENTS} clients at once, each: connect, SOCKS5 handshake, one byte echoed, close. The upstream is the C proxy of ` +
        "`bench/load/upstream.c`. The plain Node relay pipes bytes and speaks no protocol." +
        (quick ? "" : " Each has served for 9 s before, so that V8 has compiled what it will."),
    ],
    columns: ["through", "connections/s", "median ms", "99 % ms", "CPU µs each", "÷ plain Node relay"],
    rows: [...samples].map(([each, taken], index) => [
      each.name,
      rates[index]![1].toFixed(0),
      (median(taken.map((one) => one.p50)) * 1000).toFixed(1),
      (median(taken.map((one) => one.p99)) * 1000).toFixed(1),
      (median(taken.map((one) => one.processor / one.total)) * 1e6).toFixed(0),
      ratio(rates[index]![1], base),
    ]),
  };
}
