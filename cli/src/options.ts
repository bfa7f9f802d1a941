import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { didYouMean } from "@sockeye/config-kit/suggest";
import { type Endpoint, parseEndpoint } from "@sockeye/engine/endpoint";
import { fileURLToPath } from "node:url";
import { CommandFailure, ExitCode } from "./exit-codes.ts";
import { currentPaths } from "./context.ts";

/** Flags that several commands share. Each that takes a value is mirrored by a variable, checked by the same rule. */

const levels = ["trace", "debug", "info", "warn", "error", "silent"] as const;
export type Level = (typeof levels)[number];
const formats = ["json", "pretty", "auto"] as const;
export type Format = (typeof formats)[number];

export function configOption(): Option {
  return new Option("--config <file>", `configuration file (default: ${currentPaths().config})`).env(
    "SOCKEYE_CONFIG",
  );
}

export function logLevelOption(): Option {
  return new Option("--log-level <level>", "how much is logged").choices(levels).env("SOCKEYE_LOG_LEVEL");
}

export function logFormatOption(): Option {
  return new Option("--log-format <format>", "JSON for programs, pretty for people, auto by where it goes")
    .choices(formats)
    .env("SOCKEYE_LOG_FORMAT");
}

/** An address to listen on. */
export function listenOption(name: "socks5" | "http" | "metrics", what: string): Option {
  return new Option(`--${name} <address>`, `${what}, as HOST:PORT`)
    .env(`SOCKEYE_${name.toUpperCase()}`)
    .argParser((text) => {
      parseAddress(text);
      return text;
    });
}

export function engineOption(): Option {
  return new Option("--engine <name>", "which running engine, where several run").env("SOCKEYE_ENGINE");
}

export function jsonOption(): Option {
  return new Option("--json", "print JSON (env: SOCKEYE_JSON=1)");
}

/** True where --json is given, or SOCKEYE_JSON says so. */
export function wantsJson(options: { readonly json?: boolean }): boolean {
  return isOn(options.json, "SOCKEYE_JSON");
}

/** A flag without a value: given, or switched on by its variable, of which commander would take a 0 for a yes. */
export function isOn(given: boolean | undefined, variable: (typeof variables)[number]): boolean {
  if (given === true) return true;
  const value = process.env[variable] ?? "";
  if (["1", "true", "yes", "on"].includes(value.toLowerCase())) return true;
  if (["", "0", "false", "no", "off"].includes(value.toLowerCase())) return false;
  throw new CommandFailure(ExitCode.usage, `${variable} is "${value}"; write 1 or 0`);
}

/** @throws {InvalidArgumentError} with a sentence that says what would be right. */
function parseAddress(text: string): Endpoint {
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(text)) {
    throw new InvalidArgumentError(`"${text}" is a URL; write HOST:PORT${insteadOf(text)}`);
  }
  try {
    return parseEndpoint(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** `, here example.com:80` for a URL whose port is known. */
function insteadOf(url: string): string {
  if (!URL.canParse(url)) return "";
  const { protocol, hostname, port } = new URL(url);
  const usual: Readonly<Record<string, string>> = { "http:": "80", "https:": "443", "ssh:": "22" };
  const known = port === "" ? usual[protocol] : port;
  return hostname === "" || known === undefined ? "" : `, here ${hostname}:${known}`;
}

/** @throws {InvalidArgumentError} */
export function parseTarget(text: string): Endpoint {
  const target = parseAddress(text);
  if (target.port === 0) throw new InvalidArgumentError(`"${text}": port 0 is nowhere to connect to`);
  return target;
}

/**
 * The file to use: the one given, or the default one where it is there.
 * @returns undefined where none was given and the default one is not there.
 */
export function chosenConfig(given: string | undefined): string | undefined {
  if (given !== undefined) return resolve(workingDirectory(), given);
  const usual = currentPaths().config;
  return existsSync(usual) ? usual : undefined;
}

const projectRoot = fileURLToPath(new URL("../..", import.meta.url));

/** Where the person is. npm runs a project's script in the project's folder, and says in INIT_CWD where it was called. */
function workingDirectory(): string {
  const { npm_lifecycle_event: script, INIT_CWD: calledFrom } = process.env;
  const byNpm = script === "sockeye" && resolve(projectRoot) === process.cwd();
  return byNpm && calledFrom !== undefined ? calledFrom : process.cwd();
}

/** @throws {CommandFailure} where there is no file. */
export function requiredConfig(given: string | undefined): string {
  const file = chosenConfig(given);
  if (file !== undefined) return file;
  throw new CommandFailure(
    ExitCode.config,
    `there is no configuration at ${currentPaths().config}; write one, or name one with --config FILE`,
  );
}

/** The variables that something reads. */
const variables = [
  "SOCKEYE_CONFIG",
  "SOCKEYE_LOG_LEVEL",
  "SOCKEYE_LOG_FORMAT",
  "SOCKEYE_SOCKS5",
  "SOCKEYE_HTTP",
  "SOCKEYE_METRICS",
  "SOCKEYE_ENGINE",
  "SOCKEYE_CONTROL_NAME",
  "SOCKEYE_TARGET",
  "SOCKEYE_TIMEOUT",
  "SOCKEYE_UPSTREAM",
  "SOCKEYE_LIMIT",
  "SOCKEYE_JSON",
  "SOCKEYE_RUNTIME_DIR",
  "SOCKEYE_UI",
  "SOCKEYE_RELAY",
  "SOCKEYE_TOKEN_FILE",
  "SOCKEYE_SHARE_NAME",
  "SOCKEYE_SHARE_PORT",
  "SOCKEYE_HOST_HEADER",
  "SOCKEYE_CA",
  "SOCKEYE_LINKS",
  "SOCKEYE_CONNECT_TIMEOUT",
  "SOCKEYE_BASIC_AUTH_FILE",
  "SOCKEYE_OFFLINE_PAGE",
  "SOCKEYE_INSPECT",
  "SOCKEYE_ONE_CONNECTION_PER_TUNNEL",
] as const;

/** `SOCKEYE_CONFIG=` means the same as no SOCKEYE_CONFIG; commander would take it for a value. */
export function dropEmptyVariables(env: NodeJS.ProcessEnv): void {
  for (const name of variables) if (env[name] === "") delete env[name];
}

/** A sentence for each SOCKEYE_* variable that nothing reads: a misspelt one would otherwise be passed over in silence. */
export function unreadVariables(env: NodeJS.ProcessEnv): string[] {
  return Object.keys(env)
    .filter((name) => name.startsWith("SOCKEYE_") && !variables.some((known) => known === name))
    .map((name) => `nothing reads ${name}${didYouMean(name, variables)}`);
}
