import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIP, type AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import { formatEndpoint, type Endpoint } from "../endpoint.ts";
import { ControlError } from "./control-error.ts";
import { announce, createToken, runtimeDirectory } from "./directory.ts";
import type { ControlHost } from "./host.ts";
import { answerWithFile, type InterfaceFiles, readInterface, refuseRequest } from "./interface-files.ts";
import {
  ServerSession,
  SUBPROTOCOL,
  TOKEN_SUBPROTOCOL,
  type Channel,
  type ServerMessage,
  type Service,
} from "./protocol.ts";
import { createService } from "./service.ts";

/** The longest message that a client may send: a configuration file and some. */
const MAX_MESSAGE_BYTES = 1024 * 1024;
const MAX_CLIENTS = 32;
/** Clients and those still in their handshake. */
const MAX_CONNECTIONS = 64;
const MAX_HEAD_BYTES = 8 * 1024;
const HANDSHAKE_TIMEOUT_MS = 5_000;
const PING_INTERVAL_MS = 20_000;

export interface ControlServerOptions {
  /** Loopback only. Port 0: a free one. */
  readonly address: Endpoint;
  readonly version: string;
  /** The name under which the command line finds it; default: the process id. */
  readonly name?: string | undefined;
  /** Where its entry and its token are put; default: runtimeDirectory(). */
  readonly directory?: string;
  /** Web origins that may connect (with the token, as everybody). Default: none. */
  readonly allowedOrigins?: readonly string[];
  /** The built interface, to be served to browsers; its pages may connect. Default: none is served. */
  readonly ui?: { readonly directory: string } | undefined;
  /** Who answers, where others are served besides. Default: one made for this server. */
  readonly service?: Service;
  /** Between two pings; a client that has not answered the last is gone. Default 20,000. */
  readonly pingIntervalMs?: number;
}

export interface ControlServer {
  readonly address: Endpoint;
  readonly url: string;
  /** Where a browser finds the interface, where it is served. */
  readonly ui: string | undefined;
  /** Ends every client and takes the token and the entry away. */
  close(): Promise<void>;
}

/**
 * Serves the control contract to this machine's user by WebSocket. Who connects must hold the token; a web page must
 * besides come from an allowed origin; and the Host must be this machine, so that a name which was made to resolve to
 * 127.0.0.1 gets nowhere.
 * @throws {ControlError} unavailable: the address is not loopback or can't be bound, or the token can't be kept.
 */
export async function startControlServer(
  host: ControlHost,
  options: ControlServerOptions,
): Promise<ControlServer> {
  if (!isLoopback(options.address.host)) {
    throw new ControlError(
      "unavailable",
      `control listens on loopback only, and ${options.address.host} is not`,
    );
  }
  const files = options.ui === undefined ? undefined : readInterface(options.ui.directory);
  const server = createServer({
    maxHeaderSize: MAX_HEAD_BYTES,
    headersTimeout: HANDSHAKE_TIMEOUT_MS,
    requestTimeout: HANDSHAKE_TIMEOUT_MS,
    // A page's files come one after the other; who speaks WebSocket comes once.
    keepAliveTimeout: files === undefined ? 1 : 5_000,
    connectionsCheckingInterval: 1_000,
  });
  server.maxConnections = MAX_CONNECTIONS;
  const address = await bind(server, options.address);
  const token = createToken();
  const url = `ws://${formatEndpoint(address)}/`;
  const ui = files === undefined ? undefined : `http://${formatEndpoint(address)}/`;
  let withdraw: () => void;
  try {
    withdraw = await announce(options.directory ?? runtimeDirectory(), {
      name: options.name ?? String(process.pid),
      url,
      ...(ui === undefined ? {} : { ui }),
      token,
      pid: process.pid,
      version: options.version,
      startedAt: Date.now(),
      configFile: host.configFile,
    });
  } catch (error) {
    server.close();
    throw error;
  }
  const ownOrigins = files === undefined ? [] : originsOf(address);
  const closeSockets = serve(server, options.service ?? createService(host), {
    tokenDigest: digest(token),
    port: address.port,
    origins: new Set([...ownOrigins, ...(options.allowedOrigins ?? [])]),
    pingIntervalMs: options.pingIntervalMs ?? PING_INTERVAL_MS,
  });
  server.on("request", (request, response) =>
    answerRequest({ request, response, port: address.port }, files),
  );
  return {
    address,
    url,
    ui,
    close: () =>
      new Promise((resolve) => {
        withdraw();
        closeSockets();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function bind(server: Server, address: Endpoint): Promise<Endpoint> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) =>
      reject(
        new ControlError(
          "unavailable",
          `control can't listen on ${formatEndpoint(address)}: ${error.message}`,
          {
            cause: error,
          },
        ),
      );
    server.once("error", failed);
    server.listen(address.port, address.host, () => {
      server.off("error", failed);
      // An error while accepting costs that connection only.
      server.on("error", () => {});
      const bound = server.address() as AddressInfo;
      resolve({ host: bound.address, port: bound.port });
    });
  });
}

interface Admission {
  readonly tokenDigest: Buffer;
  readonly port: number;
  readonly origins: ReadonlySet<string>;
  readonly pingIntervalMs: number;
}

/** @returns the way to end every client. */
function serve(server: Server, service: Service, admission: Admission): () => void {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  });
  server.on("upgrade", (request, socket, head) => {
    const status =
      sockets.clients.size >= MAX_CLIENTS ? "503 Service Unavailable" : judge(request, admission);
    if (status !== undefined) {
      refuse(socket, status);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      const session = new ServerSession(webSocketChannel(client), service);
      attend(client, session, admission.pingIntervalMs);
    });
  });
  return () => {
    for (const client of sockets.clients) client.close(1001, "the engine is stopping");
    // Those that do not answer the close are cut with the server's connections.
    setTimeout(() => sockets.clients.forEach((client) => client.terminate()), 500).unref();
    sockets.close();
  };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly port: number;
}

/** A request that is no WebSocket: for the interface, where it is served. Its files are no secret and need no token. */
function answerRequest({ request, response, port }: Exchange, files: InterfaceFiles | undefined): void {
  if (files === undefined) {
    refuseRequest(response, 426, "the control contract is spoken by WebSocket", { Upgrade: "websocket" });
  } else if (!isOurHost(request.headers.host, port)) {
    refuseRequest(response, 421, "this machine has another name");
  } else {
    answerWithFile(files, request, response);
  }
}

/** What a browser calls our own pages, by either name of this machine. */
function originsOf({ host, port }: Endpoint): string[] {
  return [formatEndpoint({ host, port }), `127.0.0.1:${port}`, `localhost:${port}`].map(
    (name) => `http://${name}`,
  );
}

/** @returns the status line to refuse with; undefined for one who may come in. */
function judge(request: IncomingMessage, admission: Admission): string | undefined {
  if (!isOurHost(request.headers.host, admission.port)) return "421 Misdirected Request";
  const { origin } = request.headers;
  if (origin !== undefined && !admission.origins.has(origin)) return "403 Forbidden";
  const token = offeredToken(request);
  if (token === undefined || !timingSafeEqual(digest(token), admission.tokenDigest))
    return "401 Unauthorized";
  if (request.url !== "/") return "404 Not Found";
  return undefined;
}

/** A browser can set no header, and a URL ends in logs: there the token comes as an offered subprotocol. */
function offeredToken(request: IncomingMessage): string | undefined {
  const bearer = /^Bearer ([\w-]{1,128})$/i.exec(request.headers.authorization ?? "");
  if (bearer) return bearer[1];
  const offers = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((offer) => offer.trim());
  return offers.find((offer) => offer.startsWith(TOKEN_SUBPROTOCOL))?.slice(TOKEN_SUBPROTOCOL.length);
}

/** Of equal length whatever was offered, so that comparing takes equal time. */
function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

function isOurHost(header: string | undefined, port: number): boolean {
  const match = /^(\[[\da-f:.]+\]|[^:[\]]+):(\d{1,5})$/i.exec(header ?? "");
  if (!match || Number(match[2]) !== port) return false;
  const name = match[1]!.replace(/^\[|\]$/g, "").toLowerCase();
  return name === "localhost" || isLoopback(name);
}

function isLoopback(host: string): boolean {
  return host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

function refuse(socket: Duplex, status: string): void {
  socket.on("error", () => {});
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  // It has its answer; whether it closes is not waited for.
  setTimeout(() => socket.destroy(), 1_000).unref();
}

function webSocketChannel(client: WebSocket): Channel<ServerMessage> {
  return {
    send: (message) => client.send(JSON.stringify(message), () => {}),
    get bufferedBytes() {
      return client.bufferedAmount;
    },
    close: (reason) => {
      client.close(1008, reason);
      // Where it does not read, it does not hear the close either.
      setTimeout(() => client.terminate(), 1_000).unref();
    },
  };
}

function attend(client: WebSocket, session: ServerSession, pingIntervalMs: number): void {
  let answered = true;
  const pinging = setInterval(() => {
    if (!answered) {
      client.terminate();
      return;
    }
    answered = false;
    client.ping(() => {});
  }, pingIntervalMs);
  client.on("pong", () => (answered = true));
  client.on("message", (data: Buffer, isBinary) => {
    // What a client says shows that it lives, too.
    answered = true;
    session.receive(isBinary ? undefined : parseJson(data));
  });
  // ws closes the connection itself; what was wrong is the client's.
  client.on("error", () => {});
  client.on("close", () => {
    clearInterval(pinging);
    session.close();
  });
}

function parseJson(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString("utf8"));
  } catch {
    return undefined;
  }
}
