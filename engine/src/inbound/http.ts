import { Roster } from "@sockeye/wire/roster";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Endpoint, formatEndpoint } from "../endpoint.ts";
import { CredentialCheck, readBasic } from "./credentials.ts";
import { DeadlineQueue } from "../deadline-queue.ts";
import { ClientAgent } from "./http-agent.ts";
import { type Answer, answerBytes, badRequest, PASSWORD_WANTED } from "./http-answers.ts";
import { answer, forward, type Guard, hasBody, MAX_HEADER_BYTES, readForwardTarget } from "./http-forward.ts";
import { credentialsOf, Newcomer, readPlainConnect } from "./http-newcomer.ts";
import { readTunnelTarget, TunnelRequest } from "./http-tunnel.ts";
import { forwardUpgrade } from "./http-upgrade.ts";
import { endWith, ignoreError, socketOptions, sourceOf, startListening, stopListening } from "./listener.ts";
import type { Inbound, InboundHandler, ListenOptions, InboundLimits } from "./request.ts";

/** How long a client's connection may wait for its next request. */
const KEEP_ALIVE_MS = 60_000;
/** Requests that one connection may have waiting for their answers (pipelining). */
const MAX_PIPELINED = 16;

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
  #headBytes: number;
  readonly #server: Server;
  /** Connections that have not sent a whole head yet. */
  readonly #fresh = new Roster<Socket>();
  readonly #clients = new WeakMap<Socket, Client>();
  /** Those of them that have not sent a byte. */
  readonly #newcomers: DeadlineQueue<Newcomer>;
  /** What node:http does with a connection. */
  readonly #serve: (this: Server, socket: Socket) => void;
  readonly #forget: (this: Socket) => void;
  #closing = false;

  constructor(options: ListenOptions, handler: InboundHandler) {
    this.#headBytes = options.handshakeBytes ?? MAX_HEADER_BYTES;
    this.#options = options;
    this.address = options.address;
    this.#handler = handler;
    const fresh = this.#fresh;
    this.#forget = function (this: Socket) {
      fresh.delete(this);
    };
    this.#credentials = options.credentials && new CredentialCheck(options.credentials);
    this.#server = createServer({
      ...socketOptions(options.address),
      insecureHTTPParser: false,
      maxHeaderSize: this.#headBytes,
      headersTimeout: options.handshakeTimeoutMs,
      // A body may take as long as it likes: it is a flow's traffic.
      requestTimeout: 0,
      connectionsCheckingInterval: Math.min(1000, Math.max(20, options.handshakeTimeoutMs / 10)),
      keepAliveTimeout: KEEP_ALIVE_MS,
      // A request that may not upgrade is an ordinary one, whose Upgrade is not passed on (RFC 9110 §7.8).
      shouldUpgradeCallback: (incoming) => this.#mayUpgrade(incoming),
      // Node would answer by itself, past our own count of what is unanswered.
      requireHostHeader: false,
    });
    // A client that has ended its direction still waits for its answer.
    Object.assign(this.#server, { httpAllowHalfOpen: true });
    // The size of a head is limited, so no header is dropped for their number.
    this.#server.maxHeadersCount = 0;
    const [serve] = this.#server.listeners("connection") as [(this: Server, socket: Socket) => void];
    this.#serve = serve;
    this.#server.off("connection", serve);
    this.#newcomers = new DeadlineQueue(options.handshakeTimeoutMs, (newcomer) => this.#tooLate(newcomer));
    this.#server.on("connection", (socket) => this.#guard(socket, () => this.#begin(socket)));
    for (const event of ["request", "checkContinue", "checkExpectation"])
      this.#server.on(event, (incoming: IncomingMessage, response: ServerResponse) =>
        this.#guard(incoming.socket, () => this.#request(incoming, response)),
      );
    this.#server.on("connect", (incoming, _, head) =>
      this.#guard(incoming.socket, () => this.#connect(incoming, incoming.socket, head)),
    );
    this.#server.on("upgrade", (incoming, _, head) =>
      this.#guard(incoming.socket, () => this.#upgrade(incoming, incoming.socket, head)),
    );
    this.#server.on("clientError", (error, socket) => {
      this.#guard(socket, () => {
        if (socket instanceof Socket) this.#malformed(error, socket);
        else socket.destroy();
      });
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
    this.#newcomers.setLength(limits.handshakeTimeoutMs);
    this.#headBytes = limits.handshakeBytes ?? MAX_HEADER_BYTES;
    // node:http looks at it for each new connection, and has no type for that.
    Object.assign(this.#server, { maxHeaderSize: this.#headBytes });
  }

  async close(): Promise<void> {
    this.#closing = true;
    await stopListening(this.#server);
    for (const socket of this.#fresh) {
      this.#fresh.delete(socket);
      socket.destroy();
    }
    this.#server.closeIdleConnections();
  }

  #begin(socket: Socket): void {
    this.#fresh.add(socket);
    socket.on("close", this.#forget);
    new Newcomer(socket, this.#newcomers, this.#onFirst);
  }

  readonly #onFirst = (socket: Socket, chunk: Buffer): void => {
    this.#guard(socket, () => {
      if (this.#tunnel(socket, chunk)) return;
      socket.off("error", ignoreError);
      socket.pause();
      this.#serve.call(this.#server, socket);
      socket.unshift(chunk);
      socket.resume();
    });
  };

  /** @returns whether it is a CONNECT about which there is nothing more to say. */
  #tunnel(socket: Socket, chunk: Buffer): boolean {
    const asked = readPlainConnect(chunk, this.#headBytes);
    if (asked === undefined) return false;
    if (this.#credentials?.acceptsBasic(credentialsOf(asked.head)) === false) return false;
    const target = readTunnelTarget(asked.head.target);
    if ("status" in target) return false;
    this.#fresh.delete(socket);
    socket.off("close", this.#forget);
    socket.pause();
    if (asked.rest.length > 0) socket.unshift(asked.rest);
    this.#dial(socket, target);
    return true;
  }

  #dial(socket: Socket, target: Endpoint): void {
    this.unanswered++;
    this.#handler.connect(new TunnelRequest(socket, target, () => this.unanswered--));
  }

  #tooLate(newcomer: Newcomer): void {
    newcomer.leave();
    const failure = parseFailure({ code: "ERR_HTTP_REQUEST_TIMEOUT" }, this.#headBytes);
    this.#options.onRefused?.(sourceOf(newcomer.socket), failure.sentence);
    endWith(newcomer.socket, answerBytes(failure));
  }

  /** Runs what a client's event asks for. A defect in it costs that client's connection only, and is told. */
  #guard(socket: Duplex, act: () => void): void {
    try {
      act();
    } catch (error) {
      const client = socket instanceof Socket ? formatEndpoint(sourceOf(socket)) : "a client";
      socket.destroy();
      const what = error instanceof Error ? error.message : String(error);
      const sentence = `a defect cost the connection of ${client} to ${formatEndpoint(this.address)}: ${what}`;
      this.#options.onError?.(new Error(sentence, { cause: error }));
    }
  }

  #request(incoming: IncomingMessage, response: ServerResponse): void {
    this.#fresh.delete(incoming.socket);
    response.on("error", ignoreError);
    incoming.on("error", ignoreError);
    const client = this.#clientOf(incoming.socket);
    const ahead = client.unfinished.size;
    this.#track(client, response);
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
    if (ahead >= MAX_PIPELINED) {
      response.shouldKeepAlive = false;
      answer(response, {
        status: 503,
        sentence: `more than ${MAX_PIPELINED} requests wait on this connection`,
      });
      return;
    }
    // Past an upgrade that was declined, node:http drops the rest of what it has read.
    const { upgrade } = incoming.headers;
    const restIsLost = upgrade !== undefined && (upgrade !== "h2c" || ahead > 0);
    if (this.#closing || restIsLost) response.shouldKeepAlive = false;
    forward({ incoming, response, target, agent: client.agent, guard: client.guard });
  }

  #track({ unfinished }: Client, response: ServerResponse): void {
    unfinished.add(response);
    response.once("finish", () => unfinished.delete(response));
    response.once("close", () => {
      unfinished.delete(response);
      if (this.#closing) this.#server.closeIdleConnections();
    });
  }

  #connect(incoming: IncomingMessage, socket: Socket, head: Buffer): void {
    this.#leaveHttp(socket);
    const unfinished = this.#clients.get(socket)?.unfinished;
    if (unfinished?.size) {
      // Their answers would go into the tunnel, and node:http no longer watches over them.
      this.#options.onRefused?.(
        sourceOf(socket),
        "CONNECT came before the requests ahead of it were answered",
      );
      for (const response of unfinished) response.destroy();
      socket.destroy();
      return;
    }
    const refusal = this.#refusal(incoming);
    const target = readTunnelTarget(incoming.url ?? "");
    if (refusal) endWith(socket, answerBytes(refusal));
    else if ("status" in target) endWith(socket, answerBytes(target));
    else {
      if (head.length > 0) socket.unshift(head);
      this.#dial(socket, target);
    }
  }

  /**
   * Only a GET of HTTP/1.1 without a body whose answer is next on its connection. Not h2c: HTTP/1.1 may say the same.
   */
  #mayUpgrade(incoming: IncomingMessage): boolean {
    return (
      incoming.method === "GET" &&
      incoming.httpVersionMinor > 0 &&
      incoming.headers.upgrade !== "h2c" &&
      !hasBody(incoming) &&
      !this.#clients.get(incoming.socket)?.unfinished.size
    );
  }

  #upgrade(incoming: IncomingMessage, socket: Socket, head: Buffer): void {
    this.#leaveHttp(socket);
    const refusal = this.#refusal(incoming);
    const target = readForwardTarget(incoming.url ?? "");
    if (refusal) endWith(socket, answerBytes(refusal));
    else if ("status" in target) endWith(socket, answerBytes(target));
    else {
      // At once: after its end a stream takes nothing back.
      if (head.length > 0) socket.unshift(head);
      const { agent, guard } = this.#clientOf(socket);
      forwardUpgrade({ incoming, target, agent, guard }, socket);
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

  /** What to answer to a request that goes nowhere, whatever its target. Who it is from is asked first. */
  #refusal(incoming: IncomingMessage): Answer | undefined {
    const { method, headers, httpVersionMinor } = incoming;
    const stranger = this.#strangerRefusal(incoming);
    if (stranger || httpVersionMinor === 0) return stranger;
    // RFC 9112 §3.2; a CONNECT says the same twice, and many leave it out.
    if (headers.host === undefined && method !== "CONNECT")
      return badRequest("the request has no Host header");
    // RFC 9110 §10.1.1
    if (headers.expect !== undefined && headers.expect.toLowerCase() !== "100-continue")
      return { status: 417, sentence: "the only expectation known here is 100-continue" };
    return undefined;
  }

  /** RFC 7617: the answer to a request without the right credentials. */
  #strangerRefusal(incoming: IncomingMessage): Answer | undefined {
    const presented = incoming.headers["proxy-authorization"];
    if (this.#credentials?.acceptsBasic(presented) !== false) return undefined;
    // Without credentials it is only the question to which a client answers with them.
    if (readBasic(presented) !== undefined)
      this.#options.onRefused?.(sourceOf(incoming.socket), "wrong username or password");
    return PASSWORD_WANTED;
  }

  #clientOf(socket: Socket): Client {
    let client = this.#clients.get(socket);
    if (client === undefined) {
      const guard: Guard = (act) => this.#guard(socket, act);
      const onPending = (change: number): void => void (this.unanswered += change);
      const agent = new ClientAgent(this.#handler, sourceOf(socket), onPending, guard);
      client = { agent, guard, unfinished: new Set() };
      this.#clients.set(socket, client);
      socket.once("close", () => agent.destroy());
    }
    return client;
  }

  #malformed(error: NodeJS.ErrnoException, socket: Socket): void {
    const unfinished = [...(this.#clients.get(socket)?.unfinished ?? [])];
    const busy = unfinished.some((response) => !response.writableEnded);
    if (busy || !socket.writable || error.code === "ECONNRESET") {
      socket.destroy();
      return;
    }
    const failure = parseFailure(error, this.#headBytes);
    this.#options.onRefused?.(sourceOf(socket), failure.sentence);
    endWith(socket, answerBytes(failure));
  }
}

/** What the proxy keeps of a client that forwards requests. */
interface Client {
  readonly agent: ClientAgent;
  readonly guard: Guard;
  /** Answers that have not been given to the system whole. */
  readonly unfinished: Set<ServerResponse>;
}

/** @param error of node:http's, with the bytes that it could not read, if there are any. */
function parseFailure(
  { code, rawPacket }: Pick<NodeJS.ErrnoException, "code"> & { readonly rawPacket?: Buffer },
  headBytes: number,
): Answer {
  if (code === "HPE_HEADER_OVERFLOW")
    return { status: 431, sentence: `the request's head is longer than ${headBytes} bytes` };
  if (code === "ERR_HTTP_REQUEST_TIMEOUT")
    return { status: 408, sentence: "the request took too long to come" };
  switch (rawPacket?.[0]) {
    case 0x16: // a handshake record (RFC 8446 §5.1)
      return badRequest(
        "this is TLS, and the proxy itself is reached without: its address begins with http://",
      );
    case 0x04:
    case 0x05:
      return badRequest("this is SOCKS, and here is the HTTP proxy: SOCKS5 has a listener of its own");
    default:
      return badRequest("this is not an HTTP request");
  }
}
