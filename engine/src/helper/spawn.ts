import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { HelperClient, HelperError } from "./client.ts";
import { loadHandover } from "./handover.ts";

/** The descriptor that the helper finds its end of the connection on. */
const HELPER_DESCRIPTOR = 3;
const CLEANUP_MS = 20_000;

export interface SpawnedHelper {
  readonly client: HelperClient;
  /** The program's own process, the guardian; it ends by itself once the session has ended and all is undone. */
  readonly process: ChildProcess;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
}

/** The program beside this engine. */
export function helperProgram(): string {
  return fileURLToPath(new URL("../../../native/helper/build/Release/sockeye-helper", import.meta.url));
}

/**
 * Starts a helper of our own, while this process is still root, and agrees on the protocol. Its log goes to `onLog`, line by
 * line. Afterwards this process can give its privileges up.
 * @throws {HelperError}
 */
export async function spawnHelper(onLog: (line: string) => void): Promise<SpawnedHelper> {
  const program = helperProgram();
  if (!existsSync(program))
    throw new HelperError("missing", `${program} is not built: \`npm run build:native\``);
  const [ours, theirs] = loadHandover().pair();
  const child = spawn(program, ["--fd", String(HELPER_DESCRIPTOR)], {
    stdio: ["ignore", "ignore", "pipe", theirs],
    cwd: "/",
    env: {},
  });
  closeSync(theirs);
  const ended = once(child, "close").then(
    () => undefined,
    () => undefined,
  );
  readLines(child, onLog);
  try {
    return { client: await HelperClient.take(ours), process: child, ended };
  } catch (error) {
    await ended;
    throw error;
  }
}

export interface CleanUp {
  /** What there was to undo and was undone, a few words each. */
  readonly undone: readonly string[];
  /** "" or what could not be undone, or who uses TUN mode now. */
  readonly problem: string;
}

/** Undoes what a helper that was killed left behind, its kill switch included. Needs root. */
export function cleanUpAll(): CleanUp {
  const { status, error, stdout, stderr } = spawnSync(helperProgram(), ["--cleanup"], {
    encoding: "utf8",
    timeout: CLEANUP_MS,
    env: {},
  });
  if (error !== undefined) return { undone: [], problem: error.message };
  const undone = stdout.split("\n").filter((line) => line !== "");
  if (status === 0) return { undone, problem: "" };
  return { undone, problem: stderr.trim() || `${helperProgram()} ended with ${status}` };
}

/** As cleanUpAll(). @returns "" or what could not be undone. */
export function cleanUp(): string {
  return cleanUpAll().problem;
}

function readLines(child: ChildProcess, onLine: (line: string) => void): void {
  let rest = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}
