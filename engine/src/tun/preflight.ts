import type { TunConfig } from "../config/config.ts";
import { wordMask } from "../router/address.ts";
import { parseNetwork, type Network } from "../router/pattern.ts";
import type { LocalNetwork, NetworkKind } from "./local-networks.ts";

/** A captured network that this machine already uses otherwise. */
export interface Overlap {
  readonly cidr: string;
  readonly network: string;
  readonly interface: string;
  readonly kind: NetworkKind;
  /** What it means and what to do about it. */
  readonly message: string;
}

/**
 * Compares what is to be captured with what this machine already reaches by itself, before anything is changed.
 * A captured network that holds everything (`0.0.0.0/0`) is meant to hold the local one too, so only other VPNs and
 * containers are told of then.
 */
export function findOverlaps(
  { cidrs, exclude }: Pick<TunConfig, "cidrs" | "exclude">,
  local: readonly LocalNetwork[],
): Overlap[] {
  const excluded = exclude.map(parseNetwork);
  const overlaps = cidrs.flatMap((cidr) => {
    const captured = parseNetwork(cidr);
    return local
      .filter(({ network, kind }) => overlap(captured, network) && (captured.bits > 0 || kind !== "local"))
      .filter(({ network }) => !excluded.some((one) => contains(one, network) || contains(one, captured)))
      .map((one) => describe(cidr, one));
  });
  return overlaps;
}

function describe(cidr: string, { text, interface: device, kind }: LocalNetwork): Overlap {
  const whose = {
    local: `the network ${text} that this machine is in`,
    container: `the container or virtual machine network ${text}`,
    vpn: `${text}, which another VPN carries`,
  }[kind];
  const message = `tun.cidrs: ${cidr} also captures ${whose} (${device}); to leave that alone, add ${text} to tun.exclude`;
  return { cidr, network: text, interface: device, kind, message };
}

/** True where the two have an address in common: one holds the other. */
function overlap(a: Network, b: Network): boolean {
  return contains(a, b) || contains(b, a);
}

function contains(outer: Network, inner: Network): boolean {
  if (outer.address.length !== inner.address.length || outer.bits > inner.bits) return false;
  return outer.address.every((word, i) => {
    const mask = wordMask(outer.bits - 32 * i);
    return ((word ^ inner.address[i]!) & mask) === 0;
  });
}
