/** Upstreams: how they fare, their tests, their numbers. */
import * as z from "zod";
import { dialErrorCode, dialStep } from "./failure.ts";

export const upstreamName = z.string().min(1).max(255);

export const endpoint = z.object({ host: z.string().min(1).max(255), port: z.int().min(0).max(65535) });

export const upstreamInfo = z.object({
  name: z.string(),
  type: z.enum(["direct", "ssh", "socks5", "http"]),
  /** As it stands in the configuration; empty for direct. */
  address: z.string(),
  via: z.string().optional(),
  state: z.enum(["idle", "connecting", "connected", "failing"]),
  latencyMs: z.number().optional(),
  lastError: z.object({ code: dialErrorCode, message: z.string(), at: z.number() }).optional(),
  pool: z.object({ size: z.int(), ready: z.int(), connecting: z.int(), active: z.int() }),
});
export type UpstreamInfo = z.infer<typeof upstreamInfo>;

const testFailure = z.object({ step: dialStep.optional(), code: dialErrorCode, message: z.string() });

export const testEvent = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("started"), step: dialStep }),
  z.object({
    kind: z.literal("done"),
    ok: z.boolean(),
    steps: z.array(z.object({ step: dialStep, ms: z.number() })),
    failure: testFailure.optional(),
    /** What a person should know of it, failed or not: a host key that was trusted for the first time, say. */
    notes: z.array(z.string()).optional(),
  }),
]);
export type TestEvent = z.infer<typeof testEvent>;

/**
 * An upstream as the file would have it (snake_case keys), saved or not. The engine checks it. A secret that is `•••`, as
 * `config.read` shows one, is the saved upstream's of this name: a client can't know it.
 */
const unsavedUpstream = z.record(z.string(), z.unknown());

export const testParams = z.strictObject({
  /** A configured upstream or, with `config`, the name to test it under. */
  name: z.string().min(1).max(255),
  config: unsavedUpstream.optional(),
  target: endpoint.optional(),
  timeoutMs: z.int().min(1).max(300_000).optional(),
});
export type TestParams = z.infer<typeof testParams>;

export const upstreamNumbers = z.object({
  upstream: z.string(),
  connections: z.number(),
  active: z.number(),
  up: z.number(),
  down: z.number(),
  dials: z.number(),
  /** By code. */
  dialErrors: z.record(z.string(), z.number()),
  /** Sum of the durations of `dials`, so that a client has the mean of any span by subtracting. */
  dialSeconds: z.number(),
  reconnects: z.number(),
  connected: z.boolean(),
});
export type UpstreamNumbers = z.infer<typeof upstreamNumbers>;

/** What happened in one span, of one upstream. Rates follow from `stepMs`. */
export const historyPoint = z.object({
  at: z.number(),
  up: z.number(),
  down: z.number(),
  connections: z.number(),
  dials: z.number(),
  /** Mean of the dials that succeeded; absent where none did. */
  dialMs: z.number().optional(),
  errors: z.number(),
  reconnects: z.number(),
});
export type HistoryPoint = z.infer<typeof historyPoint>;
