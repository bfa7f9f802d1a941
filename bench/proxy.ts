import type { Bench, Contender, Rig, Table } from "./bench.ts";
import { contender, danteOr, proxyUpstream, sockeye } from "./contenders.ts";
import { startFastUpstream } from "./load/load.ts";
import { startPlainRelay } from "./peers/peers.ts";
import { compareThroughput } from "./throughput.ts";

export const proxy: Bench = {
  name: "proxy",
  about: "SOCKS5 in, SOCKS5 and HTTP out, beside a bare connection and a plain Node relay",
  async run(rig: Rig): Promise<Table[]> {
    await using stack = new AsyncDisposableStack();
    const upstream = stack.use(await startFastUpstream());
    const contenders: Contender[] = [
      { name: "bare connection", proxyPort: 0, children: [] },
      contender("upstream alone", upstream),
      contender("plain Node relay → upstream", stack.use(await startPlainRelay(upstream.port))),
    ];
    const add = async (name: string, type: "socks5" | "http", port: number): Promise<void> => {
      contenders.push(...(await sockeye(rig, stack, { name, upstream: proxyUpstream(type, port) })));
    };
    await add("sockeye → SOCKS5 upstream", "socks5", upstream.port);
    await add("sockeye → HTTP upstream", "http", upstream.port);
    const dante = await danteOr(rig, stack);
    if (dante !== undefined) {
      contenders.push({ name: "Dante alone", proxyPort: dante, children: [] });
      await add("sockeye → Dante", "socks5", dante);
    }
    return [
      await compareThroughput(rig, {
        title: "proxy: SOCKS5 in, SOCKS5 or HTTP out",
        notes: [
          "The upstream is the C proxy of `bench/load/upstream.c`, and Dante where it says so. The plain Node relay pipes " +
            "bytes and speaks no protocol. `CPU s/GB` is of the process in front alone: Sockeye's, the relay's, or, where " +
            "the upstream stands alone, the upstream's.",
        ],
        contenders,
        bases: ["bare connection", "plain Node relay → upstream"],
        streams: [1, 8],
      }),
    ];
  },
};
