import type { RouteConfig } from "../config/config.ts";
import { type Endpoint, formatEndpoint } from "../endpoint.ts";
import { type AddressWords, formatAddress, normalizeHost, parseAddress } from "./address.ts";
import { type Pattern, allPorts, parsePattern } from "./pattern.ts";
import { PatternIndex } from "./pattern-index.ts";
import { NO_RULE, PortRules } from "./ports.ts";
import type { Decision, Explanation, RouteTarget, Router } from "./route.ts";

/**
 * A router over checked routes. Names are compared as normalizeHost has them and never resolved here, so a name matches no
 * network; an IPv4 address mapped into IPv6 matches as IPv4.
 * @throws {SyntaxError} for a match that parsePattern does not accept.
 */
export function createRouter(routes: readonly RouteConfig[], defaultTarget: RouteTarget): Router {
  return new IndexedRouter(routes, defaultTarget);
}

class IndexedRouter implements Router {
  readonly #routes: readonly RouteConfig[];
  readonly #index = new PatternIndex<PortRules>();
  readonly #decisions: readonly Decision[];
  readonly #default: Decision;
  /** The first rule for a network, for explanations. */
  readonly #firstNetworkRule: number;
  /** Refilled by each look-up, which never overlap. */
  readonly #candidates: PortRules[] = [];

  constructor(routes: readonly RouteConfig[], defaultTarget: RouteTarget) {
    this.#routes = routes;
    this.#default = { to: defaultTarget, rule: undefined };
    this.#decisions = routes.map(({ to }, rule) => ({ to, rule }));
    let firstNetworkRule = NO_RULE;
    for (const [rule, { match }] of routes.entries()) {
      const pattern = parsePattern(match);
      if (pattern.kind === "network") firstNetworkRule = Math.min(firstNetworkRule, rule);
      this.#index.getOrCreate(pattern, () => new PortRules()).add(pattern.ports, rule);
    }
    this.#firstNetworkRule = firstNetworkRule;
  }

  route(target: Endpoint): Decision {
    const address = parseAddress(target.host);
    if (address) return this.#routeAddress(address, target.port);
    const name = normalizeHost(target.host);
    // A loose spelling of an address has become one.
    const hidden = name === target.host ? undefined : parseAddress(name);
    return hidden ? this.#routeAddress(hidden, target.port) : this.#routeName(name, target.port);
  }

  #routeAddress(address: AddressWords, port: number): Decision {
    this.#index.collectAddress(address, this.#candidates);
    return this.#decide(port);
  }

  #routeName(name: string, port: number): Decision {
    this.#index.collectName(name, this.#candidates);
    return this.#decide(port);
  }

  #decide(port: number): Decision {
    let rule = NO_RULE;
    for (const candidate of this.#candidates) rule = Math.min(rule, candidate.lowest(port));
    this.#candidates.length = 0;
    return rule === NO_RULE ? this.#default : this.#decisions[rule]!;
  }

  /** Rules are counted from 1 in the sentence, as people do. */
  explain(target: Endpoint): Explanation {
    const decision = this.route(target);
    const { rule } = decision;
    const normalized = normalizeHost(target.host);
    const address = parseAddress(target.host) ?? parseAddress(normalized);
    const networksPassedOver = address === undefined && this.#firstNetworkRule < (rule ?? NO_RULE);
    const subject = formatEndpoint(target) + readAs(target.host, address);
    const sentences = [
      rule === undefined
        ? `${subject} matches none of the rules, so the default applies`
        : `${subject} ${matchSentence(parsePattern(this.#routes[rule]!.match))} (rule ${rule + 1})`,
    ];
    if (rule !== undefined && rule > 0) sentences.push("earlier rules do not match");
    if (networksPassedOver) {
      sentences.push("a name is not resolved here, so it matches no network");
    }
    return {
      ...decision,
      target,
      matched: rule === undefined ? "default" : this.#routes[rule]!.match,
      reason: sentences.join("; "),
    };
  }
}

/** Where an address is matched in another form than it was given in, that form. */
function readAs(host: string, address: AddressWords | undefined): string {
  if (address === undefined) return "";
  const usual = formatAddress(address);
  return host === usual || (host.includes(":") && address.length === 4) ? "" : `, read as ${usual},`;
}

function matchSentence(pattern: Pattern): string {
  const ports = pattern.ports === allPorts ? "" : ` with ${portsText(pattern)}`;
  switch (pattern.kind) {
    case "any":
      return ports === "" ? "matches *, as everything does" : `matches *${ports}`;
    case "name":
      return `is the name ${pattern.name}${ports}`;
    case "suffix":
      return `is below ${pattern.suffix}${ports}`;
    case "network": {
      const { address, bits } = pattern.network;
      return bits === address.length * 32
        ? `is the address ${formatAddress(address)}${ports}`
        : `is in ${formatAddress(address)}/${bits}${ports}`;
    }
  }
}

function portsText({ ports: { low, high } }: Pattern): string {
  return low === high ? `port ${low}` : `a port from ${low} to ${high}`;
}
