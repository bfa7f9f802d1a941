import type { RouteConfig } from "../config/config.ts";
import type { Decision, RouteTarget } from "./route.ts";

/** A rule, or the default, with the flows that it has decided. */
export interface RuleHits {
  readonly match: string;
  readonly to: RouteTarget;
  readonly hits: number;
}

/** How often each rule has decided. A flow costs two additions, however many rules there are. */
export class RouteHits {
  #routes: readonly RouteConfig[] = [];
  #default: RouteTarget = "direct";
  /** Of each rule by its position, and of the default in the last place. */
  #counts = new Float64Array(1);
  #version = 0;

  /** Another number whenever something here differs. */
  get version(): number {
    return this.#version;
  }

  /** How many rules there are. */
  get size(): number {
    return this.#routes.length;
  }

  count({ rule }: Decision): void {
    this.#counts[rule ?? this.#routes.length]! += 1;
    this.#version++;
  }

  /** Rules that stay the same keep their numbers, wherever they stand. */
  adopt(routes: readonly RouteConfig[], defaultTarget: RouteTarget): void {
    const before = Map.groupBy(this.#routes.keys(), (rule) => keyOf(this.#routes[rule]!));
    const counts = new Float64Array(routes.length + 1);
    for (const [rule, route] of routes.entries()) {
      const old = before.get(keyOf(route))?.shift();
      if (old !== undefined) counts[rule] = this.#counts[old]!;
    }
    if (defaultTarget === this.#default) counts[routes.length] = this.#counts[this.#routes.length]!;
    this.#routes = routes;
    this.#default = defaultTarget;
    this.#counts = counts;
    this.#version++;
  }

  /** In the order of the rules. */
  numbers(): { readonly routes: RuleHits[]; readonly default: Omit<RuleHits, "match"> } {
    const hitsOf = (rule: number) => this.#counts[rule] ?? 0;
    return {
      routes: this.#routes.map(({ match, to }, rule) => ({ match, to, hits: hitsOf(rule) })),
      default: { to: this.#default, hits: hitsOf(this.#routes.length) },
    };
  }
}

function keyOf({ match, to }: RouteConfig): string {
  return `${match} ${to}`;
}
