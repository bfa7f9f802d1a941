import { setTimeout as sleep } from "node:timers/promises";
import { startSshd } from "../test/peers/sshd.ts";
import type { Bench, Contender, Rig, Table } from "./bench.ts";
import { contender, proxyUpstream, sockeye } from "./contenders.ts";
import { openIdleFlows, startFastUpstream } from "./load/load.ts";
import { findProgram } from "../test/peers/peer-process.ts";
import { reachedAt, sshUpstream, startOpenSsh, startPlainRelay, type SshServer } from "./peers/peers.ts";
import { descriptorLimit, residentBytes } from "./usage.ts";

/** So many flows come and go first, so that code and pools are there when the counting begins. */
const FLOWS_BEFORE = 200;
const SETTLE_MS = 2_000;
const QUICK_SETTLE_MS = 700;

/** What a process has open beside the two sockets of each flow. */
const OTHER_DESCRIPTORS = 200;

/** Starts one contender, freshly for each measure: memory that was once taken is seldom given back. */
type Start = (stack: AsyncDisposableStack) => Promise<Contender[]>;

export const memory: Bench = {
  name: "memory",
  about: "memory for each idle flow, with 1,000 and 10,000 of them",
  async run(rig: Rig): Promise<Table[]> {
    await using stack = new AsyncDisposableStack();
    const upstream = stack.use(await startFastUpstream());
    const sshd = stack.use(await startSshd({ config: ["LogLevel INFO"] }));
    const starts = [...overSocks5(rig, upstream.port), ...overSsh(rig, reachedAt(sshd, sshd.port))];
    const rows: string[][] = [];
    const possible = Math.floor((descriptorLimit(upstream.child.pid) - OTHER_DESCRIPTORS) / 2);
    if (possible < 10_000) rig.missing(`10,000 flows: the limit of descriptors allows ${possible}`);
    for (const flows of [1_000, Math.min(10_000, possible)]) {
      for (const start of starts) {
        await using own = new AsyncDisposableStack();
        for (const each of await start(own)) rows.push(await measure(rig, each, flows));
      }
    }
    return [
      {
        title: "memory: idle flows",
        notes: [
          "The resident memory of the one process, after 200 flows that came and went, with the flows open (a byte was echoed " +
            "through each), and some seconds after they closed. Opening ends after 30 s. What the kernel holds for their sockets is not in it.",
        ],
        columns: ["flows", "through", "before MB", "open MB", "KB each", "closed MB", "opened in s"],
        rows,
      },
    ];
  },
};

function overSocks5(rig: Rig, port: number): Start[] {
  const upstream = proxyUpstream("socks5", port);
  return [
    async (stack) => [contender("plain Node relay → SOCKS5", stack.use(await startPlainRelay(port)))],
    (stack) => sockeye(rig, stack, { name: "sockeye → SOCKS5", upstream }),
  ];
}

function overSsh(rig: Rig, server: SshServer): Start[] {
  return [
    async (stack) => {
      if (findProgram("ssh") === undefined) return [];
      return [contender("ssh -D", stack.use(await startOpenSsh(server)))];
    },
    (stack) => sockeye(rig, stack, { name: "sockeye → SSH", upstream: sshUpstream(server, 1) }),
  ];
}

async function measure(rig: Rig, of: Contender, flows: number): Promise<string[]> {
  const settle = (): Promise<void> => sleep(rig.quick ? QUICK_SETTLE_MS : SETTLE_MS);
  const resident = (): number => of.children.reduce((sum, child) => sum + residentBytes(child.pid), 0);
  await (await openIdleFlows(FLOWS_BEFORE, of.proxyPort, rig.target))[Symbol.asyncDispose]();
  await settle();
  const before = resident();
  const idle = await openIdleFlows(flows, of.proxyPort, rig.target);
  await settle();
  const open = resident();
  await idle[Symbol.asyncDispose]();
  await settle();
  const closed = resident();
  if (idle.open < flows) rig.missing(`${of.name}: only ${idle.open} of ${flows} flows could be opened`);
  const each = (open - before) / idle.open / 1e3;
  rig.progress(`${of.name}: ${idle.open} flows, ${each.toFixed(1)} KB each`);
  const megabytes = [before, open, closed].map((bytes) => (bytes / 1e6).toFixed(1));
  return [
    String(idle.open),
    of.name,
    megabytes[0]!,
    megabytes[1]!,
    each.toFixed(1),
    megabytes[2]!,
    idle.seconds.toFixed(1),
  ];
}
