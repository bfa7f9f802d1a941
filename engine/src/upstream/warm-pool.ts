import type { Duplex } from "node:stream";
import { Backoff } from "./backoff.ts";
import { ConnectDeadlines } from "./connect-deadlines.ts";
import { ignoreError } from "./egress.ts";
import type { CancelSignal } from "../cancel.ts";
import { DialError } from "../errors.ts";
import { needsPerson } from "./links.ts";

export interface WarmPoolOptions {
  /** Connections kept ready while there is traffic. 0: none, ever. */
  readonly size: number;
  /** Makes one connection that is ready for a request. */
  readonly open: (signal: CancelSignal) => Promise<Duplex>;
  readonly connectTimeoutMs: number;
  /** The most kept ready under load. */
  readonly cap?: number;
  /** A ready connection is replaced after this time, less up to a fifth by chance: proxies close idle ones. */
  readonly maxAgeMs?: number;
  /** Without a dial for this long, nothing is kept ready any more. */
  readonly idleMs?: number;
  readonly backoff?: Backoff;
}

interface Warm {
  readonly stream: Duplex;
  readonly expires: number;
}

const TICK_MS = 250;

/**
 * Connections to a proxy that are ready for a request, so that a dial costs one round trip less. Filled by the traffic itself:
 * nothing is opened before the first dial has succeeded, and nothing kept once dials have ceased. Under load it keeps as many
 * as dials come in while one is being made.
 */
export class WarmPool {
  readonly #options: Required<Omit<WarmPoolOptions, "backoff" | "connectTimeoutMs">>;
  readonly #backoff: Backoff;
  readonly #attempts: ConnectDeadlines;
  /** The newest last; it is taken first, so that what the load needs no more grows old. */
  readonly #ready: Warm[] = [];
  #tick: NodeJS.Timeout | undefined;
  #lastDial = 0;
  /** Dials since the last tick, and their smoothed rate in dials per millisecond. */
  #dials = 0;
  #rate = 0;
  /** Smoothed milliseconds to make one ready connection. */
  #openMs = 0;
  /** Not opened before this time; Infinity until a connection has succeeded, and after a refusal that only a person can mend. */
  #notBefore = Infinity;
  /** Counted up to tell connections made for an earlier network from those made for this one. */
  #generation = 0;
  #closed = false;
  readonly #onDead: (this: Duplex) => void;

  constructor(options: WarmPoolOptions) {
    this.#options = { cap: 64, maxAgeMs: 20_000, idleMs: 60_000, ...options };
    this.#backoff = options.backoff ?? new Backoff();
    this.#attempts = new ConnectDeadlines(options.connectTimeoutMs);
    const drop = (stream: Duplex) => this.#drop(stream);
    this.#onDead = function () {
      drop(this);
    };
  }

  get ready(): number {
    return this.#ready.length;
  }

  get connecting(): number {
    return this.#attempts.size;
  }

  /** A connection that was ready a moment ago, now the caller's, or undefined. Counts as a dial either way. */
  take(): Duplex | undefined {
    if (this.#closed || this.#options.size === 0) return undefined;
    const now = performance.now();
    this.#lastDial = now;
    this.#dials++;
    this.#tick ??= setInterval(() => this.#onTick(), TICK_MS).unref();
    let taken: Duplex | undefined;
    while (taken === undefined) {
      const warm = this.#ready.pop();
      if (!warm) break;
      this.#unwatch(warm.stream);
      if (isUsable(warm.stream) && warm.expires > now) taken = warm.stream;
      else warm.stream.destroy();
    }
    this.#fill(now);
    return taken;
  }

  /** The proxy was reached: filling may begin, or begin again. */
  proxyReached(): void {
    this.#backoff.reset();
    if (this.#notBefore === 0) return;
    this.#notBefore = 0;
    this.#fill(performance.now());
  }

  /** Drops what is ready and what is being made, and begins afresh where there is traffic. */
  refresh(): void {
    this.#generation++;
    this.#attempts.abortAll(new DialError("cancelled", "the network changed"));
    this.#dropAll();
    if (this.#tick) this.#fill(performance.now());
  }

  close(): void {
    this.#closed = true;
    this.#generation++;
    this.#stop();
    this.#attempts.abortAll(new DialError("closed", "the upstream was closed"));
  }

  #target(): number {
    const { size, cap } = this.#options;
    return Math.min(Math.max(cap, size), Math.max(size, Math.ceil(this.#rate * this.#openMs * 1.5)));
  }

  #fill(now: number): void {
    if (this.#closed || now < this.#notBefore || !this.#tick) return;
    const missing = this.#target() - this.#ready.length - this.#attempts.size;
    for (let i = 0; i < missing; i++) void this.#openOne();
  }

  async #openOne(): Promise<void> {
    const generation = this.#generation;
    const attempt = this.#attempts.begin();
    const began = performance.now();
    try {
      const stream = await this.#options.open(attempt.signal);
      if (generation === this.#generation && this.#tick) this.#keep(stream, performance.now() - began);
      else stream.destroy();
    } catch (error) {
      // Whoever dials next meets the same failure and tells it; here it only means to wait.
      if (generation === this.#generation && needsPerson(error)) this.#notBefore = Infinity;
      else if (generation === this.#generation && this.#notBefore <= performance.now())
        this.#notBefore = performance.now() + this.#backoff.next();
    } finally {
      attempt.end();
    }
  }

  #keep(stream: Duplex, openMs: number): void {
    this.#backoff.reset();
    this.#openMs = this.#openMs === 0 ? openMs : this.#openMs * 0.8 + openMs * 0.2;
    const age = this.#options.maxAgeMs * (1 - 0.2 * Math.random());
    this.#ready.push({ stream, expires: performance.now() + age });
    // Reading is what shows that the proxy has ended it, or says something that nobody asked for.
    stream.on("data", this.#onDead).on("end", this.#onDead).on("close", this.#onDead);
    if (stream.listenerCount("error") === 0) stream.on("error", ignoreError);
    stream.resume();
  }

  #unwatch(stream: Duplex): void {
    stream.removeListener("data", this.#onDead);
    stream.removeListener("end", this.#onDead);
    stream.removeListener("close", this.#onDead);
    stream.pause();
  }

  #drop(stream: Duplex): void {
    const index = this.#ready.findIndex((warm) => warm.stream === stream);
    if (index !== -1) this.#ready.splice(index, 1);
    this.#unwatch(stream);
    stream.destroy();
    // The next tick replaces it: a proxy that closes each one at once must not be asked in a loop.
  }

  #dropAll(): void {
    for (const { stream } of this.#ready.splice(0)) {
      this.#unwatch(stream);
      stream.destroy();
    }
  }

  #onTick(): void {
    const now = performance.now();
    this.#rate = this.#rate * 0.5 + (this.#dials / TICK_MS) * 0.5;
    this.#dials = 0;
    if (now - this.#lastDial > this.#options.idleMs) {
      this.#stop();
      return;
    }
    const target = this.#target();
    // The oldest are first. What is beyond the target goes a quarter at a time, so that load that comes in bursts keeps it.
    let spare = Math.ceil((this.#ready.length - target) / 4);
    while (this.#ready.length > 0 && (this.#ready[0]!.expires <= now || spare-- > 0))
      this.#drop(this.#ready[0]!.stream);
    this.#fill(now);
  }

  #stop(): void {
    clearInterval(this.#tick);
    this.#tick = undefined;
    this.#rate = 0;
    this.#dropAll();
  }
}

function isUsable(stream: Duplex): boolean {
  return stream.writable && stream.readable && stream.readableLength === 0;
}
