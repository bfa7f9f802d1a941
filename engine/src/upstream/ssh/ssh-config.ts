/** What ~/.ssh/config says of one host (ssh_config(5)), in our terms. The `ssh-config` package parses and computes. */
import { glob as globFiles } from "node:fs/promises";
import { homedir, userInfo } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import SSHConfig, { glob as matchesPatterns, LineType, type Line } from "ssh-config";
import { DialError } from "../../errors.ts";
import { readNamedFile } from "../../named-file.ts";

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
 * @param user the user already decided on, for `Match user`.
 * @throws {DialError} `unsupported`, naming file and line, where the file is broken or can't be read. A missing one is empty.
 */
export async function readSshConfig(
  path: string,
  host: string,
  user?: string,
  files: SshConfigFiles = new SshConfigFiles(),
): Promise<HostSettings> {
  const { commands } = files;
  const lines = await expandFile(path, { host, files, depth: 0 });
  const config = new SSHConfig();
  config.push(...lines);
  const query = user === undefined ? { Host: host } : { Host: host, User: user };
  // Match exec would run a program at each look; canonicalisation is left out for the same reason (see expandLines).
  const computed = config.compute(query, { ignoreCase: true, matchExec: false }) as Values;
  return interpret(computed, { host, path, commands });
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
    const expandedPath = expandPath(pattern, host);
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
      for (const pattern of words(inner.value)) {
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
      expanded.push(...(await includedLines(words(line.value), path, expansion)));
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
  return [{ ...section, config }];
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

function interpret(
  values: Values,
  { host, path, commands }: { host: string; path: string; commands: readonly string[] },
): HostSettings {
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
  const paths = (keyword: string): string[] | undefined => {
    const files = list(keyword).flatMap((value) => value.split(/\s+/));
    if (files.length === 0) return undefined;
    return files.filter((file) => file.toLowerCase() !== "none").map((file) => expandPath(file, host));
  };
  const hostName = single("hostname")?.replaceAll("%h", host).replaceAll("%%", "%");
  const names = { host: hostName ?? host, user: single("user") };
  const identities = list("identityfile").filter((file) => file.toLowerCase() !== "none");
  return stripAbsent({
    hostName,
    user: names.user,
    port: number("port", 65_535),
    identityFiles: identities.map((file) => expandPath(file, names.host, names.user)),
    identitiesOnly: single("identitiesonly")?.toLowerCase() === "yes",
    identityAgent: agentPath(single("identityagent"), names.host),
    proxy: proxyOf(values, commands),
    userKnownHostsFiles: paths("userknownhostsfile"),
    globalKnownHostsFiles: paths("globalknownhostsfile"),
    strictHostKeyChecking: hostKeyMode(single("stricthostkeychecking")),
    hostKeyAlias: single("hostkeyalias"),
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

function agentPath(text: string | undefined, host: string): string | false | undefined {
  if (text === undefined) return undefined;
  if (text.toLowerCase() === "none") return false;
  if (text === "SSH_AUTH_SOCK") return process.env["SSH_AUTH_SOCK"];
  if (text.startsWith("$")) return process.env[text.slice(1).replace(/^\{(.*)\}$/, "$1")];
  return expandPath(text, host);
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

/** `~`, `${VARIABLE}` and the tokens of ssh_config(5), TOKENS that make sense in a path. */
function expandPath(path: string, host: string, remoteUser?: string): string {
  const tilde = path === "~" || path.startsWith("~/") ? homedir() + path.slice(1) : path;
  const variables = tilde.replace(/\$\{(\w+)\}/g, (all, name: string) => process.env[name] ?? all);
  return variables.replace(/%([%dhru])/g, (_all, token: string) => {
    switch (token) {
      case "d":
        return homedir();
      case "h":
        return host;
      case "r":
        return remoteUser ?? userInfo().username;
      case "u":
        return userInfo().username;
      default:
        return "%";
    }
  });
}

function words(value: string | readonly { readonly val: string }[]): string[] {
  return typeof value === "string" ? value.split(/[ \t]+/) : value.map(({ val }) => val);
}

type Optional<T> = { readonly [Key in keyof T]: T[Key] | undefined };

function stripAbsent(settings: Optional<HostSettings>): HostSettings {
  const present = Object.entries(settings).filter(([, value]) => value !== undefined);
  return { ...noSettings, ...Object.fromEntries(present) };
}

function configError(message: string, cause?: unknown): DialError {
  return new DialError("unsupported", message, { scope: "upstream", cause });
}
