import type { DialErrorCode, DialStep } from "../errors.ts";
import type { UpstreamType } from "../config/config.ts";
import type { Dialer } from "./dialer.ts";

/** A configured upstream: a dialer with a name, a pool and a state that people can look at. */
export interface Upstream extends Dialer {
  readonly name: string;
  readonly type: UpstreamType | "direct";
  status(): UpstreamStatus;
  /** Connects afresh, beside the pool, as far as authentication, and reports each step. Never throws. */
  test(options: TestOptions): Promise<UpstreamTestResult>;
  /**
   * With true, finds out before any dial how it fares, as status() then says; where it can't be reached it is tried again
   * until it can. With false, it waits for dials again.
   */
  keepWarm(on: boolean): void;
  /** After the machine slept or changed network: checks what is open at once and replaces what is dead. */
  refresh(): void;
  /**
   * Takes no more dials. Resolves once every stream it gave out has ended, or at `drainMs`, when the rest is cut.
   * With 0 everything is cut at once.
   */
  close(drainMs: number): Promise<void>;
}

export interface UpstreamStatus {
  /** idle: nothing open and nothing wrong, as before the first dial. */
  readonly state: "idle" | "connecting" | "connected" | "failing";
  /** Round trip to the upstream in milliseconds, smoothed; absent until measured. */
  readonly latencyMs?: number;
  readonly lastError?: { readonly code: DialErrorCode; readonly message: string; readonly at: number };
  /** What is open, one entry a connection of the pool (SSH), or the warm connections counted (SOCKS5, HTTP). */
  readonly pool: PoolStatus;
}

export interface PoolStatus {
  /** `pool_size`. */
  readonly size: number;
  readonly ready: number;
  readonly connecting: number;
  /** Streams in use now. */
  readonly active: number;
}

export interface TestOptions {
  readonly signal: AbortSignal;
  /** Where given, a target to dial through the upstream as the last step. */
  readonly target?: { host: string; port: number };
  readonly onStep?: (step: DialStep) => void;
  /** Told when a person is being asked, and when the answer is there: a time limit should stand still meanwhile. */
  readonly onPrompt?: ((open: boolean) => void) | undefined;
}

export interface UpstreamTestResult {
  readonly ok: boolean;
  /** The steps passed, each with its milliseconds, in order. */
  readonly steps: readonly { readonly step: DialStep; readonly ms: number }[];
  /** Present when not ok. */
  readonly failure?: {
    readonly step: DialStep | undefined;
    readonly code: DialErrorCode;
    readonly message: string;
  };
  /** What a person should know of it, failed or not: a host key that was trusted for the first time, say. */
  readonly notes?: readonly string[];
}

/** What an upstream tells of itself as it happens; the engine turns it into metrics and state deltas. */
export interface UpstreamEvents {
  /** `connected` false: no connection is open and the last try failed or the last connection died. */
  onStateChange(upstream: string, connected: boolean): void;
  /** A connection that had been up was made again. */
  onReconnect(upstream: string): void;
}

/** Where an upstream tells what happens to it; the engine's logger is one. */
export interface UpstreamLog {
  debug(fields: Readonly<Record<string, unknown>>, message: string): void;
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
}
