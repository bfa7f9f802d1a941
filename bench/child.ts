import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** A program of the benchmark: it is ended with stop(), or with the benchmark, whatever comes first. */
export interface Child extends AsyncDisposable {
  readonly pid: number;
  /** The first line it printed; empty where it is known to be ready by its port. */
  readonly firstLine: string;
  readonly stop: () => Promise<void>;
}

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Ready when this port of 127.0.0.1 accepts; where absent, when it has printed a line. */
  readonly port?: number;
  /** Called once when it has ended, to remove what was made for it. */
  readonly onEnd?: () => void;
}

const READY_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 2_000;
const MAX_OUTPUT = 10_000;

/** Ten thousand flows are twenty thousand descriptors: as many as the system lets us have. */
const WITH_MANY_DESCRIPTORS = 'ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"; exec "$0" "$@"';

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** @throws {Error} with what it printed, when it ends or says nothing within 20 seconds. */
export async function startChild(options: ChildOptions): Promise<Child> {
  const child = spawn("sh", ["-c", WITH_MANY_DESCRIPTORS, options.command, ...options.args], {
    env: options.env ?? process.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let printed = "";
  let complained = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    if (printed.length < MAX_OUTPUT) printed += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complained = (complained + text).slice(-MAX_OUTPUT);
  });
  const ended = once(child, "exit").then(() => {
    running.delete(child);
    options.onEnd?.();
  });
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(late);
  };

  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (!(options.port === undefined ? printed.includes("\n") : await accepts(options.port))) {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`${options.command} ${options.args.join(" ")} did not start:\n${printed}${complained}`);
    }
    await sleep(20);
  }
  const firstLine = printed.split("\n", 1)[0]!;
  return { pid: child.pid!, firstLine, stop, [Symbol.asyncDispose]: stop };
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
