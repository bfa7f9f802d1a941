import { type Pattern, parsePattern } from "../router/pattern.ts";
import { findShadowedRules } from "../router/shadow.ts";
import { type GivenListeners, checkListeners, warnOfListeners } from "./listeners.ts";
import { checkAuth, checkBoth, checkName } from "./entry-checks.ts";
import { checkShares, warnOfRelays } from "./share-references.ts";
import { type Finding, MAX_PROBLEMS, type Path } from "@sockeye/config-kit/problem";
import { didYouMean } from "@sockeye/config-kit/suggest";
import { type Mapping, listOf, mappingOf, textOf, valueAt } from "@sockeye/config-kit/tree";

/**
 * What no single value shows: names that must exist, ways that must not turn in a circle, listeners in each other's way.
 * Works on the plain value of the file, of which any part may be wrong, so that these faults are told with the others.
 */
export function checkReferences(
  root: unknown,
  given: GivenListeners,
): { errors: Finding[]; warnings: Finding[] } {
  const upstreams = mappingOf(valueAt(root, ["upstreams"]));
  const errors = [
    ...checkNames(upstreams),
    ...checkVia(upstreams),
    ...checkTargets(root, upstreams),
    ...checkSecrets(root, upstreams),
    ...checkTls(upstreams),
    ...checkListeners(root, given),
    ...checkTun(root),
    ...checkShares(root),
  ];
  const warnings = [
    ...warnOfRoutes(root),
    ...warnOfListeners(root, given),
    ...warnOfHostKeys(upstreams),
    ...warnOfPlaintext(upstreams),
    ...warnOfRelays(root),
  ];
  return { errors, warnings };
}

/** The privileged helper takes 1024 networks, of which fake addresses take some. */
const MAX_NETWORKS = 1000;

/** A device that captures nothing is no use, and a wish that was not finished. */
function checkTun(root: unknown): Finding[] {
  const path = ["tun", "enabled"];
  const tooLong = ["cidrs", "exclude"].flatMap((key): Finding[] => {
    const { length } = listOf(valueAt(root, ["tun", key]));
    if (length <= MAX_NETWORKS) return [];
    const message = `${key} has ${length} networks; there may be ${MAX_NETWORKS}: write larger ones in their place`;
    return [{ path: ["tun", key], part: "value", message }];
  });
  if (tooLong.length > 0) return tooLong;
  if (String(valueAt(root, path)) !== "true" || listOf(valueAt(root, ["tun", "cidrs"])).length > 0) return [];
  // Fake addresses are captured by themselves.
  if (valueAt(root, ["tun", "dns"]) === "fake-ip") return [];
  return [
    {
      path,
      part: "value",
      message: "enabled needs cidrs that say what is captured, such as cidrs: [10.0.0.0/8], or dns: fake-ip",
    },
  ];
}

const reserved = ["direct", "block"];
/** A name that was probably meant is looked for among all upstreams: in a file full of wrong ones, for the first so many. */
const MAX_SUGGESTIONS = 20;

function checkNames(upstreams: Mapping): Finding[] {
  return Object.keys(upstreams).flatMap((name): Finding[] => {
    const path = ["upstreams", name];
    if (reserved.includes(name)) {
      return [
        { path, part: "key", message: `${name} has a meaning of its own; give the upstream another name` },
      ];
    }
    return checkName(name, path, "an upstream");
  });
}

function checkVia(upstreams: Mapping): Finding[] {
  const viaOf = (name: string) => textOf(valueAt(upstreams, [name, "via"]));
  const findings: Finding[] = [];
  const settled = new Set<string>();
  const names = Object.keys(upstreams);
  for (const name of names) {
    if (findings.length >= MAX_PROBLEMS) break;
    const via = viaOf(name);
    if (via !== undefined && !Object.hasOwn(upstreams, via)) {
      const message = reserved.includes(via)
        ? "via names an upstream; leave it out to connect directly"
        : unknownUpstream("via", via, findings.length < MAX_SUGGESTIONS ? names : []);
      findings.push({ path: ["upstreams", name, "via"], part: "value", message });
    }
    const way: string[] = [];
    let step: string | undefined = name;
    while (
      step !== undefined &&
      Object.hasOwn(upstreams, step) &&
      !settled.has(step) &&
      !way.includes(step)
    ) {
      way.push(step);
      step = viaOf(step);
    }
    const start = step === undefined ? -1 : way.indexOf(step);
    if (start !== -1) {
      const circle = [...way.slice(start), step!];
      findings.push({
        path: ["upstreams", circle[0]!, "via"],
        part: "value",
        message: `via goes in a circle: ${circle.join(" → ")}`,
      });
    }
    for (const passed of way) settled.add(passed);
  }
  return findings;
}

function checkTargets(root: unknown, upstreams: Mapping): Finding[] {
  const names = Object.keys(upstreams);
  const targets: { path: Path; key: string }[] = listOf(valueAt(root, ["routes"])).map((_, i) => ({
    path: ["routes", i, "to"],
    key: "to",
  }));
  targets.push({ path: ["default"], key: "default" });
  const known = [...names, ...reserved];
  const findings: Finding[] = [];
  for (const { path, key } of targets) {
    const target = textOf(valueAt(root, path));
    if (target === undefined || reserved.includes(target) || Object.hasOwn(upstreams, target)) continue;
    findings.push({
      path,
      part: "value",
      message: unknownUpstream(key, target, findings.length < MAX_SUGGESTIONS ? known : []),
    });
    if (findings.length === MAX_PROBLEMS) break;
  }
  return findings;
}

function unknownUpstream(key: string, name: string, known: readonly string[]): string {
  return `${key} names ${name}, which is not among the upstreams${didYouMean(name, known)}`;
}

function checkSecrets(root: unknown, upstreams: Mapping): Finding[] {
  const findings: Finding[] = [];
  for (const [name, upstream] of Object.entries(upstreams)) {
    const path = ["upstreams", name];
    findings.push(...checkBoth(upstream, path, "password"), ...checkBoth(upstream, path, "passphrase"));
    findings.push(...checkUser(upstream, path), ...checkAuth(valueAt(upstream, ["auth"]), [...path, "auth"]));
    findings.push(...checkColon(upstream, path));
  }
  for (const listener of ["socks5", "http"]) {
    const path = ["listen", listener, "auth"];
    findings.push(...checkAuth(valueAt(root, path), path));
  }
  findings.push(...checkColon(valueAt(root, ["listen", "http"]), ["listen", "http"], "http"));
  return findings;
}

/** RFC 7617 §2: the first colon ends the username. */
function checkColon(mapping: unknown, path: Path, type = valueAt(mapping, ["type"])): Finding[] {
  const username = textOf(valueAt(mapping, ["auth", "username"]));
  if (type !== "http" || username?.includes(":") !== true) return [];
  return [
    {
      path: [...path, "auth", "username"],
      part: "value",
      message: "a username can hold no colon in HTTP, where a colon ends it",
    },
  ];
}

function checkUser(upstream: unknown, path: Path): Finding[] {
  const user = textOf(valueAt(upstream, ["user"]));
  const address = textOf(valueAt(upstream, ["address"]));
  const at = address?.lastIndexOf("@") ?? -1;
  if (user === undefined || address === undefined || at <= 0 || address.slice(0, at) === user) return [];
  // What holds a colon may hold a password, which no sentence repeats; the schema tells of it.
  if (address.slice(0, at).includes(":")) return [];
  const message = `the address names the user ${address.slice(0, at)}, and user names ${user}; give one of them`;
  return [{ path: [...path, "user"], part: "value", message, quotes: [[...path, "address"]] }];
}

/** Whoever names an authority believes the way to the proxy to be encrypted. */
function checkTls(upstreams: Mapping): Finding[] {
  return keysWithoutTls(upstreams, (tls) => tls === undefined).map(({ path, key }) => ({
    path,
    part: "key",
    message: `${key} needs tls: true; without it the connection to the proxy is not encrypted`,
  }));
}

/** With `tls: false` written out, it is known and may be meant. */
function warnOfPlaintext(upstreams: Mapping): Finding[] {
  return keysWithoutTls(upstreams, (tls) => tls === false || tls === "false").map(({ path, key }) => ({
    path,
    part: "key",
    message: `${key} is not used, because with tls: false the connection to the proxy is not encrypted`,
  }));
}

function keysWithoutTls(
  upstreams: Mapping,
  without: (tls: unknown) => boolean,
): { path: Path; key: string }[] {
  return Object.entries(upstreams).flatMap(([name, upstream]) => {
    if (valueAt(upstream, ["type"]) !== "http" || !without(valueAt(upstream, ["tls"]))) return [];
    const keys = ["tls_ca_file", "tls_server_name"].filter((key) => valueAt(upstream, [key]) !== undefined);
    return keys.map((key) => ({ path: ["upstreams", name, key], key }));
  });
}

function warnOfRoutes(root: unknown): Finding[] {
  const matches = listOf(valueAt(root, ["routes"])).map((route) => textOf(valueAt(route, ["match"])));
  return findShadowedRules(matches.map(readPattern)).map(({ rule, by }) => ({
    path: ["routes", rule, "match"],
    part: "value",
    message: `rule ${rule + 1} can never match, because rule ${by + 1} (${matches[by]!}) comes first and covers it`,
    quotes: [["routes", by, "match"]],
  }));
}

function readPattern(match: string | undefined): Pattern | undefined {
  try {
    return match === undefined ? undefined : parsePattern(match);
  } catch {
    return undefined; // The schema tells of it.
  }
}

function warnOfHostKeys(upstreams: Mapping): Finding[] {
  return Object.keys(upstreams)
    .filter((name) => valueAt(upstreams, [name, "host_key_check"]) === "off")
    .map((name) => ({
      path: ["upstreams", name, "host_key_check"],
      part: "value",
      message: `with host_key_check off, anyone on the way can pose as ${name}; accept-new is safer`,
    }));
}
