import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Endpoint } from "../endpoint.ts";
import type { Metrics } from "./metrics.ts";

/** What /healthz and /readyz report. An empty list is a yes; otherwise each entry is a reason in a few words. */
export interface Health {
  /** Why the process should be restarted: a listener that is gone. That it answers at all shows a live event loop. */
  unhealthy(): readonly string[];
  /** Why no traffic should be sent here now: "starting", "draining". */
  notReady(): readonly string[];
}

export interface ObserveEndpoint {
  /** With the port that the system chose where 0 was asked for. */
  readonly address: Endpoint;
  close(): Promise<void>;
}

/** Scrapers keep a connection or two; whoever opens more is told so by a closed one. */
const MAX_CONNECTIONS = 64;
const MAX_HEAD_BYTES = 8 * 1024;
const REQUEST_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 30_000;

/**
 * Serves /metrics, /healthz and /readyz by HTTP, and nothing else. The Host header is not looked at: scrapers go by
 * address. Nothing here changes state or tells of a target.
 * @throws the system's error (`EADDRINUSE`, …) when the address can't be bound.
 */
export async function startObserveEndpoint(
  address: Endpoint,
  metrics: Metrics,
  health: Health,
): Promise<ObserveEndpoint> {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEAD_BYTES,
      headersTimeout: REQUEST_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: IDLE_TIMEOUT_MS,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      void answer(request, response, metrics, health).catch(() => response.destroy());
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  await listening(server, address);
  const { address: host, port } = server.address() as AddressInfo;
  return {
    address: { host, port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, address: Endpoint): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(address.port, address.host, () => {
      server.off("error", reject);
      // An error while accepting (no descriptor left) costs that connection only.
      server.on("error", () => {});
      resolve();
    });
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  metrics: Metrics,
  health: Health,
): Promise<void> {
  response.on("error", () => {});
  response.setHeader("Cache-Control", "no-store");
  response.setHeader("X-Content-Type-Options", "nosniff");
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("Allow", "GET, HEAD");
    // The body of a refused request is not read: the connection ends with the answer.
    response.setHeader("Connection", "close");
    reply(request, response, 405, ["only GET and HEAD"]);
    return;
  }
  const path = request.url?.split("?", 1)[0];
  switch (path) {
    case "/metrics": {
      const text = await metrics.text();
      response.setHeader("Content-Type", metrics.contentType);
      send(request, response, 200, text);
      return;
    }
    case "/healthz":
      judge(request, response, health.unhealthy());
      return;
    case "/readyz":
      judge(request, response, health.notReady());
      return;
    default:
      reply(request, response, 404, ["not found: /metrics, /healthz and /readyz are here"]);
      return;
  }
}

function judge(request: IncomingMessage, response: ServerResponse, reasons: readonly string[]): void {
  reply(request, response, reasons.length === 0 ? 200 : 503, reasons.length === 0 ? ["ok"] : reasons);
}

function reply(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  lines: readonly string[],
): void {
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  send(request, response, status, `${lines.join("\n")}\n`);
}

function send(request: IncomingMessage, response: ServerResponse, status: number, text: string): void {
  const body = Buffer.from(text);
  response.writeHead(status, { "Content-Length": body.length });
  response.end(request.method === "HEAD" ? undefined : body);
}
