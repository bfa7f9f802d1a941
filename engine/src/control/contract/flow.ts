/** Flows, and the rules that decide about them. */
import * as z from "zod";
import { dialErrorCode } from "./failure.ts";
import { endpoint } from "./upstream.ts";

export const flowInfo = z.object({
  id: z.int(),
  kind: z.enum(["tcp", "udp"]),
  inbound: z.enum(["socks5", "http", "tun", "share"]),
  /** `host:port`. */
  source: z.string(),
  target: z.string(),
  /** A configured upstream, "direct" or "block". */
  upstream: z.string(),
  /** The rule that chose the upstream, from 0; absent for the default. */
  rule: z.int().optional(),
  state: z.enum(["dialing", "open", "half-closed", "ended"]),
  /** The program on this machine that opened it, where the system tells. */
  process: z.object({ pid: z.int(), name: z.string() }).optional(),
  startedAt: z.number(),
  /** Bytes from the application, and to it. */
  up: z.number(),
  down: z.number(),
  endedAt: z.number().optional(),
  /** Why it ended, where not by a plain end from both sides. */
  error: z.object({ code: dialErrorCode, message: z.string() }).optional(),
});
export type FlowInfo = z.infer<typeof flowInfo>;

export const flowFilter = z.strictObject({
  upstream: z.string().max(255).optional(),
  /** Part of the target or of the source. */
  text: z.string().max(255).optional(),
  /** With those that ended lately, as far as the engine remembers. */
  ended: z.boolean().optional(),
  /** The newest this many. Default 1,000. */
  limit: z.int().min(1).max(10_000).optional(),
});
export type FlowFilter = z.infer<typeof flowFilter>;

export const flowList = z.object({
  /** Oldest first. */
  flows: z.array(flowInfo),
  /** How many match, those beyond the limit included. */
  total: z.int(),
});

export const flowSort = z.strictObject({
  by: z.enum(["age", "target", "upstream", "rule", "process", "up", "down", "rate"]),
  descending: z.boolean(),
});
export type FlowSort = z.infer<typeof flowSort>;

/** Rates in bytes a second, from the application and to it. */
export const flowRow = flowInfo.extend({ rateUp: z.number(), rateDown: z.number() });
export type FlowRow = z.infer<typeof flowRow>;

export const explanation = z.object({
  target: endpoint,
  to: z.string(),
  rule: z.int().optional(),
  matched: z.string(),
  reason: z.string(),
  /** The upstreams that carry it, nearest to us first: what `to` is reached through, then `to` itself. Empty for block. */
  chain: z.array(z.string()),
  tun: z.object({
    /** As the configuration has it. */
    enabled: z.boolean(),
    /** Whether TUN mode, while it is on, captures it. `unknown`: for a name whose address decides. */
    captured: z.enum(["yes", "no", "unknown"]),
    /** One sentence: why. */
    reason: z.string(),
  }),
});

export type ControlExplanation = z.infer<typeof explanation>;

export const routeNumbers = z.object({
  match: z.string(),
  to: z.string(),
  /** Flows that it has decided, since the engine started or the rule came. */
  hits: z.int(),
});
export type RouteNumbers = z.infer<typeof routeNumbers>;
