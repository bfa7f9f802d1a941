import { resolve } from "node:path";
import { formatPath, type Path } from "@sockeye/config-kit/problem";
import { show } from "@sockeye/config-kit/show";
import { didYouMean, enumerate } from "@sockeye/config-kit/suggest";
import { isMapping, mappingOf, valueAt } from "@sockeye/config-kit/tree";
import type { z } from "zod";
import { type ConfigKey, configKeys, keysOfMapping } from "./keys.ts";
import { relaySchema } from "./schema.ts";

/** One place where keys are set: the flags, the environment, or the file, as a tree of values that nobody has checked. */
export interface Layer {
  readonly tree: unknown;
  /** Where relative paths in it begin. */
  readonly directory: string;
  /** How this place names a key, and where a problem with it stands. */
  readonly place: (path: Path, part: "key" | "value") => string;
}

/** Something wrong, or doubtful, in a layer. */
export interface LayerProblem {
  readonly path: Path;
  readonly part: "key" | "value";
  /** Completes `place:`. */
  readonly message: string;
}

/** Everything that is wrong in one layer by itself, also where another layer will win. */
export function problemsIn(layer: Layer): LayerProblem[] {
  const parsed = relaySchema.safeParse(withoutEmptyBlocks(layer.tree, []));
  return parsed.success ? [] : parsed.error.issues.flatMap((issue) => describeIssue(issue, layer.tree));
}

/**
 * The trees laid over each other, the first on top, key by key: a list is replaced, not added to. Paths are made absolute.
 * What is wrong in a layer is left out, so that the rest can be checked.
 */
export function overlay(layers: readonly Layer[], isWrong: (layer: Layer, path: Path) => boolean): unknown {
  const tree: Record<string, unknown> = {};
  for (const key of configKeys) {
    const layer = layers.find((layer) => hasKey(layer, key.path));
    if (layer === undefined || isWrong(layer, key.path)) continue;
    const value = valueAt(layer.tree, key.path);
    put(tree, key.path, key.isPath ? placed(value, layer.directory) : value);
  }
  return tree;
}

/** The layer that a key's value comes from; undefined where its default holds. */
export function layerOf(layers: readonly Layer[], path: Path): Layer | undefined {
  return layers.find((layer) => hasKey(layer, path));
}

/** True where the layer has the key at `path`, or something in the mapping there. */
function hasKey(layer: Layer, path: Path): boolean {
  return valueAt(layer.tree, path) !== undefined;
}

/** A tree with `value` at the place of `key`. */
export function put(tree: Record<string, unknown>, path: ConfigKey["path"], value: unknown): void {
  let at = tree;
  for (const part of path.slice(0, -1)) at = at[part] = { ...mappingOf(at[part]) };
  at[path.at(-1)!] = value;
}

/** `limits:` with every key commented out means the same as no `limits:`. */
function withoutEmptyBlocks(value: unknown, path: readonly string[]): unknown {
  if (value === null && keysOfMapping(path) !== undefined) return path.length === 0 ? {} : undefined;
  if (!isMapping(value)) return value;
  const entries = Object.entries(value).map(
    ([key, inner]) => [key, withoutEmptyBlocks(inner, [...path, key])] as const,
  );
  return Object.fromEntries(entries.filter(([, inner]) => inner !== undefined));
}

function placed(value: unknown, directory: string): unknown {
  if (Array.isArray(value)) return value.map((item) => placed(item, directory));
  if (typeof value !== "string" || value === "") return value;
  return value
    .split(",")
    .map((item) => resolve(directory, item.trim()))
    .join();
}

function describeIssue(issue: z.core.$ZodIssue, tree: unknown): LayerProblem[] {
  const path = issue.path.filter((part) => typeof part !== "symbol");
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      path: [...path, key],
      part: "key",
      message: unknownKey(key, path),
    }));
  }
  const given = valueAt(tree, path);
  const isSentence = issue.code === "custom" && issue.params?.["sentence"] === true;
  if (isSentence) return [{ path, part: "value", message: issue.message }];
  const wanted =
    issue.code === "custom" ? issue.message : `a mapping of ${enumerate(keysOfMapping(path) ?? [])}`;
  const name = path.length === 0 ? "the configuration" : formatPath(path);
  return [{ path, part: "value", message: `${name} must be ${wanted}, not ${show(given)}` }];
}

function unknownKey(key: string, path: Path): string {
  const known = keysOfMapping(path) ?? [];
  const name = path.length === 0 ? "the configuration" : formatPath(path);
  const elsewhere = configKeys.filter((candidate) => candidate.path.at(-1) === key);
  if (elsewhere.length > 0) {
    const places = elsewhere.map((candidate) => candidate.path.join("."));
    return `${key} is not a key of ${name}; there is ${enumerate(places)}`;
  }
  const near = didYouMean(key, known);
  return near === ""
    ? `${key} is not a key of ${name}, whose keys are ${enumerate(known)}`
    : `${key} is not a key of ${name}${near}`;
}
