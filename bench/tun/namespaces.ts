import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { startChild, type Child } from "../child.ts";
import { findProgram } from "../../test/peers/peer-process.ts";

/**
 * Two network namespaces and a pair of virtual Ethernet devices between them. Applications and the tunnel that is
 * measured are in the client's; the SOCKS5 server and the targets are in the server's. No route leads out of either.
 *
 *   client                                         server
 *   application → tunnel ─ 10.78.0.2 ══ 10.78.0.1 ─ SOCKS5 server → target at 10.77.N.x, fd77:N::x
 *   application ─────────────────────────────────── target at 10.78.1.x, fd78:1::x
 *
 * Each tunnel has a network N of its own, which the client reaches through it alone, so that all of them run side by side.
 * Everything lives in a PID namespace whose first process is ours: when it dies, in whatever way, the kernel kills
 * all the others, and the network and mount namespaces end with the last of them.
 */

export const SERVER_ADDRESS = "10.78.0.1";

/** Where an application finds the targets. */
export interface Place {
  readonly host4: string;
  readonly host6: string;
  /** What a forwarder's ports are above the targets'; 0 where the targets' own are used. */
  readonly shift: number;
}

/** A place and the networks that hold its addresses. */
export interface Slot extends Place {
  readonly network4: string;
  readonly network6: string;
}

/** The targets with nothing before them. */
export const DIRECT: Slot = {
  host4: "10.78.1.1",
  host6: "fd78:1::1",
  shift: 0,
  network4: "10.78.1.0/24",
  network6: "fd78:1::/64",
};

/** The targets as the tunnel of this number captures them; from 1. */
export function slot(index: number): Slot {
  return {
    host4: `10.77.${index}.1`,
    host6: `fd77:${index}::1`,
    shift: 0,
    network4: `10.77.${index}.0/24`,
    network6: `fd77:${index}::/64`,
  };
}

const SERVER_SIDE = `
ip link set lo up
ip addr add ${SERVER_ADDRESS}/24 dev veth-server
ip link set veth-server up
ip route add local 10.77.0.0/16 dev lo
ip route add local ${DIRECT.network4} dev lo`;

const CLIENT_SIDE = `
ip link set lo up
ip addr add 10.78.0.2/24 dev veth-client
ip link set veth-client up
ip route add ${DIRECT.network4} via ${SERVER_ADDRESS}`;

const SERVER_SIDE_6 = `
ip -6 addr add fd78::1/64 dev veth-server nodad
ip -6 route add local fd77::/16 dev lo
ip -6 route add local ${DIRECT.network6} dev lo`;

const CLIENT_SIDE_6 = `
ip -6 addr add fd78::2/64 dev veth-client nodad
ip -6 route add ${DIRECT.network6} via fd78::1`;

/**
 * Thousands of connections a second: closed ones in TIME-WAIT give their ports back after a second. And the one
 * congestion control that every namespace may choose, whatever this machine's is: where nothing is lost, any that does not
 * pace is as good, and one that paces would be what is measured.
 */
const SETTINGS = `
echo reno > /proc/sys/net/ipv4/tcp_congestion_control
echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range
echo 1 > /proc/sys/net/ipv4/tcp_tw_reuse`;

/** The command line that runs another in namespaces of its own and kills it with everything it started when its caller dies. */
export function isolated(command: readonly string[]): readonly string[] {
  const asRoot = process.getuid?.() === 0 ? [] : ["unshare", "--user", "--map-root-user"];
  const apart = ["--net", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"];
  return [...asRoot, "setpriv", "--pdeathsig", "KILL", "unshare", ...apart, ...command];
}

/** What of the machine the namespaces need and it lacks, or undefined. */
export function obstacle(): string | undefined {
  const missing = ["unshare", "setpriv", "nsenter", "ip", "mount", "iperf3"].filter(
    (program) => findProgram(program) === undefined,
  );
  if (missing.length > 0) return `not installed: ${missing.join(", ")} (util-linux, iproute2, iperf3)`;
  if (!existsSync("/dev/net/tun")) return "there is no /dev/net/tun";
  try {
    const [command, ...args] = isolated(["ip", "link", "set", "lo", "up"]);
    execFileSync(command!, args, { stdio: ["ignore", "ignore", "pipe"] });
    return undefined;
  } catch (error) {
    return `no network namespaces of our own: ${error instanceof Error ? error.message.trim() : String(error)}`;
  }
}

export interface Namespaces {
  readonly hasIpv6: boolean;
  /** The command line that runs another in the server's namespace. */
  inServer(command: readonly string[]): readonly string[];
}

/** Makes both sides, from inside the process tree of {@link isolated}, whose own namespace becomes the client's. */
export async function makeNamespaces(stack: AsyncDisposableStack): Promise<Namespaces> {
  if (process.pid !== 1) throw new Error("not the first process of a PID namespace of our own");
  // Peers and the helper keep their state here; it ends with this mount namespace.
  run(["mount", "-t", "tmpfs", "tmpfs", "/run"]);
  process.env["TMPDIR"] = "/run";
  const holder: Child = await startChild({
    command: "unshare",
    args: ["--net", "sh", "-c", "echo ready; exec sleep infinity"],
  });
  stack.use(holder);
  const inServer = (command: readonly string[]): readonly string[] => [
    "nsenter",
    `--net=/proc/${holder.pid}/ns/net`,
    ...command,
  ];
  const onBoth = (client: string, server: string): void => {
    run(["sh", "-ec", client]);
    run(inServer(["sh", "-ec", server]));
  };
  run([
    "ip",
    "link",
    "add",
    "veth-client",
    "type",
    "veth",
    "peer",
    "veth-server",
    "netns",
    String(holder.pid),
  ]);
  onBoth(CLIENT_SIDE + SETTINGS, SERVER_SIDE + SETTINGS);
  const hasIpv6 = existsSync("/proc/net/if_inet6");
  if (hasIpv6) onBoth(CLIENT_SIDE_6, SERVER_SIDE_6);
  return { hasIpv6, inServer };
}

/** Runs a command to its end. @throws {Error} with what it complained about. */
export function run([command, ...args]: readonly string[]): void {
  execFileSync(command!, args, { stdio: ["ignore", "ignore", "pipe"] });
}
