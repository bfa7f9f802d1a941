import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import {
  authReply,
  connectReply,
  methodReply,
  type ServerEvent,
  Socks4Reply,
  SocksServerParser,
  type SocksVersion,
} from "@sockeye/wire/socks5-server";
import { Method, Reply, type SocksAddress } from "@sockeye/wire/socks5";
import { type Deadline, DeadlineQueue } from "../deadline-queue.ts";
import type { Endpoint } from "../endpoint.ts";
import type { DialError } from "../errors.ts";
import { keeper } from "../keeper.ts";
import { CredentialCheck } from "./credentials.ts";
import { endWith, ignoreError, socketOptions, sourceOf, startListening, stopListening } from "./listener.ts";
import type { ConnectRequest, InboundLimits, Inbound, InboundHandler, ListenOptions } from "./request.ts";
import { SocksDatagramPort } from "./socks5-udp.ts";

/**
 * Listens for SOCKS5 (RFC 1928, RFC 1929), SOCKS4 and SOCKS4a: CONNECT, and UDP ASSOCIATE where the handler has UDP.
 * `accept()` of its requests returns the client's own net.Socket.
 * @throws {Error} with a sentence that names the address and says what to do.
 */
export async function listenSocks5(options: ListenOptions, handler: InboundHandler): Promise<Inbound> {
  const inbound = new Socks5Inbound(options, handler);
  await inbound.listen();
  return inbound;
}

class Socks5Inbound implements Inbound {
  readonly kind = "socks5";
  address: Endpoint;
  readonly handler: InboundHandler;
  readonly credentials: CredentialCheck | undefined;
  /** Connections whose request has not come yet. */
  readonly handshakes: DeadlineQueue<SocksClient>;
  /** Connections whose request has no answer yet. */
  unanswered = 0;
  readonly #options: ListenOptions;
  readonly #server: Server;

  constructor(options: ListenOptions, handler: InboundHandler) {
    this.#options = options;
    this.address = options.address;
    this.handler = handler;
    this.credentials = options.credentials && new CredentialCheck(options.credentials);
    this.handshakes = new DeadlineQueue(options.handshakeTimeoutMs, (client) => client.cut());
    this.#server = createServer(socketOptions(options.address), (socket) => {
      new SocksClient(this, socket);
    });
  }

  get pending(): number {
    return this.handshakes.size + this.unanswered;
  }

  refused(source: Endpoint, why: string): void {
    this.#options.onRefused?.(source, why);
  }

  async listen(): Promise<void> {
    this.address = await startListening(this.#server, this.#options);
  }

  setLimits(limits: InboundLimits): void {
    this.#server.maxConnections = limits.maxConnections;
    this.handshakes.setLength(limits.handshakeTimeoutMs);
  }

  async close(): Promise<void> {
    await stopListening(this.#server);
    this.handshakes.flush();
  }
}

interface ClientSocket extends Socket {
  [keeper]?: SocksClient | undefined;
}

const METHOD_NONE = methodReply(Method.none);
const METHOD_PASSWORD = methodReply(Method.password);
const PASSWORD_ACCEPTED = authReply(true);
const CONNECTED = {
  4: connectReply(4, Socks4Reply.granted),
  5: connectReply(5, Reply.succeeded),
} as const;

/** One connection, from accept to the answer to its request. */
class SocksClient implements ConnectRequest {
  readonly inbound = "socks5";
  readonly #owner: Socks5Inbound;
  readonly #socket: ClientSocket;
  readonly #deadline: Deadline<SocksClient>;
  #phase: "handshake" | "unanswered" | "answered" | "gone" = "handshake";
  /** Dropped once it is done. */
  #parser: SocksServerParser | undefined;
  #version: SocksVersion = 5;
  #target: SocksAddress | undefined;
  #source: Endpoint | undefined;
  #cancel: (() => void) | undefined;

  constructor(owner: Socks5Inbound, socket: ClientSocket) {
    this.#owner = owner;
    this.#socket = socket;
    this.#parser = new SocksServerParser(owner.credentials !== undefined);
    socket[keeper] = this;
    this.#deadline = owner.handshakes.add(this);
    socket.on("error", ignoreError);
    socket.on("close", onClose);
    socket.on("end", onEnd);
    socket.on("data", onData);
  }

  get target(): Endpoint {
    return this.#target!;
  }

  get source(): Endpoint {
    return (this.#source ??= sourceOf(this.#socket));
  }

  push(chunk: Buffer): void {
    const events = this.#parser?.push(chunk) ?? [];
    if (events.length > 1) this.#socket.cork();
    for (const event of events) {
      if (this.#phase === "handshake") this.#take(event);
    }
    if (events.length > 1) this.#socket.uncork();
  }

  #take(event: ServerEvent): void {
    switch (event.kind) {
      case "method":
        this.#socket.write(event.method === Method.none ? METHOD_NONE : METHOD_PASSWORD);
        return;
      case "credentials":
        // Without credentials of ours, whatever a client insists on presenting is right.
        if (this.#owner.credentials?.accepts(event.username, event.password) === false) {
          this.#owner.refused(this.source, "wrong username or password");
          this.#refuse(authReply(false));
        } else this.#socket.write(PASSWORD_ACCEPTED);
        return;
      case "request":
        this.#begin(event.version, event.address, event.rest);
        if (event.command === "connect") this.#owner.handler.connect(this);
        else this.#associate(event.address);
        return;
      case "error":
        this.#owner.refused(this.source, event.error.message);
        this.#refuse(event.answer);
        return;
    }
  }

  /**
   * The request is complete. The socket is paused, yet it goes on reading into its own bounded buffer, which is how a reset
   * during the dial is noticed; what it read is there for whoever takes the socket.
   */
  #begin(version: SocksVersion, target: SocksAddress, rest: Buffer): void {
    const socket = this.#socket;
    this.#version = version;
    this.#target = target;
    this.#leaveHandshake("unanswered");
    this.#owner.unanswered++;
    socket.pause();
    if (rest.length > 0) socket.unshift(rest);
  }

  onCancel(callback: () => void): void {
    if (this.#phase === "gone") process.nextTick(callback);
    else this.#cancel = callback;
  }

  accept(): Duplex {
    if (this.#answer()) this.#socket.write(CONNECTED[this.#version]);
    return this.#socket;
  }

  reject(error: DialError): void {
    if (this.#answer()) endWith(this.#socket, rejection(this.#version, error));
  }

  /** Takes the request off the books, once. Returns false when the application is gone and nobody hears the answer. */
  #answer(): boolean {
    if (this.#phase === "gone") return false;
    if (this.#phase !== "unanswered") throw new Error("a connect request was answered twice");
    this.#phase = "answered";
    this.#owner.unanswered--;
    this.#release();
    return true;
  }

  #associate(expected: SocksAddress): void {
    if (!this.#owner.handler.udpAvailable()) {
      if (this.#answer()) endWith(this.#socket, connectReply(5, Reply.commandNotSupported));
      return;
    }
    SocksDatagramPort.open(this.#socket, expected).then(
      (port) => {
        if (port.closed || !this.#answer()) return;
        this.#socket.write(connectReply(5, Reply.succeeded, port.address));
        this.#owner.handler.associate(port);
      },
      () => {
        if (this.#answer()) endWith(this.#socket, connectReply(5, Reply.generalFailure));
      },
    );
  }

  #refuse(answer: Buffer | undefined): void {
    this.#leaveHandshake("answered");
    this.#release();
    endWith(this.#socket, answer);
  }

  #leaveHandshake(next: "unanswered" | "answered"): void {
    this.#phase = next;
    this.#parser = undefined;
    this.#owner.handshakes.lift(this.#deadline);
    this.#socket.off("data", onData);
    this.#socket.off("end", onEnd);
  }

  /** Lets go of the socket. `ignoreError` stays: it holds nothing, and no moment is left without an error listener. */
  #release(): void {
    this.#socket[keeper] = undefined;
    this.#socket.off("close", onClose);
    this.#cancel = undefined;
  }

  /** The client ended before its request was complete, took too long, or the inbound closes. */
  cut(): void {
    this.#socket.destroy();
  }

  closed(): void {
    const callback = this.#cancel;
    if (this.#phase === "handshake") this.#owner.handshakes.lift(this.#deadline);
    else this.#owner.unanswered--;
    this.#phase = "gone";
    this.#parser = undefined;
    this.#release();
    callback?.();
  }
}

function onData(this: ClientSocket, chunk: Buffer): void {
  this[keeper]?.push(chunk);
}

function onEnd(this: ClientSocket): void {
  this[keeper]?.cut();
}

function onClose(this: ClientSocket): void {
  this[keeper]?.closed();
}

function rejection(version: SocksVersion, error: DialError): Buffer {
  return version === 4 ? connectReply(4, Socks4Reply.rejected) : connectReply(5, socks5ReplyOf(error));
}

/**
 * The reply (RFC 1928 §6) that says most about a failed dial. Those of SOCKS5 speak of the target, so a failure on the way to
 * the upstream is a general one. A time-out is "TTL expired", as in other servers, so that it differs from "unreachable".
 */
export function socks5ReplyOf(error: DialError): number {
  if (error.scope === "upstream") return Reply.generalFailure;
  switch (error.code) {
    case "refused":
      return Reply.refused;
    case "dns":
      return Reply.hostUnreachable;
    case "unreachable":
      return isNetworkUnreachable(error.cause) ? Reply.networkUnreachable : Reply.hostUnreachable;
    case "timeout":
      return Reply.ttlExpired;
    case "blocked":
    case "forbidden":
      return Reply.notAllowed;
    case "tls":
    case "auth":
    case "host-key":
    case "protocol":
    case "limit":
    case "closed":
    case "unsupported":
    case "cancelled":
    case "internal":
      return Reply.generalFailure;
  }
}

function isNetworkUnreachable(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "ENETUNREACH";
}
