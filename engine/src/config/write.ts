import { randomBytes } from "node:crypto";
import { type FileHandle, open, readlink, realpath, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Stats } from "node:fs";
import { type YAMLMap, isMap, isScalar, parseDocument } from "yaml";
import { type ParseOptions, type ParseResult, parseConfig } from "./load.ts";
import { isSecretOfFile } from "./schema-values.ts";
import { type Path, formatPath } from "@sockeye/config-kit/problem";

/**
 * Puts `text` in the place of the file at `path`, at once and whole: a crash leaves the old file or the new one. A symbolic
 * link is followed, the mode kept; a new file is its owner's alone (0600).
 * @returns what parseConfig says of the text; where that has errors, nothing was written.
 * @throws the system's error where the file can't be written.
 */
export async function writeConfig(
  path: string,
  text: string,
  options: Omit<ParseOptions, "fileName">,
): Promise<ParseResult> {
  const result = parseConfig(text, { ...options, fileName: path });
  if ("errors" in result) return result;
  const target = await followLinks(path);
  const present = await stat(target).catch(absent);
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString("hex")}.tmp`);
  const file = await open(temporary, "wx", 0o600);
  try {
    try {
      await file.writeFile(text);
      if (present !== undefined) await takeOver(file, present);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncDirectory(dirname(target));
  return result;
}

/** The file behind `path`, which need not exist. */
async function followLinks(path: string): Promise<string> {
  const real = await realpath(path).catch(absent);
  if (real !== undefined) return real;
  const link = await readlink(path).catch(() => undefined);
  return link === undefined ? resolve(path) : resolve(dirname(path), link);
}

async function takeOver(file: FileHandle, present: Stats): Promise<void> {
  await file.chmod(present.mode & 0o7777);
  const own = await file.stat();
  if (own.uid !== present.uid || own.gid !== present.gid) await file.chown(present.uid, present.gid);
}

/** Makes the rename last through a power cut. Windows and some network file systems have no such call. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r").catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

function absent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
  throw error;
}

/**
 * One sentence when the file at `path` holds a secret in clear and others can read it; undefined when all is well, and on
 * Windows, whose permissions are not told by the mode.
 * @param text the file's text.
 * @throws the system's error where the file is not there.
 */
export async function warnOfReadableSecrets(path: string, text: string): Promise<string | undefined> {
  if (process.platform === "win32") return undefined;
  const { mode } = await stat(path);
  if ((mode & 0o077) === 0) return undefined;
  const names = clearTextSecrets(text);
  if (names.length === 0) return undefined;
  const [first] = names;
  const others = names.length > 1 ? ` and ${names.length - 1} more` : "";
  return `others can read ${path}, which holds ${first!}${others} in clear; run chmod 600 on it, or use password_file`;
}

/** Where a text holds secrets in clear, as paths, in the order of the file. Of a text that is not YAML it finds none. */
export function clearTextSecrets(text: string): string[] {
  const document = parseDocument(text, { prettyErrors: false, logLevel: "silent", uniqueKeys: false });
  if (document.errors.length > 0) return [];
  return (["listen", "upstreams", "relays", "shares"] as const).flatMap((block) => {
    const node = document.get(block, true);
    return isMap(node) ? secretsBelow(node, [block]) : [];
  });
}

function secretsBelow(mapping: YAMLMap, path: Path): string[] {
  return mapping.items.flatMap((pair): string[] => {
    const key = String(isScalar(pair.key) ? pair.key.value : pair.key);
    const at = [...path, key];
    if (isMap(pair.value)) return secretsBelow(pair.value, at);
    const value = isSecretOfFile(key) && isScalar(pair.value) ? pair.value.value : undefined;
    return typeof value === "string" && isClearText(value) ? [formatPath(at)] : [];
  });
}

/** True for a secret that stands in the file itself, and not in a variable of the environment. */
export function isClearText(secret: string): boolean {
  return !/^\$\{\w+\}$/.test(secret);
}
