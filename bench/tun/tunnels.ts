import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startChild, type Child } from "../child.ts";
import { program } from "../load/load.ts";
import { COMMAND, withHome } from "../peers/peers.ts";
import { findPeer } from "./find-peer.ts";
import { run, SERVER_ADDRESS, type Slot } from "./namespaces.ts";
import { oneLine } from "../rounds.ts";
import { ECHO_PORT, HTTP_PORT, IPERF_PORT, SOCKS_PORT } from "./server.ts";

/** A tunnel is asked for so long whether it carries a connection yet. */
const PATIENCE_MS = 10_000;
const CLEAN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Somebody who carries what applications send to the networks of a slot. */
export interface Carrier {
  readonly name: string;
  /** What has to be installed for it; absent for our own. */
  readonly needs?: string;
  /** Returns once a byte went there and back. @throws {Error} that says why it does not carry. */
  start(slot: Slot): Promise<Child>;
}

/** The TUN devices beside each other: Sockeye first, then the peers that this benchmark knows. */
export const TUNNELS: readonly Carrier[] = [
  { name: "sockeye", start: startSockeye },
  { name: "hev-socks5-tunnel", needs: "hev-socks5-tunnel", start: startHev },
  { name: "sing-box", needs: "sing-box", start: startSingBox },
  { name: "tun2socks", needs: "tun2socks", start: startTun2socks },
];

/** `sockeye run` as root with TUN mode on, and with nothing of this person's. */
async function startSockeye(slot: Slot): Promise<Child> {
  const home = mkdtempSync(join(tmpdir(), "sockeye-"));
  const config = {
    upstreams: { upstream: { type: "socks5", address: `${SERVER_ADDRESS}:${SOCKS_PORT}` } },
    default: "upstream",
    tun: { enabled: true, cidrs: [slot.network4, slot.network6] },
    limits: { max_connections: 50_000, idle_timeout: 0 },
    log: { level: "error", format: "json" },
  };
  const file = join(home, "sockeye.yaml");
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config));
  return await startCarrier(slot, {
    command: process.execPath,
    args: [COMMAND, "run", "--config", file],
    env: { ...withHome(home), PATH: process.env["PATH"] ?? CLEAN_PATH },
  });
}

/**
 * hev-socks5-tunnel as its own example configuration has it: MTU 8500, one queue. Only its handshake is pipelined: without
 * that it holds its first message back for more to come (MSG_MORE), and every new connection waits 200 ms for that.
 */
function startHev(slot: Slot): Promise<Child> {
  const file = join(mkdtempSync(join(tmpdir(), "hev-")), "main.yml");
  writeFileSync(
    file,
    `tunnel:
  name: tun-hev
  mtu: 8500
  multi-queue: false
  ipv4: 198.18.0.1
  ipv6: 'fc00::1'
socks5:
  address: ${SERVER_ADDRESS}
  port: ${SOCKS_PORT}
  udp: 'udp'
  pipeline: true
`,
  );
  return startCarrier(slot, {
    command: findPeer("hev-socks5-tunnel")!,
    args: [file],
    device: "tun-hev",
  });
}

/** sing-box's TUN inbound with the stack and the MTU that it chooses, before a SOCKS5 outbound. */
function startSingBox(slot: Slot): Promise<Child> {
  const file = join(mkdtempSync(join(tmpdir(), "sing-box-")), "config.json");
  const inbound = {
    type: "tun",
    interface_name: "tun-sing",
    address: ["172.19.0.1/30", "fdfe:dcba:9876::1/126"],
    auto_route: false,
  };
  const outbound = { type: "socks", server: SERVER_ADDRESS, server_port: SOCKS_PORT, version: "5" };
  writeFileSync(
    file,
    JSON.stringify({ log: { level: "error" }, inbounds: [inbound], outbounds: [outbound] }),
  );
  return startCarrier(slot, {
    command: findPeer("sing-box")!,
    args: ["run", "-c", file],
    device: "tun-sing",
  });
}

/** tun2socks, which makes a device and leaves its addresses to whoever starts it. */
function startTun2socks(slot: Slot): Promise<Child> {
  const proxy = `socks5://${SERVER_ADDRESS}:${SOCKS_PORT}`;
  return startCarrier(slot, {
    command: findPeer("tun2socks")!,
    args: ["-device", "tun://tun-t2s", "-proxy", proxy, "-loglevel", "error"],
    device: "tun-t2s",
    addresses: ["198.19.0.1/30", "fdfe:dcba:9877::1/126"],
  });
}

/** What the SOCKS5 server allows at best: applications connect to a forwarder, without any TUN device. */
export function startForwarder(kind: "C" | "Node", target: Slot, shift: number): Promise<Child> {
  const ports = [shift, IPERF_PORT, HTTP_PORT, ECHO_PORT].map(String);
  const args = [SERVER_ADDRESS, String(SOCKS_PORT), target.host4, target.host6, ...ports];
  if (kind === "C") return startChild({ command: program("forward"), args });
  const script = join(import.meta.dirname, "..", "peers", "forward-process.ts");
  return startChild({ command: process.execPath, args: [script, ...args] });
}

interface CarrierProcess {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** The device that it makes and to which we lead the networks; absent where it does that itself. */
  readonly device?: string;
  /** Addresses that we give its device. */
  readonly addresses?: readonly string[];
}

async function startCarrier(slot: Slot, of: CarrierProcess): Promise<Child> {
  let isRouted = of.device === undefined;
  try {
    return await startChild({
      command: of.command,
      args: of.args,
      ...(of.env && { env: of.env }),
      patience: PATIENCE_MS,
      async isReady() {
        isRouted ||= leadTo(slot, of);
        return isRouted && (await echoes(slot.host4));
      },
    });
  } catch (error) {
    throw new Error(`it carried no connection within ${PATIENCE_MS / 1000} s: ${oneLine(error)}`, {
      cause: error,
    });
  }
}

/** Leads the slot's networks to the device, once it is there. */
function leadTo(slot: Slot, { device, addresses }: CarrierProcess): boolean {
  if (!isDevice(device!)) return false;
  try {
    for (const address of addresses ?? []) run(["ip", "addr", "replace", address, "dev", device!]);
    run(["ip", "link", "set", device!, "up"]);
    run(["ip", "route", "replace", slot.network4, "dev", device!]);
    if (existsSync("/proc/net/if_inet6"))
      run(["ip", "-6", "route", "replace", slot.network6, "dev", device!]);
    return true;
  } catch {
    return false; // It is not yet as its owner will have it.
  }
}

function isDevice(name: string): boolean {
  try {
    execFileSync("ip", ["link", "show", "dev", name], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** True when a byte goes there and comes back. */
function echoes(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: ECHO_PORT });
    const tell = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, tell(false));
    socket.once("connect", () => socket.write("x"));
    socket.once("data", tell(true));
    socket.once("error", tell(false));
    socket.once("close", tell(false));
  });
}
