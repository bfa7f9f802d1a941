// inside SETTINGS: what `npm run bench -- tun` runs in the namespaces. It makes both sides, starts everybody, measures,
// and tells its caller in lines of JSON. It is the first process of its PID namespace: with it, everything ends.
import { findPeer } from "./find-peer.ts";
import { memory, type Fresh } from "./memory.ts";
import { DIRECT, makeNamespaces, slot } from "./namespaces.ts";
import { oneLine, type RoundsRig } from "../rounds.ts";
import { startServerSide } from "./server.ts";
import { datagrams, delays, requests, throughput, type Story } from "./tables.ts";
import type { Settings, Word } from "./tun.ts";
import { startForwarder, TUNNELS } from "./tunnels.ts";
import type { Way } from "./way.ts";

/** Forwarders are reached on loopback, each at ports of its own. */
const FORWARDERS = [
  { kind: "C", at: { host4: "127.0.0.1", host6: "::1", shift: 10_000 } },
  { kind: "Node", at: { host4: "127.0.0.1", host6: "::1", shift: 20_000 } },
] as const;

const settings = JSON.parse(process.argv[2]!) as Settings;
const rig: RoundsRig = {
  rounds: settings.rounds,
  quick: settings.quick,
  progress: (text) => {
    tell({ progress: text });
  },
  missing: (text) => {
    tell({ missing: text });
  },
};

function tell(word: Word): void {
  process.stdout.write(`${JSON.stringify(word)}\n`);
}

async function main(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const namespaces = await makeNamespaces(stack);
  const upstream = await startServerSide(namespaces, stack);
  const fresh: Fresh[] = [];
  {
    await using running = new AsyncDisposableStack();
    const ways = await startWays(running, fresh);
    const story: Story = { rig, window: settings.window, namespaces, ways };
    tell({ table: await throughput(story, throughputNotes(upstream.name)) });
    tell({ table: await requests(story) });
    tell({ table: await delays(story) });
    tell({ table: await datagrams(story) });
  }
  tell({ table: await memory(rig, upstream, fresh) });
}

/** Starts all that is found, each with a network of its own; those that carry are measured again, freshly, for their memory. */
async function startWays(stack: AsyncDisposableStack, fresh: Fresh[]): Promise<Way[]> {
  const ways: Way[] = [{ name: "raw", at: DIRECT, children: [], isTunnel: false }];
  for (const { kind, at } of FORWARDERS) {
    const child = stack.use(await startForwarder(kind, slot(0), at.shift));
    ways.push({
      name: kind === "C" ? "SOCKS only, C" : "SOCKS only, Node pipe",
      at,
      children: [child],
      isTunnel: false,
    });
  }
  for (const [index, tunnel] of TUNNELS.entries()) {
    const { name, needs } = tunnel;
    if (needs !== undefined && findPeer(needs) === undefined) {
      rig.missing(`${name}: not installed`);
      continue;
    }
    const at = slot(index + 1);
    try {
      ways.push({ name, at, children: [stack.use(await tunnel.start(at))], isTunnel: true });
      fresh.push({ name, at, start: () => tunnel.start(at) });
    } catch (error) {
      rig.missing(`${name}: ${oneLine(error)}`);
    }
  }
  return ways;
}

function throughputNotes(upstream: string): string[] {
  return [
    `Two network namespaces; the upstream of all is ${upstream}. \`raw\` is iperf3 with nothing between. \`SOCKS only, C\` is ` +
      "`bench/load/forward.c`, which moves bytes inside the kernel: what a path through this upstream can carry here. `SOCKS only, " +
      "Node pipe` is a plain forwarder in Node. Neither has a TUN device: applications connect to them. `CPU s/GB` is the time of the " +
      "process in front alone, and what the kernel does on its behalf. Peers run with the settings that they come with.",
  ];
}

try {
  await main();
  process.exit(0);
} catch (error) {
  tell({ failure: error instanceof Error ? error.message : String(error) });
  process.exit(1);
}
