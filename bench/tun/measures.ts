import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { startChild } from "../child.ts";
import { holdFlows, program, type IdleFlows, type Window } from "../load/load.ts";
import type { Namespaces } from "./namespaces.ts";
import { ECHO_PORT, HTTP_PORT, IPERF_PORT } from "./server.ts";

/** An address, and what is added to the targets' ports there. */
export interface Reach {
  readonly host: string;
  readonly shift: number;
}

const run = promisify(execFile);
const MEASURE_TIMEOUT_MS = 30_000;
const MAX_OUTPUT = 64 << 20;

/** wrk's clients, over both of its threads. */
export const HTTP_CLIENTS = 64;
const WRK_THREADS = 2;
export const DATAGRAM_FLOWS = 64;

async function output(command: string, args: readonly (string | number)[]): Promise<string> {
  const { stdout } = await run(command, args.map(String), {
    timeout: MEASURE_TIMEOUT_MS,
    maxBuffer: MAX_OUTPUT,
  });
  return stdout;
}

export interface Stream {
  readonly direction: "up" | "down";
  readonly streams: number;
}

export interface StreamRate {
  readonly gigabitsPerSecond: number;
  /** Of the whole run, with what came before the measured time, for the cost per byte. */
  readonly totalBytes: number;
}

/** The part of iperf3's report (`--json`) that is read. */
interface IperfReport {
  readonly error?: string;
  readonly intervals: readonly { readonly sum: { readonly bytes: number } }[];
  /** Without sums where a stream failed. */
  readonly end: { readonly sum_received?: { readonly bits_per_second: number } };
}

/** iperf3 against a server of its own; what counts is what arrived. */
export async function measureStreams(
  namespaces: Namespaces,
  { host, shift }: Reach,
  { direction, streams }: Stream,
  window: Window,
): Promise<StreamRate> {
  const server = namespaces.inServer(["iperf3", "-s", "-1", "-p", String(IPERF_PORT), "--forceflush"]);
  await using stack = new AsyncDisposableStack();
  stack.use(await startChild({ command: server[0]!, args: server.slice(1) }));
  const report = await output("iperf3", [
    ...["-c", host, "-p", IPERF_PORT + shift, "-P", streams, "-J"],
    ...["-t", Math.ceil(window.seconds), "-O", Math.round(window.warmUp)],
    ...(direction === "down" ? ["-R"] : []),
  ]).catch((error: unknown) => {
    throw new Error(iperfComplaint(error));
  });
  const { error, intervals, end } = JSON.parse(report) as IperfReport;
  if (error !== undefined || end.sum_received === undefined) {
    throw new Error(`iperf3: ${error ?? "nothing arrived"}`);
  }
  return {
    gigabitsPerSecond: end.sum_received.bits_per_second / 1e9,
    totalBytes: intervals.reduce((sum, interval) => sum + interval.sum.bytes, 0),
  };
}

/** iperf3 says in its report why it failed. */
function iperfComplaint(error: unknown): string {
  const { stdout } = error as { stdout?: string };
  try {
    return `iperf3: ${(JSON.parse(stdout ?? "") as IperfReport).error ?? "failed"}`;
  } catch {
    return error instanceof Error ? error.message : String(error);
  }
}

export interface RequestRate {
  readonly perSecond: number;
  readonly total: number;
  /** In wrk's words, where some requests failed. */
  readonly errors?: string;
}

/** wrk's requests, on connections that are kept or with `Connection: close`, which is a connection for each. */
export async function measureRequests(
  { host, shift }: Reach,
  connections: "kept" | "new",
  window: Window,
): Promise<RequestRate> {
  const report = await output("wrk", [
    ...["-t", WRK_THREADS, "-c", HTTP_CLIENTS, "-d", `${Math.ceil(window.seconds)}s`],
    ...(connections === "new" ? ["-H", "Connection: close"] : []),
    `http://${host}:${HTTP_PORT + shift}/`,
  ]);
  const errors = /Socket errors: (.*)/.exec(report)?.[1];
  return {
    perSecond: Number(/Requests\/sec:\s*([\d.]+)/.exec(report)?.[1]),
    total: Number(/(\d+) requests in/.exec(report)?.[1]),
    ...(errors !== undefined && { errors }),
  };
}

async function runApps(
  mode: string,
  { host, shift }: Reach,
  flows: number,
  { seconds, warmUp }: Window,
): Promise<unknown> {
  return JSON.parse(
    await output(program("apps"), [mode, host, ECHO_PORT + shift, flows, seconds, warmUp]),
  ) as unknown;
}

export interface Delay {
  readonly count: number;
  /** Seconds. */
  readonly p50: number;
  readonly p99: number;
}

/** The time of one byte there and back, on a connection that is open or with one made for it. */
export async function measureDelay(at: Reach, mode: "ask" | "meet", window: Window): Promise<Delay> {
  return (await runApps(mode, at, 1, window)) as Delay;
}

export interface DatagramRate {
  /** Datagrams that came back within the measured time. */
  readonly returned: number;
  readonly seconds: number;
  readonly sent: number;
  readonly lost: number;
}

export async function measureDatagrams(at: Reach, window: Window): Promise<DatagramRate> {
  const rate = (await runApps("datagrams", at, DATAGRAM_FLOWS, window)) as DatagramRate;
  if (rate.returned === 0) throw new Error(`of ${rate.sent} datagrams none came back`);
  return rate;
}

/** Opens flows, has a byte echoed through each, and holds them until it is disposed of. */
export function openIdleFlows({ host, shift }: Reach, flows: number): Promise<IdleFlows> {
  return holdFlows(flows, "apps", ["idle", host, ECHO_PORT + shift, flows, 0, 0]);
}
