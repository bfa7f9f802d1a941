import { z } from "zod";
import { isNetwork, MAX_ALLOWED_NETWORKS, MAX_OFFLINE_PAGE_BYTES } from "./guard.ts";

/**
 * What relay and client say to each other on the connection between them, as JSON in control frames. The client begins with
 * `hello`. Both sides pass over keys that they do not know, so that a minor addition needs no new version.
 */

export const LINK_VERSION = 1;

/** Why the relay refuses a client or a share. Codes cross the wire; sentences are for people. */
export const REFUSAL_CODES = [
  "version", // the two speak different versions
  "auth", // no credential, or one that is not accepted
  "unavailable", // whoever decides gives no answer: worth another try
  "limit", // as many clients or shares as there may be: worth another try
  "draining", // the relay is about to stop
  "protocol", // the other side does not keep to the protocol
  "name-invalid",
  "name-taken",
  "not-allowed", // the credential, or the relay, does not allow this name or port
  "none-free",
  "unsupported", // the relay has no listener for this
] as const;
const refusalCode = z.enum(REFUSAL_CODES);
export type RefusalCode = z.infer<typeof refusalCode>;

const shareNumber = z.number().int().min(0).max(0xffff);
const hostText = z
  .string()
  .max(261)
  .regex(/^[\w.:[\]-]+$/);

const hello = z.object({
  type: z.literal("hello"),
  version: z.number().int(),
  /** A bearer token of whatever kind the relay reads. */
  token: z.string().max(16_384).optional(),
  /** Chosen by the client's process at its start, and kept through its reconnections. */
  instance: z.string().min(8).max(64),
  /** The secret of a session that this connection joins as one more. */
  join: z.string().max(64).optional(),
  /** Tell of each request. */
  watch: z.boolean().optional(),
  /** One connection for each stream, on the data listener, instead of streams on this one. */
  apart: z.boolean().optional(),
});

const hash = z.base64().min(1).max(64);

/** Who may come; guard.ts says what it means. A relay that knows of it says `guarded` in its answer. */
const guard = z.object({
  basicAuth: z.object({ salt: hash, sha256: hash }).optional(),
  allow: z.array(z.string().max(64).refine(isNetwork, "not a network")).max(MAX_ALLOWED_NETWORKS).optional(),
});

const share = z.object({
  type: z.literal("share"),
  /** Chosen by the client; streams that are opened name it. */
  share: shareNumber,
  kind: z.enum(["http", "tcp"]),
  /** The name wanted; without it the relay chooses one. */
  name: z.string().max(253).optional(),
  /** The port wanted; without it the relay chooses one. */
  port: z.number().int().min(1).max(65_535).optional(),
  /** What the local service is to see as Host. */
  host: hostText.optional(),
  guard: guard.optional(),
  /** HTML for whoever comes while there is nobody to answer; base64 of UTF-8. */
  offlinePage: z
    .base64()
    .max(Math.ceil(MAX_OFFLINE_PAGE_BYTES / 3) * 4)
    .optional(),
});

const fromClient = z.discriminatedUnion("type", [
  hello,
  share,
  z.object({ type: z.literal("unshare"), share: shareNumber }),
]);
export type ClientMessage = z.infer<typeof fromClient>;
export type Hello = z.infer<typeof hello>;
export type ShareRequest = z.infer<typeof share>;

/** One request as the relay saw it. */
const requestSeen = z.object({
  share: shareNumber,
  method: z.string(),
  target: z.string(),
  /** 0: the public client went before there was an answer. */
  status: z.number().int(),
  ms: z.number(),
});
export type RequestSeen = z.infer<typeof requestSeen>;

const fromRelay = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("welcome"),
    version: z.number().int(),
    /** Further connections of this client show it to join. */
    join: z.string(),
    /** Connections that one client may have. */
    maxLinks: z.number().int().min(1),
    /** Where connections of their own for streams go, where the relay has such a listener. */
    dataPort: z.number().int().min(1).max(65_535).optional(),
  }),
  z.object({ type: z.literal("refused"), code: refusalCode, message: z.string() }),
  z.object({
    type: z.literal("shared"),
    share: shareNumber,
    /** Where the public finds it: URLs, or host:port; the best first. */
    addresses: z.array(z.string()).min(1),
    /** The name or port, to ask for again after a reconnection. */
    given: z.string().max(253),
    /** The guard that was asked for is kept. A client that asked for one and does not read this gives the share back. */
    guarded: z.boolean().optional(),
  }),
  /** The share is not given, or has ended. */
  z.object({ type: z.literal("unshared"), share: shareNumber, code: refusalCode, message: z.string() }),
  /** The relay stops within so many milliseconds: connect anew, what runs here may end here. */
  z.object({ type: z.literal("move"), withinMs: z.number().min(0) }),
  /** Requests that have ended lately; `more` of them are not listed. */
  z.object({ type: z.literal("requests"), seen: z.array(requestSeen), more: z.number().int() }),
  /** A stream is wanted: connect to the data listener and say this key. */
  z.object({ type: z.literal("dial"), key: z.string().max(64), header: z.string().max(1024) }),
]);
export type RelayMessage = z.infer<typeof fromRelay>;

/** Bytes that are not a message of the protocol. */
export class MessageError extends Error {
  override readonly name = "MessageError";
}

export function encodeMessage(message: ClientMessage | RelayMessage): Buffer {
  return Buffer.from(JSON.stringify(message));
}

/** @throws {MessageError} */
export function readClientMessage(bytes: Buffer): ClientMessage {
  return read(fromClient, bytes);
}

/** @throws {MessageError} */
export function readRelayMessage(bytes: Buffer): RelayMessage {
  return read(fromRelay, bytes);
}

function read<T>(schema: z.ZodType<T>, bytes: Buffer): T {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw new MessageError("a control message is not JSON", { cause: error });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new MessageError(`a control message is not right: ${z.prettifyError(parsed.error)}`);
}

/** What a stream begins with: for which share it is, and from where the public connection came. */
export interface StreamHeader {
  readonly share: number;
  /** `address:port`, or empty for a stream that carries requests of many. */
  readonly source: string;
}

export function encodeStreamHeader(header: StreamHeader): Buffer {
  const bytes = Buffer.allocUnsafe(2 + Buffer.byteLength(header.source));
  bytes.writeUInt16BE(header.share, 0);
  bytes.write(header.source, 2);
  return bytes;
}

/** @throws {MessageError} */
export function readStreamHeader(bytes: Buffer): StreamHeader {
  if (bytes.length < 2) throw new MessageError("a stream's header is too short");
  return { share: bytes.readUInt16BE(0), source: bytes.toString("utf8", 2) };
}
