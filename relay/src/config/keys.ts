import { z } from "zod";
import { relaySchema } from "./schema.ts";
import { boolean, path as pathValue, paths as pathsValue } from "./values.ts";

/** One key of the configuration, with its name in each of the three places where it can be set. */
export interface ConfigKey {
  /** In the file: `["control", "address"]`. */
  readonly path: readonly string[];
  /** `--control-address`. */
  readonly flag: string;
  /** `SHOWOFF_CONTROL_ADDRESS`. */
  readonly variable: string;
  /** What it is for, in a few words. */
  readonly help: string;
  /** What holds where it is not given; undefined: nothing. */
  readonly default: unknown;
  /** A flag that needs no value. */
  readonly isSwitch: boolean;
  /** It names files, which begin where the file stands that names them. */
  readonly isPath: boolean;
}

const PREFIX = "SHOWOFF_";

/** Every key, in the order of the schema. */
export const configKeys: readonly ConfigKey[] = [...keysIn(relaySchema, [])];

/** The names of the keys of the mapping at `path`; undefined where there is none. */
export function keysOfMapping(path: readonly (string | number)[]): string[] | undefined {
  const inside = configKeys.filter((key) => path.every((part, i) => key.path[i] === part));
  const names = inside.flatMap((key) => key.path[path.length] ?? []);
  return names.length === 0 ? undefined : [...new Set(names)];
}

function* keysIn(schema: z.ZodObject, above: readonly string[]): Generator<ConfigKey> {
  for (const [name, inner] of Object.entries<z.core.$ZodType>(schema.shape)) {
    const path = [...above, name];
    const mapping = inner instanceof z.ZodPrefault ? inner.unwrap() : undefined;
    if (mapping instanceof z.ZodObject) yield* keysIn(mapping, path);
    else yield describe(inner, path);
  }
}

function describe(schema: z.core.$ZodType, path: readonly string[]): ConfigKey {
  if (!(schema instanceof z.ZodDefault || schema instanceof z.ZodOptional))
    throw new TypeError(`${path.join(".")} has neither a default nor is it optional`);
  const help = schema.meta()?.["help"];
  if (typeof help !== "string") throw new TypeError(`${path.join(".")} does not say what it is for`);
  const read: unknown = schema.unwrap();
  return {
    path,
    flag: `--${path.join("-").replaceAll("_", "-")}`,
    variable: `${PREFIX}${path.join("_").toUpperCase()}`,
    help,
    default: schema instanceof z.ZodDefault ? schema.def.defaultValue : undefined,
    isSwitch: read === boolean,
    isPath: read === pathValue || read === pathsValue,
  };
}
