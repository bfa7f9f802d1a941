import { startSshd } from "../test/peers/sshd.ts";
import type { Bench, Contender, Rig, Table } from "./bench.ts";
import { sshContenders } from "./contenders.ts";
import { compareThroughput } from "./throughput.ts";
import { reachedAt } from "./peers/peers.ts";

export const ssh: Bench = {
  name: "ssh",
  about: "SOCKS5 in, SSH out, beside `ssh -D` through the same sshd",
  async run(rig: Rig): Promise<Table[]> {
    await using stack = new AsyncDisposableStack();
    const sshd = stack.use(await startSshd({ config: ["LogLevel INFO"] }));
    const contenders: Contender[] = await sshContenders(rig, stack, reachedAt(sshd, sshd.port));
    return [
      await compareThroughput(rig, {
        title: "ssh: SOCKS5 in, SSH out",
        notes: [
          "One sshd for all, on loopback. `CPU s/GB` is the client's processor time for each gigabyte, sshd's is not in it.",
        ],
        contenders,
        bases: ["ssh -D, aes128-gcm"],
        streams: [1, 8],
      }),
    ];
  },
};
