import type { Command, Option } from "commander";
import { didYouMean } from "@sockeye/config-kit/suggest";
import { CommandFailure, ExitCode } from "./exit-codes.ts";

/** The SOCKEYE_* variables, each of which stands for a flag. commander reads them; what it does not do with them is here. */

/** Variables that keep the engine from native code of ours, each with its one value. */
const WITHOUT_NATIVE: Readonly<Record<string, string>> = {
  SOCKEYE_SSH_CRYPTO: "javascript",
  SOCKEYE_UDP: "node",
};

/** Variables that no flag mirrors: the folder of running engines, and which code encrypts SSH and sends datagrams. */
const WITHOUT_FLAG = ["SOCKEYE_RUNTIME_DIR", ...Object.keys(WITHOUT_NATIVE)];

const YES = ["1", "true", "yes", "on"];
const NO = ["0", "false", "no", "off"];

/** Every variable that something reads. */
function variablesOf(program: Command): string[] {
  const flags = program.commands.flatMap(({ options }) => options);
  return [...WITHOUT_FLAG, ...new Set(flags.flatMap(({ envVar }) => envVar ?? []))];
}

/** `SOCKEYE_CONFIG=` means the same as no SOCKEYE_CONFIG; commander would take it for a value. */
export function dropEmptyVariables(program: Command, env: NodeJS.ProcessEnv): void {
  for (const name of variablesOf(program)) if (env[name] === "") delete env[name];
}

/**
 * Has a flag without a value, such as --json, go by what its variable says. commander would take any value for a yes.
 * @throws {CommandFailure} usage, with a sentence, where it says neither yes nor no.
 */
export function readSwitches({ options }: Command, env: NodeJS.ProcessEnv): void {
  for (const { name, value } of options.filter(isSwitch).flatMap((option) => switchIn(option, env))) {
    if (NO.includes(value.toLowerCase())) Reflect.deleteProperty(env, name);
    else if (!YES.includes(value.toLowerCase()))
      throw new CommandFailure(ExitCode.usage, `${name} is "${value}"; write 1 or 0`);
  }
}

function isSwitch(option: Option): boolean {
  return !option.required && !option.optional;
}

function switchIn({ envVar }: Option, env: NodeJS.ProcessEnv): { name: string; value: string }[] {
  const value = envVar === undefined ? undefined : env[envVar];
  return envVar === undefined || value === undefined ? [] : [{ name: envVar, value }];
}

/** A sentence for each SOCKEYE_* variable that is passed over: it would otherwise be so in silence. */
export function unreadVariables(program: Command, env: NodeJS.ProcessEnv): string[] {
  const known = variablesOf(program);
  const unread = Object.keys(env)
    .filter((name) => name.startsWith("SOCKEYE_") && !known.includes(name))
    .map((name) => `nothing reads ${name}${didYouMean(name, known)}`);
  const ineffective = Object.entries(WITHOUT_NATIVE)
    .filter(([name, only]) => env[name] !== undefined && env[name] !== only)
    .map(([name, only]) => `${name} is "${env[name]}" and counts for nothing; it may be ${only}`);
  return [...unread, ...ineffective];
}
