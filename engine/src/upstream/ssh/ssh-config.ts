/** What ~/.ssh/config says of one host (ssh_config(5)), in our terms. The `ssh-config` package parses and computes. */
import { glob as globFiles } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import SSHConfig, { glob as matchesPatterns, LineType, type Line } from "ssh-config";
import { DialError } from "../../errors.ts";
import { readNamedFile } from "../../named-file.ts";
import { expandPath, type PathTokens } from "./path-tokens.ts";

/** Absent means: the file says nothing. Paths are expanded. */
export interface HostSettings {
  readonly hostName?: string;
  readonly user?: string;
  readonly port?: number;
  readonly identityFiles: readonly string[];
  readonly identitiesOnly: boolean;
  /** A socket's path, or false for `none`. */
  readonly identityAgent?: string | false;
  /** What leads there: hops in order, or a command, whichever the file gives first. */
  readonly proxy?: { readonly jump: readonly string[] } | { readonly command: string };
  readonly userKnownHostsFiles?: readonly string[];
  readonly globalKnownHostsFiles?: readonly string[];
  readonly strictHostKeyChecking?: "strict" | "ask" | "accept-new" | "off";
  readonly hostKeyAlias?: string;
  /** Seconds. */
  readonly serverAliveInterval?: number;
  readonly serverAliveCountMax?: number;
  /** Seconds. */
  readonly connectTimeout?: number;
}

/** What was decided on before the file is read, and counts before it. */
interface Decided {
  readonly user?: string | undefined;
  readonly port?: number | undefined;
}

export const noSettings: HostSettings = { identityFiles: [], identitiesOnly: false };

const maxIncludeDepth = 16;
const maxFileBytes = 4 * 1024 * 1024;

/** Include, and keywords that Match looks at, must be spelt as the package spells them. */
const canonicalKeywords = new Map([
  ["hostname", "HostName"],
  ["user", "User"],
  ["include", "Include"],
]);

/**
 * @param host the alias as it was given.
 * @param decided for `Match user`, and for the tokens of paths.
 * @throws {DialError} `unsupported`, naming file and line, where the file is broken or can't be read. A missing one is empty.
 */
export async function readSshConfig(
  path: string,
  host: string,
  decided: Decided = {},
  files: SshConfigFiles = new SshConfigFiles(),
): Promise<HostSettings> {
  const { commands } = files;
  const lines = await expandFile(path, { host, files, depth: 0 });
  const config = new SSHConfig();
  config.push(...lines);
  const query = decided.user === undefined ? { Host: host } : { Host: host, User: decided.user };
  // Match exec would run a program at each look; canonicalisation is left out for the same reason (see expandLines).
  const computed = config.compute(query, { ignoreCase: true, matchExec: false }) as Values;
  return interpret(computed, { host, path, commands, decided });
}

type Values = Readonly<Record<string, string | readonly string[] | undefined>>;

interface Expansion {
  readonly host: string;
  readonly files: SshConfigFiles;
  readonly depth: number;
}

async function expandFile(path: string, expansion: Expansion): Promise<Line[]> {
  const lines = await expansion.files.lines(path);
  if (lines.length > 0 && expansion.depth > maxIncludeDepth) {
    throw configError(`${path} is included by itself, or too deeply`);
  }
  return await expandLines(lines, path, expansion);
}

/** The files as they were when first looked at, parsed once for whoever asks about many hosts. */
export class SshConfigFiles {
  /** ProxyCommand values, verbatim; the parsed files hold their numbers. */
  readonly commands: string[] = [];
  readonly #given: { readonly path: string; readonly text: string } | undefined;
  readonly #parsed = new Map<string, Promise<readonly Line[]>>();

  /** @param given the text of the only file there is; without it, files are read from the disk. */
  constructor(given?: { readonly path: string; readonly text: string }) {
    this.#given = given;
  }

  /** @throws {DialError} `unsupported`, naming file and line. A missing file has no lines. */
  lines(path: string): Promise<readonly Line[]> {
    const known = this.#parsed.get(path);
    if (known !== undefined) return known;
    const lines = this.#read(path).then((text) => parse(text, path, this.commands));
    this.#parsed.set(path, lines);
    return lines;
  }

  /** The files that an Include in `from` names. A text that stands for itself includes nothing. */
  async included(pattern: string, from: string, host: string): Promise<string[]> {
    if (this.#given !== undefined) return [];
    const expandedPath = expandPath(pattern, { alias: host, host, port: 22 });
    const absolute = isAbsolute(expandedPath) ? expandedPath : join(dirname(from), expandedPath);
    const files: string[] = [];
    for await (const file of globFiles(absolute)) files.push(file);
    return files.sort();
  }

  async #read(path: string): Promise<string> {
    if (this.#given !== undefined) return path === this.#given.path ? this.#given.text : "";
    try {
      return await readNamedFile(path, maxFileBytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
      throw configError(`${path} can't be read: ${(error as Error).message}`, error);
    }
  }
}

/**
 * The hosts that a file names: the words of its Host lines, those of files that it includes among them, without patterns
 * and in order. A Host line that is included within another host's section is that section's matter.
 * @throws {DialError} as readSshConfig.
 */
export async function listSshHosts(path: string, files: SshConfigFiles, depth = 0): Promise<string[]> {
  if (depth > maxIncludeDepth) throw configError(`${path} is included by itself, or too deeply`);
  const hosts: string[] = [];
  for (const line of await files.lines(path)) {
    if (line.type !== LineType.DIRECTIVE) continue;
    const keyword = line.param.toLowerCase();
    if (keyword === "host") hosts.push(...words(line.value).filter((word) => !/[*?!]/.test(word)));
    const toAll = keyword === "host" && words(line.value).join() === "*" && "config" in line;
    for (const inner of toAll ? line.config : [line]) {
      if (inner.type !== LineType.DIRECTIVE || inner.param.toLowerCase() !== "include") continue;
      for (const pattern of patternsOf(inner.value)) {
        for (const file of await files.included(pattern, path, "")) {
          hosts.push(...(await listSshHosts(file, files, depth + 1)));
        }
      }
    }
  }
  return [...new Set(hosts)].filter((host) => host !== "");
}

/**
 * ProxyCommand goes to a shell as it stands, while the package takes values apart into words: a number stands in for it.
 */
function parse(text: string, path: string, commands: string[]): Line[] {
  const numbered = text.replace(
    /^([ \t]*ProxyCommand(?:[ \t]*=[ \t]*|[ \t]+))(\S.*?)[ \t]*$/gim,
    (_all, keyword: string, command: string) => `${keyword}${commands.push(command) - 1}`,
  );
  try {
    return [...SSHConfig.parse(numbered)];
  } catch (error) {
    const line = numbered.split("\n").findIndex((single) => !parses(single)) + 1;
    throw configError(`${path}${line > 0 ? ` line ${line}` : ""} is not a line of an ssh_config file`, error);
  }
}

function parses(line: string): boolean {
  try {
    SSHConfig.parse(line);
    return true;
  } catch {
    return false;
  }
}

/** The lines with each Include replaced by what it names; the package leaves Include to its caller. */
async function expandLines(lines: readonly Line[], path: string, expansion: Expansion): Promise<Line[]> {
  const expanded: Line[] = [];
  for (const line of lines) {
    if (line.type !== LineType.DIRECTIVE) continue;
    const keyword = line.param.toLowerCase();
    // Canonicalisation would ask nslookup, a program, in the middle of a dial.
    if (keyword === "canonicaldomains" || keyword === "canonicalizehostname") continue;
    line.param = canonicalKeywords.get(keyword) ?? line.param;
    if (line.param === "Include") {
      expanded.push(...(await includedLines(patternsOf(line.value), path, expansion)));
    } else if ("config" in line) {
      expanded.push(...(await expandSection(line, path, expansion)));
    } else {
      expanded.push(line);
    }
  }
  return expanded;
}

type Section = Extract<Line, { config: SSHConfig }>;

/** A Host section that does not match is dropped, so that what it includes stays unread, sections and all. */
async function expandSection(section: Section, path: string, expansion: Expansion): Promise<Line[]> {
  const isHost = section.param.toLowerCase() === "host";
  if (isHost && !matchesPatterns(words(section.value), expansion.host)) return [];
  const body = await expandLines(section.config, path, expansion);
  if (isHost) return body;
  const config = new SSHConfig();
  config.push(...body);
  return [{ ...withoutNegations(section), config }];
}

/** The criteria of Match that look at a list of patterns, which can itself say what is not meant. */
const patternCriteria = ["host", "originalhost", "user", "localuser"];

/** The package knows no `!` before a criterion: `!host a` is written as `host *,!a`, which says the same. */
function withoutNegations(section: Section): Section {
  if (!("criteria" in section)) return section;
  const criteria: Record<string, unknown> = { ...section.criteria };
  for (const name of patternCriteria) {
    const negated = criteria[`!${name}`];
    // A negation within what is negated has no such other form.
    if (typeof negated !== "string" || negated.includes("!")) continue;
    delete criteria[`!${name}`];
    const wanted = criteria[name];
    criteria[name] = `${typeof wanted === "string" ? wanted : "*"},${negated.replace(/^|,/g, "$&!")}`;
  }
  return { ...section, criteria } as Section;
}

async function includedLines(
  patterns: readonly string[],
  from: string,
  expansion: Expansion,
): Promise<Line[]> {
  const lines: Line[] = [];
  for (const pattern of patterns) {
    for (const file of await expansion.files.included(pattern, from, expansion.host)) {
      lines.push(...(await expandFile(file, { ...expansion, depth: expansion.depth + 1 })));
    }
  }
  return lines;
}

interface Context {
  readonly host: string;
  readonly path: string;
  readonly commands: readonly string[];
  readonly decided: Decided;
}

function interpret(values: Values, { host, path, commands, decided }: Context): HostSettings {
  const single = (keyword: string): string | undefined => list(keyword)[0];
  const list = (keyword: string): readonly string[] => {
    const value = values[keyword];
    return value === undefined ? [] : typeof value === "string" ? [value] : value;
  };
  const number = (keyword: string, max: number): number | undefined => {
    const text = single(keyword);
    if (text === undefined) return undefined;
    const seconds = keyword === "port" || keyword === "serveralivecountmax" ? Number(text) : duration(text);
    if (!Number.isInteger(seconds) || seconds < 0 || seconds > max) {
      throw configError(`${path}: "${text}" is not a value for ${keyword}`);
    }
    return seconds;
  };
  const hostName = single("hostname")?.replaceAll("%h", host).replaceAll("%%", "%");
  const user = single("user");
  const port = number("port", 65_535);
  const hostKeyAlias = single("hostkeyalias");
  const tokens: PathTokens = {
    alias: host,
    host: hostName ?? host,
    port: decided.port ?? port ?? 22,
    user: decided.user ?? user,
    hostKeyAlias,
  };
  const paths = (keyword: string): string[] | undefined => {
    const files = list(keyword).flatMap((value) => value.split(/\s+/));
    if (files.length === 0) return undefined;
    return files.filter((file) => file.toLowerCase() !== "none").map((file) => expandPath(file, tokens));
  };
  const identities = list("identityfile").filter((file) => file.toLowerCase() !== "none");
  return stripAbsent({
    hostName,
    user,
    port,
    identityFiles: identities.map((file) => expandPath(file, tokens)),
    identitiesOnly: single("identitiesonly")?.toLowerCase() === "yes",
    identityAgent: agentPath(single("identityagent"), tokens),
    proxy: proxyOf(values, commands),
    userKnownHostsFiles: paths("userknownhostsfile"),
    globalKnownHostsFiles: paths("globalknownhostsfile"),
    strictHostKeyChecking: hostKeyMode(single("stricthostkeychecking")),
    hostKeyAlias,
    serverAliveInterval: number("serveraliveinterval", 86_400),
    serverAliveCountMax: number("serveralivecountmax", 1000),
    connectTimeout: number("connecttimeout", 86_400),
  });
}

/** ssh_config has ProxyJump and ProxyCommand compete: the one that comes first wins. */
function proxyOf(values: Values, commands: readonly string[]): HostSettings["proxy"] {
  const first = Object.keys(values).find((keyword) => keyword === "proxyjump" || keyword === "proxycommand");
  const value = first === undefined ? undefined : values[first];
  if (typeof value !== "string" || value.toLowerCase() === "none") return undefined;
  if (first === "proxyjump") return { jump: value.split(",").map((hop) => hop.trim()) };
  const command = commands[Number(value)]!;
  return command.toLowerCase() === "none" ? undefined : { command };
}

function hostKeyMode(text: string | undefined): HostSettings["strictHostKeyChecking"] {
  switch (text?.toLowerCase()) {
    case undefined:
      return undefined;
    case "accept-new":
      return "accept-new";
    case "ask":
      return "ask";
    case "no":
    case "off":
      return "off";
    default:
      return "strict";
  }
}

function agentPath(text: string | undefined, tokens: PathTokens): string | false | undefined {
  if (text === undefined) return undefined;
  if (text.toLowerCase() === "none") return false;
  if (text === "SSH_AUTH_SOCK") return process.env["SSH_AUTH_SOCK"];
  if (text.startsWith("$")) return process.env[text.slice(1).replace(/^\{(.*)\}$/, "$1")];
  return expandPath(text, tokens);
}

/** A number of seconds, or a time as sshd_config(5), TIME FORMATS has it: `1m30s`. NaN where it is neither. */
function duration(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  if (!/^(\d+[smhdw])+$/i.test(text)) return Number.NaN;
  const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
  let seconds = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([smhdw])/gi)) {
    seconds += Number(count) * units[unit!.toLowerCase()]!;
  }
  return seconds;
}

type Value = string | readonly { readonly val: string }[];

function words(value: Value): string[] {
  return typeof value === "string" ? value.split(/[ \t]+/) : value.map(({ val }) => val);
}

/** Of an Include: the package gives a single one as it is, without its quotes, and there may be spaces in it. */
function patternsOf(value: Value): string[] {
  return typeof value === "string" ? [value] : words(value);
}

type Optional<T> = { readonly [Key in keyof T]: T[Key] | undefined };

function stripAbsent(settings: Optional<HostSettings>): HostSettings {
  const present = Object.entries(settings).filter(([, value]) => value !== undefined);
  return { ...noSettings, ...Object.fromEntries(present) };
}

function configError(message: string, cause?: unknown): DialError {
  return new DialError("unsupported", message, { scope: "upstream", cause });
}
