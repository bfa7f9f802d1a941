/*
 * Tests of the kernel's networking run in namespaces of their own, made without root where the system allows it: the machine's
 * own network is never touched, and with the last process in them all that they made is gone.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { findProgram } from "./peer-process.ts";

/** Fresh user, network, mount and process namespaces; whoever runs in them is root there, and dies with `unshare`. */
const UNSHARE = ["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"];
/** Names, in the environment, the test file that runs in a namespace. */
const INSIDE = "SOCKEYE_TEST_NAMESPACE";
const PROBE_TIMEOUT_MS = 10_000;
const RUN_TIMEOUT_MS = 60_000;
const AS_ROOT_TIMEOUT_MS = 55_000;
/** What a program prints is kept up to here. */
const MAX_OUTPUT = 1024 * 1024;

let problem: string | false | undefined;

/**
 * The `skip` option of a test that needs namespaces and TUN devices in them: false where they can be made, else the reason.
 * Where CI is set a reason is a failure, because .ci/run sees to it that there is none.
 */
export function skipWithoutNamespace(): string | false {
  problem ??= findProblem();
  if (problem !== false && process.env["CI"]) throw new Error(`${problem}, and CI is set`);
  return problem;
}

function findProblem(): string | false {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  for (const [program, from] of [
    ["unshare", "util-linux"],
    ["ip", "iproute2"],
  ] as const) {
    if (findProgram(program) === undefined) return `${program} (${from}) is not installed`;
  }
  const steps = "ip link set lo up && ip tuntap add dev sockeye0 mode tun";
  const { status, stderr } = spawnSync("unshare", [...UNSHARE, "sh", "-c", steps], {
    encoding: "utf8",
    timeout: PROBE_TIMEOUT_MS,
  });
  if (status === 0) return false;
  return `no TUN device can be made in a user and network namespace here: ${stderr.trim() || `status ${status}`}`;
}

/**
 * Starts a program in fresh namespaces, in which only loopback is up. Killing the process that is returned kills all that
 * runs in them.
 */
export function spawnInNamespace(
  [program, ...args]: readonly [string, ...string[]],
  options: SpawnOptions = {},
): ChildProcess {
  const wrapped = ["sh", "-c", 'ip link set lo up && exec "$0" "$@"', program, ...args];
  return spawn("unshare", [...UNSHARE, ...wrapped], options);
}

export interface NamespaceResult {
  /** -1 where a signal, or the deadline, ended it. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program in fresh namespaces to its end; after `timeoutMs` it is killed. Never rejects for how it ended. */
export async function runInNamespace(
  command: readonly [string, ...string[]],
  {
    timeoutMs = RUN_TIMEOUT_MS,
    env = {},
  }: { readonly timeoutMs?: number; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<NamespaceResult> {
  const child = spawnInNamespace(command, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    if (stdout.length < MAX_OUTPUT) stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    if (stderr.length < MAX_OUTPUT) stderr += text;
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { status: code ?? -1, stdout, stderr };
}

/** Keeps what changes a machine's own files from ever doing so outside of namespaces. @throws {Error} there. */
export function assertInNamespace(): void {
  if (process.env[INSIDE] === undefined) throw new Error("this is for a namespace of its own");
}

/**
 * Puts a test file into a namespace: `if (await enterNamespace(import.meta.filename)) { test(…); … }`. The file is executed a
 * second time, in fresh namespaces, where this returns true; its tests are reported as those of the first, where this
 * returns false when they are done. Where namespaces can't be made, one skipped test says why.
 */
export async function enterNamespace(file: string): Promise<boolean> {
  if (process.env[INSIDE] === file) {
    // Nothing in here outlives the process outside that it belongs to.
    process.on("disconnect", () => process.exit(1));
    process.channel?.unref();
    return true;
  }
  const reason = skipWithoutNamespace();
  if (reason !== false) {
    test("in a network namespace", { skip: reason }, () => {});
    return false;
  }
  const child = spawnInNamespace([process.execPath, ...process.execArgv, file], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { ...process.env, [INSIDE]: file },
  });
  // What the reporter inside tells goes on to whoever runs this file.
  child.on("message", (message) => {
    if (typeof message === "object") process.send?.(message);
  });
  const disconnected = once(child, "disconnect");
  const [code] = (await once(child, "exit")) as [number | null];
  if (child.connected) await disconnected;
  process.exitCode = code ?? 1;
  return false;
}

/**
 * Executes a test file a second time, with `as-root` as its argument, in fresh namespaces of the machine's own root: a user
 * namespace made without root has one user only, and some tests need others. @returns what that run's tests told, in TAP.
 */
export async function runAsRoot(file: string): Promise<string> {
  const namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child"];
  const command = [process.execPath, "--test-reporter=tap", file, "as-root"];
  // Not spawnSync(): whoever runs the file hears of its tests meanwhile, however long they take.
  const child = spawn("unshare", [...namespaces, ...command], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: AS_ROOT_TIMEOUT_MS,
    killSignal: "SIGKILL",
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  const [status] = (await once(child, "close")) as [number | null];
  assert.equal(status, 0, said);
  return said;
}
