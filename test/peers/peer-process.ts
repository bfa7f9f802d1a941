import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/**
 * The `skip` option of a test that needs programs of the machine: false when all are there, the reason when one is not.
 * Where CI is set a missing program is a failure, because CI installs them all.
 */
export function skipWithout(...programs: string[]): string | false {
  const missing = programs.filter((program) => findProgram(program) === undefined);
  if (missing.length === 0) return false;
  const reason = `${missing.join(" and ")} not installed`;
  if (process.env["CI"]) throw new Error(`${reason}, and CI is set`);
  return reason;
}

/** The `skip` option of a test that needs root. */
export function skipWithoutRoot(): string | false {
  return process.getuid?.() === 0 ? false : "needs root, to make a throwaway system user";
}

/** The path of a program of the machine. Daemons live in sbin, which is not in everybody's PATH. */
export function findProgram(program: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin", "/usr/local/sbin"];
  return folders
    .map((folder) => join(folder, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A folder of its own, readable by the users that daemons change to. */
export function makePeerFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `sockeye-${name}-`));
  spawnSync("chmod", ["755", folder]);
  return folder;
}

export interface PeerProcess {
  readonly child: ChildProcess;
  /** What it wrote to standard error so far. */
  output(): string;
  /** Ends the process and waits for its end. */
  stop(): Promise<void>;
}

export interface PeerProcessOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** The process is ready when this port accepts. */
  readonly port: number;
  readonly folder: string;
  /** How long it may take to end by itself. Default 1000. */
  readonly graceMs?: number;
}

/** Starts a server program and waits until it accepts connections; its folder is removed when it is stopped. */
export async function startPeerProcess(options: PeerProcessOptions): Promise<PeerProcess> {
  const program = findProgram(options.program);
  if (program === undefined) throw new Error(`${options.program} is not installed`);
  // A process group of its own, so that a daemon's helpers end with it.
  const child = spawn(program, options.args, {
    cwd: options.folder,
    stdio: ["ignore", "ignore", "pipe"],
    detached: true,
  });
  const endWithUs = () => killGroup(child);
  process.once("exit", endWithUs);
  let output = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output = (output + text).slice(-10_000);
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), options.graceMs ?? 1000);
      await ended;
      clearTimeout(late);
    }
    killGroup(child);
    process.removeListener("exit", endWithUs);
    child.stderr.destroy();
    rmSync(options.folder, { recursive: true, force: true });
  };
  const deadline = Date.now() + 10_000;
  while (!(await accepts(options.port))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`${options.program} did not start:\n${output}`);
    }
    await delay(20);
  }
  return { child, output: () => output, stop };
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nobody is left.
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
