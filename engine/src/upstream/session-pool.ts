/** Several long-lived connections to one upstream behind one dial: filled as needed, replaced when dead, drained at the end. */
import type { Duplex } from "node:stream";
import type { Endpoint } from "../endpoint.ts";
import { abortReason, DialError, type DialStep } from "../errors.ts";
import { Backoff } from "./backoff.ts";
import type { DialOptions } from "./dialer.ts";
import { needsPerson } from "./links.ts";
import type { UpstreamStatus } from "./upstream.ts";

/** One connection that carries many streams. */
export interface Session {
  /** @throws {DialError} A refused target leaves the session as it is. */
  dial(target: Endpoint, options: DialOptions): Promise<Duplex>;
  /** Streams open or being opened; counts a stream from the moment dial is called. */
  readonly active: number;
  readonly latencyMs: number | undefined;
  /** Why it has ended; absent while it is up. */
  readonly closedBy: DialError | undefined;
  /** Called once, at once where it has ended already. */
  onceClosed(listener: (error: DialError) => void): void;
  /** Finds out soon whether the peer is still there. */
  refresh(): void;
  /** Ends it, and whatever streams it still has. */
  close(): void;
}

export interface ConnectOptions {
  readonly signal: AbortSignal;
  readonly onStep: (step: DialStep) => void;
}

export interface SessionPoolOptions {
  readonly size: number;
  readonly strategy: "round-robin" | "least-connections";
  /** Has a time limit of its own: no single dial's deadline ends it, for others wait for it too. */
  readonly connect: (options: ConnectOptions) => Promise<Session>;
  readonly onStateChange: (connected: boolean) => void;
  readonly onReconnect: () => void;
  readonly backoff?: Backoff;
}

/** A dial waits for a try that comes within this time; beyond it, it fails with what the last try said. */
const patienceMs = 1000;
/** A session that ended sooner than this counts as a failed try, or a server that hangs up at once would be called without pause. */
const stableMs = 5000;
/** Used within this time, a lost session is replaced before anybody asks. */
const recentMs = 60_000;

interface Waiter {
  readonly resolve: (session: Session) => void;
  readonly reject: (error: DialError) => void;
  readonly onStep: ((step: DialStep) => void) | undefined;
}

export class SessionPool {
  readonly #options: SessionPoolOptions;
  readonly #backoff: Backoff;
  readonly #ready: Session[] = [];
  readonly #attempts = new Set<AbortController>();
  readonly #waiters = new Set<Waiter>();
  #turn = 0;
  #active = 0;
  /** Sessions that had been up and have not been made again. */
  #lost = 0;
  #usedAt = Number.NEGATIVE_INFINITY;
  #retryAt = 0;
  #retryTimer: NodeJS.Timeout | undefined;
  #step: DialStep | undefined;
  #lastError: { readonly error: DialError; readonly at: number } | undefined;
  #reported: boolean | undefined;
  /** It is to be up whether or not there is traffic. */
  #isWanted = false;
  #closed = false;
  #drained: (() => void) | undefined;

  constructor(options: SessionPoolOptions) {
    this.#options = options;
    this.#backoff = options.backoff ?? new Backoff();
  }

  /** Opens a stream on one of the sessions, connecting first where none is up. @throws {DialError} */
  async dial(target: Endpoint, options: DialOptions): Promise<Duplex> {
    if (this.#closed) throw closedError();
    if (options.signal.aborted) throw abortReason(options.signal);
    this.#usedAt = performance.now();
    this.#active++;
    try {
      const stream = await this.#open(target, options);
      if (stream.closed) this.#streamEnded();
      else stream.once("close", this.#streamEnded);
      return stream;
    } catch (error) {
      this.#streamEnded();
      throw error;
    }
  }

  async #open(target: Endpoint, options: DialOptions): Promise<Duplex> {
    const session = this.#pick() ?? (await this.#nextReady(options));
    try {
      return await session.dial(target, options);
    } catch (error) {
      // The session died under the dial. No stream was open, so nothing can happen twice; once more, on another.
      if (session.closedBy === undefined || options.signal.aborted || this.#closed) throw error;
      const other = this.#pick() ?? (await this.#nextReady(options));
      return await other.dial(target, options);
    }
  }

  readonly #streamEnded = (): void => {
    this.#active--;
    if (this.#active === 0) this.#drained?.();
  };

  #pick(): Session | undefined {
    if (this.#ready.length === 0) return undefined;
    this.#growIfBusy();
    if (this.#options.strategy === "round-robin") {
      this.#turn = (this.#turn + 1) % this.#ready.length;
      return this.#ready[this.#turn];
    }
    return this.#ready.reduce((least, session) => (session.active < least.active ? session : least));
  }

  /** One more session where each has something to do already. Nobody waits for it. */
  #growIfBusy(): void {
    const open = this.#ready.length + this.#attempts.size;
    if (open >= this.#options.size || this.#attempts.size > 0 || performance.now() < this.#retryAt) return;
    if (this.#ready.every((session) => session.active > 0)) this.#connect();
  }

  /** Connects before anybody needs it, and from now on whenever no session is left; or, with false, no longer. */
  keepWarm(on: boolean): void {
    this.#isWanted = on;
    if (!on || this.#closed || this.#ready.length > 0 || this.#attempts.size > 0) return;
    this.#connectAfter(this.#retryAt - performance.now());
  }

  /** The session that is being connected, or that will be within our patience. */
  async #nextReady(options: DialOptions): Promise<Session> {
    if (this.#attempts.size === 0) {
      const waitMs = this.#retryAt - performance.now();
      if (waitMs > patienceMs && this.#lastError !== undefined) throw this.#stillFailing(waitMs);
      this.#connectAfter(waitMs);
    } else if (this.#step !== undefined) {
      options.onStep?.(this.#step);
    }
    const { promise, resolve, reject } = Promise.withResolvers<Session>();
    const waiter: Waiter = { resolve, reject, onStep: options.onStep };
    const onAbort = (): void => reject(abortReason(options.signal));
    this.#waiters.add(waiter);
    options.signal.addEventListener("abort", onAbort);
    try {
      return await promise;
    } finally {
      options.signal.removeEventListener("abort", onAbort);
      this.#waiters.delete(waiter);
    }
  }

  #stillFailing(waitMs: number): DialError {
    const { error } = this.#lastError!;
    const sentence = `${error.message} (next try in ${Math.ceil(waitMs / 1000)} s)`;
    return new DialError(error.code, sentence, { step: error.step, scope: "upstream", cause: error });
  }

  #connectAfter(waitMs: number): void {
    if (waitMs <= 0) {
      clearTimeout(this.#retryTimer);
      this.#retryTimer = undefined;
      this.#connect();
      return;
    }
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = undefined;
      if (this.#attempts.size === 0) this.#connect();
    }, waitMs);
  }

  #connect(): void {
    const attempt = new AbortController();
    this.#attempts.add(attempt);
    this.#step = undefined;
    const onStep = (step: DialStep): void => {
      this.#step = step;
      for (const waiter of this.#waiters) waiter.onStep?.(step);
    };
    this.#options.connect({ signal: attempt.signal, onStep }).then(
      (session) => {
        this.#attempts.delete(attempt);
        if (this.#closed) session.close();
        else this.#connected(session);
      },
      (error: unknown) => {
        this.#attempts.delete(attempt);
        if (!this.#closed) this.#failed(asDialError(error));
      },
    );
  }

  #connected(session: Session): void {
    const since = performance.now();
    this.#retryAt = 0;
    this.#lastError = undefined;
    this.#ready.push(session);
    this.#report(true);
    if (this.#lost > 0) {
      this.#lost--;
      this.#options.onReconnect();
    }
    const waiting = this.#waiters.size;
    for (const waiter of this.#waiters) waiter.resolve(session);
    session.onceClosed((error) => this.#ended(session, error, since));
    // Several came at once: the next of them finds company.
    if (waiting > 1 && this.#ready.length + this.#attempts.size < this.#options.size) this.#connect();
  }

  #failed(error: DialError): void {
    this.#lastError = { error, at: Date.now() };
    this.#retryAt = performance.now() + this.#backoff.next();
    if (this.#ready.length > 0) return;
    this.#report(false);
    if (this.#attempts.size > 0) return;
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#replaceIfUsed();
  }

  #ended(session: Session, error: DialError, since: number): void {
    const index = this.#ready.indexOf(session);
    if (index !== -1) this.#ready.splice(index, 1);
    if (this.#closed) return;
    this.#lost = Math.min(this.#lost + 1, this.#options.size);
    if (session.active > 0) this.#usedAt = performance.now();
    if (performance.now() - since >= stableMs) {
      this.#backoff.reset();
      this.#retryAt = 0;
    } else {
      this.#retryAt = performance.now() + this.#backoff.next();
    }
    if (this.#ready.length > 0) return;
    this.#lastError = { error, at: Date.now() };
    this.#report(false);
    this.#replaceIfUsed();
  }

  /** Only what had been up or is wanted is called again unasked, and not where a person has to see to it first. */
  #replaceIfUsed(): void {
    if (needsPerson(this.#lastError?.error) || this.#attempts.size > 0) return;
    const wasInUse = this.#lost > 0 && performance.now() - this.#usedAt <= recentMs;
    if (!wasInUse && !this.#isWanted) return;
    this.#connectAfter(this.#retryAt - performance.now());
  }

  #report(connected: boolean): void {
    if (this.#reported === connected) return;
    this.#reported = connected;
    this.#options.onStateChange(connected);
  }

  /** After sleep or a change of network: old failures say nothing now, and old sessions may be dead. */
  refresh(): void {
    if (this.#closed) return;
    this.#backoff.reset();
    this.#retryAt = 0;
    for (const session of this.#ready) session.refresh();
    if (this.#ready.length === 0) {
      clearTimeout(this.#retryTimer);
      this.#retryTimer = undefined;
      if (this.#waiters.size > 0 && this.#attempts.size === 0) this.#connect();
      else this.#replaceIfUsed();
    }
  }

  status(): UpstreamStatus {
    const latencies = this.#ready.map((session) => session.latencyMs).filter((ms) => ms !== undefined);
    const last = this.#lastError;
    return {
      state: this.#state(),
      ...(latencies.length > 0 && {
        latencyMs: latencies.reduce((sum, ms) => sum + ms, 0) / latencies.length,
      }),
      ...(last && { lastError: { code: last.error.code, message: last.error.message, at: last.at } }),
      pool: {
        size: this.#options.size,
        ready: this.#ready.length,
        connecting: this.#attempts.size,
        active: this.#active,
      },
    };
  }

  #state(): UpstreamStatus["state"] {
    if (this.#ready.length > 0) return "connected";
    if (this.#attempts.size > 0) return "connecting";
    return this.#lastError === undefined ? "idle" : "failing";
  }

  /** Resolves once no stream is left, or at `drainMs`, when what is left is cut. */
  async close(drainMs: number): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retryTimer);
    for (const attempt of this.#attempts) attempt.abort(closedError());
    for (const waiter of this.#waiters) waiter.reject(closedError());
    if (this.#active > 0 && drainMs > 0) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      const timer = setTimeout(resolve, drainMs, undefined);
      this.#drained = () => resolve(undefined);
      await promise;
      clearTimeout(timer);
    }
    for (const session of this.#ready.splice(0)) session.close();
  }
}

function closedError(): DialError {
  return new DialError("closed", "the upstream is being closed", { scope: "upstream" });
}

/** What a try to connect failed with; what is no DialError is a defect of ours. */
export function asDialError(error: unknown): DialError {
  if (error instanceof DialError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new DialError("internal", message, { scope: "upstream", cause: error });
}
