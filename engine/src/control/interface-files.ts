import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join, posix } from "node:path";
import { ControlError } from "./control-error.ts";

const MAX_FILES = 2_000;
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_DEPTH = 8;
/** How long a browser may leave an answer unread. */
const SEND_TIMEOUT_MS = 10_000;

/** Those that a build puts out. What is none of them is served as bytes that no browser runs. */
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".webp": "image/webp",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
};

/** Everything from here, nothing from elsewhere, no script or style in the page itself, and in nobody's frame. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy": CONTENT_SECURITY_POLICY,
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
};

/** `index-B7xkQ2_a.js`: the name changes with the content, so that a browser never needs to ask again. */
const HASHED_NAME = /^\/assets\/.*-[\w-]{8,}\.[a-z\d]+$/;

interface InterfaceFile {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  /** Of the content, in quotes as a header has it. */
  readonly tag: string;
}

/** The interface's files by their path in a URL, `/` among them. Nothing else can be asked for. */
export type InterfaceFiles = ReadonlyMap<string, InterfaceFile>;

/**
 * Reads the built interface into memory: what is served is what was there at the start, and no request reaches the disk.
 * @throws {ControlError} unavailable: the folder has no index.html, can't be read, or holds more than an interface does.
 */
export function readInterface(directory: string): InterfaceFiles {
  const files = new Map<string, InterfaceFile>();
  try {
    readFolder(directory, "/", files);
  } catch (error) {
    if (error instanceof ControlError) throw error;
    const why =
      (error as NodeJS.ErrnoException).code === "ENOENT" ? "it is not there" : (error as Error).message;
    throw new ControlError("unavailable", `the interface in ${directory} can't be read: ${why}`, {
      cause: error,
    });
  }
  const index = files.get("/index.html");
  if (index === undefined) {
    throw new ControlError("unavailable", `${directory} has no index.html, so it is no interface`);
  }
  return files.set("/", index);
}

function readFolder(directory: string, path: string, files: Map<string, InterfaceFile>): void {
  if (path.split("/").length > MAX_DEPTH + 2) throw tooMuch(directory);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const inner = posix.join(path, entry.name);
    // A link could lead anywhere, and a build makes none. A name with a dot in front is no part of one.
    if (entry.name.startsWith(".")) continue;
    if (entry.isDirectory()) readFolder(join(directory, entry.name), `${inner}/`, files);
    else if (entry.isFile())
      files.set(encodeURI(inner), describe(inner, readFileSync(join(directory, entry.name))));
    const bytes = [...files.values()].reduce((sum, { body }) => sum + body.length, 0);
    if (files.size > MAX_FILES || bytes > MAX_BYTES) throw tooMuch(directory);
  }
}

function tooMuch(directory: string): ControlError {
  return new ControlError("unavailable", `${directory} holds more than an interface does`);
}

function describe(path: string, body: Buffer): InterfaceFile {
  const tag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`;
  const headers = {
    ...HEADERS,
    "Content-Type": CONTENT_TYPES[extname(path)] ?? "application/octet-stream",
    "Cache-Control": HASHED_NAME.test(path) ? "public, max-age=31536000, immutable" : "no-cache",
    ETag: tag,
  };
  return { body, headers, tag };
}

/** Answers GET and HEAD (RFC 9110 §9.3.1, §9.3.2) from the map, and everything else with a refusal. */
export function answerWithFile(
  files: InterfaceFiles,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  response.setTimeout(SEND_TIMEOUT_MS, () => response.destroy());
  if (request.method !== "GET" && request.method !== "HEAD") {
    refuseRequest(response, 405, "this is read with GET", { Allow: "GET, HEAD" });
    return;
  }
  const [path] = (request.url ?? "").split("?", 1);
  const file = files.get(path!);
  if (file === undefined) {
    refuseRequest(response, 404, "nothing is here");
    return;
  }
  if (request.headers["if-none-match"] === file.tag) {
    response.writeHead(304, file.headers);
    response.end();
    return;
  }
  response.writeHead(200, { ...file.headers, "Content-Length": file.body.length });
  response.end(request.method === "HEAD" ? undefined : file.body);
}

/** A refusal that no browser takes for a page of ours. */
export function refuseRequest(
  response: ServerResponse,
  status: number,
  sentence: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, {
    ...HEADERS,
    "Content-Type": "text/plain; charset=utf-8",
    "Cache-Control": "no-store",
    Connection: "close",
    ...headers,
  });
  response.end(`${sentence}\n`);
}
