import type { Config } from "../config/config.ts";
import { isHost } from "../endpoint.ts";
import { type Pattern, parseNetwork, parsePattern } from "../router/pattern.ts";
import type { Router } from "../router/route.ts";

/**
 * What systemd-resolved is told at the most; with more, every name comes to us. The helper takes 64, six of which are those of
 * fake addresses.
 */
export const MAX_DOMAINS = 58;

/**
 * Which names the routes send anywhere but `direct`, so that a connection to one has to be known by its name.
 *
 * A name that a rule mentions, as itself or below a suffix, is one if any of its ports goes elsewhere, to `block` too. A rule
 * for everything, or the default, makes one of every further name only if it leads to an upstream and the device captures
 * all of IPv4: where it captures less, what lies beyond is to be left alone, and a name tells nothing of where it lies.
 * Even then a name of one label, one below `local` (RFC 6762 §3) and the names of addresses belong to the local network.
 */
export class RoutedNames {
  readonly #router: Router;
  readonly #patterns: readonly Pattern[];
  readonly #isWide: boolean;
  /** Ports of which every other one is routed as the next lower of them. */
  readonly #ports: readonly number[];
  /**
   * Domains that hold every routed name, those below them included; each without a final dot. Undefined where that is every
   * domain.
   */
  readonly domains: readonly string[] | undefined;

  /** @param router of the same configuration. */
  constructor(config: Pick<Config, "routes" | "default" | "tun">, router: Router) {
    this.#router = router;
    this.#patterns = config.routes.map(({ match }) => parsePattern(match));
    const named = this.#patterns.filter(({ kind }) => kind !== "network");
    this.#ports = [...new Set([1, ...named.flatMap(({ ports }) => [Math.max(1, ports.low), ports.high + 1])])]
      .filter((port) => port <= 65_535)
      .sort((a, b) => a - b);
    const leadsUpstream = (to: string) => to !== "direct" && to !== "block";
    const wideRules = config.routes.filter((_, i) => this.#patterns[i]!.kind === "any").map(({ to }) => to);
    this.#isWide = capturesAll(config.tun.cidrs) && [...wideRules, config.default].some(leadsUpstream);
    this.domains = this.#isWide ? undefined : this.#mentioned(config);
  }

  /** @param name lower case, without a final dot. */
  has(name: string): boolean {
    if (!isHost(name)) return false;
    return this.#ports.some((port) => {
      const { to, rule } = this.#router.route({ host: name, port });
      if (to === "direct") return false;
      const kind = rule === undefined ? "any" : this.#patterns[rule]!.kind;
      if (kind === "any") return this.#isWide && to !== "block" && !isLocal(name);
      return kind !== "network";
    });
  }

  #mentioned({ routes }: Pick<Config, "routes">): readonly string[] | undefined {
    const all = new Set<string>();
    for (const [i, { to }] of routes.entries()) {
      const pattern = this.#patterns[i]!;
      if (to === "direct") continue;
      if (pattern.kind === "suffix") all.add(pattern.suffix);
      if (pattern.kind === "name") all.add(pattern.name);
    }
    const widest = [...all].filter((domain) => !parentsOf(domain).some((parent) => all.has(parent)));
    return widest.length > MAX_DOMAINS ? undefined : widest.sort();
  }
}

function parentsOf(domain: string): string[] {
  const labels = domain.split(".");
  return labels.slice(1).map((_, i) => labels.slice(i + 1).join("."));
}

function isLocal(name: string): boolean {
  return !name.includes(".") || name.endsWith(".local") || name.endsWith(".arpa");
}

function capturesAll(cidrs: readonly string[]): boolean {
  const networks = cidrs.map(parseNetwork).filter(({ address }) => address.length === 1);
  const has = (first: number, most: number) =>
    networks.some(({ address, bits }) => bits <= most && address[0] === first);
  return has(0, 0) || (has(0, 1) && has(0x80000000, 1));
}
