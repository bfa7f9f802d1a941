import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { interruption, program, type Window } from "../load/load.ts";
import type { Way } from "./ways.ts";

const run = promisify(execFile);
const MEASURE_TIMEOUT_MS = 60_000;

/** wrk's clients. */
export const CLIENTS = 48;

async function output(command: string, args: readonly (string | number)[]): Promise<string> {
  const { stdout } = await run(command, args.map(String), {
    timeout: MEASURE_TIMEOUT_MS,
    signal: interruption.signal,
  });
  return stdout;
}

export interface RequestRate {
  readonly perSecond: number;
  readonly total: number;
  /** Seconds. */
  readonly p50: number;
  readonly p99: number;
  /** In wrk's words, where some requests failed. */
  readonly errors: string | undefined;
}

/** wrk's requests, as many as go, on connections that are kept or with `Connection: close`, which is a connection for each. */
export async function measureRequests(
  way: Way,
  connections: "kept" | "new",
  seconds: number,
): Promise<RequestRate> {
  const report = await output("wrk", [
    ...["-t", 1, "-c", CLIENTS, "-d", `${Math.ceil(seconds)}s`, "--latency", "-H", `Host: ${way.host}`],
    ...(connections === "new" ? ["-H", "Connection: close"] : []),
    `http://127.0.0.1:${way.port}/`,
  ]);
  const failed = [
    /Socket errors: (.*)/.exec(report)?.[1],
    /Non-2xx or 3xx responses: (.*)/.exec(report)?.[0],
  ].filter((one) => one !== undefined);
  return {
    perSecond: Number(/Requests\/sec:\s*([\d.]+)/.exec(report)?.[1]),
    total: Number(/(\d+) requests in/.exec(report)?.[1]),
    p50: secondsOf(/50%\s+(\S+)/.exec(report)?.[1]),
    p99: secondsOf(/99%\s+(\S+)/.exec(report)?.[1]),
    errors: failed.length === 0 ? undefined : failed.join("; "),
  };
}

/** wrk's way to write a time: 355.00us, 12.3ms, 1.2s, 1.5m. */
function secondsOf(text = ""): number {
  const [, figure, unit] = /^([\d.]+)(us|ms|s|m)$/.exec(text) ?? [];
  const scale = { us: 1e-6, ms: 1e-3, s: 1, m: 60 }[unit ?? ""] ?? Number.NaN;
  return Number(figure) * scale;
}

export interface RateAnswer {
  readonly count: number;
  readonly total: number;
  readonly errors: number;
  /** Seconds from when a request was due. */
  readonly p50: number;
  readonly p99: number;
  readonly most: number;
}

/** So many requests a second, each at its time. */
export async function measureRate(way: Way, perSecond: number, window: Window): Promise<RateAnswer> {
  return (await runRequests("rate", way, perSecond, window)) as RateAnswer;
}

export interface Body {
  readonly bytes: number;
  readonly total: number;
  readonly seconds: number;
  readonly whole: boolean;
}

/** One body, or what of it goes in the time. */
export async function measureBody(
  way: Way,
  direction: "down" | "up",
  bytes: number,
  window: Window,
): Promise<Body> {
  return (await runRequests(direction, way, bytes, window)) as Body;
}

async function runRequests(mode: string, way: Way, number: number, window: Window): Promise<unknown> {
  const { seconds, warmUp } = window;
  return JSON.parse(await output(program("requests"), [mode, way.port, way.host, number, seconds, warmUp]));
}
