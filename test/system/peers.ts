import { skipWithout } from "../peers/peer-process.ts";
import { startDante } from "../peers/dante.ts";
import { startSquid } from "../peers/squid.ts";
import { type Sshd, startSshd } from "../peers/sshd.ts";

/** What the upstream tests need on the machine; a reason to skip where it is missing (under CI it throws). */
export function skipWithoutPeers(): string | false {
  return skipWithout("sshd", "danted", "squid", "curl");
}

export interface Peers extends AsyncDisposable {
  /** An upstream of each kind, as the configuration file has it, each led to by a real server of its own. */
  readonly upstreams: Readonly<Record<"ssh" | "socks5" | "http", Readonly<Record<string, unknown>>>>;
}

/** A real sshd, a real Dante and a real squid on loopback. */
export async function startPeers(): Promise<Peers> {
  const [sshd, dante, squid] = await Promise.all([startSshd(), startDante(), startSquid()]);
  return {
    upstreams: {
      ssh: sshUpstream(sshd),
      socks5: { type: "socks5", address: `${dante.host}:${dante.port}` },
      http: { type: "http", address: `${squid.host}:${squid.port}` },
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([sshd.stop(), dante.stop(), squid.stop()]);
    },
  };
}

/** An SSH upstream by key, as the configuration file has it. */
export function sshUpstream(sshd: Sshd): Readonly<Record<string, unknown>> {
  return {
    type: "ssh",
    address: `${sshd.host}:${sshd.port}`,
    user: sshd.user,
    identity_file: sshd.identityFile,
    known_hosts_file: sshd.knownHostsFile,
    ssh_config: false,
    agent: false,
  };
}
