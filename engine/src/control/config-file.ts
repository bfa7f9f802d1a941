import { createHash, randomBytes } from "node:crypto";
import { chmod, open, readFile, realpath, rename, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MAX_CONFIG_CHARACTERS } from "./contract.ts";
import { ControlError } from "./control-error.ts";

/** The configuration file as text with a revision, so that two who edit it can't undo each other's work unseen. */
export interface ConfigText {
  readonly text: string;
  /** Of the text; empty where there is no file. */
  readonly revision: string;
}

/** @throws {ControlError} unavailable, with why it can't be read. */
export async function readConfigText(path: string): Promise<ConfigText> {
  try {
    const text = await readFile(path, "utf8");
    if (text.length > MAX_CONFIG_CHARACTERS) {
      throw new ControlError("unavailable", `${path} is longer than ${MAX_CONFIG_CHARACTERS} characters`);
    }
    return { text, revision: revisionOf(text) };
  } catch (error) {
    if (isCode(error, "ENOENT")) return { text: "", revision: "" };
    throw unavailable(`${path} can't be read`, error);
  }
}

/**
 * Puts the text in the file's place in one step: a reader, or a crash, sees the old text or the new, whole. A link is
 * followed, the mode kept; a new file is for its owner alone.
 * @param revision the one that was read; "" for a file that is not there yet.
 * @returns the new revision.
 * @throws {ControlError} conflict; unavailable, with why it can't be written.
 */
export async function writeConfigText(path: string, text: string, revision: string): Promise<string> {
  const current = await readConfigText(path);
  if (current.revision !== revision) throw conflict();
  const target = await realpath(path).catch(() => path);
  const temporary = join(dirname(target), `.sockeye-${randomBytes(6).toString("hex")}.tmp`);
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    const mode = await stat(target).then(
      (found) => found.mode & 0o777,
      () => 0o600,
    );
    await chmod(temporary, mode);
    await rename(temporary, target);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw unavailable(`${path} can't be written`, error);
  }
  return revisionOf(text);
}

export function conflict(): ControlError {
  return new ControlError("conflict", "the file has changed since it was read; read it again first");
}

function revisionOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function unavailable(what: string, error: unknown): ControlError {
  if (error instanceof ControlError) return error;
  const why = error instanceof Error ? error.message : "";
  return new ControlError("unavailable", `${what}: ${why}`, { cause: error });
}
