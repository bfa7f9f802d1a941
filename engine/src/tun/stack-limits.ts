import type { Limits } from "../config/config.ts";
import type { StackLimits } from "../netstack/stack.ts";
import { defaultTcpLimits, type TcpLimits } from "../netstack/tcp/limits.ts";
import { UDP_LIMITS } from "../netstack/udp/udp-layer.ts";

/** Beyond what the engine gives a flow, so that the flow ends by the engine's clock, and is said to. */
const GRACE_MS = 60_000;

/**
 * What of a configuration's limits the stack keeps itself. The flows behind it have their idle and half-close times from the
 * engine's table, which counts what is carried; the stack sees only what an application sends and takes, so it is to be the
 * later one.
 */
export function stackLimits(limits: Limits): Pick<StackLimits, "udp"> & { readonly tcp: Partial<TcpLimits> } {
  const idleMs = limits.udp_idle_timeout * 1000;
  return {
    tcp: {
      connections: limits.max_connections,
      halfClosed: Math.max(defaultTcpLimits.halfClosed, limits.half_close_timeout * 1000 + GRACE_MS),
    },
    udp: {
      ...UDP_LIMITS,
      sources: Math.min(UDP_LIMITS.sources, limits.max_connections),
      idleMs,
      dnsIdleMs: Math.min(UDP_LIMITS.dnsIdleMs, idleMs),
    },
  };
}
