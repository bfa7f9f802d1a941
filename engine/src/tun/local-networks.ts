import { existsSync, readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { formatAddress } from "../router/address.ts";
import { parseNetwork, type Network } from "../router/pattern.ts";

/** Whose network it is, as far as the system tells. */
export type NetworkKind = "local" | "container" | "vpn";

/** A network that this machine reaches by an interface of its own, without Sockeye. */
export interface LocalNetwork {
  readonly network: Network;
  /** As `10.0.0.0/8`. */
  readonly text: string;
  readonly interface: string;
  readonly kind: NetworkKind;
}

/**
 * The networks that this machine has interfaces in or routes to, without default routes, loopback, link-local addresses
 * (RFC 3927, RFC 4291 §2.5.6) and multicast. On Linux the kernel's routing tables are read; elsewhere the addresses of the
 * interfaces, which do not tell of routes.
 * @param own the interface to leave out, the TUN device; undefined where there is none yet.
 * @param root where /proc and /sys are.
 */
export function readLocalNetworks(own: string | undefined, root = "/"): LocalNetwork[] {
  const routes = process.platform === "linux" ? readRoutes(root) : readAddresses();
  const seen = new Set<string>();
  return routes.flatMap(({ text, device }): LocalNetwork[] => {
    if (device === own || device === "lo" || isNotWorthTelling(text)) return [];
    const network = parseNetwork(text);
    const usual = `${formatAddress(network.address)}/${network.bits}`;
    if (seen.has(`${usual} ${device}`)) return [];
    seen.add(`${usual} ${device}`);
    return [{ network, text: usual, interface: device, kind: kindOf(device, root) }];
  });
}

interface Route {
  readonly text: string;
  readonly device: string;
}

function readRoutes(root: string): Route[] {
  return [...readRoutes4(root), ...readRoutes6(root)];
}

/** proc(5), /proc/net/route: words of 32 bits as hexadecimal numbers in the machine's byte order, which is little-endian. */
function readRoutes4(root: string): Route[] {
  return linesOf(join(root, "proc/net/route"))
    .slice(1)
    .flatMap((line): Route[] => {
      const [device, destination, , flags, , , , mask] = line.trim().split(/\s+/);
      if (device === undefined || destination === undefined || mask === undefined) return [];
      const isReject = (Number.parseInt(flags ?? "0", 16) & 0x200) !== 0;
      if (isReject) return [];
      const bytes = Buffer.from(destination, "hex").reverse();
      const bits = bitsSet(Number.parseInt(mask, 16));
      return [{ text: `${bytes.join(".")}/${bits}`, device }];
    });
}

/** proc(5), /proc/net/ipv6_route: address and prefix length in hexadecimal, the device last. */
function readRoutes6(root: string): Route[] {
  return linesOf(join(root, "proc/net/ipv6_route")).flatMap((line): Route[] => {
    const fields = line.trim().split(/\s+/);
    const [destination, prefix] = fields;
    const device = fields.at(-1);
    const flags = Number.parseInt(fields[8] ?? "0", 16);
    if (destination?.length !== 32 || prefix === undefined || device === undefined) return [];
    // Rejects, and the machine's own addresses, which are no network.
    if ((flags & 0x200) !== 0 || (flags & 0x80000000) !== 0) return [];
    const groups = destination.match(/.{4}/g)!.join(":");
    return [{ text: `${groups}/${Number.parseInt(prefix, 16)}`, device }];
  });
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    // A kernel without IPv6, or a system that hides it.
    return [];
  }
}

function readAddresses(): Route[] {
  return Object.entries(networkInterfaces()).flatMap(([device, addresses = []]) =>
    addresses.flatMap(({ cidr, internal }) =>
      cidr === null || internal ? [] : [{ text: networkOf(cidr), device }],
    ),
  );
}

/** An interface's `10.1.2.3/8` as the network `10.0.0.0/8`. */
function networkOf(cidr: string): string {
  try {
    parseNetwork(cidr);
    return cidr;
  } catch (error) {
    return /the network is (\S+)/.exec((error as Error).message)?.[1] ?? cidr;
  }
}

function isNotWorthTelling(text: string): boolean {
  return /\/0$|^(127|169\.254|22[4-9]|23\d)\.|^fe80:|^ff|^0000:0000:0000:0000:0000:0000:0000:0001\/128/i.test(
    text,
  );
}

/** By what the kernel says an interface is, and where it says nothing, by the names that the usual programs give. */
function kindOf(device: string, root: string): NetworkKind {
  const folder = join(root, "sys/class/net", device);
  const about = linesOf(join(folder, "uevent")).join("\n");
  if (existsSync(join(folder, "tun_flags")) || /^DEVTYPE=(wireguard|ppp)$/m.test(about)) return "vpn";
  if (/^(tun|tap|utun|wg|ppp|ipsec|tailscale|zt|nordlynx|proton)[\d-]?/.test(device)) return "vpn";
  const isBridge = existsSync(join(folder, "bridge")) || existsSync(join(folder, "brport"));
  if (
    isBridge ||
    /^(docker|br-|veth|cni|cali|flannel|lxc|lxd|virbr|podman|vmnet|vboxnet|bridge)/.test(device)
  )
    return "container";
  return "local";
}

function bitsSet(word: number): number {
  let count = 0;
  for (let rest = word >>> 0; rest !== 0; rest = (rest & (rest - 1)) >>> 0) count += 1;
  return count;
}
