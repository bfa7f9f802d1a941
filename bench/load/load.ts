import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { startChild, type Child } from "../child.ts";

/** The load is made, swallowed and forwarded in C, so that it is not what gets measured. See the programs beside this file. */
const SOURCES = import.meta.dirname;
const BUILT = join(SOURCES, "..", "..", ".cache", "bench");

const run = promisify(execFile);

/** Where a program is, built anew when its source has changed. @throws {Error} when there is no C compiler. */
export function program(
  name: "load" | "serve" | "upstream" | "delay" | "forward" | "site" | "apps" | "origin" | "requests",
): string {
  const built = join(BUILT, name);
  const source = join(SOURCES, `${name}.c`);
  const newest = Math.max(statSync(source).mtimeMs, statSync(join(SOURCES, "net.h")).mtimeMs);
  if (existsSync(built) && statSync(built).mtimeMs > newest) return built;
  mkdirSync(BUILT, { recursive: true });
  const fresh = `${built}.${process.pid}`;
  execFileSync("cc", ["-O2", "-Wall", "-std=gnu11", "-o", fresh, source], { stdio: "inherit" });
  renameSync(fresh, built);
  return built;
}

/** The target of everything that is measured. */
export interface Target extends AsyncDisposable {
  readonly echo: number;
  readonly sink: number;
  readonly source: number;
  /** Tells how many bytes the sinks have received. */
  readonly count: number;
}

export async function startTarget(): Promise<Target> {
  const child = await startChild({ command: program("serve"), args: [] });
  const ports = JSON.parse(child.firstLine) as Omit<Target, keyof AsyncDisposable>;
  return { ...ports, [Symbol.asyncDispose]: child.stop };
}

export interface Listening extends AsyncDisposable {
  readonly port: number;
  readonly child: Child;
}

/** A proxy in C that speaks SOCKS5 and HTTP CONNECT. */
export function startFastUpstream(): Promise<Listening> {
  return startListening("upstream", []);
}

/**
 * A link to a port of this machine that holds each byte so long in each direction.
 * @param at where it listens, as PORT and the last byte of an address 127.0.0.x; by default a free port of 127.0.0.1.
 */
export function startLongLink(
  port: number,
  oneWayMs: number,
  at: { readonly port: number; readonly lastByte: number } = { port: 0, lastByte: 1 },
): Promise<Listening> {
  return startListening("delay", [port, oneWayMs, at.port, at.lastByte].map(String));
}

/** The local service of bench/load/origin.c. */
export interface Origin extends AsyncDisposable {
  readonly http: number;
  readonly echo: number;
}

export async function startOrigin(): Promise<Origin> {
  const child = await startChild({ command: program("origin"), args: [] });
  const ports = JSON.parse(child.firstLine) as Omit<Origin, keyof AsyncDisposable>;
  return { ...ports, [Symbol.asyncDispose]: child.stop };
}

async function startListening(name: "upstream" | "delay", args: string[]): Promise<Listening> {
  const child = await startChild({ command: program(name), args });
  const { port } = JSON.parse(child.firstLine) as { port: number };
  return { port, child, [Symbol.asyncDispose]: child.stop };
}

export interface Window {
  readonly seconds: number;
  /** Seconds before the measured ones, in which windows open and code is compiled. */
  readonly warmUp: number;
}

export interface Traffic {
  readonly direction: "up" | "down";
  readonly streams: number;
  /** The SOCKS5 proxy to go through; 0: none. */
  readonly proxyPort: number;
}

export interface Throughput {
  readonly bytes: number;
  /** With those of the warm-up. */
  readonly total: number;
  readonly errors: number;
  readonly seconds: number;
}

/** Streams bytes, as many as go, and tells how many reached the far end. */
export async function measureThroughput(
  traffic: Traffic,
  target: Target,
  window: Window,
): Promise<Throughput> {
  const port = traffic.direction === "up" ? target.sink : target.source;
  return (await runLoad(
    [traffic.direction, traffic.streams, traffic.proxyPort, port],
    [window.seconds, window.warmUp, target.count],
  )) as Throughput;
}

export interface ConnectionRate {
  readonly connections: number;
  /** With those of the warm-up. */
  readonly total: number;
  readonly errors: number;
  readonly seconds: number;
  /** Seconds from connect to the echoed byte. */
  readonly p50: number;
  readonly p99: number;
}

/** Connects, has one byte echoed, and closes, with so many clients at once. */
export async function measureConnections(
  options: { readonly clients: number; readonly proxyPort: number },
  target: Pick<Target, "echo">,
  window: Window,
): Promise<ConnectionRate> {
  return (await runLoad(
    ["rate", options.clients, options.proxyPort, target.echo],
    [window.seconds, window.warmUp],
  )) as ConnectionRate;
}

/** Aborted, it ends the measure that runs and lets no other begin: it rejects, and whoever started peers for it ends them. */
export const interruption = new AbortController();

async function runLoad(what: readonly (string | number)[], timing: readonly number[]): Promise<unknown> {
  const { stdout } = await run(program("load"), [...what, ...timing].map(String), {
    timeout: 60_000,
    signal: interruption.signal,
  });
  return JSON.parse(stdout) as unknown;
}

/** Flows that are open and idle. */
export interface IdleFlows extends AsyncDisposable {
  /** How many opened; fewer than asked for where a limit was met. */
  readonly open: number;
  readonly seconds: number;
}

/** Opens flows through a SOCKS5 proxy, has one byte echoed through each, and holds them until it is disposed of. */
export function openIdleFlows(
  flows: number,
  proxyPort: number,
  target: Pick<Target, "echo">,
): Promise<IdleFlows> {
  return holdFlows(flows, "load", ["idle", flows, proxyPort, target.echo, 0, 0]);
}

/** Flows that a program opens, tells of in a line of JSON, and holds until its standard input ends. */
export async function holdFlows(
  flows: number,
  by: "load" | "apps",
  args: readonly (string | number)[],
): Promise<IdleFlows> {
  const child = spawn(program(by), args.map(String), {
    stdio: ["pipe", "pipe", "inherit"],
    signal: interruption.signal,
  });
  const ended = once(child, "exit");
  ended.catch(() => undefined); // An interruption is told below, or by the next measure.
  const [line] = (await Promise.race([
    once(createInterface(child.stdout), "line"),
    ended.then(() => {
      throw new Error(`no ${flows} idle flows could be opened`);
    }),
  ])) as [string];
  const { open, seconds } = JSON.parse(line) as { open: number; seconds: number };
  return {
    open,
    seconds,
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await ended;
    },
  };
}
