/** Shares: local services that are public through a relay, and the requests that came to them. */
import * as z from "zod";

export const shareName = z.string().min(1).max(255);

/** What a relay is doing. Times are milliseconds of the clock on the wall. */
export const relayState = z.discriminatedUnion("state", [
  /** Nothing is shared through it. */
  z.object({ state: z.literal("off") }),
  z.object({ state: z.literal("connecting") }),
  z.object({ state: z.literal("live"), since: z.number() }),
  z.object({ state: z.literal("reconnecting"), reason: z.string(), retryAt: z.number() }),
  z.object({ state: z.literal("refused"), reason: z.string(), retryAt: z.number() }),
]);

export const relayInfo = z.object({
  name: z.string(),
  address: z.string(),
  tls: z.boolean(),
  state: relayState,
});
export type RelayInfo = z.infer<typeof relayInfo>;

/** A configured relay or, with `config`, the name to test one under that is not saved; `•••` is the saved one's token. */
export const relayTestParams = z.strictObject({
  name: z.string().min(1).max(255),
  config: z.record(z.string(), z.unknown()).optional(),
  timeoutMs: z.int().min(1).max(300_000).optional(),
});

/** What a share is doing. */
export const shareState = z.discriminatedUnion("state", [
  z.object({ state: z.literal("stopped") }),
  z.object({ state: z.literal("connecting") }),
  z.object({ state: z.literal("live") }),
  /** It is public, and the local service takes no connection. */
  z.object({ state: z.literal("target-down"), reason: z.string() }),
  z.object({ state: z.literal("reconnecting"), reason: z.string(), retryAt: z.number() }),
  z.object({
    state: z.literal("refused"),
    /** `relay`: all of us; otherwise this share, by a code of the link's, or `local`: something is missing here. */
    code: z.string(),
    reason: z.string(),
  }),
]);
export type ShareState = z.infer<typeof shareState>;

export const shareInfo = z.object({
  name: z.string(),
  kind: z.enum(["http", "tcp"]),
  /** `host:port`. */
  target: z.string(),
  relay: z.string(),
  enabled: z.boolean(),
  inspect: z.boolean(),
  /** What the relay asks of whoever comes. */
  guard: z.object({ basicAuth: z.boolean(), allow: z.array(z.string()) }),
  offlinePage: z.boolean(),
  state: shareState,
  /** Where the public finds it, the best first: URLs, or host:port. Empty while it does not. */
  addresses: z.array(z.string()),
  local: z.discriminatedUnion("state", [
    z.object({ state: z.literal("unknown") }),
    z.object({ state: z.literal("up"), since: z.number() }),
    z.object({ state: z.literal("down"), since: z.number(), error: z.string() }),
  ]),
  traffic: z.object({
    /** Only inspected shares count them. */
    requests: z.int().optional(),
    connections: z.int(),
    active: z.int(),
    /** Bytes towards the local service, and from it. */
    bytesIn: z.number(),
    bytesOut: z.number(),
    lastAt: z.number().optional(),
  }),
});
export type ShareInfo = z.infer<typeof shareInfo>;

export const shareList = z.object({ shares: z.array(shareInfo), relays: z.array(relayInfo) });
export type ShareList = z.infer<typeof shareList>;

export const requestRow = z.object({
  id: z.int(),
  startedAt: z.number(),
  method: z.string(),
  /** Path and query. */
  target: z.string(),
  /** `failed`: it came to no whole answer, and `failure` says why. */
  state: z.enum(["open", "done", "failed"]),
  failure: z.string().optional(),
  status: z.int().optional(),
  /** The protocol that the connection went over to: "websocket". */
  upgrade: z.string().optional(),
  /** Of the bodies; after an upgrade, of all that followed. */
  requestBytes: z.number(),
  responseBytes: z.number(),
  /** Milliseconds from the first byte of the request. */
  firstByteMs: z.number().optional(),
  totalMs: z.number().optional(),
  /** Who asked, as the relay says. */
  remote: z.string(),
  /** The request that this one repeats. */
  replayOf: z.int().optional(),
});
export type RequestRow = z.infer<typeof requestRow>;

/** Rows of a table of requests, newest first. */
export const requestWindow = z.strictObject({
  share: shareName,
  /** Part of the method, the target or the status; letters of either case. */
  text: z.string().max(255).optional(),
  offset: z.int().nonnegative(),
  limit: z.int().min(1).max(200),
});

const header = z.object({
  name: z.string(),
  value: z.string(),
  /** A credential; its value is "•••" unless it was asked for. */
  secret: z.boolean().optional(),
});

const body = z.object({
  /** Bytes that passed. */
  bytes: z.number(),
  /** Only the first `kept` bytes are here. */
  cut: z.boolean(),
  kept: z.number(),
  /** The kept bytes as text, where they are one; decompressed where they came compressed. */
  text: z.string().optional(),
  /** They were gzip, deflate or br, and are shown without. */
  decoded: z.boolean().optional(),
  /** The first kept bytes in hexadecimal, where they are no text. */
  hex: z.string().optional(),
});
export type KeptBodyView = z.infer<typeof body>;

export const requestDetail = requestRow.extend({
  version: z.string(),
  request: z.object({ headers: z.array(header), body }),
  /** Absent while there is none. */
  response: z.object({ reason: z.string(), headers: z.array(header), body }).optional(),
  /** Why it can't be sent again; absent where it can. */
  noReplay: z.string().optional(),
});
export type RequestDetail = z.infer<typeof requestDetail>;

export const replayParams = z.strictObject({ share: shareName, request: z.int() });
