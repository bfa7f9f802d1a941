import { randomInt } from "node:crypto";
import type { Duplex } from "node:stream";
import { type Endpoint, formatEndpoint } from "../endpoint.ts";
import { abortReason, DialError } from "../errors.ts";
import type { Dialer } from "../upstream/dialer.ts";
import { FrameReader, writeFrame } from "./frames.ts";
import type { AskOptions } from "./path.ts";

/** Questions on one connection that wait for their answers. */
export const MAX_PIPELINED = 256;
/** A connection without a question is kept this long (RFC 7766 §6.2.3 wants seconds). */
const IDLE_MS = 10_000;
/** Connecting to the server, through whatever lies between. */
const DIAL_MS = 10_000;

interface Waiting {
  /** Bytes 12 onwards, where a question has to come back. */
  readonly queryId: number;
  settle(answer: Buffer | Error): void;
}

interface Connection {
  readonly stream: Duplex;
  readonly waiting: Map<number, Waiting>;
  /** Messages that came; so that a silent connection is told from a slow question. */
  heard: number;
}

/**
 * Asks one server over one connection that all questions share (RFC 7766 §6.2.1), so that a lookup costs no channel of an
 * upstream. It is made with the first question and closed when there has been none for a while; a question during which it
 * is lost fails, to be asked again on the next one.
 */
export class DnsOverStream {
  readonly #server: Endpoint;
  readonly #dialer: Pick<Dialer, "dial">;
  readonly #idleMs: number;
  #connection: Connection | undefined;
  #connecting: Promise<Connection> | undefined;
  #cancelDial: AbortController | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #asking = 0;
  #closed = false;

  constructor(server: Endpoint, dialer: Pick<Dialer, "dial">, options: { readonly idleMs?: number } = {}) {
    this.#server = server;
    this.#dialer = dialer;
    this.#idleMs = options.idleMs ?? IDLE_MS;
  }

  /** True while there is neither a connection nor a question. */
  get isIdle(): boolean {
    return this.#connection === undefined && this.#asking === 0;
  }

  /**
   * @returns the answer under the id of `query`; whether it answers the question is the caller's to see.
   * @throws {DialError} of the dial; `closed` when the connection ends first; `limit`; or the signal's reason.
   */
  async ask(query: Buffer, { signal }: AskOptions): Promise<Buffer> {
    if (signal.aborted) throw abortReason(signal);
    this.#asking += 1;
    try {
      const connection = this.#connection ?? (await this.#awaitConnection(signal));
      return await this.#askOn(connection, query, signal);
    } finally {
      this.#asking -= 1;
      // Whoever asks again at once finds the dial still under way.
      if (this.#asking === 0 && this.#cancelDial) setImmediate(() => this.#endUselessDial());
    }
  }

  close(): void {
    this.#closed = true;
    this.#cancelDial?.abort();
    this.#connection?.stream.destroy();
  }

  #endUselessDial(): void {
    if (this.#asking === 0) this.#cancelDial?.abort();
  }

  #awaitConnection(signal: AbortSignal): Promise<Connection> {
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = undefined));
    const connecting = this.#connecting;
    return new Promise((resolve, reject) => {
      const onAbort = () => reject(abortReason(signal));
      signal.addEventListener("abort", onAbort, { once: true });
      connecting.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
    });
  }

  async #connect(): Promise<Connection> {
    if (this.#closed) throw lost(this.#server);
    const controller = new AbortController();
    this.#cancelDial = controller;
    const late = new DialError("timeout", `${formatEndpoint(this.#server)} could not be reached in time`);
    const timer = setTimeout(() => controller.abort(late), DIAL_MS);
    try {
      const stream = await this.#dialer.dial(this.#server, { signal: controller.signal });
      return this.#open(stream);
    } finally {
      clearTimeout(timer);
      this.#cancelDial = undefined;
    }
  }

  #open(stream: Duplex): Connection {
    const connection: Connection = { stream, waiting: new Map(), heard: 0 };
    this.#connection = connection;
    const frames = new FrameReader();
    stream.on("data", (chunk: Buffer) => {
      for (const message of frames.push(chunk)) this.#take(connection, message);
    });
    stream.on("error", () => stream.destroy());
    stream.on("end", () => stream.destroy());
    stream.on("close", () => this.#lose(connection));
    if (stream.destroyed) this.#lose(connection);
    else if (this.#closed) stream.destroy();
    else stream.resume();
    this.#rest(connection);
    return connection;
  }

  #askOn(connection: Connection, query: Buffer, signal: AbortSignal): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const { stream, waiting } = connection;
      if (signal.aborted) {
        reject(abortReason(signal));
        return;
      }
      if (stream.destroyed) {
        reject(lost(this.#server));
        return;
      }
      if (waiting.size >= MAX_PIPELINED) {
        reject(tooMany(this.#server));
        return;
      }
      let id = randomInt(65_536);
      while (waiting.has(id)) id = (id + 1) & 0xffff;
      const heardBefore = connection.heard;
      const onAbort = () => {
        entry.settle(abortReason(signal));
        // Not a word since this question: rather a dead connection than a slow name, and the next one is asked afresh.
        if (connection.heard === heardBefore) stream.destroy();
      };
      const entry: Waiting = {
        queryId: query.readUInt16BE(0),
        settle: (answer) => {
          waiting.delete(id);
          signal.removeEventListener("abort", onAbort);
          if (answer instanceof Error) reject(answer);
          else resolve(answer);
          this.#rest(connection);
        },
      };
      waiting.set(id, entry);
      signal.addEventListener("abort", onAbort, { once: true });
      clearTimeout(this.#idleTimer);
      const frame = writeFrame(query);
      frame.writeUInt16BE(id, 2);
      stream.write(frame);
    });
  }

  #take(connection: Connection, message: Buffer): void {
    connection.heard += 1;
    if (message.length < 2) return;
    const entry = connection.waiting.get(message.readUInt16BE(0));
    if (entry === undefined) return;
    message.writeUInt16BE(entry.queryId, 0);
    entry.settle(message);
  }

  /** Closes the connection after a while without a question. */
  #rest(connection: Connection): void {
    if (connection.waiting.size > 0 || connection.stream.destroyed) return;
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => connection.stream.destroy(), this.#idleMs).unref();
  }

  #lose(connection: Connection): void {
    if (this.#connection === connection) {
      this.#connection = undefined;
      clearTimeout(this.#idleTimer);
    }
    for (const entry of [...connection.waiting.values()]) entry.settle(lost(this.#server));
  }
}

function lost(server: Endpoint): DialError {
  return new DialError("closed", `the DNS server ${formatEndpoint(server)} closed the connection`);
}

function tooMany(server: Endpoint): DialError {
  const sentence = `${MAX_PIPELINED} questions wait for the DNS server ${formatEndpoint(server)} already`;
  return new DialError("limit", sentence);
}
