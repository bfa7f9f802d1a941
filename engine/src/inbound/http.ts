import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Endpoint, parseEndpoint } from "../endpoint.ts";
import type { DialError } from "../errors.ts";
import { CredentialCheck } from "./credentials.ts";
import { ClientAgent } from "./http-agent.ts";
import { type Answer, answerBytes, badRequest, failureAnswer, PASSWORD_WANTED } from "./http-answers.ts";
import { answer, forward, forwardUpgrade, MAX_HEADER_BYTES, readForwardTarget } from "./http-forward.ts";
import { endWith, ignoreError, SOCKET_OPTIONS, sourceOf, startListening, stopListening } from "./listener.ts";
import type { ConnectRequest, Inbound, InboundHandler, InboundLimits, ListenOptions } from "./request.ts";

/** How long a client's connection may wait for its next request. */
const KEEP_ALIVE_MS = 60_000;
/** Requests that one connection may have waiting for their answers (pipelining). */
const MAX_PIPELINED = 16;

const ESTABLISHED = Buffer.from("HTTP/1.1 200 Connection established\r\n\r\n");

/**
 * Listens as an HTTP proxy (RFC 9110 §7.6): CONNECT, requests in absolute form, and upgrades, with Basic authentication
 * where credentials are set. `accept()` of a CONNECT returns the client's own net.Socket; that of a forwarded request one
 * end of a pair, over which the proxy speaks HTTP.
 * @throws {Error} with a sentence that names the address and says what to do.
 */
export async function listenHttp(options: ListenOptions, handler: InboundHandler): Promise<Inbound> {
  const inbound = new HttpInbound(options, handler);
  await inbound.listen();
  return inbound;
}

class HttpInbound implements Inbound {
  readonly kind = "http";
  address: Endpoint;
  /** Dials whose requests wait for them. */
  unanswered = 0;
  readonly #handler: InboundHandler;
  readonly #options: ListenOptions;
  readonly #credentials: CredentialCheck | undefined;
  readonly #server: Server;
  /** Connections that have not sent a whole head yet. */
  readonly #fresh = new Set<Socket>();
  readonly #clients = new WeakMap<Socket, Client>();
  readonly #forget: (this: Socket) => void;
  #closing = false;

  constructor(options: ListenOptions, handler: InboundHandler) {
    this.#options = options;
    this.address = options.address;
    this.#handler = handler;
    const fresh = this.#fresh;
    this.#forget = function (this: Socket) {
      fresh.delete(this);
    };
    this.#credentials = options.credentials && new CredentialCheck(options.credentials);
    this.#server = createServer({
      ...SOCKET_OPTIONS,
      insecureHTTPParser: false,
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: options.handshakeTimeoutMs,
      // A body may take as long as it likes: it is a flow's traffic.
      requestTimeout: 0,
      connectionsCheckingInterval: Math.min(1000, Math.max(20, options.handshakeTimeoutMs / 10)),
      keepAliveTimeout: KEEP_ALIVE_MS,
      // An upgrade with a body, or away from a request that HTTP/1.1 may repeat (h2c), is an ordinary request.
      shouldUpgradeCallback: (incoming) => incoming.method === "GET" && incoming.headers.upgrade !== "h2c",
    });
    // A client that has ended its direction still waits for its answer.
    Object.assign(this.#server, { httpAllowHalfOpen: true });
    // The size of a head is limited, so no header is dropped for their number.
    this.#server.maxHeadersCount = 0;
    this.#server.on("connection", (socket) => this.#begin(socket));
    this.#server.on("request", (incoming, response) => this.#request(incoming, response));
    this.#server.on("checkContinue", (incoming, response) => this.#request(incoming, response));
    this.#server.on("connect", (incoming, _, head) => this.#connect(incoming, incoming.socket, head));
    this.#server.on("upgrade", (incoming, _, head) => this.#upgrade(incoming, incoming.socket, head));
    this.#server.on("clientError", (error, socket) => {
      if (socket instanceof Socket) this.#malformed(error, socket);
      else socket.destroy();
    });
  }

  get pending(): number {
    return this.#fresh.size + this.unanswered;
  }

  async listen(): Promise<void> {
    this.address = await startListening(this.#server, this.#options);
  }

  setLimits(limits: InboundLimits): void {
    this.#server.maxConnections = limits.maxConnections;
    this.#server.headersTimeout = limits.handshakeTimeoutMs;
  }

  async close(): Promise<void> {
    this.#closing = true;
    await stopListening(this.#server);
    for (const socket of this.#fresh) socket.destroy();
    this.#fresh.clear();
    this.#server.closeIdleConnections();
  }

  #begin(socket: Socket): void {
    this.#fresh.add(socket);
    socket.on("close", this.#forget);
  }

  #request(incoming: IncomingMessage, response: ServerResponse): void {
    this.#fresh.delete(incoming.socket);
    response.on("error", ignoreError);
    incoming.on("error", ignoreError);
    const refusal = this.#refusal(incoming);
    if (refusal) {
      answer(response, refusal);
      return;
    }
    const target = readForwardTarget(incoming.url ?? "");
    if ("status" in target) {
      answer(response, target);
      return;
    }
    const client = this.#clientOf(incoming.socket);
    if (client.busy >= MAX_PIPELINED) {
      response.shouldKeepAlive = false;
      answer(response, {
        status: 503,
        sentence: `more than ${MAX_PIPELINED} requests wait on this connection`,
      });
      return;
    }
    client.busy++;
    response.once("close", () => {
      client.busy--;
      if (this.#closing) this.#server.closeIdleConnections();
    });
    if (this.#closing) response.shouldKeepAlive = false;
    forward({ incoming, response, target, agent: client.agent });
  }

  #connect(incoming: IncomingMessage, socket: Socket, head: Buffer): void {
    this.#leaveHttp(socket);
    const refusal = this.#refusal(incoming);
    const target = readTunnelTarget(incoming.url ?? "");
    if (refusal) endWith(socket, answerBytes(refusal));
    else if ("status" in target) endWith(socket, answerBytes(target));
    else {
      if (head.length > 0) socket.unshift(head);
      this.unanswered++;
      this.#handler.connect(new TunnelRequest(socket, target, () => this.unanswered--));
    }
  }

  #upgrade(incoming: IncomingMessage, socket: Socket, head: Buffer): void {
    this.#leaveHttp(socket);
    const refusal = this.#refusal(incoming);
    const target = readForwardTarget(incoming.url ?? "");
    if (refusal) endWith(socket, answerBytes(refusal));
    else if ("status" in target) endWith(socket, answerBytes(target));
    else {
      const response = new ServerResponse(incoming);
      response.shouldKeepAlive = false;
      response.assignSocket(socket);
      response.on("error", ignoreError);
      response.once("finish", () => {
        response.detachSocket(socket);
        endWith(socket, undefined);
      });
      forwardUpgrade({ incoming, response, target, agent: this.#clientOf(socket).agent }, socket, head);
    }
  }

  /** The parser has let go of the socket. It is paused, yet reads into its own bounded buffer, so that a reset is noticed. */
  #leaveHttp(socket: Socket): void {
    socket.on("error", ignoreError);
    socket.off("close", this.#forget);
    socket.setTimeout(0);
    this.#fresh.delete(socket);
    socket.pause();
    socket.read(0);
  }

  /** RFC 7617: the answer to a request without the right credentials. */
  #refusal(incoming: IncomingMessage): Answer | undefined {
    if (this.#credentials === undefined) return undefined;
    const given = /^basic +([a-z0-9+/=]+) *$/i.exec(incoming.headers["proxy-authorization"] ?? "");
    const text = Buffer.from(given?.[1] ?? "", "base64").toString("utf8");
    const colon = text.indexOf(":");
    const accepted = colon !== -1 && this.#credentials.accepts(text.slice(0, colon), text.slice(colon + 1));
    if (accepted) return undefined;
    // Without credentials it is only the question to which a client answers with them.
    if (given) this.#options.onRefused?.(sourceOf(incoming.socket), "wrong username or password");
    return PASSWORD_WANTED;
  }

  #clientOf(socket: Socket): Client {
    let client = this.#clients.get(socket);
    if (client === undefined) {
      const agent = new ClientAgent(this.#handler, sourceOf(socket), (change) => (this.unanswered += change));
      client = { agent, busy: 0 };
      this.#clients.set(socket, client);
      socket.once("close", () => agent.destroy());
    }
    return client;
  }

  #malformed(error: NodeJS.ErrnoException, socket: Socket): void {
    const busy = (this.#clients.get(socket)?.busy ?? 0) > 0;
    if (busy || !socket.writable || error.code === "ECONNRESET") {
      socket.destroy();
      return;
    }
    const failure = parseFailure(error.code);
    this.#options.onRefused?.(sourceOf(socket), failure.sentence);
    endWith(socket, answerBytes(failure));
  }
}

/** What the proxy keeps of a client that forwards requests. */
interface Client {
  readonly agent: ClientAgent;
  /** Requests without a whole answer. */
  busy: number;
}

function parseFailure(code: string | undefined): Answer {
  if (code === "HPE_HEADER_OVERFLOW")
    return { status: 431, sentence: `the request's head is longer than ${MAX_HEADER_BYTES} bytes` };
  if (code === "ERR_HTTP_REQUEST_TIMEOUT")
    return { status: 408, sentence: "the request took too long to come" };
  return badRequest("this is not an HTTP request");
}

function readTunnelTarget(url: string): Endpoint | Answer {
  try {
    return parseEndpoint(url);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return badRequest(`the target of CONNECT is wrong: ${error.message}`);
  }
}

/** A CONNECT (RFC 9110 §9.3.6). */
class TunnelRequest implements ConnectRequest {
  readonly inbound = "http";
  readonly target: Endpoint;
  readonly source: Endpoint;
  readonly #socket: Socket;
  readonly #answered: () => void;
  #phase: "unanswered" | "answered" | "gone" = "unanswered";
  #cancel: (() => void) | undefined;

  constructor(socket: Socket, target: Endpoint, answered: () => void) {
    this.#socket = socket;
    this.target = target;
    this.source = sourceOf(socket);
    this.#answered = answered;
    socket.on("close", this.#onClose);
  }

  onCancel(callback: () => void): void {
    if (this.#phase === "gone") process.nextTick(callback);
    else this.#cancel = callback;
  }

  accept(): Duplex {
    if (this.#answer()) this.#socket.write(ESTABLISHED);
    return this.#socket;
  }

  reject(error: DialError): void {
    if (this.#answer()) endWith(this.#socket, answerBytes(failureAnswer(error)));
  }

  #answer(): boolean {
    if (this.#phase === "gone") return false;
    if (this.#phase === "answered") throw new Error("a connect request was answered twice");
    this.#phase = "answered";
    this.#socket.off("close", this.#onClose);
    this.#answered();
    return true;
  }

  readonly #onClose = (): void => {
    this.#phase = "gone";
    this.#answered();
    this.#cancel?.();
  };
}
