import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../test/peers/peer-process.ts";
import type { Sshd } from "../../test/peers/sshd.ts";
import { startChild, type Child } from "../child.ts";
import type { Listening } from "../load/load.ts";

/** The command of this checkout. */
export const COMMAND = join(import.meta.dirname, "..", "..", "cli", "src", "main.ts");

/** Sockeye as a person starts it: `sockeye run --config FILE`, with a home folder of its own. */
export async function startSockeye(upstream: Readonly<Record<string, unknown>>): Promise<Listening> {
  const port = await freePort();
  const home = mkdtempSync(join(tmpdir(), "sockeye-bench-"));
  const config = {
    listen: { socks5: `127.0.0.1:${port}` },
    upstreams: { upstream },
    default: "upstream",
    limits: { max_connections: 50_000, idle_timeout: 0 },
    log: { level: "error", format: "json" },
  };
  const file = join(home, "sockeye.yaml");
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config));
  const child = await startChild({
    command: process.execPath,
    args: [COMMAND, "run", "--config", file],
    env: withHome(home),
    port,
    onEnd: () => rmSync(home, { recursive: true, force: true }),
  });
  return { port, child, [Symbol.asyncDispose]: child.stop };
}

/** The environment with nothing of this person's in it. */
export function withHome(home: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(SOCKEYE_|XDG_|SSH_|NODE_OPTIONS$)/.test(name),
  );
  return { ...Object.fromEntries(kept), HOME: home };
}

export interface SshServer {
  readonly sshd: Sshd;
  /** Where to reach it: its own port, or that of a link before it. */
  readonly port: number;
  /** Holds its keys under that port. */
  readonly knownHostsFile: string;
}

/** The way to an sshd through another port of this machine. */
export function reachedAt(sshd: Sshd, port: number): SshServer {
  const knownHostsFile = join(sshd.directory, `known_hosts_${port}`);
  const known = readFileSync(sshd.knownHostsFile, "utf8");
  writeFileSync(knownHostsFile, known.replaceAll(`]:${sshd.port} `, `]:${port} `));
  return { sshd, port, knownHostsFile };
}

/** The upstream, as Sockeye's configuration has it, for an SSH server. */
export function sshUpstream(server: SshServer, poolSize: number): Readonly<Record<string, unknown>> {
  return {
    type: "ssh",
    address: `127.0.0.1:${server.port}`,
    user: server.sshd.user,
    identity_file: server.sshd.identityFile,
    known_hosts_file: server.knownHostsFile,
    host_key_check: "strict",
    ssh_config: false,
    agent: false,
    pool_size: poolSize,
  };
}

/** OpenSSH's client as a SOCKS5 server: `ssh -D`. Without a cipher it takes its default. */
export async function startOpenSsh(server: SshServer, cipher?: string): Promise<Listening> {
  const port = await freePort();
  const wanted = ["-D", `127.0.0.1:${port}`, ...(cipher === undefined ? [] : ["-c", cipher])];
  const child = await startSshClient(server, wanted, port);
  return { port, child, [Symbol.asyncDispose]: child.stop };
}

/** OpenSSH's client that opens ports at its server for ports of this machine: `ssh -R`. */
export async function startOpenSshForward(
  server: SshServer,
  forwards: readonly { readonly open: number; readonly local: number }[],
): Promise<Child> {
  const wanted = forwards.flatMap(({ open, local }) => ["-R", `127.0.0.1:${open}:127.0.0.1:${local}`]);
  return startSshClient(server, wanted, forwards.at(-1)!.open);
}

/** @param port of 127.0.0.1 that accepts when the client is ready. */
function startSshClient(server: SshServer, wanted: readonly string[], port: number): Promise<Child> {
  const options = {
    UserKnownHostsFile: server.knownHostsFile,
    StrictHostKeyChecking: "yes",
    IdentitiesOnly: "yes",
    IdentityAgent: "none",
    ExitOnForwardFailure: "yes",
  };
  return startChild({
    command: "ssh",
    args: [
      ...["-N", "-F", "none", "-p", String(server.port)],
      ...["-i", server.sshd.identityFile],
      ...Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]),
      ...wanted,
      `${server.sshd.user}@127.0.0.1`,
    ],
    port,
  });
}

/** The least that a forwarder written in Node can do, before the target's port. */
export async function startPlainRelay(target: number): Promise<Listening> {
  const port = await freePort();
  const child = await startChild({
    command: process.execPath,
    args: [join(import.meta.dirname, "relay-process.ts"), String(port), String(target)],
    port,
  });
  return { port, child, [Symbol.asyncDispose]: child.stop };
}
