import type { z } from "zod";
import type { UpstreamType } from "./config.ts";
import type { Finding, Path } from "@sockeye/config-kit/problem";
import { keysOf, upstreamOfNoType } from "./schema.ts";
import { didYouMean, enumerate } from "@sockeye/config-kit/suggest";
import { show } from "@sockeye/config-kit/show";
import { isSecretOfFile } from "./schema-values.ts";
import { valueAt } from "@sockeye/config-kit/tree";

/** One issue of the schema as findings: unknown keys are one issue and many findings. */
export function describeIssue(issue: z.core.$ZodIssue, root: unknown): Finding[] {
  const path = placeOf(issue, root);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      path: [...path, key],
      part: "key",
      message: unknownKeySentence(key, path, root),
    }));
  }
  const given = valueAt(root, path);
  if (given === undefined) return [{ path, part: "value", message: missingSentence(path) }];
  const wrong: Finding = { path, part: "value", message: wrongValueSentence(issue, path, given) };
  return isUpstreamType(path) ? [wrong, ...describeUpstreamOfNoType(path.slice(0, -1), root)] : [wrong];
}

function isUpstreamType(path: Path): boolean {
  return path.length === 3 && path[0] === "upstreams" && path[2] === "type";
}

/** The schema stops at a type that is none; what is wrong whatever the type is told all the same. */
function describeUpstreamOfNoType(path: Path, root: unknown): Finding[] {
  const { error } = upstreamOfNoType.safeParse(valueAt(root, path));
  const issues = error?.issues ?? [];
  return issues.flatMap((issue) => describeIssue({ ...issue, path: [...path, ...issue.path] }, root));
}

/** An issue's path; where a listener is written in short, its `address` is the listener itself. */
function placeOf(issue: z.core.$ZodIssue, root: unknown): Path {
  const path = issue.path.filter((part) => typeof part !== "symbol");
  const parent = valueAt(root, path.slice(0, -1));
  return parent === undefined || (typeof parent === "object" && parent !== null) ? path : path.slice(0, -1);
}

function wrongValueSentence(issue: z.core.$ZodIssue, path: Path, given: unknown): string {
  const isSentence = issue.code === "custom" && issue.params?.["sentence"] === true;
  if (isSentence) return issue.message;
  const mistake = `${subject(path)} must be ${wanted(issue, path)}`;
  if (isSecret(path)) return mistake;
  const near = path.at(-1) === "type" && typeof given === "string" ? didYouMean(given, upstreamTypes) : "";
  return `${mistake}, not ${show(given)}${near}`;
}

const upstreamTypes = Object.keys(keysOf.upstream) as UpstreamType[];

function wanted(issue: z.core.$ZodIssue, path: Path): string {
  if (issue.code === "custom") return issue.message;
  if (path.at(-1) === "type") return enumerate(upstreamTypes, "or");
  if (issue.code === "invalid_type" && issue.expected === "array") return "a list";
  if (path.length === 0) return `a mapping of ${enumerate(keysOf.file)}`;
  if (path.length === 2 && path[0] === "upstreams") return "a mapping such as { type: ssh, address: HOST }";
  if (path.length === 2 && path[0] === "relays") return "a mapping such as { address: HOST }";
  if (path.length === 2 && path[0] === "shares") return "a mapping such as { target: 3000 }";
  if (path.length === 2 && path[0] === "routes") return "a mapping such as { match: 10.0.0.0/8, to: direct }";
  return "a mapping";
}

function missingSentence(path: Path): string {
  const key = String(path.at(-1));
  return `${subject(path.slice(0, -1))} has no ${key}; ${exampleOf(key)}`;
}

function exampleOf(key: string): string {
  switch (key) {
    case "address":
      return "write address: HOST:PORT";
    case "match":
      return "write match: NETWORK_OR_NAME";
    case "to":
      return "write to: UPSTREAM, direct or block";
    case "target":
      return "write target: 3000, or HOST:PORT";
    case "username":
      return "write username: NAME";
    default:
      return `write ${key}: VALUE`;
  }
}

function unknownKeySentence(key: string, path: Path, root: unknown): string {
  const { keys, name } = mappingAt(path, root);
  const owners = path[0] === "upstreams" && path.length === 2 ? typesWithKey(key) : [];
  const type = typeOf(valueAt(root, path));
  if (owners.length > 0 && type !== undefined) {
    return `${key} belongs to upstreams of type ${enumerate(owners, "or")}; this one is ${type}`;
  }
  const near = didYouMean(key, keys);
  return near === ""
    ? `${key} is not a key of ${name}, whose keys are ${enumerate(keys)}`
    : `${key} is not a key of ${name}${near}`;
}

function mappingAt(path: Path, root: unknown): { keys: readonly string[]; name: string } {
  const last = path.at(-1);
  if (path.length === 0) return { keys: keysOf.file, name: "the configuration" };
  if (last === "auth" || last === "basic_auth") return { keys: keysOf.auth, name: last };
  if (path[0] === "relays" && path.length === 2) return { keys: keysOf.relay, name: "a relay" };
  if (path[0] === "shares" && path.length === 2) return { keys: keysOf.share, name: "a share" };
  if (path[0] === "routes") return { keys: keysOf.route, name: "a rule" };
  if (path[0] === "upstreams") {
    const type = typeOf(valueAt(root, path));
    if (type === undefined)
      return { keys: Object.keys(upstreamOfNoType.shape), name: "an upstream of any type" };
    return { keys: keysOf.upstream[type], name: `an upstream of type ${type}` };
  }
  if (path.length === 2) return { keys: keysOf.listener, name: "a listener" };
  if (last === "listen" || last === "tun" || last === "limits" || last === "log") {
    return { keys: keysOf[last], name: last };
  }
  return { keys: [], name: String(last) };
}

function typesWithKey(key: string): UpstreamType[] {
  return upstreamTypes.filter((type) => keysOf.upstream[type].includes(key));
}

/** Undefined for a type that is none. */
function typeOf(upstream: unknown): UpstreamType | undefined {
  const type = valueAt(upstream, ["type"]);
  return type === undefined ? "ssh" : upstreamTypes.find((known) => known === type);
}

/** The last key of the path, with its position in a list: `pool_size`, `routes[2]`. */
function subject(path: Path): string {
  const last = path.at(-1);
  if (last === undefined) return "the configuration";
  if (typeof last === "string") return last;
  return path[0] === "routes" ? `rule ${last + 1}` : `${subject(path.slice(0, -1))}[${last}]`;
}

function isSecret(path: Path): boolean {
  return path.some((part) => typeof part === "string" && (isSecretOfFile(part) || part.endsWith("auth")));
}
