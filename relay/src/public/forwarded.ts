import { BlockList, isIPv6 } from "node:net";
import type { HttpHeaders } from "@sockeye/wire/http-head";
import type { NetworkText } from "../config/values.ts";

/** Proxies in front of the relay, whose word about where a request comes from is taken. */
export class TrustedProxies {
  readonly #networks = new BlockList();
  readonly #any: boolean;

  constructor(networks: readonly NetworkText[]) {
    this.#any = networks.length > 0;
    for (const { address, bits, family } of networks) this.#networks.addSubnet(address, bits, family);
  }

  includes(address: string): boolean {
    return this.#any && this.#networks.check(address, isIPv6(address) ? "ipv6" : "ipv4");
  }
}

/** What is known of where a request comes from. */
export interface Origin {
  /** The address to count and to log: the last one that no trusted proxy has. */
  readonly source: string;
  readonly forwardedFor: string;
  readonly proto: string;
  readonly host: string;
}

/** An IPv4 address that a socket of both families shows as `::ffff:1.2.3.4`. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return "";
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

/** @param peer who made the connection. Only of a trusted one its own X-Forwarded-* count. */
export function originOf(
  peer: { readonly address: string; readonly secure: boolean },
  host: string,
  headers: HttpHeaders,
  trusted: TrustedProxies,
): Origin {
  const proto = peer.secure ? "https" : "http";
  if (!trusted.includes(peer.address))
    return { source: peer.address, forwardedFor: peer.address, proto, host };
  const chain = valuesOf(headers, "x-forwarded-for");
  let source = peer.address;
  for (const hop of chain.toReversed()) {
    source = hop;
    if (!trusted.includes(hop)) break;
  }
  const given = valuesOf(headers, "x-forwarded-proto").at(-1)?.toLowerCase();
  return {
    source,
    forwardedFor: [...chain, peer.address].join(", "),
    proto: given === "https" || given === "http" ? given : proto,
    host: valuesOf(headers, "x-forwarded-host").at(-1) ?? host,
  };
}

function valuesOf(headers: HttpHeaders, wanted: string): string[] {
  return headers
    .filter(({ name }) => name.toLowerCase() === wanted)
    .flatMap(({ value }) => value.split(","))
    .map((value) => value.trim())
    .filter((value) => value !== "");
}
