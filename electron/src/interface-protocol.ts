import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join, relative, sep } from "node:path";
import type { ProtocolPart } from "./parts.ts";

/** The interface has a scheme of its own: `file:` would let it read the disk, and has no origin to check. */
const SCHEME = "sockeye-app";
export const INTERFACE_ORIGIN = `${SCHEME}://interface`;
export const INTERFACE_URL = `${INTERFACE_ORIGIN}/index.html`;

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".woff2": "font/woff2",
  ".json": "application/json",
};

/** Everything from us, nothing inline, nothing over the network: the engine is reached through a port, not a socket. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "font-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join("; ");

const HEADERS = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy":
    "camera=(), microphone=(), geolocation=(), usb=(), serial=(), hid=(), display-capture=()",
};

/** Before the app is ready: afterwards it is too late. */
export function declareScheme(protocol: ProtocolPart): void {
  protocol.registerSchemesAsPrivileged([
    { scheme: SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true } },
  ]);
}

/** Serves the files that are in `folder` now, and nothing else whatever is asked. */
export function serveInterface(protocol: ProtocolPart, folder: string): void {
  protocol.handle(SCHEME, createResponder(folder));
}

/** @returns what answers a request: 404 for what is not one of the folder's own files. */
export function createResponder(folder: string): (request: Request) => Promise<Response> {
  // A list made once: no path that was asked for ever reaches the file system.
  const files = new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && extname(entry.name) in TYPES)
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return [`/${relative(folder, path).split(sep).join("/")}`, path];
      }),
  );
  return async (request) => {
    const url = new URL(request.url);
    const file = url.host === "interface" ? files.get(url.pathname) : undefined;
    if (file === undefined || request.method !== "GET") return refusal(404);
    try {
      const body = await readFile(file);
      return new Response(new Uint8Array(body), {
        headers: { ...HEADERS, "content-type": TYPES[extname(file)] ?? "application/octet-stream" },
      });
    } catch {
      return refusal(500);
    }
  };
}

function refusal(status: number): Response {
  return new Response(null, { status, headers: HEADERS });
}
