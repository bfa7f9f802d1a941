import { Option } from "commander";
import { type ConfigKey, configKeys } from "./keys.ts";
import { put } from "./layers.ts";
import { CONFIG_VARIABLE } from "./environment.ts";

/** A flag for each key, and `--config`. Values are taken as they are: what they may be is checked with all the rest. */
export function relayOptions(): Option[] {
  const config = new Option("--config <file>", `configuration file (env: ${CONFIG_VARIABLE})`);
  return [config, ...configKeys.map(optionOf)];
}

/** What the flags set, as a tree. @param options as commander gives them; those not given are absent. */
export function treeOfFlags(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const tree: Record<string, unknown> = {};
  for (const key of configKeys) {
    const value = options[optionOf(key).attributeName()];
    if (value !== undefined) put(tree, key.path, value);
  }
  return tree;
}

function optionOf(key: ConfigKey): Option {
  const value = key.isSwitch ? "[true|false]" : "<value>";
  const notes = [describeDefault(key.default), `env: ${key.variable}`].filter((note) => note !== "");
  return new Option(`${key.flag} ${value}`, `${key.help} (${notes.join("; ")})`);
}

function describeDefault(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "" : `default: ${value.join()}`;
  return typeof value === "string" || typeof value === "number" ? `default: ${value}` : "";
}
