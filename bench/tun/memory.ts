import { setTimeout as sleep } from "node:timers/promises";
import type { Table } from "../bench.ts";
import type { Child } from "../child.ts";
import { descriptorLimit, proportionalBytes } from "../usage.ts";
import type { Place } from "./namespaces.ts";
import { openIdleFlows } from "./measures.ts";
import type { Upstream } from "./server.ts";
import { oneLine, type RoundsRig } from "../rounds.ts";

/** So many flows come and go first, so that code and pools are there when the counting begins. */
const FLOWS_BEFORE = 200;
const SETTLE_MS = 1_500;
const QUICK_SETTLE_MS = 500;
const AFTER_MS = 30_000;
const QUICK_AFTER_MS = 3_000;

/** What a process has open beside the sockets of its flows. */
const OTHER_DESCRIPTORS = 200;

/** Starts a carrier, freshly: memory that was once taken is seldom given back. */
export interface Fresh {
  readonly name: string;
  readonly at: Place;
  start(stack: AsyncDisposableStack): Promise<Child>;
}

/** Memory with idle flows. While one waits for what is given back later, the next one is measured. */
export async function memory(rig: RoundsRig, upstream: Upstream, carriers: readonly Fresh[]): Promise<Table> {
  await using stack = new AsyncDisposableStack();
  const after = rig.quick ? QUICK_AFTER_MS : AFTER_MS;
  const steps = rig.quick ? [1_000] : [1_000, mostFlows(rig, upstream)];
  const rows: Promise<string[]>[] = [];
  for (const carrier of carriers) {
    try {
      const child = stack.use(await carrier.start(stack));
      const cells = await measureOne(rig, carrier, child, steps);
      rows.push(sleep(after).then(() => [carrier.name, ...cells, inMegabytes(proportionalBytes(child.pid))]));
    } catch (error) {
      rig.missing(`${carrier.name}: memory: ${oneLine(error)}`);
    }
  }
  return {
    title: "tun: memory with idle flows",
    notes: [
      "MB of the process and its children (their proportional set size), after 200 flows that came and went, with the flows open (a byte " +
        `was echoed through each), and ${after / 1000} s after they closed. What the kernel holds for sockets and devices is not in it.`,
    ],
    columns: [
      "through",
      "idle MB",
      ...steps.flatMap((flows) => [`${flows} flows MB`, "KB each"]),
      "after MB",
    ],
    rows: await Promise.all(rows),
  };
}

/** A tunnel has one descriptor for each flow; the SOCKS5 server has more, and meets its limit first. */
function mostFlows(rig: RoundsRig, { name, descriptors }: Upstream): number {
  const possible = Math.floor((descriptorLimit(process.pid) - OTHER_DESCRIPTORS) / descriptors);
  if (possible >= 10_000) return 10_000;
  rig.missing(`memory: 10,000 flows: the limit of descriptors allows ${name} ${possible}`);
  return possible;
}

async function measureOne(
  rig: RoundsRig,
  { name, at }: Fresh,
  child: Child,
  steps: readonly number[],
): Promise<string[]> {
  const settled = async (): Promise<number> => {
    await sleep(rig.quick ? QUICK_SETTLE_MS : SETTLE_MS);
    return proportionalBytes(child.pid);
  };
  const there = { host: at.host4, shift: at.shift };
  await (await openIdleFlows(there, FLOWS_BEFORE))[Symbol.asyncDispose]();
  const idle = await settled();
  const cells = [inMegabytes(idle)];
  for (const flows of steps) {
    await using held = await openIdleFlows(there, flows);
    if (held.open < flows)
      rig.missing(`${name}: memory: only ${held.open} of ${flows} flows could be opened`);
    const open = await settled();
    cells.push(inMegabytes(open), ((open - idle) / held.open / 1e3).toFixed(1));
    rig.progress(`memory: ${name}: ${held.open} flows opened in ${held.seconds.toFixed(1)} s`);
  }
  return cells;
}

function inMegabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
