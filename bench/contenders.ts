import { existsSync } from "node:fs";
import { join } from "node:path";
import { startDante } from "../test/peers/dante.ts";
import { findProgram } from "../test/peers/peer-process.ts";
import type { Contender, Rig } from "./bench.ts";
import type { Listening } from "./load/load.ts";
import { startOpenSsh, startSockeye, sshUpstream, type SshServer } from "./peers/peers.ts";

const COMMAND = join(import.meta.dirname, "..", "cli", "src", "main.ts");

/** Sockeye before an upstream; none, with a word in the results, where this checkout has no command. */
export async function sockeye(
  rig: Rig,
  stack: AsyncDisposableStack,
  what: { readonly name: string; readonly upstream: Readonly<Record<string, unknown>> },
): Promise<Contender[]> {
  if (!existsSync(COMMAND)) {
    rig.missing("sockeye: this checkout has no cli/src/main.ts");
    return [];
  }
  return [contender(what.name, stack.use(await startSockeye(what.upstream)))];
}

/** Sockeye with one connection and with three, and OpenSSH's client with the cipher that Sockeye uses and with its own. */
export async function sshContenders(
  rig: Rig,
  stack: AsyncDisposableStack,
  server: SshServer,
): Promise<Contender[]> {
  const contenders: Contender[] = [];
  for (const poolSize of [1, 3]) {
    const name = `sockeye, pool_size ${poolSize}`;
    contenders.push(...(await sockeye(rig, stack, { name, upstream: sshUpstream(server, poolSize) })));
  }
  if (findProgram("ssh") === undefined) {
    rig.missing("ssh -D: ssh (openssh-client) is not installed");
    return contenders;
  }
  const cipher = "aes128-gcm@openssh.com";
  contenders.push(contender("ssh -D, aes128-gcm", stack.use(await startOpenSsh(server, cipher))));
  contenders.push(contender("ssh -D, its default cipher", stack.use(await startOpenSsh(server))));
  return contenders;
}

/** Dante as another upstream; undefined, with a word in the results, where it is not installed. */
export async function danteOr(rig: Rig, stack: AsyncDisposableStack): Promise<number | undefined> {
  if (findProgram("danted") === undefined) {
    rig.missing("Dante: danted (dante-server) is not installed");
    return undefined;
  }
  const dante = await startDante();
  stack.defer(() => dante.stop());
  return dante.port;
}

export function contender(name: string, listening: Listening): Contender {
  return { name, proxyPort: listening.port, children: [listening.child] };
}

/** The upstream as Sockeye's configuration has it. */
export function proxyUpstream(type: "socks5" | "http", port: number): Readonly<Record<string, unknown>> {
  return { type, address: `127.0.0.1:${port}` };
}
