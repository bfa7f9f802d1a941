import { setTimeout as sleep } from "node:timers/promises";
import type { Rig, Table } from "../bench.ts";
import { openIdleFlows, type Origin } from "../load/load.ts";
import { oneLine } from "../rounds.ts";
import { proportionalBytes } from "../usage.ts";
import type { Carrier, Carrying } from "./carriers.ts";
import { measureRate } from "./measures.ts";
import { startCarrier, waysOf } from "./ways.ts";

const IDLE = 1000;
const PER_SECOND = 1000;
/** So many come and go first, so that code and pools are there when the counting begins. */
const BEFORE = 200;
const SETTLE_MS = 1000;
const LOAD_SECONDS = 3;

/** Each carrier freshly started: memory that was once taken is seldom given back. */
export async function memory(rig: Rig, carriers: readonly Carrier[], origin: Origin): Promise<Table> {
  const rows: string[][] = [];
  for (const carrier of carriers) {
    try {
      rows.push(await measureOne(rig, carrier, origin));
    } catch (error) {
      rig.missing(`${carrier.name}: memory: ${oneLine(error)}`);
    }
  }
  return {
    title: "relay: memory",
    notes: [
      `MB of server and client (their proportional set size): at rest after ${BEFORE} TCP connections that came and went, with ${IDLE} idle ` +
        `ones (a byte was echoed through each), and while ${PER_SECOND} requests a second have been served for ${LOAD_SECONDS} s. What the ` +
        "kernel holds for sockets is not in it.",
    ],
    columns: [
      "through",
      "at rest, server",
      "client",
      `${IDLE} idle, server`,
      "client",
      "KB a tunnel, both",
      `${PER_SECOND} requests/s, server`,
      "client",
    ],
    rows,
  };
}

async function measureOne(rig: Rig, carrier: Carrier, origin: Origin): Promise<string[]> {
  await using stack = new AsyncDisposableStack();
  const carrying = await startCarrier(carrier, stack, { origin, delayMs: 0 });
  const target = { echo: carrying.echo };
  await (await openIdleFlows(BEFORE, 0, target))[Symbol.asyncDispose]();
  await sleep(SETTLE_MS);
  const rest = bytesOf(carrying);
  const open = await openIdleFlows(IDLE, 0, target);
  await sleep(SETTLE_MS);
  const held = bytesOf(carrying);
  await open[Symbol.asyncDispose]();
  if (open.open < IDLE)
    rig.missing(`${carrier.name}: memory: only ${open.open} of ${IDLE} tunnels could be opened`);
  const [way] = waysOf(carrier, carrying);
  let loaded = bytesOf(carrying);
  const load = measureRate(way!, PER_SECOND, { seconds: LOAD_SECONDS, warmUp: 0 });
  await Promise.all([load, sleep(LOAD_SECONDS * 1000 - 100).then(() => (loaded = bytesOf(carrying)))]);
  rig.progress(`memory: ${carrier.name}`);
  const each = (held.server + held.client - rest.server - rest.client) / open.open / 1e3;
  const cells = [rest, held].map(({ server, client }) => [megabytes(server), megabytes(client)]);
  const name = carrier.name === "showoff" && carrier.link === "encrypted" ? "showoff, TLS" : carrier.name;
  return [name, ...cells.flat(), each.toFixed(1), megabytes(loaded.server), megabytes(loaded.client)];
}

function bytesOf({ children: [server, ...clients] }: Carrying): { server: number; client: number } {
  return {
    server: proportionalBytes(server!.pid),
    client: clients.reduce((sum, { pid }) => sum + proportionalBytes(pid), 0),
  };
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
