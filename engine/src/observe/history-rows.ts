import type { CallParams, CallResult } from "../control/contract.ts";

/** What happened to one upstream in one span. */
export interface HistoryRow {
  readonly upstream: string;
  readonly up: number;
  readonly down: number;
  readonly connections: number;
  /** That succeeded, and what they took together. */
  readonly dials: number;
  readonly dialMs: number;
  readonly errors: number;
  readonly reconnects: number;
}

/** One span of all upstreams; those to which nothing happened are left out. */
export interface HistorySample {
  /** Its begin, a multiple of FINEST_STEP_MS since 1970. */
  readonly at: number;
  readonly rows: readonly HistoryRow[];
}

export type HistoryQuery = CallParams<"metrics.history">;
export type HistoryAnswer = CallResult<"metrics.history">;

export const FINEST_STEP_MS = 10_000;
