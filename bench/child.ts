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
  /** Ready when this port of 127.0.0.1 accepts. */
  readonly port?: number;
  /** Ready when this says so. Where neither is given: when it has printed a line. */
  readonly isReady?: () => boolean | Promise<boolean>;
  /** Milliseconds that it may take to be ready. Default 20,000. */
  readonly patience?: number;
  /** Called once when it has ended, to remove what was made for it. */
  readonly onEnd?: () => void;
}

const READY_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 2_000;
const MAX_OUTPUT = 10_000;

/**
 * Ten thousand flows are twenty thousand descriptors: as many as the system lets us have. And the kernel kills the program
 * when we are killed and can no longer do that.
 */
const PREPARED =
  'ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"; ' +
  'command -v setpriv >/dev/null && exec setpriv --pdeathsig KILL "$0" "$@"; exec "$0" "$@"';

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** @throws {Error} with what it printed, when it ends before it is ready or is not ready in time. */
export async function startChild(options: ChildOptions): Promise<Child> {
  const child = spawn("sh", ["-c", PREPARED, options.command, ...options.args], {
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

  const isReady =
    options.isReady ?? (() => (options.port === undefined ? printed.includes("\n") : accepts(options.port)));
  const deadline = Date.now() + (options.patience ?? READY_TIMEOUT_MS);
  while (!(await isReady())) {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      await stop();
      const said = `${printed}${complained}`.trim() || "it printed nothing";
      throw new Error(`${options.command} ${options.args.join(" ")} did not start:\n${said}`);
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
