/**
 * The control contract: what a face of the engine (the command line, the desktop interface, a browser) may ask of it and
 * hear from it. Schemas first, types inferred, so that both ends check the same thing. A browser imports this file:
 * nothing here may need Node.
 */
import * as z from "zod";
import { configDocument, configEdit, configText, importedUpstream } from "./contract/config.ts";
import { configProblem } from "./contract/failure.ts";
import {
  explanation,
  flowFilter,
  flowInfo,
  flowList,
  flowRow,
  flowSort,
  routeNumbers,
} from "./contract/flow.ts";
import { logRecord } from "./contract/log.ts";
import { pendingPrompt } from "./contract/prompt.ts";
import {
  relayTestParams,
  replayParams,
  requestDetail,
  requestRow,
  requestWindow,
  shareList,
  shareName,
} from "./contract/share.ts";
import { engineStatus, logLevel } from "./contract/status.ts";
import { helperStatus, overlap } from "./contract/tun.ts";
import {
  endpoint,
  historyPoint,
  testEvent,
  testParams,
  upstreamInfo,
  upstreamName,
  upstreamNumbers,
} from "./contract/upstream.ts";

export * from "./contract/config.ts";
export * from "./contract/failure.ts";
export * from "./contract/flow.ts";
export * from "./contract/log.ts";
export * from "./contract/prompt.ts";
export * from "./contract/share.ts";
export * from "./contract/status.ts";
export * from "./contract/tun.ts";
export * from "./contract/upstream.ts";

/** Goes up when an older client would misunderstand. New optional fields and new calls don't count. */
export const CONTRACT_VERSION = 1;

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
  /**
   * Opens the listeners and, where configured, TUN mode. Fails with a sentence, and is off then, where one
   * can't be had. The default's upstream is connected to at once: `connection` says how that goes.
   */
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
      kind: z.enum(["password", "passphrase", "token"]),
      /** Whose it is, where `upstream` is the name of no upstream. A share's password is that of its `basic_auth`. */
      of: z.enum(["upstream", "relay", "share"]).optional(),
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
  /** Adding, changing and removing them is config.edit's. */
  shares: { params: nothing, result: shareList },
  /** Writes `enabled` to the file where there is one. What the relay refused is asked for again at once. @throws unknown-share. */
  "share.start": { params: z.strictObject({ share: shareName }), result: nothing },
  "share.stop": { params: z.strictObject({ share: shareName }), result: nothing },
  /** The latest requests of an inspected share, newest first. @throws unknown-share. */
  "share.requests": {
    params: requestWindow,
    result: z.object({ rows: z.array(requestRow), total: z.int(), offset: z.int() }),
  },
  /** One request with headers and bodies. @throws unknown-share. */
  "share.request": {
    params: z.strictObject({
      share: shareName,
      request: z.int(),
      /** Show credentials, which are "•••" otherwise. */
      reveal: z.boolean().optional(),
    }),
    result: requestDetail,
  },
  /** Sends a kept request to the local service again. @throws unknown-share; unavailable where it can't be, and why. */
  "share.replay": { params: replayParams, result: z.object({ request: z.int() }) },
  /** Forgets the requests of a share. @throws unknown-share. */
  "share.clear": { params: z.strictObject({ share: shareName }), result: nothing },
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
  /** All shares and relays, whole whenever something in them has changed. */
  shares: { params: nothing, event: shareList },
  /** A window on the requests of one share, whole whenever something in it has changed. For other rows, listen anew. */
  "share.requests": {
    params: requestWindow,
    event: z.object({ rows: z.array(requestRow), total: z.int(), offset: z.int() }),
  },
  /** Once a second. */
  metrics: {
    params: nothing,
    event: z.object({ at: z.number(), upstreams: z.array(upstreamNumbers) }),
  },
  /** Each step as it begins, then `done`; then the stream ends. */
  "upstream.test": { params: testParams, event: testEvent },
  /** The same for a relay: nothing is shared through it. */
  "relay.test": { params: relayTestParams, event: testEvent },
} as const;

export type Calls = typeof calls;

export type CallName = keyof Calls;

export type CallParams<Name extends CallName> = z.infer<Calls[Name]["params"]>;

export type CallResult<Name extends CallName> = z.infer<Calls[Name]["result"]>;

export type Streams = typeof streams;

export type StreamName = keyof Streams;

export type StreamParams<Name extends StreamName> = z.infer<Streams[Name]["params"]>;

export type StreamEvent<Name extends StreamName> = z.infer<Streams[Name]["event"]>;
