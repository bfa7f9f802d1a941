import type { BodyFraming } from "@sockeye/wire/http-body";
import { isNamed, type ResponseHead } from "@sockeye/wire/http-head";
import { connectionOptions, type PublicRequest } from "@sockeye/wire/request-head";
import type { RequestTrace } from "../observer.ts";
import type { Origin } from "./forwarded.ts";

/*
 * Heads as they are passed on. Fields that belong to one connection end here (RFC 9110 §7.6.1); the body's framing and where
 * the request came from are written anew, from what this relay has understood.
 */

/** What the local service is to see instead of what the public sent. */
export interface RequestWays {
  readonly origin: Origin;
  readonly host: string;
  /** The relay's own part in the trace; without it, what came is passed on. */
  readonly trace?: RequestTrace | undefined;
  /** Authorization was for the relay, and ends here. */
  readonly withoutAuthorization: boolean;
}

export function forwardedRequestHead(request: PublicRequest, ways: RequestWays): string {
  const { origin, host, trace } = ways;
  const named = connectionOptions(request.headers);
  let head = `${request.method} ${request.target} HTTP/1.1\r\nHost: ${host}\r\n`;
  for (const { name, value } of request.headers) {
    if (isOurs(name) || named.names(name)) {
      if (isNamed(name, "te") && value.toLowerCase() === "trailers") head += "TE: trailers\r\n";
      continue;
    }
    if (ways.withoutAuthorization && isNamed(name, "authorization")) continue;
    if (trace !== undefined && isTraced(name, trace)) continue;
    head += `${name}: ${value}\r\n`;
  }
  if (trace !== undefined) head += `traceparent: ${trace.traceparent}\r\n`;
  head += `X-Forwarded-For: ${origin.forwardedFor}\r\nX-Forwarded-Proto: ${origin.proto}\r\nX-Forwarded-Host: ${origin.host}\r\n`;
  head += framingField(request.framing);
  if (request.upgrade !== undefined) head += `Upgrade: ${request.upgrade}\r\nConnection: upgrade\r\n`;
  return `${head}\r\n`;
}

function isTraced(name: string, trace: RequestTrace): boolean {
  return isNamed(name, "traceparent") || (!trace.continued && isNamed(name, "tracestate"));
}

/** Fields of a request that end here, or that are written anew. Some are known by their beginning. */
const OURS: ReadonlySet<string> = new Set([
  "host",
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authorization",
  "te",
  "transfer-encoding",
  "content-length",
  "upgrade",
  "http2-settings",
  "forwarded",
  "x-real-ip",
]);
const OUR_BEGINNING = "x-forwarded-";
const OUR_LENGTHS: ReadonlySet<number> = new Set(Array.from(OURS, ({ length }) => length));

function isOurs(name: string): boolean {
  // Most are none of ours, and that is to cost little.
  const first = name.charCodeAt(0);
  if (first !== 0x78 && first !== 0x58 && !OUR_LENGTHS.has(name.length)) return false;
  // Some servers read a name with underscores as the one with hyphens: X_Forwarded_For is the same claim.
  const field = name.toLowerCase().replaceAll("_", "-");
  return OURS.has(field) || field.startsWith(OUR_BEGINNING);
}

function framingField(framing: BodyFraming): string {
  switch (framing.kind) {
    case "length":
      return `Content-Length: ${framing.length}\r\n`;
    case "chunked":
      return "Transfer-Encoding: chunked\r\n";
    case "none":
    case "until-close":
      return "";
  }
}

export interface ResponseWays {
  /** What the public connection is told about itself: the value of Connection, or nothing. */
  readonly connection: "close" | "keep-alive" | "upgrade" | undefined;
  /** The body's chunks are passed on as chunks. */
  readonly chunked: boolean;
}

export function forwardedResponseHead(response: ResponseHead, ways: ResponseWays): string {
  const named = connectionOptions(response.headers);
  let head = `HTTP/1.1 ${response.status} ${response.reason}\r\n`;
  let hasLength = false;
  for (const { name, value } of response.headers) {
    if (endsHere(name, ways)) continue;
    if (isNamed(name, "content-length")) {
      if (hasLength || response.status === 204) continue;
      hasLength = true;
    } else if (named.names(name) && !isNamed(name, "upgrade")) continue;
    head += `${name}: ${value}\r\n`;
  }
  if (ways.chunked) head += "Transfer-Encoding: chunked\r\n";
  if (ways.connection !== undefined) head += `Connection: ${ways.connection}\r\n`;
  return `${head}\r\n`;
}

/** Whether `forwardedResponseHead` would write every field as it came, and none besides. */
export function passesAsItCame({ headers, status }: ResponseHead, ways: ResponseWays): boolean {
  if (ways.chunked || ways.connection !== undefined) return false;
  let hasLength = false;
  for (const { name } of headers) {
    if (endsHere(name, ways)) return false;
    if (!isNamed(name, "content-length")) continue;
    if (hasLength || status === 204) return false;
    hasLength = true;
  }
  return true;
}

/** Fields of an answer that belong to one connection. */
function endsHere(name: string, ways: ResponseWays): boolean {
  switch (name.length) {
    case 7:
      return ways.connection !== "upgrade" && isNamed(name, "upgrade");
    case 10:
      return isNamed(name, "connection") || isNamed(name, "keep-alive");
    case 16:
      return isNamed(name, "proxy-connection");
    case 17:
      return isNamed(name, "transfer-encoding");
    default:
      return false;
  }
}

/** True where the same request may be sent a second time without doing a second thing (RFC 9110 §9.2.2). */
export function isIdempotent(method: string): boolean {
  switch (method) {
    case "GET":
    case "HEAD":
    case "OPTIONS":
    case "TRACE":
    case "PUT":
    case "DELETE":
      return true;
    default:
      return false;
  }
}
