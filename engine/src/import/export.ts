import { Document, isMap, parseDocument } from "yaml";
import type { CallResult } from "../control/contract.ts";
import { ControlError } from "../control/control-error.ts";
import { writeLink } from "./link.ts";

const SECRETS = ["password", "password_file", "passphrase", "passphrase_file"];

type Mapping = Readonly<Record<string, unknown>>;

/**
 * Upstreams of a configuration as a configuration of their own and as links, without their secrets; a comment says where one
 * was. What an upstream is reached through comes with it.
 * @param text the configuration's.
 * @param names which; default: all.
 * @throws {ControlError} unknown-upstream; invalid-config, where the text is no configuration.
 */
export function exportUpstreams(text: string, names?: readonly string[]): CallResult<"export"> {
  const all = upstreamsOf(text);
  const chosen = new Set<string>();
  for (const name of names ?? Object.keys(all)) {
    if (!Object.hasOwn(all, name)) {
      throw new ControlError("unknown-upstream", `no upstream of the configuration is called "${name}"`);
    }
    addWithVia(name, all, chosen);
  }
  const kept = Object.keys(all).filter((name) => chosen.has(name));
  const bare = new Map(kept.map((name) => [name, withoutSecrets(all[name]!)]));
  const document = new Document({
    upstreams: Object.fromEntries([...bare].map(([name, { upstream }]) => [name, upstream])),
  });
  for (const [name, { left }] of bare) {
    const node = document.getIn(["upstreams", name], true);
    if (isMap(node) && left.length > 0) node.comment = left.map((sentence) => ` ${sentence}`).join("\n");
  }
  return {
    text: document.toString({ lineWidth: 0 }),
    links: [...bare].map(([name, { upstream }]) => ({ name, link: writeLink(name, upstream) })),
  };
}

function upstreamsOf(text: string): Readonly<Record<string, Mapping>> {
  const document = parseDocument(text, { prettyErrors: false, uniqueKeys: false, logLevel: "silent" });
  const failure = new ControlError(
    "invalid-config",
    "the configuration can't be read as it is; mend it first",
  );
  if (document.errors.length > 0) throw failure;
  let value: unknown;
  try {
    value = document.toJS();
  } catch {
    throw failure;
  }
  const upstreams = isMapping(value) ? (value["upstreams"] ?? {}) : {};
  if (!isMapping(upstreams)) throw failure;
  return Object.fromEntries(
    Object.entries(upstreams).filter((entry): entry is [string, Mapping] => isMapping(entry[1])),
  );
}

function addWithVia(name: string, all: Readonly<Record<string, Mapping>>, chosen: Set<string>): void {
  let step: unknown = name;
  while (typeof step === "string" && Object.hasOwn(all, step) && !chosen.has(step)) {
    chosen.add(step);
    step = all[step]!["via"];
  }
}

/** @returns what stays, and a line for each secret that does not. */
function withoutSecrets(upstream: Mapping): { readonly upstream: Mapping; readonly left: readonly string[] } {
  const left: string[] = [];
  const kept: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(upstream)) {
    if (SECRETS.includes(key)) left.push(`${key}: was here and was left out`);
    else if (key !== "auth") kept[key] = value;
    else if (isMapping(value)) {
      const username = JSON.stringify(value["username"] ?? "");
      left.push(`auth: { username: ${username} } was here, with a password that was left out`);
    }
  }
  return { upstream: kept, left };
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
