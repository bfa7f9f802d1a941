import type { BodyFraming } from "@sockeye/wire/http-body";
import type { ResponseHead } from "@sockeye/wire/http-head";
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
    const field = name.toLowerCase();
    if (ways.withoutAuthorization && field === "authorization") continue;
    if (isOurs(field) || named.has(field)) {
      if (field === "te" && value.toLowerCase() === "trailers") head += "TE: trailers\r\n";
      continue;
    }
    if (trace !== undefined && (field === "traceparent" || (field === "tracestate" && !trace.continued)))
      continue;
    head += `${name}: ${value}\r\n`;
  }
  if (trace !== undefined) head += `traceparent: ${trace.traceparent}\r\n`;
  head += `X-Forwarded-For: ${origin.forwardedFor}\r\nX-Forwarded-Proto: ${origin.proto}\r\nX-Forwarded-Host: ${origin.host}\r\n`;
  head += framingField(request.framing);
  if (request.upgrade !== undefined) head += `Upgrade: ${request.upgrade}\r\nConnection: upgrade\r\n`;
  return `${head}\r\n`;
}

/** Fields of a request that end here, or that are written anew. */
function isOurs(field: string): boolean {
  switch (field) {
    case "host":
    case "connection":
    case "keep-alive":
    case "proxy-connection":
    case "proxy-authorization":
    case "te":
    case "transfer-encoding":
    case "content-length":
    case "upgrade":
    case "http2-settings":
    case "forwarded":
    case "x-real-ip":
      return true;
    default:
      // Some servers read a name with underscores as the one with hyphens: X_Forwarded_For is the same claim.
      return field.startsWith("x-forwarded-") || (field.includes("_") && isOurs(field.replaceAll("_", "-")));
  }
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
    const field = name.toLowerCase();
    switch (field) {
      case "connection":
      case "keep-alive":
      case "proxy-connection":
      case "transfer-encoding":
        continue;
      case "upgrade":
        if (ways.connection !== "upgrade") continue;
        break;
      case "content-length":
        if (hasLength || response.status === 204) continue;
        hasLength = true;
        break;
      default:
        if (named.has(field)) continue;
    }
    head += `${name}: ${value}\r\n`;
  }
  if (ways.chunked) head += "Transfer-Encoding: chunked\r\n";
  if (ways.connection !== undefined) head += `Connection: ${ways.connection}\r\n`;
  return `${head}\r\n`;
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
