import type { Config } from "../config/config.ts";
import { type AddressWords, formatAddress, parseAddress, wordMask } from "../router/address.ts";
import { type Network, parseNetwork } from "../router/pattern.ts";
import type { Router } from "../router/route.ts";
import { RoutedNames } from "./routed-names.ts";

export const FAKE_IPV4 = "198.18.0.0/15";
export const FAKE_IPV6 = "fc00::/18";

/**
 * Where the DNS server of fake-ip mode is asked: addresses that are routed to the device and are none of the device's own,
 * because what goes to those never leaves the kernel.
 */
export const DNS_SERVERS = ["198.18.0.2", "fc00::2"] as const;
/** What the device itself may be called; with the servers', left out when fake addresses are handed out. */
export const DEVICE_ADDRESSES = ["198.18.0.1", "fc00::1"] as const;

/** What the system has to be told, so that it asks us. */
export interface DnsPlan {
  /** Name servers for the device's link (systemd-resolved), or for the whole of resolv.conf. */
  readonly servers: readonly string[];
  /** Networks that the device captures beside those of the configuration. */
  readonly capture: readonly string[];
  /**
   * Names below these are asked of us alone, where the system can split them, as systemd-resolved can; every name, where there
   * are none. A resolv.conf knows no such thing; every name comes to us then, and is answered all the same.
   */
  readonly domains: readonly string[];
}

/**
 * What to change in the system's DNS for a configuration.
 * @param ipv6 whether the device has IPv6.
 * @returns undefined where nothing is to be changed: `off`, and `hijack`, which answers whoever is asked.
 */
export function planDns(
  config: Pick<Config, "routes" | "default" | "tun">,
  router: Router,
  ipv6 = true,
): DnsPlan | undefined {
  if (config.tun.dns !== "fake-ip") return undefined;
  const { domains } = new RoutedNames(config, router);
  const capture = ipv6 ? [FAKE_IPV4, FAKE_IPV6] : [FAKE_IPV4];
  const servers = ipv6 ? DNS_SERVERS : DNS_SERVERS.slice(0, 1);
  if (domains?.every(isPlain) !== true) return { servers, capture, domains: [] };
  const reverse = capture.flatMap((network) => reverseDomains(parseNetwork(network)));
  return { servers, capture, domains: [...domains, ...reverse] };
}

/** Whether the helper takes it (isDomain in native/helper/frames.cc): a rule may name what no DNS has. */
function isPlain(domain: string): boolean {
  return /^[a-z\d_][a-z\d_-]{0,62}(\.[a-z\d_][a-z\d_-]{0,62})*$/.test(domain);
}

/** The domains that hold the PTR records of a network: several, where its prefix ends within a label (RFC 1035 §3.5, RFC 3596 §2.5). */
export function reverseDomains({ address, bits }: Network): string[] {
  const width = address.length === 1 ? 8 : 4;
  const labels = Math.ceil(bits / width);
  const count = 2 ** (labels * width - bits);
  const all = labelsOf(address).slice(0, labels);
  return Array.from({ length: count }, (_, i) => {
    const own = all.map((label, at) => (at === labels - 1 ? label + i : label));
    return reverseName(own, width);
  });
}

/** The address that a PTR name asks about; undefined for any other name. */
export function addressOfReverse(name: string): string | undefined {
  const ipv4 = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(name)?.[1];
  if (ipv4 !== undefined) {
    const words = parseAddress(ipv4.slice(0, -1).split(".").reverse().join("."));
    return words && formatAddress(words);
  }
  const nibbles = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)?.[1];
  if (nibbles === undefined) return undefined;
  const digits = nibbles.replaceAll(".", "").split("").reverse().join("");
  return digits.match(/.{4}/g)!.join(":");
}

/** An address cut into labels of its reverse name, first byte or nibble first. */
function labelsOf(address: AddressWords): number[] {
  const width = address.length === 1 ? 8 : 4;
  return address.flatMap((word) =>
    Array.from({ length: 32 / width }, (_, i) => (word >>> (32 - width * (i + 1))) & ~wordMask(32 - width)),
  );
}

function reverseName(labels: readonly number[], width: number): string {
  const zone = width === 8 ? "in-addr.arpa" : "ip6.arpa";
  const words = labels.map((label) => label.toString(width === 8 ? 10 : 16));
  return [...words.reverse(), zone].join(".");
}
