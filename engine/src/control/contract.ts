/**
 * The control contract: what a face of the engine (the command line, the desktop interface, a browser) may ask of it and
 * hear from it. Schemas first, types inferred, so that both ends check the same thing. A browser imports this file:
 * nothing here may need Node.
 */
import * as z from "zod";

/** Goes up when an older client would misunderstand. New optional fields and new calls don't count. */
export const CONTRACT_VERSION = 1;

/** Why a call or a stream failed. A closed list; the sentence beside it is for people. */
export const controlErrorCode = z.enum([
  "bad-request", // the message or its parameters are not of this contract
  "unknown-call", // no call or stream has this name
  "unknown-upstream", // the configuration has no upstream of this name
  "unknown-flow", // the flow has ended, or never was
  "invalid-config", // the text or the upstream has problems; they come with the error
  "conflict", // the file changed since it was read
  "no-config-file", // the engine runs without a file, so there is nothing to read or write
  "limit", // too many calls, subscriptions or clients
  "unavailable", // the engine is starting or draining, or can't do this
  "timeout", // no answer within the caller's deadline
  "closed", // the connection ended before the answer
  "internal", // a defect of ours
]);
export type ControlErrorCode = z.infer<typeof controlErrorCode>;

export const configProblem = z.object({
  /** From 1; 0 where the problem has no place in the text. */
  line: z.int().nonnegative(),
  column: z.int().nonnegative(),
  /** Keys from the root, joined by dots: `upstreams.production.pool_size`. Empty for the file as a whole. */
  path: z.string(),
  message: z.string(),
  /** What would be right. */
  hint: z.string().optional(),
});
export type ConfigProblem = z.infer<typeof configProblem>;

export const controlFailure = z.object({
  code: controlErrorCode,
  message: z.string(),
  problems: z.array(configProblem).optional(),
});
export type ControlFailure = z.infer<typeof controlFailure>;

export const logLevel = z.enum(["trace", "debug", "info", "warn", "error", "silent"]);

const endpoint = z.object({ host: z.string().min(1).max(255), port: z.int().min(0).max(65535) });

/** DialErrorCode as it crosses the border: a string to a client, so that an older one reads a newer engine. */
const dialErrorCode = z.string();
const dialStep = z.enum(["name", "tcp", "tls", "handshake", "host-key", "auth", "dial"]);

export const engineStatus = z.object({
  version: z.string(),
  contract: z.int(),
  pid: z.int(),
  /** Milliseconds since 1970, as every time here. */
  startedAt: z.number(),
  phase: z.enum(["starting", "running", "draining", "stopped"]),
  listeners: z.array(
    z.object({
      kind: z.enum(["socks5", "http", "metrics", "control"]),
      /** `host:port`, with the port that the system chose. */
      address: z.string(),
      /** Connections that are not a flow yet. */
      pending: z.int(),
    }),
  ),
  tun: z.discriminatedUnion("state", [
    z.object({ state: z.literal("off") }),
    z.object({
      state: z.literal("on"),
      device: z.string(),
      /** What is captured, what is excluded not taken out. */
      networks: z.array(z.string()),
      /** Connections that are not a flow yet. */
      pending: z.int(),
    }),
    /** It was on and ended by itself; it is tried again. */
    z.object({ state: z.literal("lost"), error: z.string() }),
  ]),
  flows: z.object({ active: z.int(), total: z.int(), failed: z.int() }),
  bytes: z.object({ up: z.number(), down: z.number() }),
  rssBytes: z.number(),
  logLevel,
  /** Absent where the engine runs without a file. */
  configFile: z.string().optional(),
  /** The last reload was refused, and why; what ran before still runs. */
  configProblems: z.array(configProblem).optional(),
  /** Which cipher code SSH uses in this process. */
  sshCrypto: z.string().optional(),
});
export type EngineStatus = z.infer<typeof engineStatus>;

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
  startedAt: z.number(),
  /** Bytes from the application, and to it. */
  up: z.number(),
  down: z.number(),
  endedAt: z.number().optional(),
  /** Why it ended, where not by a plain end from both sides. */
  error: z.object({ code: dialErrorCode, message: z.string() }).optional(),
});
export type FlowInfo = z.infer<typeof flowInfo>;

const flowFilter = z.strictObject({
  upstream: z.string().max(255).optional(),
  /** Part of the target or of the source. */
  text: z.string().max(255).optional(),
  /** With those that ended lately, as far as the engine remembers. */
  ended: z.boolean().optional(),
  /** The newest this many. Default 1,000. */
  limit: z.int().min(1).max(10_000).optional(),
});
export type FlowFilter = z.infer<typeof flowFilter>;

const flowList = z.object({
  /** Oldest first. */
  flows: z.array(flowInfo),
  /** How many match, those beyond the limit included. */
  total: z.int(),
});

export const explanation = z.object({
  target: endpoint,
  to: z.string(),
  rule: z.int().optional(),
  matched: z.string(),
  reason: z.string(),
  /** The upstreams that carry it, nearest to us first: what `to` is reached through, then `to` itself. Empty for block. */
  chain: z.array(z.string()),
});
export type ControlExplanation = z.infer<typeof explanation>;

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

/** An upstream as the file would have it (snake_case keys), saved or not. The engine checks it. */
const unsavedUpstream = z.record(z.string(), z.unknown());
const testParams = z.strictObject({
  /** A configured upstream or, with `config`, the name to test it under. */
  name: z.string().min(1).max(255),
  config: unsavedUpstream.optional(),
  target: endpoint.optional(),
  timeoutMs: z.int().min(1).max(300_000).optional(),
});
export type TestParams = z.infer<typeof testParams>;

/** The file's text is a person's own and comes whole; `config` is for showing, with each secret replaced by "•••". */
export const configDocument = z.object({
  path: z.string(),
  text: z.string(),
  /** Changes with the text; config.write wants it back. Empty where no file is there yet. */
  revision: z.string(),
  problems: z.array(configProblem),
  warnings: z.array(configProblem),
  /** Absent where the text has problems. */
  config: z.record(z.string(), z.unknown()).optional(),
});
export type ConfigDocument = z.infer<typeof configDocument>;

/** The longest configuration that is read or written over the contract. */
export const MAX_CONFIG_CHARACTERS = 900_000;
const configText = z.string().max(MAX_CONFIG_CHARACTERS);

export const logRecord = z.object({
  /** Counts up by one per record. (`seq` among the fields is the flow's number.) */
  id: z.int(),
  time: z.number(),
  level: z.enum(["trace", "debug", "info", "warn", "error"]),
  message: z.string(),
  /** Everything else: upstream, target, seq, request_id, duration_ms, … */
  fields: z.record(z.string(), z.unknown()),
});
export type LogRecord = z.infer<typeof logRecord>;

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

const nothing = z.strictObject({});

/** Asked once, answered once. */
export const calls = {
  status: { params: nothing, result: engineStatus },
  upstreams: { params: nothing, result: z.array(upstreamInfo) },
  flows: { params: flowFilter, result: flowList },
  "flows.close": {
    params: z.strictObject({ flows: z.union([z.literal("all"), z.array(z.int()).min(1).max(10_000)]) }),
    /** How many were closed. One id that is no flow is `unknown-flow`; of several, those that are there are closed. */
    result: z.object({ closed: z.int() }),
  },
  explain: { params: z.strictObject({ target: endpoint }), result: explanation },
  "config.read": { params: nothing, result: configDocument },
  "config.validate": {
    params: z.strictObject({ text: configText }),
    result: z.object({ problems: z.array(configProblem), warnings: z.array(configProblem) }),
  },
  /** Writes the file in one step and applies it. Text with problems is refused and changes nothing. */
  "config.write": {
    params: z.strictObject({ text: configText, revision: z.string().max(128) }),
    result: z.object({ revision: z.string(), warnings: z.array(configProblem) }),
  },
  /** Reads the file again and applies it; with problems it fails with `invalid-config` and nothing changes. */
  reload: { params: nothing, result: z.object({ warnings: z.array(configProblem) }) },
  "log.level": { params: z.strictObject({ level: logLevel }), result: z.object({ level: logLevel }) },
} as const;

/** Listened to until cancelled, or until the stream ends by itself. */
export const streams = {
  /** The first event has everything; later ones only what changed, upstreams whole and by name. */
  state: {
    params: nothing,
    event: z.object({
      status: engineStatus.optional(),
      upstreams: z.array(upstreamInfo).optional(),
      removed: z.array(z.string()).optional(),
    }),
  },
  /** The first event has every matching flow in `changed`; later ones only what changed. */
  flows: {
    params: flowFilter,
    event: z.object({
      changed: z.array(flowInfo).optional(),
      /** No longer among the newest that match. */
      removed: z.array(z.int()).optional(),
      total: z.int(),
    }),
  },
  /** First what the engine remembers, then records as they come. */
  logs: {
    params: z.strictObject({
      level: logLevel.exclude(["silent"]).optional(),
      upstream: z.string().max(255).optional(),
      /** Of what is remembered, the newest this many. Default 500. */
      backlog: z.int().min(0).max(2_000).optional(),
    }),
    event: z.object({
      records: z.array(logRecord),
      /** Records left out before these, because this client reads too slowly. */
      dropped: z.int(),
    }),
  },
  /** Once a second. */
  metrics: {
    params: nothing,
    event: z.object({ at: z.number(), upstreams: z.array(upstreamNumbers) }),
  },
  /** Each step as it begins, then `done`; then the stream ends. */
  "upstream.test": { params: testParams, event: testEvent },
} as const;

export type Calls = typeof calls;
export type CallName = keyof Calls;
export type CallParams<Name extends CallName> = z.infer<Calls[Name]["params"]>;
export type CallResult<Name extends CallName> = z.infer<Calls[Name]["result"]>;

export type Streams = typeof streams;
export type StreamName = keyof Streams;
export type StreamParams<Name extends StreamName> = z.infer<Streams[Name]["params"]>;
export type StreamEvent<Name extends StreamName> = z.infer<Streams[Name]["event"]>;
