import type { BodyFraming } from "./http-body.ts";
import {
  HeadReader,
  headerValue,
  HttpHeadError,
  type HttpHeaders,
  isNamed,
  type RequestHead,
} from "./http-head.ts";

/**
 * The head of a request that comes from the public, as a server reads it that routes by Host (RFC 9112 §§3 and 6): one valid
 * Host, a target in origin-form, a body whose length has one reading. What `HeadReader` refuses is refused here too.
 */
export interface PublicRequest {
  readonly method: string;
  /** In origin-form: begins with a slash. */
  readonly target: string;
  readonly minorVersion: 0 | 1;
  readonly headers: HttpHeaders;
  /** As sent, with its port where it has one. */
  readonly host: string;
  /** In lower case, without port and final dot. */
  readonly hostname: string;
  readonly framing: BodyFraming;
  /** The connection serves another request after this one, as far as the client is concerned (RFC 9112 §9.3). */
  readonly keepAlive: boolean;
  /** The protocols that the client would rather speak, e.g. "websocket"; never HTTP/2 in clear. */
  readonly upgrade: string | undefined;
}

/** Of a request's head with its empty line. */
export const MAX_REQUEST_HEAD_BYTES = 32_768;

/** Reads requests' heads, one after the other, however their bytes are cut into chunks. */
export class PublicRequestReader {
  readonly #reader: HeadReader<"request">;

  /** @param maxBytes of the head; counted as the bytes arrive. */
  constructor(maxBytes = MAX_REQUEST_HEAD_BYTES) {
    this.#reader = new HeadReader("request", maxBytes);
  }

  /**
   * Takes the next bytes.
   * @returns the request and the bytes after its head (a view of `chunk`), or undefined while the head has no end.
   * @throws {HttpHeadError} after which the reader is of no more use; `statusOf` says what to answer.
   */
  push(chunk: Buffer): { request: PublicRequest; rest: Buffer } | undefined {
    const read = this.#reader.push(chunk);
    return read && { request: publicRequest(read.head), rest: read.rest };
  }
}

/** The status to answer a head with that can't be served. */
export function statusOf(error: HttpHeadError): 400 | 431 | 501 | 505 {
  switch (error.code) {
    case "too-large":
      return 431;
    case "version":
      return 505;
    case "transfer-coding":
      return 501;
    default:
      return 400;
  }
}

function publicRequest(head: RequestHead): PublicRequest {
  const { method, target, minorVersion, headers } = head;
  // Absolute-form has a second host in it, authority-form and `*` name no resource: a relay of names has no use for them.
  if (!target.startsWith("/")) throw new HttpHeadError("target", "the target does not begin with a slash");
  const host = headerValue(headers, "host");
  if (host === undefined) throw new HttpHeadError("host", "there is no Host header");
  const options = connectionOptions(headers);
  return {
    method,
    target,
    minorVersion,
    headers,
    host,
    hostname: hostnameOf(host),
    framing: requestFraming(head),
    keepAlive: minorVersion === 1 ? !options.has("close") : options.has("keep-alive"),
    upgrade: minorVersion === 1 && options.has("upgrade") ? upgradeOf(headers) : undefined,
  };
}

/**
 * What may be changed to (RFC 9110 §7.8, which lets a server pass any over). Not HTTP/2: what its requests say would be seen by the
 * one that speaks it alone, past everyone who routes, checks or counts requests.
 */
function upgradeOf(headers: HttpHeaders): string | undefined {
  const wanted = protocolsIn(headers).filter((protocol) => !/^h2c?$|^http\//i.test(protocol));
  return wanted.length === 0 ? undefined : wanted.join(", ");
}

/** The protocols of all Upgrade headers, as written. */
export function protocolsIn(headers: HttpHeaders): string[] {
  return headers
    .filter(({ name }) => isNamed(name, "upgrade"))
    .flatMap(({ value }) => value.split(","))
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== "");
}

/** RFC 9110 §7.2: a name or an IPv4 address, or an IPv6 address in brackets, and perhaps a port. */
const HOST = /^([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])\.?(?::\d{1,5})?$/;

function hostnameOf(host: string): string {
  const name = host.length <= 261 ? HOST.exec(host.toLowerCase())?.[1] : undefined;
  if (name === undefined) throw new HttpHeadError("host", "the Host header is not the name of a host");
  return name;
}

/** RFC 9112 §6.3. `HeadReader` has seen to it that there is no Content-Length beside a Transfer-Encoding. */
function requestFraming(head: RequestHead): BodyFraming {
  if (isChunked(head)) return CHUNKED;
  const length = headerValue(head.headers, "content-length");
  if (length === undefined || Number(length) === 0) return NO_BODY;
  return { kind: "length", length: Number(length) };
}

export const NO_BODY: BodyFraming = { kind: "none" };
export const CHUNKED: BodyFraming = { kind: "chunked" };

/** @throws {HttpHeadError} for any coding besides a single `chunked`: nobody else would agree where the body ends. */
export function isChunked(head: { readonly minorVersion: 0 | 1; readonly headers: HttpHeaders }): boolean {
  let chunked = false;
  for (const { name, value } of head.headers) {
    if (!isNamed(name, "transfer-encoding")) continue;
    if (chunked || head.minorVersion === 0 || value.toLowerCase() !== "chunked")
      throw new HttpHeadError(
        "transfer-coding",
        "the only transfer coding served is chunked, once, in HTTP/1.1",
      );
    chunked = true;
  }
  return chunked;
}

/** The options of all Connection headers, in lower case (RFC 9110 §7.6.1). */
export function connectionOptions(headers: HttpHeaders): ConnectionOptions {
  let first: string | undefined;
  let all: string[] | undefined;
  for (const { name, value } of headers) {
    if (!isNamed(name, "connection")) continue;
    if (first === undefined) first = value;
    else (all ??= [first]).push(value);
  }
  if (all !== undefined) return new ConnectionOptions(all);
  return first === undefined ? NO_OPTIONS : optionsOf(first);
}

/** What Connection says; most headers need no look into the set to know that it does not name them. */
export class ConnectionOptions {
  readonly #all: ReadonlySet<string>;
  /** A bit for each length that an option has; those of 31 and more share the last one. */
  readonly #lengths: number;

  constructor(values: readonly string[]) {
    const options = values.flatMap((value) => value.split(",")).map((option) => option.trim().toLowerCase());
    this.#all = new Set(options);
    this.#lengths = options.reduce((lengths, { length }) => lengths | lengthBit(length), 0);
  }

  has(option: string): boolean {
    return this.#all.has(option);
  }

  /** Whether the field with this name, in any letters, belongs to the connection alone. */
  names(name: string): boolean {
    return (this.#lengths & lengthBit(name.length)) !== 0 && this.#all.has(name.toLowerCase());
  }
}

function lengthBit(length: number): number {
  return 1 << Math.min(length, 31);
}

const NO_OPTIONS = new ConnectionOptions([]);
const KEEP_ALIVE = new ConnectionOptions(["keep-alive"]);
const CLOSE = new ConnectionOptions(["close"]);

/** Nearly all connections say one of two things. */
function optionsOf(value: string): ConnectionOptions {
  if (isNamed(value, "keep-alive")) return KEEP_ALIVE;
  return isNamed(value, "close") ? CLOSE : new ConnectionOptions([value]);
}
