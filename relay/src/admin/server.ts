import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Server as TlsServer } from "node:tls";
import type { Endpoint } from "@sockeye/config-kit/endpoint";
import { TokenBucket } from "../limits/token-bucket.ts";
import type { TlsContexts } from "../tls/contexts.ts";
import type { AdminCredentials } from "./credentials.ts";
import { ProfileRunningError, takeProfile } from "./profiles.ts";

/** What the relay says of itself here. An empty list is a yes; otherwise each entry is a reason in a few words. */
export interface AdminState {
  /** Why the process should be restarted: a listener that is gone. */
  unhealthy(): readonly string[];
  /** Why no traffic should be sent here now: "starting", "draining". */
  notReady(): readonly string[];
  /** For /version, as JSON. */
  readonly version: Readonly<Record<string, string>>;
  /** For /metrics. */
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** Answers a GET at its own path, once the credentials have been seen. */
export type AdminPage = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

export interface AdminOptions {
  readonly address: Endpoint;
  readonly state: AdminState;
  /** Without any, all but health is refused. */
  readonly credentials?: AdminCredentials | undefined;
  readonly profiling: boolean;
  readonly tls?: TlsContexts | undefined;
  /** Further pages, such as the dashboard, by their paths. */
  readonly pages?: ReadonlyMap<string, AdminPage>;
}

export interface AdminServer {
  /** With the port that the system chose where 0 was asked for. */
  readonly address: Endpoint;
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 64;
const MAX_HEAD_BYTES = 8 * 1024;
const REQUEST_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 30_000;
const MAX_PROFILE_SECONDS = 60;
/** Wrong passwords a second, from anywhere: nobody guesses through, and people mistype. */
const WRONG_PASSWORDS_PER_SECOND = 2;

/**
 * Serves /healthz and /readyz to everyone, and /version, /metrics, profiles and pages to whoever has the credentials, on a
 * listener of its own: no public name leads here.
 * @throws the system's error (`EADDRINUSE`, …) when the address can't be bound.
 */
export async function startAdmin(options: AdminOptions): Promise<AdminServer> {
  const wrongPasswords = new TokenBucket(WRONG_PASSWORDS_PER_SECOND, 5, performance.now());
  const limits = {
    maxHeaderSize: MAX_HEAD_BYTES,
    headersTimeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
    connectionsCheckingInterval: 1_000,
  };
  const server = createServer(limits, (request, response) => {
    response.on("error", () => {});
    void new Visit(options, request, response).answer(wrongPasswords).catch(() => response.destroy());
  });
  const secure = options.tls?.createServer({ handshakeTimeoutMs: REQUEST_TIMEOUT_MS }, (socket) =>
    server.emit("connection", socket),
  );
  const listener = secure ?? server;
  listener.maxConnections = MAX_CONNECTIONS;
  await listening(listener, options.address);
  const { address: host, port } = listener.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      listener.close(() => resolve());
      server.closeAllConnections();
    });
  return { address: { host, port }, close };
}

function listening(server: Server | TlsServer, { host, port }: Endpoint): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      // An error while accepting (no descriptor left) costs that connection only.
      server.on("error", () => {});
      resolve();
    });
  });
}

/** One request. */
class Visit {
  readonly #options: AdminOptions;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #path: string;

  constructor(options: AdminOptions, request: IncomingMessage, response: ServerResponse) {
    this.#options = options;
    this.#request = request;
    this.#response = response;
    this.#path = (request.url ?? "").split("?", 1)[0]!;
  }

  async answer(wrongPasswords: TokenBucket): Promise<void> {
    this.#response.setHeader("Cache-Control", "no-store");
    this.#response.setHeader("X-Content-Type-Options", "nosniff");
    const { method } = this.#request;
    if (method !== "GET" && method !== "HEAD") {
      this.#response.setHeader("Allow", "GET, HEAD");
      this.#refuse(405, "only GET and HEAD");
      return;
    }
    const { state } = this.#options;
    if (this.#path === "/healthz") this.#judge(state.unhealthy());
    else if (this.#path === "/readyz") this.#judge(state.notReady());
    else if (this.#isAdmitted(wrongPasswords)) await this.#show();
  }

  #isAdmitted(wrongPasswords: TokenBucket): boolean {
    const { credentials } = this.#options;
    if (credentials === undefined) {
      this.#refuse(
        403,
        "all but /healthz and /readyz needs credentials, and the relay has none: admin.credentials_file",
      );
      return false;
    }
    const now = performance.now();
    const wait = wrongPasswords.wait(now);
    if (wait > 0) {
      this.#response.setHeader("Retry-After", Math.ceil(wait / 1000));
      this.#refuse(429, "too many wrong passwords");
      return false;
    }
    const { authorization } = this.#request.headers;
    if (credentials.admits(authorization)) return true;
    if (authorization !== undefined) wrongPasswords.take(now);
    this.#response.setHeader("WWW-Authenticate", 'Basic realm="showoff", charset="UTF-8"');
    this.#refuse(401, "credentials are needed");
    return false;
  }

  async #show(): Promise<void> {
    const { state, profiling, pages } = this.#options;
    const page = pages?.get(this.#path);
    if (page !== undefined) await page(this.#request, this.#response);
    else if (this.#path === "/version") this.#json(state.version);
    else if (this.#path === "/metrics") {
      const { contentType, text } = await state.metrics();
      this.#response.setHeader("Content-Type", contentType);
      this.#send(200, text);
    } else if (profiling && this.#path === "/profile/cpu") await this.#profile("cpu");
    else if (profiling && this.#path === "/profile/heap") await this.#profile("heap");
    else this.#text(404, "not found");
  }

  async #profile(kind: "cpu" | "heap"): Promise<void> {
    const given = new URLSearchParams(this.#request.url!.split("?", 2)[1]).get("seconds") ?? "5";
    const seconds = /^\d{1,2}$/.test(given) ? Number(given) : 0;
    if (seconds < 1 || seconds > MAX_PROFILE_SECONDS) {
      this.#text(400, `seconds is a whole number from 1 to ${MAX_PROFILE_SECONDS}`);
      return;
    }
    const gone = new AbortController();
    this.#response.once("close", () => gone.abort());
    try {
      const profile = await takeProfile(kind, seconds, gone.signal);
      this.#response.setHeader("Content-Disposition", `attachment; filename="relay.${kind}profile"`);
      if (!gone.signal.aborted) this.#json(profile);
    } catch (error) {
      if (!(error instanceof ProfileRunningError)) throw error;
      this.#text(409, error.message);
    }
  }

  #judge(reasons: readonly string[]): void {
    this.#text(reasons.length === 0 ? 200 : 503, reasons.length === 0 ? "ok" : reasons.join("\n"));
  }

  /** The body of a refused request is not read: the connection ends with the answer. */
  #refuse(status: number, sentence: string): void {
    this.#response.setHeader("Connection", "close");
    this.#text(status, sentence);
  }

  #text(status: number, text: string): void {
    this.#response.setHeader("Content-Type", "text/plain; charset=utf-8");
    this.#send(status, `${text}\n`);
  }

  #json(value: object): void {
    this.#response.setHeader("Content-Type", "application/json");
    this.#send(200, JSON.stringify(value));
  }

  #send(status: number, text: string): void {
    const body = Buffer.from(text);
    this.#response.writeHead(status, { "Content-Length": body.length });
    this.#response.end(this.#request.method === "HEAD" ? undefined : body);
  }
}
