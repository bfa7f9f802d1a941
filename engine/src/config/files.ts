import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { type Places, placePath } from "./build.ts";
import { type ConfigProblem, MAX_PROBLEMS, type Path, formatPath } from "@sockeye/config-kit/problem";
import type { Source } from "@sockeye/config-kit/source";
import { listOf, mappingOf, textOf, valueAt } from "@sockeye/config-kit/tree";

/** A file that a configuration names, and where. */
export interface NamedFile {
  readonly file: string;
  /** Its path as a sentence names it: as it stands in the file, where a variable made it. */
  readonly shown: string;
  /** As in ConfigProblem. */
  readonly line: number;
  readonly column: number;
  readonly path: string;
}

const keysOfUpstream = [
  "identity_file",
  "passphrase_file",
  "password_file",
  "known_hosts_file",
  "ssh_config_file",
  "tls_ca_file",
];

const keysOfRelay = ["token_file", "tls_ca_file", "tls_cert_file", "tls_key_file"];

/** The files that the configuration itself names; those that it has by default need not be there. */
export function namedFiles(root: unknown, places: Places, source: Source): NamedFile[] {
  const paths: Path[] = ["socks5", "http"].map((name) => ["listen", name, "auth", "password_file"]);
  for (const [name, upstream] of Object.entries(mappingOf(valueAt(root, ["upstreams"])))) {
    const keys = Object.keys(mappingOf(upstream)).filter((key) => keysOfUpstream.includes(key));
    for (const key of keys) {
      const path = ["upstreams", name, key];
      const list = listOf(valueAt(root, path));
      paths.push(...(list.length === 0 ? [path] : list.map((_, i) => [...path, i])));
    }
    paths.push(["upstreams", name, "auth", "password_file"]);
    if (paths.length > MAX_PROBLEMS) break;
  }
  for (const name of Object.keys(mappingOf(valueAt(root, ["relays"]))))
    paths.push(...keysOfRelay.map((key) => ["relays", name, key]));
  for (const name of Object.keys(mappingOf(valueAt(root, ["shares"])))) {
    paths.push(["shares", name, "basic_auth", "password_file"], ["shares", name, "offline_page"]);
  }
  return paths.flatMap((path) => {
    const file = textOf(valueAt(root, path));
    // What could not be read, or can be no path, is told of as an error.
    if (file === undefined || file.includes("\0") || source.unknown.has(formatPath(path))) return [];
    const { line, column, path: place } = source.problemAt(path, "");
    const placed = placePath(file, places);
    const shown = source.expansions.get(formatPath(path))?.written ?? placed;
    return [{ file: placed, shown, line, column, path: place }];
  });
}

/** What was parsed, with a further warning for each file in it that can't be read now. */
export async function warnOfFiles<
  Parsed extends { readonly warnings: readonly ConfigProblem[]; readonly files: readonly NamedFile[] },
>(parsed: Parsed): Promise<Parsed> {
  const warnings = [...parsed.warnings];
  for (const { file, shown, ...place } of parsed.files) {
    const why = await whyUnreadable(file);
    if (why !== undefined) warnings.push({ ...place, message: `${shown} can't be read: ${why}` });
  }
  warnings.sort((a, b) => a.line - b.line || a.column - b.column);
  return { ...parsed, warnings: warnings.slice(0, MAX_PROBLEMS) };
}

/** Asks without opening: to open a named pipe would take what its writer has for the engine. */
async function whyUnreadable(file: string): Promise<string | undefined> {
  try {
    if ((await stat(file)).isDirectory()) return "it is a directory";
    await access(file, constants.R_OK);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return "it does not exist";
    return code === "EACCES" || code === "EPERM" ? "permission is denied" : String(code);
  }
}
