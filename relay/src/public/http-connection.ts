import type { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { Carry, cut } from "@sockeye/link/carry";
import { writeGiven } from "@sockeye/link/write-given";
import { give } from "@sockeye/wire/given-memory";
import { HttpHeadError } from "@sockeye/wire/http-head";
import type { TunnelStream } from "@sockeye/wire/mux-stream";
import { type PublicRequest, PublicRequestReader } from "@sockeye/wire/request-head";
import { acceptOf, Exchange, type ExchangeHost } from "./exchange.ts";
import { originOf } from "./forwarded.ts";
import { type Refused, refusalResponse } from "./pages.ts";
import type { PublicContext } from "./public-context.ts";
import * as refusals from "./refusals.ts";

export interface PublicPeer {
  readonly address: string;
  readonly port: number;
  /** It came by TLS. */
  readonly secure: boolean;
}

/** Bytes that are read ahead of what is being served, after which the socket is left alone. */
const MAX_AHEAD_BYTES = 16_384;
/** How long a client may go on sending what nobody reads, so that it can read our answer first (RFC 9112 §9.6). */
const LINGER_MS = 2000;

/** One connection of the public: requests one after the other, each routed on its own. */
export class HttpConnection implements ExchangeHost {
  readonly #context: PublicContext;
  readonly #socket: Socket;
  readonly #peer: PublicPeer;
  readonly #onClosed: () => void;
  #state: "head" | "exchange" | "tunnel" | "lingering" | "closed" = "head";
  readonly #reader: PublicRequestReader;
  #exchange: Exchange | undefined;
  #carry: Carry | undefined;
  /** Of the tunnel that it has become: its request, told of as the bytes flow. */
  #upgraded: Exchange | undefined;
  /** Read, and not yet served. */
  #ahead: Buffer | undefined;
  #paused = false;
  #ended = false;
  /** The first byte of a head was seen. */
  #headBegun = false;
  #since = performance.now();
  #served = 0;
  #processing = false;
  #draining = false;
  /** Bytes of the last answer that had not left when we looked last. */
  #unsent = 0;

  constructor(context: PublicContext, socket: Socket, peer: PublicPeer, onClosed: () => void) {
    this.#context = context;
    this.#socket = socket;
    this.#peer = peer;
    this.#onClosed = onClosed;
    this.#reader = new PublicRequestReader(context.config.limits.head_bytes);
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("drain", this.#onDrain);
    socket.on("error", () => {});
    socket.on("close", () => this.#onClose());
    // It is paused where a PROXY header was read off it.
    socket.resume();
  }

  /** No request is under way. */
  get idle(): boolean {
    return this.#state === "head" && !this.#headBegun;
  }

  /** Ends once what is under way has its answer; at once where nothing is. */
  drainOut(): void {
    this.#draining = true;
    if (this.idle) this.#linger();
  }

  /** Ends it whatever is under way. */
  destroy(): void {
    this.#carry?.abort("cancelled");
    cut(this.#socket);
  }

  /** To be called several times a second: ends what takes longer than it may. */
  sweep(now: number): void {
    const limits = this.#context.config.limits;
    const waitedMs = now - this.#since;
    switch (this.#state) {
      case "head":
        if (this.#headBegun || this.#served === 0) {
          if (waitedMs > limits.head_timeout * 1000) this.#onSlowHead();
        } else if (waitedMs > limits.keep_alive_timeout * 1000) this.#linger();
        return;
      case "exchange": {
        this.#exchange!.sweep(now);
        return;
      }
      case "tunnel": {
        this.#sweepTunnel(now);
        return;
      }
      case "lingering":
        this.#sweepLingering(now);
        return;
      case "closed":
    }
  }

  /** The time to linger begins when the answer has left: one who reads slowly is to get all of it. */
  #sweepLingering(now: number): void {
    const { writableFinished, writableLength } = this.#socket;
    const { idle_timeout } = this.#context.config.limits;
    if (!writableFinished && writableLength !== this.#unsent) this.#since = now;
    this.#unsent = writableLength;
    const waitedMs = now - this.#since;
    const isLate = writableFinished
      ? waitedMs > LINGER_MS
      : idle_timeout > 0 && waitedMs > idle_timeout * 1000;
    if (isLate) this.#socket.destroy();
  }

  #onSlowHead(): void {
    if (this.#headBegun) this.#answer(refusals.slowRequest, undefined);
    else this.#socket.destroy();
  }

  #sweepTunnel(now: number): void {
    const { idle_timeout, half_close_timeout, total_timeout } = this.#context.config.limits;
    const carry = this.#carry!;
    this.#upgraded!.tellBytes(now, { bytesIn: carry.bytesToStream, bytesOut: carry.bytesToSocket });
    const quietMs = now - carry.lastActive;
    const idle = idle_timeout > 0 && quietMs > idle_timeout * 1000;
    const halfClosed = carry.halfClosed && quietMs > half_close_timeout * 1000;
    const tooLong = total_timeout > 0 && now - this.#since > total_timeout * 1000;
    if (idle || halfClosed || tooLong) carry.abort("cancelled");
  }

  // ── what the socket tells

  readonly #onData = (chunk: Buffer): void => {
    if (this.#state === "lingering") return;
    if (this.#ahead === undefined) {
      give(chunk);
      this.#ahead = chunk;
    } else this.#ahead = Buffer.concat([this.#ahead, chunk]);
    this.#serve();
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    if (this.#state === "head") this.#endIfServed();
    // Half a body will never be a whole one; a complete request still gets its answer.
    else if (this.#exchange !== undefined && !this.#exchange.requestComplete && this.#ahead === undefined)
      this.destroy();
  };

  readonly #onDrain = (): void => {
    this.#exchange?.drained();
    this.#serve();
    this.#endIfServed();
  };

  #onClose(): void {
    if (this.#state === "closed") return;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (this.#state === "exchange") exchange?.cancel();
    this.#state = "closed";
    this.#onClosed();
  }

  /** Serves what was read ahead, as far as it goes now. */
  #serve(): void {
    if (this.#processing) return;
    this.#processing = true;
    while (this.#ahead !== undefined && this.#step(this.#ahead));
    this.#processing = false;
    this.#setFlow();
  }

  /** @returns whether something was taken of what was read ahead. */
  #step(bytes: Buffer): boolean {
    // Whoever does not read the answers they have does not get another one.
    if (this.#state === "head") return !this.#socket.writableNeedDrain && this.#readHead(bytes);
    const exchange = this.#exchange;
    if (this.#state !== "exchange" || exchange === undefined || exchange.bodyBlocked) return false;
    const taken = exchange.takeBody(bytes);
    if (taken > 0) this.#ahead = taken === bytes.length ? undefined : bytes.subarray(taken);
    return taken > 0;
  }

  #setFlow(): void {
    const full = (this.#ahead?.length ?? 0) >= MAX_AHEAD_BYTES || (this.#exchange?.bodyBlocked ?? false);
    if (full === this.#paused || this.#state === "tunnel") return;
    this.#paused = full;
    if (full) this.#socket.pause();
    else this.#socket.resume();
  }

  #readHead(bytes: Buffer): boolean {
    if (!this.#headBegun) {
      this.#headBegun = true;
      this.#since = performance.now();
    }
    this.#ahead = undefined;
    try {
      const read = this.#reader.push(bytes);
      if (read === undefined) return false;
      if (read.rest.length > 0) this.#ahead = read.rest;
      this.#begin(read.request);
    } catch (error) {
      if (!(error instanceof HttpHeadError)) throw error;
      this.#ahead = undefined;
      this.#answer(refusals.badHead(error), undefined);
      return false;
    }
    return true;
  }

  #begin(request: PublicRequest): void {
    this.#state = "exchange";
    this.#served++;
    const origin = originOf(this.#peer, request.host, request.headers, this.#context.trusted);
    this.#exchange = new Exchange(this.#context, this, request, origin);
    this.#exchange.start();
  }

  // ── what the exchange tells

  write(bytes: Buffer): boolean {
    return writeGiven(this.#socket, bytes);
  }

  wantsBody(): void {
    this.#serve();
  }

  done(keepAlive: boolean): void {
    if (this.#state === "closed") return;
    this.#exchange = undefined;
    if (keepAlive && this.#mayGoOn) this.#next();
    else this.#linger();
  }

  refuse(refused: Refused): void {
    this.#answer(refused, this.#exchange?.request);
  }

  cut(): void {
    cut(this.#socket);
  }

  upgraded(stream: TunnelStream, rest: Buffer): void {
    const exchange = this.#exchange!;
    this.#exchange = undefined;
    this.#upgraded = exchange;
    this.#state = "tunnel";
    this.#since = performance.now();
    const socket = this.#socket;
    socket.off("data", this.#onData);
    socket.off("end", this.#onEnd);
    socket.off("drain", this.#onDrain);
    const carry = new Carry(socket, stream, () => {
      exchange.report({ bytesIn: carry.bytesToStream, bytesOut: carry.bytesToSocket });
    });
    this.#carry = carry;
    if (rest.length > 0) carry.data(rest);
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead !== undefined) carry.push(ahead);
    if (this.#ended) carry.socketEnded();
  }

  // ── ends

  get #mayGoOn(): boolean {
    return !this.#draining && (!this.#ended || this.#ahead !== undefined);
  }

  /** A client that has ended its side gets the answers to all that it had asked before. */
  #endIfServed(): void {
    if (this.#state === "head" && this.#ended && this.#ahead === undefined) this.#linger();
  }

  #next(): void {
    this.#state = "head";
    this.#headBegun = false;
    this.#since = performance.now();
    if (this.#ahead !== undefined) this.#serve();
    else this.#setFlow();
    this.#endIfServed();
  }

  /** Says why there is no other answer. @param request undefined where it could not be read. */
  #answer(refused: Refused, request: PublicRequest | undefined): void {
    if (this.#state === "closed") return;
    const complete = request?.framing.kind === "none";
    const keepAlive = complete && request.keepAlive && this.#mayGoOn;
    const accept = request && acceptOf(request);
    this.#socket.write(refusalResponse(refused, accept, { keepAlive, head: request?.method === "HEAD" }));
    this.#exchange = undefined;
    if (keepAlive) this.#next();
    else this.#linger();
  }

  /** Ends our side, and reads for a moment what still comes: a reset would take the answer away from the client. */
  #linger(): void {
    this.#state = "lingering";
    this.#since = performance.now();
    this.#ahead = undefined;
    this.#socket.end();
    if (this.#ended) return;
    this.#paused = false;
    this.#socket.resume();
  }
}
