import { findProgram } from "../../test/peers/peer-process.ts";
import type { Bench, Rig, Table } from "../bench.ts";
import { startOrigin, type Origin } from "../load/load.ts";
import type { Carrier } from "./carriers.ts";
import { memory } from "./memory.ts";
import { bodies, connections, rates, requests, warmUp } from "./tables.ts";
import { carriersHere, startWays, type Way } from "./ways.ts";

const ONE_WAY_MS = 25;
const GIGABYTE = 1e9;

export const relay: Bench = {
  name: "relay",
  about: "a local service through the Showoff relay, beside direct and the other relays that are installed",
  sections: ["requests", "rates", "bodies", "connections", "far", "memory"],
  part: "Relay",
  async run(rig: Rig): Promise<Table[]> {
    if (findProgram("wrk") === undefined) {
      rig.missing("relay: wrk is not installed");
      return [];
    }
    await using stack = new AsyncDisposableStack();
    const origin = stack.use(await startOrigin());
    const carriers = carriersHere(rig);
    const tables: Table[] = [];
    if (["requests", "rates", "bodies", "connections"].some((section) => rig.wants(section)))
      tables.push(...(await near(rig, carriers, origin)));
    if (rig.wants("far")) tables.push(...(await far(rig, carriers, origin)));
    if (rig.wants("memory")) tables.push(await memory(rig, carriers, origin));
    return tables;
  },
};

/** With nothing between client and server. */
async function near(rig: Rig, carriers: readonly Carrier[], origin: Origin): Promise<Table[]> {
  await using stack = new AsyncDisposableStack();
  const ways = await startWays(rig, stack, carriers, { origin, delayMs: 0 });
  await warmUp(rig, ways);
  const { quick } = rig;
  const window = { seconds: 1, warmUp: 0.2 };
  const twice = { ...rig, rounds: Math.min(rig.rounds, 2) };
  // Slow ones are cut: they take their time in each round.
  const body = { bytes: quick ? GIGABYTE / 5 : GIGABYTE, window: { seconds: quick ? 1 : 3, warmUp: 0 } };
  const sections: [string, () => Promise<Table>][] = [
    ["requests", () => requests(rig, ways, "relay: requests", 1)],
    ["rates", () => rates(twice, ways, window)],
    ["bodies", () => bodies(twice, ways, "relay: one large body", body)],
    ["connections", () => connections(rig, ways, window)],
  ];
  const tables: Table[] = [];
  for (const [section, measure] of sections) if (rig.wants(section)) tables.push(await measure());
  return tables;
}

const FAR_NOTE =
  `Between client and server is \`bench/load/delay.c\`, which holds every byte for ${ONE_WAY_MS} ms in each direction, whatever the rate, ` +
  "and does not delay connecting. It shows how often a request waits for the way there and back, and what windows allow.";

/** With a long link between client and server. */
async function far(rig: Rig, carriers: readonly Carrier[], origin: Origin): Promise<Table[]> {
  await using stack = new AsyncDisposableStack();
  const ways: Way[] = await startWays(rig, stack, carriers, { origin, delayMs: ONE_WAY_MS });
  const where = `relay, ${2 * ONE_WAY_MS} ms round trip`;
  const window = { seconds: rig.quick ? 1 : 3, warmUp: 1 };
  const twice = { ...rig, rounds: Math.min(rig.rounds, 2) };
  const once = { ...rig, rounds: 1 };
  const small = await requests(twice, ways, `${where}: requests`, 2);
  const large = await bodies(once, ways, `${where}: one large body`, { bytes: GIGABYTE, window });
  return [small, large].map((table) => ({ ...table, notes: [FAR_NOTE, ...table.notes] }));
}
