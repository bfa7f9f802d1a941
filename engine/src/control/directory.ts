import { randomBytes } from "node:crypto";
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { ControlError } from "./control-error.ts";
import { isEngineName } from "./engine-name.ts";

/**
 * Where running engines are found: a folder of the user's own with a pair of files for each, `<name>.json` (address, process)
 * and `<name>.token`, both for the owner alone. An engine that was killed leaves its pair behind; whoever looks next
 * sees that its process is gone, or that another has its number by now, and takes the pair away.
 */
export interface EngineEntry extends z.infer<typeof entryFile> {
  readonly name: string;
  readonly token: string;
}

/** An entry as it was read, with what tells its process from a later one that was given the same number. */
interface FoundEntry {
  readonly entry: EngineEntry;
  readonly processStart: string | undefined;
}

const entryFile = z.object({
  url: z.string(),
  pid: z.int().positive(),
  version: z.string(),
  startedAt: z.number(),
  configFile: z.string().optional(),
  /** Where a browser finds the interface; absent where the engine serves none. */
  ui: z.string().optional(),
});

const processMark = z.object({ processStart: z.string().optional() });

/** How long somebody at an entry's address has to take a connection. */
const PROBE_MS = 1_000;
const TOKEN_BYTES = 32;
const MAX_ENTRIES = 256;

/**
 * The folder, by the system's custom: `$SOCKEYE_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/sockeye`, `%LOCALAPPDATA%\sockeye\run`, or a
 * folder in the one for temporary files with the user's number in its name.
 */
export function runtimeDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const given = env["SOCKEYE_RUNTIME_DIR"];
  if (given) return given;
  if (process.platform === "win32") {
    return join(env["LOCALAPPDATA"] ?? join(userInfo().homedir, "AppData", "Local"), "sockeye", "run");
  }
  const xdg = env["XDG_RUNTIME_DIR"];
  return xdg ? join(xdg, "sockeye") : join(tmpdir(), `sockeye-${process.getuid?.() ?? 0}`);
}

/** 32 random bytes in letters that a header, a subprotocol and a file can all hold. */
export function createToken(): string {
  return randomBytes(TOKEN_BYTES).toString("base64url");
}

/**
 * Announces an engine. The token stands before the entry that points to it.
 * @returns the way to take both back.
 * @throws {ControlError} unavailable: the folder is another user's, can't be written, or the name is a running engine's.
 */
export async function announce(directory: string, entry: EngineEntry): Promise<() => void> {
  if (!isEngineName(entry.name)) {
    throw new ControlError(
      "unavailable",
      `"${entry.name}" is no name for an engine: use letters, digits, ".", "_" and "-"`,
    );
  }
  prepare(directory);
  const { name, token, ...file } = entry;
  const [entryPath, tokenPath] = filesOf(directory, name);
  const holder = readEntry(directory, name);
  if (holder !== undefined && holder.entry.pid !== process.pid && (await holdsItsName(holder))) {
    throw new ControlError(
      "unavailable",
      `an engine named "${name}" is running already (process ${holder.entry.pid})`,
    );
  }
  // What was judged may have been replaced while it was asked.
  if (readEntry(directory, name)?.entry.token === holder?.entry.token) forget(...filesOf(directory, name));
  place(tokenPath, token);
  place(entryPath, `${JSON.stringify({ ...file, processStart: startOfProcess(entry.pid) })}\n`);
  return () => {
    const current = readEntry(directory, name);
    if (current?.entry.token === token) forget(...filesOf(directory, name));
  };
}

/** The engines that are running, the most recent first. Entries of dead ones are removed on the way. */
export function findEngines(directory: string): EngineEntry[] {
  let files: string[];
  try {
    if (ownedByAnother(directory)) return [];
    files = readdirSync(directory);
  } catch {
    return [];
  }
  const entries: EngineEntry[] = [];
  for (const file of files.filter((name) => name.endsWith(".json")).slice(0, MAX_ENTRIES)) {
    const name = file.slice(0, -".json".length);
    const found = readEntry(directory, name);
    if (found === undefined) continue;
    if (stateOf(found) !== "gone") entries.push(found.entry);
    else forget(...filesOf(directory, name));
  }
  return entries.sort((a, b) => b.startedAt - a.startedAt);
}

/**
 * Puts a page beside an engine's token, for its owner alone, in the place of one that was there. It goes with the entry at the latest.
 * @returns its path, and the way to take it back.
 * @throws {ControlError} unavailable: it can't be written.
 */
export function placePage(
  directory: string,
  name: string,
  html: string,
): { path: string; remove: () => void } {
  const [, , path] = filesOf(directory, name);
  forget(path);
  place(path, html);
  return { path, remove: () => forget(path) };
}

/** An engine's entry, its token, and the page that opens its interface. */
function filesOf(directory: string, name: string): [entry: string, token: string, page: string] {
  return [join(directory, `${name}.json`), join(directory, `${name}.token`), join(directory, `${name}.html`)];
}

function prepare(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (ownedByAnother(directory)) throw new Error("it is not this user's own folder");
    if (process.platform !== "win32") chmodSync(directory, 0o700);
  } catch (error) {
    throw new ControlError(
      "unavailable",
      `${directory} can't hold the control token: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

/** A folder in a place that everybody can write to may have been put there by somebody else, or be a link. */
function ownedByAnother(directory: string): boolean {
  const found = lstatSync(directory);
  return !found.isDirectory() || (process.getuid !== undefined && found.uid !== process.getuid());
}

/** Makes a file that nobody ever sees half-written or readable by others, and that replaces no other. */
function place(path: string, text: string): void {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    writeFileSync(temporary, text, { flag: "wx", mode: 0o600 });
    linkSync(temporary, path);
  } catch (error) {
    const sentence =
      (error as NodeJS.ErrnoException).code === "EEXIST"
        ? "another engine took this name at the same moment"
        : (error as Error).message;
    throw new ControlError("unavailable", `${path} can't be made: ${sentence}`, { cause: error });
  } finally {
    forget(temporary);
  }
}

function readEntry(directory: string, name: string): FoundEntry | undefined {
  try {
    const file: unknown = JSON.parse(readFileSync(join(directory, `${name}.json`), "utf8"));
    const token = readFileSync(join(directory, `${name}.token`), "utf8").trim();
    return {
      entry: { ...entryFile.parse(file), name, token },
      processStart: processMark.parse(file).processStart,
    };
  } catch {
    // Half of a pair, or no entry of ours.
    return undefined;
  }
}

/** `number-taken`: a process has the entry's number, and nothing tells whether it is the engine. */
function stateOf({ entry, processStart }: FoundEntry): "running" | "number-taken" | "gone" {
  if (!isAlive(entry.pid)) return "gone";
  const start = startOfProcess(entry.pid);
  if (processStart === undefined || start === undefined) return "number-taken";
  return start === processStart ? "running" : "gone";
}

/** Where the process can't be told from another, an engine is there if somebody takes connections at its address. */
async function holdsItsName(found: FoundEntry): Promise<boolean> {
  const state = stateOf(found);
  return state === "running" || (state === "number-taken" && (await answers(found.entry.url)));
}

function answers(url: string): Promise<boolean> {
  if (!URL.canParse(url)) return Promise.resolve(false);
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || 80 });
    socket.setTimeout(PROBE_MS, () => socket.destroy());
    socket.once("connect", () => {
      resolve(true);
      socket.destroy();
    });
    // `close` follows, as it does a time-out.
    socket.on("error", () => undefined);
    socket.once("close", () => resolve(false));
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * When a process began, in ticks since the machine did: field 22 of proc_pid_stat(5). Undefined where the system does not
 * say, as any but Linux. A process that has ended and that nobody has waited for is told from what it was.
 */
function startOfProcess(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field is the program's name, in parentheses, and may hold any of its own.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? "ended" : fields[18];
  } catch {
    return undefined;
  }
}

function forget(...paths: string[]): void {
  for (const path of paths) {
    try {
      unlinkSync(path);
    } catch {
      // Gone already.
    }
  }
}
