import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { DEVICE_ADDRESSES } from "./dns/plan.ts";

/** A change is noticed within so long. */
const INTERVAL_MS = 2000;
/** A timer that comes later than this did not wait for the processor: the machine slept. */
const SLEEP_MS = 10_000;

/** What happened to the machine's network. */
export type NetworkEvent = "network-changed" | "woke-up";

/**
 * Tells when this machine has other addresses or another default route than before, and when it has slept: connections may be
 * dead then, and nobody else says so.
 * @param describe says in some words what the network is like.
 * @returns the way to stop.
 */
export function watchNetwork(
  onEvent: (event: NetworkEvent) => void,
  describe: () => string = describeNetwork,
): () => void {
  let known = describe();
  let last = Date.now();
  const timer = setInterval(() => {
    const now = Date.now();
    // The wall clock, because the monotonic one stands still while Linux sleeps.
    const slept = now - last > INTERVAL_MS + SLEEP_MS;
    last = now;
    const current = describe();
    const changed = current !== known;
    known = current;
    if (slept) onEvent("woke-up");
    else if (changed) onEvent("network-changed");
  }, INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Our own device, which has another name on macOS, comes and goes by our own doing, and the containers' links with the containers. */
const notTheNetwork = /^(lo|sockeye|veth|docker|br-)/;

function isOurs(address: string): boolean {
  return DEVICE_ADDRESSES.some((ours) => ours === address);
}

function describeNetwork(): string {
  const addresses = Object.entries(networkInterfaces()).flatMap(([name, list = []]) =>
    notTheNetwork.test(name)
      ? []
      : list
          .filter(({ internal, address }) => !internal && !isOurs(address))
          .map(({ cidr }) => `${name} ${cidr}`),
  );
  return [...addresses.sort(), ...defaultRoutes()].join("\n");
}

/**
 * Gateway by gateway, where the kernel has a list (proc(5)); elsewhere the addresses must do.
 * @param folder where /proc/net is.
 */
export function defaultRoutes(folder = "/proc/net"): string[] {
  if (process.platform !== "linux") return [];
  // Interface, destination, gateway; and of IPv6 the destination and its bits, the source and its bits, then the gateway.
  const ipv4 = fieldsOf(join(folder, "route"))
    .filter(([, destination]) => destination === "00000000")
    .map(([device = "", , gateway = ""]) => [device, gateway]);
  const ipv6 = fieldsOf(join(folder, "ipv6_route"))
    .filter(([destination = "", bits]) => /^0+$/.test(destination) && bits === "00")
    .map((fields) => [fields.at(-1) ?? "", fields[4] ?? ""]);
  return [...ipv4, ...ipv6]
    .filter(([device = ""]) => !notTheNetwork.test(device))
    .map((route) => route.join(" "));
}

function fieldsOf(file: string): string[][] {
  try {
    const lines = readFileSync(file, "utf8").trim().split("\n");
    return lines.map((line) => line.trim().split(/\s+/));
  } catch {
    // A kernel without IPv6, or a system that hides it.
    return [];
  }
}
