import { performance } from "node:perf_hooks";
import type { Duplex } from "node:stream";
import { Mux, type MuxHandler, type MuxLimits, type WindowBudget } from "@sockeye/wire/mux";
import { MessageError } from "./messages.ts";
import { give, letGo } from "@sockeye/wire/given-memory";
import { MuxError } from "@sockeye/wire/mux-frames";
import { writeGiven } from "./write-given.ts";
import type { MuxStream, StreamReceiver } from "@sockeye/wire/mux-stream";

export interface LinkHandler {
  /** The peer opened a stream. @returns who reads from it. */
  opened(stream: MuxStream, header: Buffer): StreamReceiver;
  control(message: Buffer): void;
  /** The last stream that was open has ended, and what it had to send is with the socket. */
  emptied?(): void;
  /** Once, when the connection has ended; every stream of it is cut right after, when it counts on nobody any more. */
  closed(reason: LinkEnd): void;
}

/** Why a connection between relay and client ended. */
export interface LinkEnd {
  readonly code: "ended" | "silent" | "protocol" | "failed";
  readonly message: string;
}

export interface LinkOptions {
  readonly role: "relay" | "client";
  readonly handler: LinkHandler;
  readonly budget: WindowBudget;
  readonly limits?: Partial<MuxLimits>;
  readonly heartbeat?: Heartbeat;
}

export interface Heartbeat {
  /** Milliseconds from one sign of life to the next. */
  readonly intervalMs: number;
  /** Milliseconds without a byte after which the peer counts as dead. */
  readonly deadAfterMs: number;
}

export const HEARTBEAT: Heartbeat = { intervalMs: 2000, deadAfterMs: 6000 };

/** What waits in the socket beyond what the kernel holds: enough to keep it busy, little enough that turns stay fair. */
const ENOUGH_IN_SOCKET = 262_144;

/** How long the last words of a connection that we end may take. */
const LAST_WORDS_MS = 3000;

/**
 * A `Mux` on a socket. It owns the socket from the start, and closes it.
 *
 * Everything that is to be sent within one turn of the event loop leaves in one write: with many requests at once the cost of
 * a system call is shared by all of them.
 */
export class LinkConnection {
  readonly #socket: Duplex;
  readonly #mux: Mux;
  readonly #handler: LinkHandler;
  readonly #heartbeat: Heartbeat;
  readonly #timer: NodeJS.Timeout;
  #lastHeard = performance.now();
  #end: LinkEnd | undefined;
  #flushSoon = false;
  #hadStreams = false;
  #received = 0;
  #sent = 0;

  /** @param rest bytes that came with the end of a handshake. */
  constructor(socket: Duplex, options: LinkOptions, rest?: Buffer) {
    this.#socket = socket;
    this.#handler = options.handler;
    this.#heartbeat = options.heartbeat ?? HEARTBEAT;
    const handler: MuxHandler = {
      wake: () => this.#wake(),
      opened: (stream, header) => {
        this.#hadStreams = true;
        return this.#handler.opened(stream, header);
      },
      control: (message) => this.#handler.control(message),
      pong: () => {},
    };
    this.#mux = new Mux({
      role: options.role,
      handler,
      budget: options.budget,
      now: () => performance.now(),
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
    socket.on("data", (chunk: Buffer) => {
      give(chunk);
      this.#receive(chunk);
      letGo(chunk);
    });
    socket.on("drain", () => this.#flush());
    socket.on("end", () => this.#cut({ code: "ended", message: "the peer ended the connection" }));
    socket.on("error", (error) => this.#cut({ code: "failed", message: error.message }));
    socket.on("close", () => this.#cut({ code: "ended", message: "the connection closed" }));
    this.#timer = setInterval(() => this.#beat(), this.#heartbeat.intervalMs);
    // Whoever had it before may have paused it.
    socket.resume();
    if (rest !== undefined && rest.length > 0) queueMicrotask(() => this.#receive(rest));
    this.#mux.ping();
  }

  get canOpen(): boolean {
    return this.#mux.canOpen;
  }

  /** Streams that are open. */
  get streams(): number {
    return this.#mux.streams;
  }

  /** The least round trip seen, in milliseconds; 0 while none is known. */
  get roundTripMs(): number {
    return this.#mux.roundTripMs;
  }

  get bytesReceived(): number {
    return this.#received;
  }

  get bytesSent(): number {
    return this.#sent;
  }

  /** @throws {MuxError} where `canOpen` is false. */
  open(header: Buffer, receiver: StreamReceiver): MuxStream {
    this.#hadStreams = true;
    return this.#mux.open(header, receiver);
  }

  sendControl(message: Buffer): void {
    this.#mux.sendControl(message);
  }

  /**
   * Ends the connection; streams that are open are cut. What was said by `sendControl` before still goes out.
   * @param lastWordsMs how long that, and the data of streams that have ended, may take.
   */
  close(message = "closed here", lastWordsMs = LAST_WORDS_MS): void {
    if (this.#end !== undefined) return;
    this.#flush();
    this.#socket.end();
    this.#finish({ code: "ended", message });
    const late = setTimeout(() => this.#socket.destroy(), lastWordsMs).unref();
    this.#socket.once("close", () => clearTimeout(late));
  }

  #receive(chunk: Buffer): void {
    this.#lastHeard = performance.now();
    this.#received += chunk.length;
    try {
      this.#mux.receive(chunk);
    } catch (error) {
      if (!(error instanceof MuxError) && !(error instanceof MessageError)) throw error;
      this.#cut({ code: "protocol", message: error.message });
    }
    this.#tellEmptied();
  }

  #tellEmptied(): void {
    if (!this.#hadStreams || this.#mux.streams > 0 || this.#end !== undefined) return;
    this.#hadStreams = false;
    this.#handler.emptied?.();
  }

  /** The peer is asked while it is silent, and given up when it stays so. */
  #beat(): void {
    const silentMs = performance.now() - this.#lastHeard;
    if (silentMs > this.#heartbeat.deadAfterMs)
      this.#cut({ code: "silent", message: `nothing was heard for ${Math.round(silentMs / 1000)} seconds` });
    else this.#mux.ping();
  }

  #wake(): void {
    if (this.#flushSoon) return;
    this.#flushSoon = true;
    setImmediate(() => {
      this.#flushSoon = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#end !== undefined) return;
    const socket = this.#socket;
    socket.cork();
    while (socket.writableLength < ENOUGH_IN_SOCKET) {
      const pieces = this.#mux.take(ENOUGH_IN_SOCKET);
      if (pieces.length === 0) break;
      for (const piece of pieces) {
        this.#sent += piece.length;
        writeGiven(socket, piece);
      }
    }
    socket.uncork();
    this.#tellEmptied();
  }

  #cut(end: LinkEnd): void {
    this.#finish(end);
    this.#socket.destroy();
  }

  #finish(end: LinkEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    clearInterval(this.#timer);
    this.#handler.closed(end);
    this.#mux.close();
  }
}
