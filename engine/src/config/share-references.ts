import type { Finding } from "@sockeye/config-kit/problem";
import { didYouMean } from "@sockeye/config-kit/suggest";
import { mappingOf, textOf, valueAt } from "@sockeye/config-kit/tree";
import { isLoopback } from "./listeners.ts";
import { parseEndpoint } from "../endpoint.ts";
import { checkAuth, checkBoth, checkName } from "./entry-checks.ts";

/** Each share keeps what it heard and what it was asked, so that there is a bound to how many there are. */
export const MAX_SHARES = 64;

/** What no single value of a relay or a share shows. */
export function checkShares(root: unknown): Finding[] {
  const relays = mappingOf(valueAt(root, ["relays"]));
  const shares = mappingOf(valueAt(root, ["shares"]));
  const findings: Finding[] = [];
  for (const [name, relay] of Object.entries(relays)) findings.push(...checkRelay(name, relay));
  const names = Object.keys(shares);
  if (names.length > MAX_SHARES) {
    const message = `shares has ${names.length} entries; there may be ${MAX_SHARES}`;
    findings.push({ path: ["shares"], part: "value", message });
  }
  for (const name of names.slice(0, MAX_SHARES))
    findings.push(...checkShare(name, shares[name], Object.keys(relays)));
  findings.push(...checkSameNames(root, Object.keys(relays)));
  return findings;
}

function checkRelay(name: string, relay: unknown): Finding[] {
  const path = ["relays", name];
  const [certificate, key] = ["tls_cert_file", "tls_key_file"] as const;
  const has = (file: string) => valueAt(relay, [file]) !== undefined;
  const findings = [...checkName(name, path, "a relay"), ...checkBoth(relay, path, "token")];
  if (has(certificate) !== has(key)) {
    const [given, missing] = has(certificate) ? [certificate, key] : [key, certificate];
    const message = `${given} needs ${missing}: a certificate is of no use without its key`;
    findings.push({ path: [...path, given], part: "key", message });
  }
  const tls = valueAt(relay, ["tls"]);
  if (tls !== false && tls !== "false") return findings;
  for (const file of ["tls_ca_file", "tls_server_name", certificate].filter(has)) {
    const message = `${file} is of no use with tls: false`;
    findings.push({ path: [...path, file], part: "key", message });
  }
  return findings;
}

function checkShare(name: string, share: unknown, relays: readonly string[]): Finding[] {
  const path = ["shares", name];
  const isTcp = valueAt(share, ["kind"]) === "tcp";
  const findings = [
    ...checkName(name, path, "a share"),
    ...checkAuth(valueAt(share, ["basic_auth"]), [...path, "basic_auth"]),
  ];
  const wrongKeys = isTcp ? ["name", "host_header", "basic_auth", "offline_page", "inspect"] : ["port"];
  for (const key of wrongKeys.filter((key) => valueAt(share, [key]) !== undefined)) {
    const message = `${key} belongs to shares of kind ${isTcp ? "http" : "tcp"}; this one is ${isTcp ? "tcp" : "http"}`;
    findings.push({ path: [...path, key], part: "key", message });
  }
  const username = textOf(valueAt(share, ["basic_auth", "username"]));
  if (username?.includes(":") === true) {
    const message = "a username can hold no colon in HTTP, where a colon ends it";
    findings.push({ path: [...path, "basic_auth", "username"], part: "value", message });
  }
  return [...findings, ...checkRelayOf(share, path, relays)];
}

function checkRelayOf(share: unknown, path: string[], relays: readonly string[]): Finding[] {
  const relay = textOf(valueAt(share, ["relay"]));
  if (relay !== undefined) {
    if (relays.includes(relay)) return [];
    const message = `relay names ${relay}, which is not among the relays${didYouMean(relay, relays)}`;
    return [{ path: [...path, "relay"], part: "value", message }];
  }
  if (relays.length === 1 || valueAt(share, ["relay"]) !== undefined) return [];
  const message =
    relays.length === 0
      ? "a share needs a relay; write relays: { home: { address: HOST, token_file: FILE } }"
      : "there are several relays; write relay: and the name of one";
  return [{ path, part: "key", message }];
}

/** Two shares of one name on one relay would take it from each other without an end. */
function checkSameNames(root: unknown, relays: readonly string[]): Finding[] {
  const shares = mappingOf(valueAt(root, ["shares"]));
  const seen = new Map<string, string>();
  return Object.keys(shares).flatMap((share): Finding[] => {
    const relay = textOf(valueAt(shares, [share, "relay"])) ?? relays[0] ?? "";
    return ["name", "port"].flatMap((key): Finding[] => {
      const wanted = valueAt(shares, [share, key]);
      if (typeof wanted !== "string" && typeof wanted !== "number") return [];
      const rival = seen.get(`${relay} ${key} ${wanted}`);
      seen.set(`${relay} ${key} ${wanted}`, share);
      if (rival === undefined) return [];
      const message = `${share} and ${rival} want the same ${key} of one relay; give one of them another`;
      return [{ path: ["shares", share, key], part: "value", message }];
    });
  });
}

/** In clear, a token is there for everybody on the way to read. */
export function warnOfRelays(root: unknown): Finding[] {
  return Object.entries(mappingOf(valueAt(root, ["relays"]))).flatMap(([name, relay]): Finding[] => {
    const tls = valueAt(relay, ["tls"]);
    if ((tls !== false && tls !== "false") || isOnLoopback(textOf(valueAt(relay, ["address"])))) return [];
    const message = `with tls: false, the token for ${name} and all that is shared through it can be read on the way`;
    return [{ path: ["relays", name, "tls"], part: "value", message }];
  });
}

function isOnLoopback(address: string | undefined): boolean {
  try {
    return address !== undefined && isLoopback(parseEndpoint(address, 1).host);
  } catch {
    return true; // The schema tells of it.
  }
}
