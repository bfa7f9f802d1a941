import { isDeepStrictEqual } from "node:util";
import type { Config, ListenConfig } from "./config.ts";

export type ListenerChange = "same" | "added" | "removed" | "changed";

/** What a reload has to do. Names are in the order of the file that has them. */
export interface ConfigDiff {
  readonly upstreams: {
    readonly added: readonly string[];
    readonly removed: readonly string[];
    /** Changed itself, or reached through one that changed, came or went. */
    readonly changed: readonly string[];
  };
  readonly listen: Readonly<Record<keyof ListenConfig, ListenerChange>>;
  /** The rules or the default. */
  readonly routesChanged: boolean;
  readonly limitsChanged: boolean;
  readonly logChanged: boolean;
  readonly tunChanged: boolean;
  /** The shares, or the relays that they go through. */
  readonly sharesChanged: boolean;
  /** True when there is nothing to do. */
  readonly isEmpty: boolean;
}

/** Compares two checked configurations. */
export function diffConfig(old: Config, next: Config): ConfigDiff {
  const kept = Object.keys(next.upstreams).filter((name) => Object.hasOwn(old.upstreams, name));
  const upstreams = {
    added: Object.keys(next.upstreams).filter((name) => !Object.hasOwn(old.upstreams, name)),
    removed: Object.keys(old.upstreams).filter((name) => !Object.hasOwn(next.upstreams, name)),
    changed: kept.filter((name) => !sameWay(name, old, next)),
  };
  const listen = {
    socks5: listenerChange(old.listen.socks5, next.listen.socks5),
    http: listenerChange(old.listen.http, next.listen.http),
    metrics: listenerChange(old.listen.metrics, next.listen.metrics),
    control: listenerChange(old.listen.control, next.listen.control),
  };
  const rest = {
    routesChanged: old.default !== next.default || !isDeepStrictEqual(old.routes, next.routes),
    limitsChanged: !isDeepStrictEqual(old.limits, next.limits),
    logChanged: !isDeepStrictEqual(old.log, next.log),
    tunChanged: !isDeepStrictEqual(old.tun, next.tun),
    sharesChanged: !isDeepStrictEqual(old.relays, next.relays) || !isDeepStrictEqual(old.shares, next.shares),
  };
  const isEmpty =
    Object.values(upstreams).every((names) => names.length === 0) &&
    Object.values(listen).every((change) => change === "same") &&
    !Object.values(rest).includes(true);
  return { upstreams, listen, ...rest, isEmpty };
}

/** True when `name` and every upstream on the way to it are what they were. The way has no circle in a checked configuration. */
function sameWay(name: string, old: Config, next: Config): boolean {
  for (let step: string | undefined = name; step !== undefined; step = next.upstreams[step]?.via) {
    if (!isDeepStrictEqual(old.upstreams[step], next.upstreams[step])) return false;
  }
  return true;
}

function listenerChange(old: unknown, next: unknown): ListenerChange {
  if (isDeepStrictEqual(old, next)) return "same";
  if (old === undefined) return "added";
  return next === undefined ? "removed" : "changed";
}
