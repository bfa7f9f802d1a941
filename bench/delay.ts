import { startSshd } from "../test/peers/sshd.ts";
import type { Bench, Contender, Rig, Table } from "./bench.ts";
import { contender, proxyUpstream, sockeye, sshContenders } from "./contenders.ts";
import { startFastUpstream, startLongLink, type Window } from "./load/load.ts";
import { reachedAt, startPlainRelay } from "./peers/peers.ts";
import { compareThroughput } from "./throughput.ts";

const ONE_WAY_MS = 25;
/** Windows take some round trips to open. */
const WARM_UP_SECONDS = 1.5;
const LINK =
  `The link is \`bench/load/delay.c\`: it holds every byte for ${ONE_WAY_MS} ms in each direction, whatever the rate, and ` +
  "does not delay connecting. It shows what a protocol's own windows allow.";

export const delay: Bench = {
  name: "delay",
  about: `the same over a link with a round trip of ${2 * ONE_WAY_MS} ms`,
  async run(rig: Rig): Promise<Table[]> {
    const window: Window = {
      seconds: rig.window.seconds,
      warmUp: Math.max(rig.window.warmUp, WARM_UP_SECONDS),
    };
    return [await overSsh(rig, window), await overSocks5(rig, window)];
  },
};

async function overSsh(rig: Rig, window: Window): Promise<Table> {
  await using stack = new AsyncDisposableStack();
  const sshd = stack.use(await startSshd({ config: ["LogLevel INFO"] }));
  const link = stack.use(await startLongLink(sshd.port, ONE_WAY_MS));
  const contenders: Contender[] = await sshContenders(rig, stack, reachedAt(sshd, link.port));
  return await compareThroughput(rig, {
    title: `delay: SOCKS5 in, SSH out, ${2 * ONE_WAY_MS} ms round trip`,
    notes: [LINK],
    contenders,
    bases: ["ssh -D, aes128-gcm"],
    streams: [1, 8],
    window,
  });
}

async function overSocks5(rig: Rig, window: Window): Promise<Table> {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.use(await startFastUpstream());
  const link = stack.use(await startLongLink(upstream.port, ONE_WAY_MS));
  const contenders: Contender[] = [
    { name: "link → upstream alone", proxyPort: link.port, children: [] },
    contender("plain Node relay → link → upstream", stack.use(await startPlainRelay(link.port))),
    ...(await sockeye(rig, stack, {
      name: "sockeye → link → upstream",
      upstream: proxyUpstream("socks5", link.port),
    })),
  ];
  return await compareThroughput(rig, {
    title: `delay: SOCKS5 in, SOCKS5 out, ${2 * ONE_WAY_MS} ms round trip`,
    notes: [LINK],
    contenders,
    bases: ["link → upstream alone"],
    streams: [1, 8],
    window,
  });
}
