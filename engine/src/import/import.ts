import { homedir } from "node:os";
import type { Config, UpstreamConfig } from "../config/config.ts";
import { parseConfig } from "../config/load.ts";
import type { CallResult, ImportedUpstream } from "../control/contract.ts";
import { parseEndpoint } from "../endpoint.ts";
import { readConfiguration } from "./configuration.ts";
import {
  excerpt,
  type Finds,
  type Found,
  ImportError,
  joinFinds,
  nothingFound,
  type Skipped,
} from "./found.ts";
import { readSshCommand } from "./ssh-command.ts";
import { readOwnSshConfig, readSshConfigText } from "./ssh-config.ts";
import { readUrl } from "./url.ts";

const MAX_CHARACTERS = 1_000_000;
const MAX_LINE = 8_192;
const MAX_UPSTREAMS = 500;
const MAX_SKIPPED = 100;

/**
 * What shows a text as something that it is not: control characters, and marks that turn its direction or are not to be
 * seen at all (Unicode Technical Report 36, §2.10).
 */
const DECEITFUL =
  /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/;

export type ImportPreview = CallResult<"import.preview">;

/** A text, or the user's own ssh_config by its path. */
export type ImportSource = { readonly text: string } | { readonly path: string };

/** It may take any time: an engine at work has it done aside (aside.ts). */
export function previewSource(source: ImportSource, config: Config): Promise<ImportPreview> {
  return "path" in source ? previewSshConfig(source.path, config) : previewText(source.text, config);
}

/** What is in a text, with names that are free beside `config`. Nothing is applied, and nothing in the text is run or asked. */
export async function previewText(text: string, config: Config): Promise<ImportPreview> {
  return preview(await readText(text), config);
}

/** The same for the user's own ssh_config. @param path `~/.ssh/config` */
export async function previewSshConfig(path: string, config: Config): Promise<ImportPreview> {
  const finds = await readOwnSshConfig(path);
  const empty = finds.found.length === 0 && finds.skipped.length === 0;
  const none: Finds = { found: [], skipped: [{ from: path, why: "it is not there, or names no host" }] };
  return preview(empty ? none : finds, config);
}

async function readText(given: string): Promise<Finds> {
  const text = given.startsWith("\uFEFF") ? given.slice(1) : given;
  const refused = (why: string): Finds => ({ found: [], skipped: [{ from: "the text", why }] });
  if (text.length > MAX_CHARACTERS) return refused(`it is longer than ${MAX_CHARACTERS} characters`);
  if (text.trim() === "") return refused("there is nothing in it");
  const deceit = DECEITFUL.exec(text);
  if (deceit) {
    const line = text.slice(0, deceit.index).split("\n").length;
    const code = deceit[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    return refused(`line ${line} holds the character U+${code}, which hides what a text says`);
  }
  const lines = commandLines(text);
  if (lines.some((line) => /^[a-z][a-z\d+.-]*:\/\//i.test(line) || /^ssh\s/.test(line))) {
    return joinFinds(lines.slice(0, MAX_UPSTREAMS + MAX_SKIPPED).map(readLine));
  }
  const isOurs = /^(?:upstreams|listen|routes|default|tun)[ \t]*:/m.test(text) || /^\s*\{/.test(text);
  if (!isOurs && /^[ \t]*(?:host|match|include)[ \t=]/im.test(text)) return readSshConfigText(text);
  return readConfiguration(text);
}

/** Lines, those that end in a backslash with the next; without empty ones, comments and a shell's prompt. */
function commandLines(text: string): string[] {
  return text
    .replace(/\\\r?\n[ \t]*/g, " ")
    .split(/\r?\n/)
    .map((line) => line.trim().replace(/^[$%>]\s+/, ""))
    .filter((line) => line !== "" && !line.startsWith("#"));
}

function readLine(line: string): Finds {
  try {
    if (line.length > MAX_LINE) throw new ImportError(`the line is longer than ${MAX_LINE} characters`);
    if (/^ssh\s/.test(line)) return readSshCommand(line);
    if (!/^[a-z][a-z\d+.-]*:\/\//i.test(line))
      throw new ImportError("it is neither a URL nor an ssh command");
    return { ...nothingFound, found: [readUrl(line)] };
  } catch (error) {
    if (!(error instanceof ImportError)) throw error;
    // A password may stand anywhere in what can't be read.
    return {
      ...nothingFound,
      skipped: [{ from: excerpt(line.replace(/:[^@]*@/, ":…@")), why: error.message }],
    };
  }
}

/** Checks each find by the file's own rules, gives free names, ties the chains, and tells what is there already. */
function preview({ found, skipped }: Finds, config: Config): ImportPreview {
  const refused: Skipped[] = [...skipped];
  const named = new Map<string, { readonly find: Found; readonly name: string }>();
  const taken = new Set(["direct", "block", ...Object.keys(config.upstreams)]);
  for (const find of found) {
    if (named.has(find.id)) continue;
    const why = named.size === MAX_UPSTREAMS ? `there are more than ${MAX_UPSTREAMS}` : problemOf(find);
    if (why !== undefined) {
      refused.push({ from: find.from, why });
      continue;
    }
    const name = freeName(find.name, taken);
    taken.add(name);
    named.set(find.id, { find, name });
  }
  const upstreams: ImportedUpstream[] = [];
  const known = new Map(
    Object.entries(config.upstreams).map(([name, upstream]) => [placeOf(upstream, upstream.via), name]),
  );
  /** A hop that is there already is used as it is, whether or not it is imported again. */
  const there = new Map<string, string>();
  for (const { find, name } of named.values()) {
    const { via, warning } = viaOf(find, (id) => there.get(id) ?? named.get(id)?.name, config);
    const upstream = { ...find.upstream, ...(via !== undefined && { via }) };
    const built = build(upstream);
    const sameAs = built === undefined ? undefined : known.get(placeOf(built, via));
    if (sameAs !== undefined) there.set(find.id, sameAs);
    upstreams.push({
      name,
      upstream,
      from: find.from,
      warnings: [...find.warnings, ...warning, ...warningsOf(find.upstream)],
      ...(sameAs !== undefined && { sameAs }),
    });
  }
  const told = refused.slice(0, MAX_SKIPPED);
  const more = refused.length - told.length;
  if (more > 0) told.push({ from: "the text", why: `${more} more were of no use` });
  return { upstreams, skipped: told };
}

/** The first thing that the file's rules have against it; undefined where it could stand in the file. */
function problemOf({ upstream, from, name }: Found): string | undefined {
  const deceit = [from, name, JSON.stringify(upstream)].some((text) => DECEITFUL.test(unescape(text)));
  if (deceit) return "it holds characters that hide what a text says";
  const parsed = parse(upstream);
  return "errors" in parsed ? (parsed.errors[0]?.message ?? "it is not valid") : undefined;
}

/** JSON writes control characters as `\u0007`. */
function unescape(json: string): string {
  return json.replace(/\\u([\da-f]{4})/gi, (_all, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
}

function build(upstream: Readonly<Record<string, unknown>>): UpstreamConfig | undefined {
  // What it is reached through is not among these upstreams.
  const parsed = parse({ ...upstream, via: undefined });
  return "config" in parsed ? parsed.config.upstreams["found"] : undefined;
}

/** JSON is YAML. */
function parse(upstream: Readonly<Record<string, unknown>>): ReturnType<typeof parseConfig> {
  return parseConfig(JSON.stringify({ upstreams: { found: upstream } }), {
    env: process.env,
    home: homedir(),
  });
}

function freeName(wanted: string, taken: ReadonlySet<string>): string {
  const usable = wanted
    .replace(/[^\p{L}\p{N}._-]+/gu, "-")
    .replace(/^[^\p{L}\p{N}]+/u, "")
    .slice(0, 56);
  const base = usable === "" ? "imported" : usable;
  if (!taken.has(base)) return base;
  let number = 2;
  while (taken.has(`${base}-${number}`)) number++;
  return `${base}-${number}`;
}

/** The name that a find's chain leads to: another find, or an upstream that is there already. */
function viaOf(
  { via }: Found,
  nameOf: (id: string) => string | undefined,
  config: Config,
): { readonly via: string | undefined; readonly warning: readonly string[] } {
  if (via === undefined) return { via, warning: [] };
  const inText = nameOf(via);
  if (inText !== undefined) return { via: inText, warning: [] };
  if (Object.hasOwn(config.upstreams, via)) return { via, warning: [] };
  const warning = [
    `it is reached through ${excerpt(via)}, which is not among the upstreams; via was left out`,
  ];
  return { via: undefined, warning };
}

/** Where an upstream leads; the same text for two that lead to the same place in the same way. */
function placeOf(upstream: UpstreamConfig, via: string | undefined): string {
  const user = upstream.type === "ssh" ? upstream.user : upstream.auth?.username;
  let { address } = upstream;
  try {
    const { host, port } = parseEndpoint(address, 22);
    address = `${host.toLowerCase()} ${port}`;
  } catch {
    // An alias that is no host name stands for itself.
  }
  return JSON.stringify([upstream.type, address, user ?? "", via ?? ""]);
}

/** What a stranger's configuration may make this machine do. */
function warningsOf(upstream: Readonly<Record<string, unknown>>): string[] {
  const warnings: string[] = [];
  const variables = [...JSON.stringify(upstream).matchAll(/(?<!\$)\$\{([^}]*)\}/g)].map(([, name]) => name!);
  if (variables.length > 0)
    warnings.push(`it reads ${[...new Set(variables)].join(", ")} from the environment`);
  if (upstream["ssh_config_file"] !== undefined) {
    warnings.push("it names an ssh_config file; a ProxyCommand in that is a program that would run");
  }
  if (upstream["host_key_check"] === "off") {
    warnings.push("with host_key_check off, anyone on the way can pose as it");
  }
  return warnings;
}
