import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
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
 * @returns the way to stop.
 */
export function watchNetwork(onEvent: (event: NetworkEvent) => void): () => void {
  let known = describeNetwork();
  let last = Date.now();
  const timer = setInterval(() => {
    const now = Date.now();
    // The wall clock, because the monotonic one stands still while Linux sleeps.
    const slept = now - last > INTERVAL_MS + SLEEP_MS;
    last = now;
    const current = describeNetwork();
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

/** Gateway by gateway, where the kernel has a list (proc(5)); elsewhere the addresses must do. */
function defaultRoutes(): string[] {
  if (process.platform !== "linux") return [];
  try {
    const lines = readFileSync("/proc/net/route", "utf8").split("\n");
    return lines
      .filter((line) => /^\S+\t00000000\t/.test(line))
      .map((line) => line.split("\t").slice(0, 3).join(" "));
  } catch {
    return [];
  }
}
