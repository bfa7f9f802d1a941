import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { withoutValues } from "@sockeye/config-kit/expansions";
import { type ConfigProblem, MAX_PROBLEMS, type Path, formatPath } from "@sockeye/config-kit/problem";
import { readConfigText } from "@sockeye/config-kit/read-text";
import { type Source, readSource } from "@sockeye/config-kit/source";
import { listOf, valueAt } from "@sockeye/config-kit/tree";
import { type Contradiction, contradictionsIn, doubtsAbout } from "./checks.ts";
import { CONFIG_VARIABLE, type Environment, treeOfEnvironment, unreadVariables } from "./environment.ts";
import { treeOfFlags } from "./flags.ts";
import { configKeys } from "./keys.ts";
import { type Layer, type LayerProblem, layerOf, overlay, problemsIn } from "./layers.ts";
import { type RelayConfig, relaySchema } from "./schema.ts";

/** Where a configuration comes from. Flags win over the environment, that over the file, and that over the defaults. */
export interface RelaySources {
  /** As commander gives them. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Environment;
  readonly file?: { readonly name: string; readonly text: string } | undefined;
  /** Where relative paths of flags and variables begin. */
  readonly directory: string;
}

/** Something wrong or doubtful, and where: `relay.yaml:3:5`, `--control-address`, `SHOWOFF_CONTROL_ADDRESS`; or empty. */
export interface RelayProblem {
  readonly place: string;
  /** One plain sentence that says what would be right. Never holds a secret. */
  readonly message: string;
}

export type RelayConfigResult =
  | { readonly config: RelayConfig; readonly warnings: readonly RelayProblem[] }
  | { readonly errors: readonly RelayProblem[] };

/**
 * Reads the file that `--config` or SHOWOFF_CONFIG names, and puts the configuration together. Finds everything that is
 * wrong at once, also files that are named and can't be read. Never throws for what was given.
 */
export async function loadRelayConfig(sources: Omit<RelaySources, "file">): Promise<RelayConfigResult> {
  const flag = sources.flags["config"];
  const given = typeof flag === "string" ? flag : sources.env[CONFIG_VARIABLE];
  if (given === undefined || given === "") return checkFiles(parseRelayConfig(sources));
  const name = resolve(sources.directory, given);
  let text: string;
  try {
    text = await readConfigText(name);
  } catch (error) {
    const place = typeof flag === "string" ? "--config" : CONFIG_VARIABLE;
    return { errors: [{ place, message: `${name} can't be read: ${whyNot(error)}` }] };
  }
  return checkFiles(parseRelayConfig({ ...sources, file: { name, text } }));
}

/** As loadRelayConfig, without reading anything. */
export function parseRelayConfig(sources: RelaySources): RelayConfigResult {
  const file = sources.file === undefined ? undefined : fileLayer(sources.file, sources.env);
  const layers = [flagLayer(sources), environmentLayer(sources), ...(file?.layer ? [file.layer] : [])];
  const unread = unreadVariables(sources.env).map(({ variable, message }) => ({ place: variable, message }));
  const errors = [...unread, ...(file?.problems ?? [])];
  const wrong = new Map<Layer, LayerProblem[]>();
  for (const layer of layers) {
    const problems = problemsIn(layer);
    wrong.set(layer, problems);
    for (const { path, part, message } of problems) {
      if (layer === file?.layer && file.source.unknown.has(formatPath(path))) continue;
      const safe = layer === file?.layer ? withoutValues(message, [path], file.source.expansions) : message;
      errors.push({ place: layer.place(path, part), message: safe });
    }
  }
  const isWrong = (layer: Layer, path: Path) =>
    wrong.get(layer)?.some((problem) => isAtOrAbove(problem.path, path)) === true;
  const config = relaySchema.parse(overlay(layers, isWrong));
  // What is wrong by itself, or could not be read, is no ground for more complaints.
  const faults = [...wrong.values()].flat();
  const unsure = (path: Path) =>
    faults.some((fault) => isAtOrAbove(fault.path, path) || isAtOrAbove(path, fault.path)) ||
    (file !== undefined && file.layer === undefined);
  const place = ({ paths, message }: Contradiction): RelayProblem => {
    const at = paths.find((path) => layerOf(layers, path) !== undefined);
    return { place: at === undefined ? "" : layerOf(layers, at)!.place(at, "value"), message };
  };
  const contradictions = contradictionsIn(config).filter(({ paths }) => !paths.some(unsure));
  errors.push(...contradictions.map(place));
  if (errors.length > 0) return { errors: inOrder(errors).slice(0, MAX_PROBLEMS) };
  return { config, warnings: doubtsAbout(config).map(place) };
}

function flagLayer({ flags, directory }: RelaySources): Layer {
  return { tree: treeOfFlags(flags), directory, place: (path) => nameOfKey(path, "flag") };
}

function environmentLayer({ env, directory }: RelaySources): Layer {
  return { tree: treeOfEnvironment(env), directory, place: (path) => nameOfKey(path, "variable") };
}

function nameOfKey(path: Path, way: "flag" | "variable"): string {
  const key =
    configKeys.find((key) => isAtOrAbove(key.path, path)) ??
    configKeys.find((key) => isAtOrAbove(path, key.path));
  return key?.[way] ?? "";
}

interface FileLayer {
  readonly source: Source;
  /** Absent where the text is not YAML, so that nothing can be said of what it means. */
  readonly layer?: Layer;
  readonly problems: readonly RelayProblem[];
}

function fileLayer({ name, text }: { name: string; text: string }, env: Environment): FileLayer {
  const source = readSource(text.startsWith("\uFEFF") ? text.slice(1) : text, env);
  const at = ({ line, column }: ConfigProblem) => `${name}:${line}:${column}`;
  const problems = source.problems.map((problem) => ({ place: at(problem), message: problem.message }));
  if (!source.readable) return { source, problems };
  const place: Layer["place"] = (path, part) => at(source.problemAt(path, "", { part }));
  return { source, problems, layer: { tree: source.value ?? {}, directory: dirname(name), place } };
}

/** True where `path` leads through `above`, or is it. */
function isAtOrAbove(above: Path, path: Path): boolean {
  return above.length <= path.length && above.every((part, i) => path[i] === part);
}

/** Flags and variables as they came; a file's from top to bottom. */
function inOrder(problems: readonly RelayProblem[]): RelayProblem[] {
  const lineOf = ({ place }: RelayProblem) => /:(\d+):(\d+)$/.exec(place)?.slice(1).map(Number) ?? [0, 0];
  return problems.toSorted((a, b) => {
    const [lineA, columnA] = lineOf(a);
    const [lineB, columnB] = lineOf(b);
    return lineA! - lineB! || columnA! - columnB!;
  });
}

/** The files that are named must be there to be read: a relay that starts without its certificates is no relay. */
async function checkFiles(result: RelayConfigResult): Promise<RelayConfigResult> {
  if (!("config" in result)) return result;
  const errors: RelayProblem[] = [];
  for (const key of configKeys.filter((key) => key.isPath)) {
    const value = valueAt(result.config, key.path);
    for (const name of typeof value === "string" ? [value] : listOf(value)) {
      const why = await whyUnreadable(String(name));
      if (why === undefined) continue;
      errors.push({ place: key.path.join("."), message: `${String(name)} can't be read: ${why}` });
    }
  }
  return errors.length === 0 ? result : { errors };
}

/** Asks without opening: to open a named pipe would take what its writer has for the relay. */
async function whyUnreadable(name: string): Promise<string | undefined> {
  try {
    if ((await stat(name)).isDirectory()) return "it is a directory";
    await access(name, constants.R_OK);
    return undefined;
  } catch (error) {
    return whyNot(error);
  }
}

function whyNot(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOENT" || code === "ENOTDIR") return "it does not exist";
  return code === "EACCES" || code === "EPERM" ? "permission is denied" : String(code);
}
