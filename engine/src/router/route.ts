import type { Endpoint } from "../endpoint.ts";

/** Where a rule sends: a configured upstream's name, or one of the two reserved words. */
export type RouteTarget = "direct" | "block" | (string & {});

/** What the router says of a destination. */
export interface Decision {
  readonly to: RouteTarget;
  /** Position of the rule in `routes`, from 0; undefined when the default was taken. */
  readonly rule: number | undefined;
}

/** A decision with its reasons, for `sockeye explain`. */
export interface Explanation extends Decision {
  readonly target: Endpoint;
  /** The rule as it stands in the configuration, or "default". */
  readonly matched: string;
  /** One sentence: why this rule. */
  readonly reason: string;
}

export interface Router {
  /** First match wins. The cost does not grow with the number of rules in any way a person would notice at 100,000. */
  route(target: Endpoint): Decision;
  explain(target: Endpoint): Explanation;
}
