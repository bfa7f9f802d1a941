import type { Config, UpstreamConfig } from "../config/config.ts";
import type { Endpoint } from "../endpoint.ts";
import type { Router } from "../router/route.ts";
import { explainCapture } from "../tun/capture.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { ControlExplanation, UpstreamInfo } from "./contract.ts";
import { ControlError } from "./control-error.ts";

/** An upstream as the contract shows it; `config` is absent for `direct`. */
export function describeUpstream(upstream: Upstream, config: UpstreamConfig | undefined): UpstreamInfo {
  const { state, latencyMs, lastError, pool } = upstream.status();
  return {
    name: upstream.name,
    type: upstream.type,
    address: config?.address ?? "",
    ...(config?.via !== undefined && { via: config.via }),
    state,
    ...(latencyMs !== undefined && { latencyMs }),
    ...(lastError && { lastError }),
    pool,
  };
}

/**
 * The router's reasons, the upstreams that would carry the target, and whether TUN mode captures it.
 * @param router of the same configuration.
 */
export function describeExplanation(target: Endpoint, router: Router, config: Config): ControlExplanation {
  const { to, rule, matched, reason } = router.explain(target);
  return {
    target,
    to,
    ...(rule !== undefined && { rule }),
    matched,
    reason,
    chain: chainOf(to, config),
    tun: { enabled: config.tun.enabled, ...explainCapture(target, config, router) },
  };
}

/** The upstreams that carry a target, nearest to us first; none for `block`. */
function chainOf(to: string, config: Config): string[] {
  if (to === "block") return [];
  const chain: string[] = [];
  for (let name: string | undefined = to; name !== undefined; name = config.upstreams[name]?.via)
    chain.unshift(name);
  return chain;
}

export function unknownUpstream(name: string, config: Config): ControlError {
  const known = [...Object.keys(config.upstreams), "direct"].join(", ");
  const sentence = name === "block" ? "block leads nowhere" : `no upstream is called "${name}"`;
  return new ControlError("unknown-upstream", `${sentence}; there is ${known}`);
}
