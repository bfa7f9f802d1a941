import type { BodyFraming } from "./http-body.ts";
import { headerValue, type ResponseHead } from "./http-head.ts";
import { CHUNKED, connectionOptions, isChunked, NO_BODY } from "./request-head.ts";

/**
 * How long the body of a final response is (RFC 9112 §6.3).
 * @param method of the request that it answers.
 * @throws {HttpHeadError} for a transfer coding other than `chunked`.
 */
export function responseFraming(head: ResponseHead, method: string): BodyFraming {
  const chunked = isChunked(head);
  if (method === "HEAD" || head.status === 204 || head.status === 304 || head.status < 200) return NO_BODY;
  if (chunked) return CHUNKED;
  const length = headerValue(head.headers, "content-length");
  if (length === undefined) return { kind: "until-close" };
  return Number(length) === 0 ? NO_BODY : { kind: "length", length: Number(length) };
}

/** Whether the server takes another request on the connection (RFC 9112 §9.3). */
export function serverKeepsAlive(head: ResponseHead): boolean {
  const options = connectionOptions(head.headers);
  return head.minorVersion === 1 ? !options.has("close") : options.has("keep-alive");
}

/** Seconds that the server keeps an idle connection, where it says so (`Keep-Alive: timeout=5`). */
export function keepAliveSeconds(head: ResponseHead): number | undefined {
  const value = headerValue(head.headers, "keep-alive");
  const seconds = value && /(?:^|[,\s])timeout=(\d{1,6})/i.exec(value)?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}
