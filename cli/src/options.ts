import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { type Endpoint, parseEndpoint } from "@sockeye/engine/endpoint";
import { fileURLToPath } from "node:url";
import { CommandFailure, ExitCode } from "./exit-codes.ts";
import { currentPaths } from "./context.ts";

/** Flags that several commands share. Each is mirrored by a variable, checked by the same rule. */

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
  return new Option("--json", "print JSON").env("SOCKEYE_JSON");
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
