import { Roster } from "@sockeye/wire/roster";
import { Agent, type ClientRequest, type ClientRequestArgs } from "node:http";
import type { Duplex } from "node:stream";
import type { Endpoint } from "../endpoint.ts";
import { DialError } from "../errors.ts";
import type { Guard } from "./http-forward.ts";
import type { ConnectRequest, InboundHandler } from "./request.ts";
import { PairEnd } from "./stream-pair.ts";

/** Outgoing connections that one client may leave idle; past it the oldest is closed. */
const MAX_IDLE = 4;

type Connected = (error: Error | null, stream: Duplex) => void;

/**
 * The outgoing connections of one client connection, each asked for by a ConnectRequest and kept alive for the next request
 * to the same target. No other client ever uses them.
 */
export class ClientAgent extends Agent {
  readonly #handler: InboundHandler;
  readonly #source: Endpoint;
  readonly #dialling = new Roster<ForwardRequest>();
  readonly #idle = new Roster<Duplex>();
  readonly #onPending: (change: 1 | -1) => void;
  readonly #guard: Guard;
  #gone = false;

  /**
   * @param onPending told when a dial begins and when it is over.
   * @param guard runs the handler, so that a defect there costs this client's connection only.
   */
  constructor(handler: InboundHandler, source: Endpoint, onPending: (change: 1 | -1) => void, guard: Guard) {
    super({ keepAlive: true });
    this.#handler = handler;
    this.#source = source;
    this.#onPending = onPending;
    this.#guard = guard;
  }

  override createConnection(options: ClientRequestArgs, connected?: Connected): undefined {
    const target = { host: options.host ?? "", port: Number(options.port) };
    const request = new ForwardRequest(this.#source, target, (error, stream) => {
      this.#dialling.delete(request);
      this.#onPending(-1);
      // Once for the whole life of the stream, which may carry any number of requests.
      stream.on("close", () => this.#idle.delete(stream));
      // node:http looks at the stream only where there is no error.
      connected?.(error, stream);
    });
    this.#dialling.add(request);
    this.#onPending(1);
    if (this.#gone) request.cancel();
    else this.#guard(() => this.#handler.connect(request));
    return undefined;
  }

  override keepSocketAlive(stream: Duplex): boolean {
    if (stream.readableEnded || !stream.writable) return false;
    const oldest = this.#idle.size >= MAX_IDLE ? this.#idle.first : undefined;
    if (oldest !== undefined) {
      this.#idle.delete(oldest);
      oldest.end();
    }
    this.#idle.add(stream);
    return true;
  }

  override reuseSocket(stream: Duplex, request: ClientRequest): void {
    this.#idle.delete(stream);
    // It takes away what node:http has put on an idle stream.
    super.reuseSocket(stream, request);
  }

  /** The client is gone: its dials are cancelled, its idle connections end, and those within an exchange are cut. */
  override destroy(): void {
    this.#gone = true;
    for (const request of this.#dialling) request.cancel();
    for (const stream of this.#idle) stream.end();
    for (const streams of Object.values(this.sockets)) streams?.forEach((stream) => stream.destroy());
  }
}

/** A connection that the proxy itself asks for, to forward requests over. */
class ForwardRequest implements ConnectRequest {
  readonly inbound = "http";
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly #answered: Connected;
  #phase: "unanswered" | "answered" | "gone" = "unanswered";
  #cancel: (() => void) | undefined;

  constructor(source: Endpoint, target: Endpoint, answered: Connected) {
    this.source = source;
    this.target = target;
    this.#answered = answered;
  }

  onCancel(callback: () => void): void {
    if (this.#phase === "gone") process.nextTick(callback);
    else this.#cancel = callback;
  }

  accept(): Duplex {
    const [engine, client] = PairEnd.create();
    if (this.#answer()) this.#answered(null, client);
    else engine.destroy();
    return engine;
  }

  reject(error: DialError): void {
    if (this.#answer()) this.#answered(error, PairEnd.create()[1]);
  }

  cancel(): void {
    if (this.#phase !== "unanswered") return;
    this.#phase = "gone";
    this.#answered(new DialError("cancelled", "the client went away"), PairEnd.create()[1]);
    this.#cancel?.();
  }

  #answer(): boolean {
    if (this.#phase === "gone") return false;
    if (this.#phase === "answered") throw new Error("a connect request was answered twice");
    this.#phase = "answered";
    return true;
  }
}
