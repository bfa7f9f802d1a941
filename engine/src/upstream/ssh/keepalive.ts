/** Notices a peer that is gone without saying so, after sleep too, and measures the round trip while at it. */
import type { Duplex } from "node:stream";
import type { Client } from "ssh2";

export interface KeepaliveOptions {
  /** Silence after which the peer is asked. */
  readonly intervalMs: number;
  /** The peer is dead after this many intervals of silence; never less than two, so that one question has its time. */
  readonly countMax: number;
  /** Called once, with the milliseconds of silence. */
  readonly onDead: (silentMs: number) => void;
  /** Called with the milliseconds that each answer took: at least a round trip. */
  readonly onAnswer?: (ms: number) => void;
}

/** How long an answer may take when there is reason to doubt the connection. */
const checkTimeoutMs = 3000;
/** So many questions come one after the other at the start: the first answers are slow for reasons of their own. */
const firstQuestions = 4;
/** A wall clock that has moved this much more than the monotonic one means that the machine slept. */
const sleepMs = 2000;

export class Keepalive {
  readonly #client: PingableClient;
  readonly #transport: Duplex;
  readonly #options: KeepaliveOptions;
  #timer: NodeJS.Timeout;
  #checkTimer: NodeJS.Timeout | undefined;
  #heardAt = performance.now();
  #tickedAt = performance.now();
  #wallAtTick = Date.now();
  #askedAt: number | undefined;
  #questions = 0;
  /** When the question was asked that was answered last. */
  #lastAnswered = Number.NEGATIVE_INFINITY;
  #latencyMs: number | undefined;

  /** @param transport is already being read by the client; everything that comes is a sign of life. */
  constructor(client: Client, transport: Duplex, options: KeepaliveOptions) {
    this.#client = client as unknown as PingableClient;
    this.#transport = transport;
    this.#options = options;
    transport.on("data", this.#heard);
    this.#timer = setTimeout(this.#tick, options.intervalMs);
    this.#ask();
  }

  /** Smoothed over about eight answers; absent before the first. */
  get latencyMs(): number | undefined {
    return this.#latencyMs;
  }

  /** Asks now, and takes silence for death within three seconds. */
  check(): void {
    if (this.#checkTimer !== undefined) return;
    const since = performance.now();
    this.#askedAt = undefined;
    this.#ask();
    this.#checkTimer = setTimeout(() => {
      this.#checkTimer = undefined;
      // What lay in the socket's buffer all the while comes at once, and is no sign of life. Where much is under way the
      // answer may have to queue, but then the rest keeps coming.
      const isAlive = this.#lastAnswered >= since || this.#heardAt >= since + checkTimeoutMs / 2;
      if (!isAlive) this.#die();
    }, checkTimeoutMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#checkTimer);
    this.#transport.removeListener("data", this.#heard);
  }

  readonly #heard = (): void => {
    this.#heardAt = performance.now();
  };

  readonly #tick = (): void => {
    const now = performance.now();
    const { intervalMs, countMax } = this.#options;
    const elapsed = now - this.#tickedAt;
    const slept = Date.now() - this.#wallAtTick - elapsed > sleepMs || elapsed > 2 * intervalMs + sleepMs;
    this.#tickedAt = now;
    this.#wallAtTick = Date.now();
    const deadline = intervalMs * Math.max(2, countMax);
    // What sleep made of the silence says nothing about the peer; its answer now does.
    if (slept) this.check();
    else if (this.#checkTimer === undefined && now - this.#heardAt >= deadline) {
      this.#die();
      return;
    }
    this.#ask();
    const wait = Math.min(intervalMs, Math.max(1, this.#heardAt + deadline - now));
    this.#timer = setTimeout(this.#tick, slept ? intervalMs : wait);
  };

  /**
   * OpenSSH's own keepalive, a global request that wants a reply (RFC 4254 §4): a refusal is an answer too. One at a
   * time, but for a check's.
   */
  #ask(): void {
    if (this.#askedAt !== undefined || !this.#transport.writable) return;
    const askedAt = performance.now();
    this.#askedAt = askedAt;
    this.#questions++;
    this.#client._callbacks.push((outcome) => {
      // ssh2 answers what was never answered with an Error when the connection ends.
      if (outcome instanceof Error) return;
      if (this.#askedAt === askedAt) this.#askedAt = undefined;
      this.#lastAnswered = askedAt;
      const latency = performance.now() - askedAt;
      this.#latencyMs =
        this.#latencyMs === undefined ? latency : this.#latencyMs + (latency - this.#latencyMs) / 8;
      this.#options.onAnswer?.(latency);
      if (this.#questions < firstQuestions) this.#ask();
    });
    this.#client._protocol.ping();
  }

  #die(): void {
    this.stop();
    this.#options.onDead(performance.now() - this.#heardAt);
  }
}

/** The part of ssh2 1.17.0's Client that its own keepalive uses; it tells nobody the round trip, and knows no sleep. */
interface PingableClient {
  readonly _callbacks: ((outcome: boolean | Error) => void)[];
  readonly _protocol: { ping(): void };
}
