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
  "helper", // TUN mode needs the helper, which is not there, is of another version, or refused
  "no-secret-store", // this machine has no keychain that we can use
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

/** Whether traffic is taken in. An engine that is off still answers here, tests upstreams and keeps its configuration. */
export const connectionState = z.discriminatedUnion("state", [
  z.object({
    state: z.literal("off"),
    /** Why the last attempt failed, or why it went off by itself. */
    error: controlFailure.optional(),
  }),
  /** Listeners and TUN mode are being opened, or nothing has reached the default's upstream yet. */
  z.object({ state: z.literal("connecting"), since: z.number() }),
  z.object({ state: z.literal("connected"), since: z.number() }),
  /** Traffic is taken in, and something that it needs does not work. */
  z.object({
    state: z.literal("trouble"),
    since: z.number(),
    cause: z.enum(["upstream", "tun", "listener", "config"]),
    /** The upstream, device or listener. */
    subject: z.string(),
    message: z.string(),
  }),
]);
export type ConnectionState = z.infer<typeof connectionState>;

export const engineStatus = z.object({
  version: z.string(),
  contract: z.int(),
  pid: z.int(),
  /** Milliseconds since 1970, as every time here. */
  startedAt: z.number(),
  phase: z.enum(["starting", "running", "draining", "stopped"]),
  connection: connectionState,
  /** Where traffic goes that no rule matches: an upstream, `direct` or `block`. */
  default: z.string(),
  /** The configuration wants TUN mode: it comes on with the next connect. */
  tunEnabled: z.boolean(),
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

export const flowSort = z.strictObject({
  by: z.enum(["age", "target", "upstream", "rule", "process", "up", "down", "rate"]),
  descending: z.boolean(),
});
export type FlowSort = z.infer<typeof flowSort>;

/** Rates in bytes a second, from the application and to it. */
const flowRow = flowInfo.extend({ rateUp: z.number(), rateDown: z.number() });
export type FlowRow = z.infer<typeof flowRow>;

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

/**
 * An upstream as the file would have it (snake_case keys), saved or not. The engine checks it. A secret that is `•••`, as
 * `config.read` shows one, is the saved upstream's of this name: a client can't know it.
 */
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

/** A question that only a person can answer. A client that listens to `prompts` says that a person is there. */
const promptQuestion = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("passphrase"), file: z.string() }),
  z.object({ kind: z.literal("password"), user: z.string(), host: z.string() }),
  z.object({
    kind: z.literal("keyboard-interactive"),
    title: z.string(),
    instructions: z.string(),
    prompt: z.string(),
    echo: z.boolean(),
  }),
  /** A host never seen before. The answer is "yes" or nothing. */
  z.object({
    kind: z.literal("host-key"),
    host: z.string(),
    keyType: z.string(),
    /** `SHA256:…`, as OpenSSH writes it. */
    fingerprint: z.string(),
  }),
]);
export type PromptQuestion = z.infer<typeof promptQuestion>;
export const pendingPrompt = z.object({
  id: z.int(),
  upstream: z.string(),
  askedAt: z.number(),
  question: promptQuestion,
});
export type PendingPrompt = z.infer<typeof pendingPrompt>;

const routeNumbers = z.object({
  match: z.string(),
  to: z.string(),
  /** Flows that it has decided, since the engine started or the rule came. */
  hits: z.int(),
});
export type RouteNumbers = z.infer<typeof routeNumbers>;

export type EditValue =
  string | number | boolean | null | readonly EditValue[] | { readonly [key: string]: EditValue };
const editValue: z.ZodType<EditValue> = z.lazy(() =>
  z.union([
    z.string().max(65_536),
    z.number(),
    z.boolean(),
    z.null(),
    z.array(editValue).max(100_000),
    z.record(z.string().max(255), editValue),
  ]),
);
/** Keys of the file. A key that is null is taken out; one that is not named stays as it is. */
const editMapping = z.record(z.string().max(255), editValue);
const upstreamName = z.string().min(1).max(255);

/** One change to the configuration's text, which keeps its comments and everything that is not named. */
export const configEdit = z.discriminatedUnion("kind", [
  /** Adds the upstream at the end, or changes the keys that are named. */
  z.strictObject({ kind: z.literal("set-upstream"), name: upstreamName, upstream: editMapping }),
  /** With it, in rules, `via` and the default. */
  z.strictObject({ kind: z.literal("rename-upstream"), name: upstreamName, to: upstreamName }),
  z.strictObject({ kind: z.literal("delete-upstream"), name: upstreamName }),
  /** Every upstream's name, in the order wanted. */
  z.strictObject({ kind: z.literal("order-upstreams"), names: z.array(upstreamName).max(10_000) }),
  /** The whole list. Rules that were there keep their comments. */
  z.strictObject({
    kind: z.literal("set-routes"),
    routes: z.array(z.strictObject({ match: z.string().max(1_024), to: z.string().max(255) })).max(100_000),
  }),
  z.strictObject({ kind: z.literal("set-default"), to: upstreamName }),
  /** `value` null removes the listener. */
  z.strictObject({
    kind: z.literal("set-listen"),
    listener: z.enum(["socks5", "http", "metrics", "control"]),
    value: z.union([z.string().max(255), editMapping, z.null()]),
  }),
  z.strictObject({
    kind: z.literal("set-section"),
    section: z.enum(["tun", "limits", "log"]),
    values: editMapping,
  }),
]);
export type ControlEdit = z.infer<typeof configEdit>;

/** An upstream that an import found. */
const importedUpstream = z.object({
  /** Free in the configuration; made so where the source's own name is taken. */
  name: z.string(),
  /** As the file would have it. A secret that stood in the source stands here in clear, and is to be stored first. */
  upstream: z.record(z.string(), z.unknown()),
  /** Where in the source: `Host bastion`, a URL without its password. */
  from: z.string(),
  warnings: z.array(z.string()),
  /** An upstream of the configuration that leads to the same place. */
  sameAs: z.string().optional(),
});
export type ImportedUpstream = z.infer<typeof importedUpstream>;

/** What happened in one span, of one upstream. Rates follow from `stepMs`. */
const historyPoint = z.object({
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

export const helperStatus = z.object({
  /** `foreign`: one that is not of this version. `unsupported`: this system can't have one. */
  state: z.enum(["running", "absent", "foreign", "unsupported"]),
  version: z.string().optional(),
  /** What this engine wants. */
  expected: z.string(),
  message: z.string(),
});
export type HelperStatus = z.infer<typeof helperStatus>;

const overlap = z.object({
  cidr: z.string(),
  network: z.string(),
  interface: z.string(),
  kind: z.enum(["local", "container", "vpn"]),
  message: z.string(),
});
export type NetworkOverlap = z.infer<typeof overlap>;

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
  /** Opens the listeners and, where configured, TUN mode. Fails with a sentence, and is off then, where one can't be had. */
  connect: { params: nothing, result: nothing },
  /** Ends every flow, TUN mode and the listeners; the upstreams' connections close. */
  disconnect: { params: nothing, result: nothing },
  /**
   * Applies the edits to the file's text, as config.write would. With `preview` nothing is written: the text that would
   * be comes back, with its problems.
   * @throws invalid-config, conflict, no-config-file.
   */
  "config.edit": {
    params: z.strictObject({
      edits: z.array(configEdit).min(1).max(1_000),
      revision: z.string().max(128),
      preview: z.boolean().optional(),
    }),
    result: z.object({
      revision: z.string(),
      text: z.string(),
      problems: z.array(configProblem),
      warnings: z.array(configProblem),
    }),
  },
  /** `answer` null declines. An id that is no longer asked is not an error: somebody else answered, or it took too long. */
  "prompt.answer": {
    params: z.strictObject({ id: z.int(), answer: z.string().max(1_024).nullable() }),
    result: z.object({ taken: z.boolean() }),
  },
  /** Where a secret can be kept here. */
  "secret.support": {
    params: nothing,
    result: z.object({ keychain: z.boolean(), /** Why not. */ reason: z.string().optional() }),
  },
  /**
   * Keeps a secret and says what stands for it in the file, as keys for an edit of the mapping that holds it: `{ password:
   * { keychain: … }, password_file: null }`, or `{ password: null, password_file: … }`, a file that only its owner can read.
   * @throws no-secret-store; unavailable where the file can't be written.
   */
  "secret.store": {
    params: z.strictObject({
      upstream: upstreamName,
      kind: z.enum(["password", "passphrase"]),
      value: z.string().min(1).max(65_536),
      where: z.enum(["keychain", "file"]),
    }),
    result: z.object({
      reference: z.record(z.string(), z.union([z.string(), z.object({ keychain: z.string() }), z.null()])),
    }),
  },
  /** What is in a text: URLs (`ssh://`, `socks5://`, `http://`, `https://`, `sockeye://`), an ssh_config, a configuration of ours. */
  "import.preview": {
    params: z.strictObject({
      source: z.discriminatedUnion("kind", [
        z.strictObject({ kind: z.literal("text"), text: configText }),
        /** The user's `~/.ssh/config`. */
        z.strictObject({ kind: z.literal("ssh-config") }),
      ]),
    }),
    result: z.object({
      upstreams: z.array(importedUpstream),
      /** What was found and is of no use, and why. */
      skipped: z.array(z.object({ from: z.string(), why: z.string() })),
    }),
  },
  /** Upstreams as a configuration of ours and as links, without their secrets. */
  export: {
    params: z.strictObject({ upstreams: z.array(upstreamName).max(10_000).optional() }),
    result: z.object({
      text: z.string(),
      links: z.array(z.object({ name: z.string(), link: z.string() })),
    }),
  },
  /** What networks to be captured have in common with what this machine reaches already. Changes nothing. */
  "tun.preflight": {
    params: z.strictObject({
      cidrs: z.array(z.string().max(64)).max(10_000),
      exclude: z.array(z.string().max(64)).max(10_000),
    }),
    result: z.object({ overlaps: z.array(overlap) }),
  },
  helper: { params: nothing, result: helperStatus },
  /** Kept across restarts; spans without an engine are left out. */
  "metrics.history": {
    params: z.strictObject({
      from: z.number(),
      to: z.number(),
      /** At most this many points for each upstream; the engine chooses the span. */
      points: z.int().min(1).max(2_000),
      upstream: upstreamName.optional(),
    }),
    result: z.object({
      stepMs: z.number(),
      series: z.array(z.object({ upstream: z.string(), points: z.array(historyPoint) })),
    }),
  },
  /** What a report of a problem would say: versions, status, the configuration and the log, with secrets, user names and hosts of targets taken out. */
  report: { params: nothing, result: z.object({ text: z.string() }) },
  /** Starts an upstream of each kind inside the engine's process and adds them to the configuration. */
  "demo.add": { params: nothing, result: z.object({ added: z.array(z.string()) }) },
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
  /** A window on the table of flows, whole whenever something in it has changed. For other rows, listen anew. */
  "flows.view": {
    params: z.strictObject({
      upstream: z.string().max(255).optional(),
      /** Part of the target, the source, the upstream or the process; letters of either case. */
      text: z.string().max(255).optional(),
      /** With those that ended lately. */
      ended: z.boolean().optional(),
      sort: flowSort,
      offset: z.int().nonnegative(),
      limit: z.int().min(1).max(500),
    }),
    event: z.object({
      rows: z.array(flowRow),
      /** Of the first row; less than asked for where there are not so many. */
      offset: z.int(),
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
  /** The rules in order with their hits, when one has changed. */
  routes: {
    params: nothing,
    event: z.object({ routes: z.array(routeNumbers), default: routeNumbers.omit({ match: true }) }),
  },
  /** All that is being asked, whenever that changes. */
  prompts: { params: nothing, event: z.object({ pending: z.array(pendingPrompt) }) },
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
