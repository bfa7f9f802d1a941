import type { Duplex } from "node:stream";
import type { Limits, Secret, UpstreamConfig, UpstreamType } from "../config/config.ts";
import { parseEndpoint, type Endpoint } from "../endpoint.ts";
import { abortReason, DialError } from "../errors.ts";
import { ConnectDeadlines } from "./connect-deadlines.ts";
import type { Dialer, DialOptions } from "./dialer.ts";
import { isDirect } from "./direct-upstream.ts";
import { NoAnswerError } from "./exchange.ts";
import { FirstContact } from "./first-contact.ts";
import { FailureLog } from "./failure-log.ts";
import { GivenStreams } from "./given-streams.ts";
import { dialVia, namedFailure } from "./links.ts";
import { runTest } from "./step-clock.ts";
import type {
  TestOptions,
  Upstream,
  UpstreamEvents,
  UpstreamLog,
  UpstreamStatus,
  UpstreamTestResult,
} from "./upstream.ts";
import { WarmPool } from "./warm-pool.ts";

/** What an upstream of the kinds socks5 and http is made from. */
export interface ProxyUpstreamOptions<Config extends UpstreamConfig> {
  readonly name: string;
  readonly config: Config;
  readonly limits: Limits;
  /** What the proxy is reached through: the machine's own network, or another upstream. */
  readonly via: Dialer;
  readonly events: UpstreamEvents;
  /** Read when it is first needed, and again after the proxy refused it. */
  readonly readSecret: (secret: Secret) => Promise<string>;
  readonly log: UpstreamLog;
}

/** What differs between the kinds of proxy. */
export interface ProxyProtocol {
  readonly type: UpstreamType;
  readonly defaultPort: number;
  /** Round trips that prepare() takes, so that its time tells the latency; 0 where it sends nothing. */
  readonly prepareRoundTrips: number;
  /**
   * Makes a fresh connection to the proxy ready for a request: TLS, greeting, authentication.
   * @throws {DialError} and has destroyed the stream then.
   */
  prepare(stream: Duplex, options: DialOptions): Promise<Duplex>;
  /** Where the proxy judges the credentials: while a connection is made ready, or with each request. */
  readonly authenticates: "preparation" | "request";
  /**
   * Finds out on a ready connection, without a target, whether this is a proxy that accepts our credentials, and ends it.
   * @param note takes what a person should know of the answer.
   * @throws {DialError}
   */
  check(stream: Duplex, options: DialOptions, note: (text: string) => void): Promise<void>;
  /**
   * Asks for a connection to `target` on a ready one, which it returns.
   * @throws {DialError} and has destroyed the stream then; NoAnswerError where the proxy had gone before.
   */
  connect(stream: Duplex, target: Endpoint, options: DialOptions): Promise<Duplex>;
}

/** Attaches what a request asked for to a ready connection. Destroys the connection when it throws. */
type Ask<Result> = (stream: Duplex) => Promise<Result>;

/** An upstream that makes one connection to its proxy for each flow, some of them ahead of time. */
export class ProxyUpstream implements Upstream {
  readonly name: string;
  readonly type: UpstreamType;
  /** The proxy itself. */
  readonly address: Endpoint;
  protected readonly via: Dialer;
  readonly #protocol: ProxyProtocol;
  readonly #events: UpstreamEvents;
  readonly #log: UpstreamLog;
  readonly #failures: FailureLog;
  readonly #poolSize: number;
  readonly #connectTimeoutMs: number;
  readonly #pool: WarmPool;
  readonly #given = new GivenStreams();
  readonly #attempts: ConnectDeadlines;
  readonly #firstContact: FirstContact;
  #health: "unknown" | "good" | "failing" = "unknown";
  /** That the proxy was reached shows nothing yet: its word on our credentials comes with a request, or was a refusal. */
  #unproven: boolean;
  /** It worked once, so that the next success after a failure is a reconnection. */
  #hadWorked = false;
  #lastError: UpstreamStatus["lastError"];
  #latencyMs: number | undefined;

  constructor(options: ProxyUpstreamOptions<UpstreamConfig>, protocol: ProxyProtocol) {
    this.name = options.name;
    this.type = protocol.type;
    this.address = parseEndpoint(options.config.address, protocol.defaultPort);
    this.via = options.via;
    this.#protocol = protocol;
    this.#events = options.events;
    this.#log = options.log;
    this.#failures = new FailureLog(options.log, options.name);
    this.#unproven = protocol.authenticates === "request";
    this.#poolSize = options.config.pool_size;
    this.#connectTimeoutMs = options.limits.connect_timeout * 1000;
    this.#attempts = new ConnectDeadlines(this.#connectTimeoutMs);
    this.#firstContact = new FirstContact({
      attempt: (signal) => this.#makeContact(signal),
      isKnown: () => this.#health === "good",
    });
    this.#pool = new WarmPool({
      size: this.#poolSize,
      connectTimeoutMs: this.#connectTimeoutMs,
      open: (signal) => this.#reachProxy({ signal }),
    });
  }

  dial(target: Endpoint, options: DialOptions): Promise<Duplex> {
    return this.request((stream) => this.#protocol.connect(stream, target, options), options);
  }

  /**
   * Gets a ready connection, warm or fresh, and asks on it. A warm one that turns out to be dead before the proxy answered
   * a byte is replaced once. The connection counts as given out from then on.
   * @throws {DialError} with scope `upstream` for all that comes before the request, and our name before its sentence.
   */
  protected async request<Result>(ask: Ask<Result>, options: DialOptions): Promise<Result> {
    if (this.#isClosing()) throw namedFailure(closedError(), this.name, options.signal);
    if (options.signal.aborted) throw abortReason(options.signal);
    this.#given.begin();
    try {
      const warm = this.#pool.take();
      if (warm) {
        // From here it is cut when the upstream is closed, request or not.
        this.#given.add(warm);
        try {
          const result = await ask(warm);
          this.#noteAnswer();
          return result;
        } catch (error) {
          this.#noteRefusal(error);
          if (!(error instanceof NoAnswerError) || this.#isClosing()) throw error;
          this.#log.debug({ upstream: this.name }, "a warm connection was dead; dialling afresh");
        }
      }
      return await this.#askAfresh(ask, options, warm !== undefined);
    } catch (error) {
      throw namedFailure(error, this.name, options.signal);
    } finally {
      this.#given.end();
    }
  }

  async #askAfresh<Result>(ask: Ask<Result>, options: DialOptions, again: boolean): Promise<Result> {
    const wasGood = this.#health === "good";
    const stream = await this.#openFor(options);
    if (again && wasGood) this.#events.onReconnect(this.name);
    this.#given.add(stream);
    try {
      const result = await ask(stream);
      this.#noteAnswer();
      return result;
    } catch (error) {
      this.#noteRefusal(error);
      throw error;
    }
  }

  #noteRefusal(error: unknown): void {
    if (error instanceof DialError && error.scope === "upstream") {
      this.#unproven = true;
      this.#noteFailure(error);
    } else if (isVerdict(error)) {
      this.#noteAnswer();
    }
  }

  /** The proxy took a request of ours, whatever became of it. */
  #noteAnswer(): void {
    this.#unproven = false;
    this.#noteSuccess();
  }

  /** A fresh connection for a dial: it ends with the dial's signal, the connect time-out, or the upstream. */
  async #openFor(options: DialOptions): Promise<Duplex> {
    const attempt = this.#attempts.begin(options.signal);
    try {
      return await this.#reachProxy({ ...options, signal: attempt.signal });
    } finally {
      attempt.end();
    }
  }

  /** As a test does; but how it went counts. */
  async #makeContact(signal: AbortSignal): Promise<void> {
    const attempt = this.#attempts.begin(signal);
    try {
      const stream = await this.#connectProxy({ signal: attempt.signal });
      await this.#protocol.check(stream, { signal: attempt.signal }, () => {});
      stream.destroy();
      this.#noteAnswer();
    } catch (error) {
      throw this.#noteFailure(error);
    } finally {
      attempt.end();
    }
  }

  /** Connects as far as "ready", and takes note of how it went. */
  #reachProxy(options: DialOptions): Promise<Duplex> {
    return this.#connectProxy(options).then(this.#reached, this.#notReached);
  }

  readonly #reached = (stream: Duplex): Duplex => {
    if (this.#unproven) this.#pool.proxyReached();
    else this.#noteSuccess();
    return stream;
  };

  readonly #notReached = (error: unknown): never => {
    throw this.#noteFailure(error);
  };

  async #connectProxy(options: DialOptions): Promise<Duplex> {
    const started = performance.now();
    const raw = await dialVia(this.via, this.address, this.#optionsForVia(options));
    const connected = performance.now();
    const stream = await this.#protocol.prepare(raw, options);
    const rounds = this.#protocol.prepareRoundTrips;
    const prepareMs = performance.now() - connected;
    // A name's resolution is in the first figure and TLS's arithmetic in the second: the smaller is nearer the round trip.
    this.#noteLatency(rounds === 0 ? connected - started : Math.min(connected - started, prepareMs / rounds));
    return stream;
  }

  /**
   * The proxy's name waits in no application's turn. Another upstream's own steps would be taken for ours: its whole dial is
   * the step in which we reach the proxy.
   */
  #optionsForVia({ signal, flow, onStep }: DialOptions): DialOptions {
    const ours = { signal, ...(flow !== undefined && { flow }) };
    if (!onStep) return ours;
    if (isDirect(this.via)) return { ...ours, onStep };
    onStep("tcp");
    return ours;
  }

  #noteSuccess(): void {
    const before = this.#health;
    this.#health = "good";
    this.#failures.forget();
    this.#pool.proxyReached();
    if (before === "good") return;
    if (before === "failing" && this.#hadWorked) this.#events.onReconnect(this.name);
    this.#hadWorked = true;
    this.#events.onStateChange(this.name, true);
  }

  #noteFailure(error: unknown): DialError {
    const failed =
      error instanceof DialError ? error : new DialError("internal", String(error), { cause: error });
    if (failed.code === "cancelled" || this.#isClosing()) return failed;
    const seen = failed.scope === "upstream" ? failed : asOurs(failed);
    this.#lastError = { code: seen.code, message: seen.message, at: Date.now() };
    this.#failures.tell(seen);
    if (this.#health === "failing") return seen;
    this.#health = "failing";
    this.#events.onStateChange(this.name, false);
    return seen;
  }

  #noteLatency(ms: number): void {
    this.#latencyMs = this.#latencyMs === undefined ? ms : this.#latencyMs * 0.875 + ms * 0.125;
  }

  status(): UpstreamStatus {
    const connecting = this.#attempts.size + this.#pool.connecting;
    const pool = {
      size: this.#poolSize,
      ready: this.#pool.ready,
      connecting,
      active: this.#given.size,
    };
    return {
      state: this.#state(pool),
      ...(this.#latencyMs !== undefined && { latencyMs: this.#latencyMs }),
      ...(this.#lastError && { lastError: this.#lastError }),
      pool,
    };
  }

  #state(pool: UpstreamStatus["pool"]): UpstreamStatus["state"] {
    if (this.#health === "failing") return "failing";
    if (pool.ready > 0 || pool.active > 0) return "connected";
    return pool.connecting > 0 ? "connecting" : "idle";
  }

  test(options: TestOptions): Promise<UpstreamTestResult> {
    return runTest(options, async (steps, note) => {
      const attempt = new ConnectDeadlines(this.#connectTimeoutMs).begin(options.signal);
      try {
        const stream = await this.#connectProxy({ ...steps, signal: attempt.signal });
        if (options.target) await this.#protocol.connect(stream, options.target, steps);
        else await this.#protocol.check(stream, { ...steps, signal: attempt.signal }, note);
        stream.destroy();
      } finally {
        attempt.end();
      }
    });
  }

  keepWarm(on: boolean): void {
    if (on) this.#firstContact.start();
    else this.#firstContact.stop();
  }

  refresh(): void {
    this.#pool.refresh();
    if (this.#firstContact.isWaiting) this.#firstContact.start();
  }

  async close(drainMs: number): Promise<void> {
    this.#firstContact.close();
    this.#pool.close();
    await this.#given.drain(drainMs);
    this.#attempts.abortAll(closedError());
    this.#given.cut();
  }

  #isClosing(): boolean {
    return this.#given.closing;
  }
}

function closedError(): DialError {
  return new DialError("closed", "the upstream is closed", { scope: "upstream" });
}

/** What stood between us and the proxy is our failure to whoever dials through us. */
function asOurs(failed: DialError): DialError {
  return new DialError(failed.code, failed.message, { cause: failed, step: failed.step, scope: "upstream" });
}

/** The proxy's own word on a target, and not the end of the wait for it. */
function isVerdict(error: unknown): boolean {
  if (!(error instanceof DialError)) return false;
  return !["closed", "timeout", "cancelled", "internal"].includes(error.code);
}
