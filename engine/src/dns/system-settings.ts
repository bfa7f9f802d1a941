import { isIP } from "node:net";
import { normalizeHost } from "../router/address.ts";

/** What resolv.conf(5) says. */
export interface ResolvConf {
  /** In their order; at most 3. */
  readonly nameservers: readonly string[];
  /** Normalized, in their order; at most 6. */
  readonly search: readonly string[];
  /** Dots in a name from which it is first asked for as it is. */
  readonly ndots: number;
  readonly timeoutMs: number;
  /** How often the whole list of servers is tried. */
  readonly attempts: number;
  readonly rotate: boolean;
}

const MAX_NAMESERVERS = 3;
const MAX_SEARCH = 6;
/** Of a file; the rest is not read. */
const MAX_LINES = 100_000;

/** Reads resolv.conf(5). Lines that mean nothing are passed over; without a nameserver it is the local one, as the page says. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  let search: string[] = [];
  const options = new Map<string, string>();
  for (const line of text.split("\n", MAX_LINES)) {
    const [keyword, ...words] = line
      .replace(/^\s*[#;].*/, "")
      .trim()
      .split(/\s+/);
    if (keyword === "nameserver" && isIP(words[0] ?? "") !== 0) nameservers.push(words[0]!);
    else if (keyword === "search") search = words;
    else if (keyword === "domain") search = words.slice(0, 1);
    else if (keyword === "options") {
      for (const word of words) options.set(word.split(":")[0]!, word.slice(word.indexOf(":") + 1));
    }
  }
  return {
    nameservers: nameservers.length > 0 ? nameservers.slice(0, MAX_NAMESERVERS) : ["127.0.0.1"],
    search: search
      .slice(0, MAX_SEARCH)
      .map(normalizeHost)
      .filter((name) => name !== ""),
    ndots: option(options, "ndots", { low: 0, high: 15, fallback: 1 }),
    timeoutMs: 1000 * option(options, "timeout", { low: 1, high: 30, fallback: 5 }),
    attempts: option(options, "attempts", { low: 1, high: 5, fallback: 2 }),
    rotate: options.has("rotate"),
  };
}

/**
 * The text that names the system's servers. Where systemd-resolved stands before them, as it does when resolv.conf names its
 * own address, they are in a file of its own; it itself would ask us again.
 * @param read the text of a file, or undefined where there is none.
 */
export function originalResolvConf(read: (path: string) => string | undefined): string {
  const text = read("/etc/resolv.conf") ?? "";
  const { nameservers } = parseResolvConf(text);
  const isResolved = nameservers.every((host) => host === "127.0.0.53" || host === "127.0.0.54");
  return (isResolved ? read("/run/systemd/resolve/resolv.conf") : undefined) ?? text;
}

function option(
  options: ReadonlyMap<string, string>,
  name: string,
  range: { readonly low: number; readonly high: number; readonly fallback: number },
): number {
  const digits = options.get(name) ?? "";
  if (!/^\d{1,9}$/.test(digits)) return range.fallback;
  return Math.min(range.high, Math.max(range.low, Number(digits)));
}

/** The addresses of the names in a hosts(5) file, in the file's order. */
export function parseHosts(text: string): ReadonlyMap<string, readonly string[]> {
  const hosts = new Map<string, string[]>();
  for (const line of text.split("\n", MAX_LINES)) {
    const [address, ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (isIP(address!) === 0) continue;
    for (const name of names) {
      const known = hosts.get(normalizeHost(name));
      if (known === undefined) hosts.set(normalizeHost(name), [address!]);
      else if (!known.includes(address!)) known.push(address!);
    }
  }
  return hosts;
}
