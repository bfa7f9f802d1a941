import type { Config } from "../config/config.ts";
import { FAKE_IPV4, FAKE_IPV6 } from "../dns/plan.ts";
import { RoutedNames } from "../dns/routed-names.ts";
import type { Endpoint } from "../endpoint.ts";
import { type AddressWords, parseAddress } from "../router/address.ts";
import { holds, parseNetwork } from "../router/pattern.ts";
import type { Router } from "../router/route.ts";

/** Whether TUN mode captures what goes to a target. `unknown`: its address decides, and a name does not tell it. */
export interface Capture {
  readonly captured: "yes" | "no" | "unknown";
  /** One sentence: why. */
  readonly reason: string;
}

const DNS_PORT = 53;
/** The kernel's table of local addresses comes before ours. */
const LOOPBACK = ["127.0.0.0/8", "::1/128"];

/**
 * Says whether the device, as a configuration has it, captures what a program of this machine sends to a target.
 * @param router of the same configuration.
 */
export function explainCapture(
  { host, port }: Endpoint,
  config: Pick<Config, "routes" | "default" | "tun">,
  router: Router,
): Capture {
  const address = parseAddress(host);
  const capture = address ? explainAddress(address, config.tun) : explainName(host, config, router);
  const { dns } = config.tun;
  if (capture.captured !== "yes" || port !== DNS_PORT || dns === "off") return capture;
  return {
    ...capture,
    reason: `${capture.reason}; tun.dns is ${dns}, so Sockeye answers the question itself`,
  };
}

function explainAddress(address: AddressWords, { cidrs, exclude, dns }: Config["tun"]): Capture {
  const loopback = longest(address, LOOPBACK);
  if (loopback !== undefined) return { captured: "no", reason: `${loopback} never leaves this machine` };
  const fake = dns === "fake-ip" ? [FAKE_IPV4, FAKE_IPV6] : [];
  const [taken, left] = [longest(address, [...cidrs, ...fake]), longest(address, exclude)];
  if (taken === undefined) return { captured: "no", reason: "no network of tun.cidrs holds it" };
  // The longest prefix counts, as among any routes; of two equal ones what is excluded.
  if (left !== undefined && parseNetwork(left).bits >= parseNetwork(taken).bits)
    return { captured: "no", reason: `tun.exclude leaves ${left} out` };
  const whose = cidrs.includes(taken) ? "tun.cidrs has" : "fake addresses for names are of";
  return { captured: "yes", reason: `${whose} ${taken}` };
}

function explainName(
  host: string,
  config: Pick<Config, "routes" | "default" | "tun">,
  router: Router,
): Capture {
  const { cidrs, dns } = config.tun;
  const name = host.toLowerCase().replace(/\.$/, "");
  if (name === "localhost" || name.endsWith(".localhost"))
    return { captured: "no", reason: `${name} never leaves this machine` };
  if (dns === "fake-ip" && new RoutedNames(config, router).has(name))
    return {
      captured: "yes",
      reason: "routes mention the name, so tun.dns: fake-ip answers it with an address that is captured",
    };
  const why = dns === "fake-ip" ? "no route mentions the name" : `tun.dns is ${dns}`;
  if (cidrs.length === 0) return { captured: "no", reason: `${why}, and tun.cidrs is empty` };
  return {
    captured: "unknown",
    reason: `${why}, so its own name server answers, and it is captured where the address lies in tun.cidrs`,
  };
}

/** The network with the longest prefix of those that hold the address. */
function longest(address: AddressWords, networks: readonly string[]): string | undefined {
  const bits = (text: string) => parseNetwork(text).bits;
  return networks.filter((text) => holds(parseNetwork(text), address)).sort((a, b) => bits(b) - bits(a))[0];
}
