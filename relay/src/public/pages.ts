import { STATUS_CODES } from "node:http";
import { escapeHtml } from "../html.ts";
import type { ErrorKind } from "../observer.ts";

/** What the relay itself answers, where there is nothing to pass on. */
export interface Refused {
  readonly status: 400 | 401 | 403 | 404 | 405 | 408 | 421 | 429 | 431 | 501 | 502 | 503 | 504 | 505;
  readonly kind: ErrorKind;
  readonly title: string;
  /** What the person who asked can make of it. */
  readonly sentence: string;
  readonly retryAfter?: number | undefined;
  /** The value of WWW-Authenticate. */
  readonly challenge?: string | undefined;
  /** HTML of whoever shares the name, in place of ours. */
  readonly page?: Buffer | undefined;
  /** The key of the configuration that refuses it. */
  readonly limit?: string | undefined;
}

/**
 * A page of a client's own is shown on a domain that others have names under: it is a document of an origin of its own, runs
 * no script, sends no form, and loads nothing.
 */
const FOREIGN_PAGE_POLICY =
  "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:";
const OWN_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'";

/**
 * A whole response: a page for browsers, JSON for all others.
 * @param accept the request's Accept.
 */
export function refusalResponse(
  refused: Refused,
  accept: string | undefined,
  options: { readonly keepAlive: boolean; readonly head: boolean },
): Buffer {
  const html = accept?.includes("text/html") ?? false;
  const body = html ? (refused.page ?? Buffer.from(page(refused))) : Buffer.from(json(refused));
  const policy = refused.page === undefined ? OWN_PAGE_POLICY : FOREIGN_PAGE_POLICY;
  const head =
    `HTTP/1.1 ${refused.status} ${STATUS_CODES[refused.status] ?? ""}\r\n` +
    `Content-Type: ${html ? "text/html; charset=utf-8" : "application/json"}\r\n` +
    `Content-Length: ${body.length}\r\n` +
    "Cache-Control: no-store\r\n" +
    "X-Content-Type-Options: nosniff\r\n" +
    (html ? `Content-Security-Policy: ${policy}\r\n` : "") +
    (refused.challenge === undefined ? "" : `WWW-Authenticate: ${refused.challenge}\r\n`) +
    `X-Showoff-Error: ${refused.kind}\r\n` +
    (refused.retryAfter === undefined ? "" : `Retry-After: ${Math.ceil(refused.retryAfter)}\r\n`) +
    `Connection: ${options.keepAlive ? "keep-alive" : "close"}\r\n\r\n`;
  return options.head ? Buffer.from(head) : Buffer.concat([Buffer.from(head), body]);
}

function json(refused: Refused): string {
  const { status, kind, title, sentence } = refused;
  return `${JSON.stringify({ error: { status, kind, title, message: sentence } })}\n`;
}

function page(refused: Refused): string {
  const title = escapeHtml(refused.title);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>
  body { font: 1.05rem/1.6 system-ui, sans-serif; color: #1c2733; background: #f6f7f9; margin: 0; }
  main { max-width: 34rem; margin: 18vh auto 0; padding: 0 1.5rem; }
  h1 { font-size: 1.5rem; margin: 0 0 .5rem; }
  p { margin: .5rem 0; }
  small { color: #5b6875; }
  @media (prefers-color-scheme: dark) { body { color: #e4e9ee; background: #14181d; } small { color: #93a0ad; } }
</style>
<main>
  <h1>${title}</h1>
  <p>${escapeHtml(refused.sentence)}</p>
  <p><small>${refused.status} · Showoff</small></p>
</main>
</html>
`;
}
