import { isIP } from "node:net";
import { value } from "@sockeye/config-kit/value";
import { isHost, parseEndpoint } from "@sockeye/config-kit/endpoint";
import type { PortRange } from "../auth/authoriser.ts";
import { isNamePattern } from "../names/pattern.ts";

/**
 * What values of the configuration may be. Each is read from a YAML value, and from a text just as well, because flags and
 * environment variables are texts. An issue's message is what the value must be ("a whole number from 1 to 64"); or, with
 * `params.sentence`, a sentence of its own.
 */

function textOf(input: unknown): string | undefined {
  return typeof input === "string" && input !== "" && !input.includes("\0") ? input : undefined;
}

export const text = (wanted: string, accepts: (text: string) => boolean = () => true) =>
  value(wanted, (input) => {
    const given = textOf(input);
    return given !== undefined && accepts(given) ? given : undefined;
  });

export const path = text("a path");

function readNumber(input: unknown): number | undefined {
  if (typeof input === "string" && /^\d+(\.\d+)?$/.test(input)) return Number(input);
  return typeof input === "number" && Number.isFinite(input) ? input : undefined;
}

export const whole = (low: number, high: number) =>
  value(`a whole number from ${low} to ${high}`, (input) => {
    const number = readNumber(input);
    return number !== undefined && Number.isInteger(number) && number >= low && number <= high
      ? number
      : undefined;
  });

/** Events a second; 0 is no limit. */
export const rate = value("a number a second from 0 (no limit) to 1000000", (input) => {
  const number = readNumber(input);
  return number !== undefined && number <= 1_000_000 ? number : undefined;
});

export const boolean = value("true or false", (input) => {
  if (input === "true" || input === true) return true;
  return input === "false" || input === false ? false : undefined;
});

export const oneOf = <const T extends string>(...words: [T, ...T[]]) =>
  value(words.length === 2 ? words.join(" or ") : `one of ${words.join(", ")}`, (input) => {
    // YAML 1.1 readers, and people who know them, write off as false.
    const given = input === false ? "off" : input;
    return words.find((word) => word === given);
  });

/** Longer ones do not fit the timers of Node, which count milliseconds in 31 bits. */
const MAX_SECONDS = 2_000_000;
const secondsIn = { ms: 0.001, s: 1, m: 60, h: 3600 } as const;

/** Seconds, from a number of them or from `500ms`, `10s`, `2m`, `1h`. */
export function duration(options: { readonly zero?: boolean } = {}) {
  const limit = `${options.zero === true ? "from 0" : "above 0"} to ${MAX_SECONDS}`;
  return value(`seconds (${limit}) or a duration such as 500ms, 10s or 2m`, (input) => {
    const match = typeof input === "string" ? /^(\d+(?:\.\d+)?) ?(ms|s|m|h)$/.exec(input) : null;
    const unit = match?.[2] as keyof typeof secondsIn | undefined;
    const seconds = unit === undefined ? readNumber(input) : Number(match?.[1]) * secondsIn[unit];
    if (seconds === undefined || seconds > MAX_SECONDS) return undefined;
    return seconds > 0 || (options.zero === true && seconds === 0) ? seconds : undefined;
  });
}

/** A list, or one text with commas between its items. */
function list<T>(wanted: string, read: (item: string) => T | undefined) {
  return value(wanted, (input) => {
    const items: unknown[] = Array.isArray(input)
      ? input
      : typeof input === "string"
        ? input.split(",").map((item) => item.trim())
        : [input];
    if (items.length === 1 && items[0] === "") return [];
    const output = items.map((item) => read(typeof item === "number" ? String(item) : (textOf(item) ?? "")));
    return output.every((item) => item !== undefined) ? output : undefined;
  });
}

export const paths = list("a path or a list of paths", (item) => (item === "" ? undefined : item));

export const hostNames = list("a host name or a list of them", (item) =>
  isIP(item) === 0 && isHost(item) ? item.toLowerCase().replace(/\.$/, "") : undefined,
);

export const labels = list("a list of names, each one label", (item) =>
  /^[a-z0-9-]{1,63}$/i.test(item) ? item.toLowerCase() : undefined,
);

export const namePatterns = list('a list of names or patterns, such as demo or "team-*"', (item) =>
  isNamePattern(item) ? item : undefined,
);

/** Patterns in which `{identity}` stands for whom a certificate names. */
export const identityPatterns = list('a list of names or patterns, such as "{identity}-*"', (item) =>
  isNamePattern(item.replaceAll("{identity}", "x")) ? item : undefined,
);

/** CIDRs, or single addresses, as `net.BlockList` takes them. */
export interface NetworkText {
  readonly address: string;
  readonly bits: number;
  readonly family: "ipv4" | "ipv6";
}

export const networks = list("a list of networks, such as 10.0.0.0/8", (item): NetworkText | undefined => {
  const [address, digits, ...rest] = item.split("/") as [string, ...string[]];
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return undefined;
  const wide = version === 4 ? 32 : 128;
  const bits = digits === undefined ? wide : /^\d{1,3}$/.test(digits) ? Number(digits) : Infinity;
  if (bits > wide) {
    throw new SyntaxError(
      `"${item}" has a wrong prefix length; for IPv${version} it is a number from 0 to ${wide}`,
    );
  }
  return { address, bits, family: version === 4 ? "ipv4" : "ipv6" };
});

export const portRanges = list(
  "ports from 1 to 65535 or ranges of them, such as 2000-2100",
  (item): PortRange | undefined => {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(item);
    const low = Number(match?.[1]);
    const high = Number(match?.[2] ?? match?.[1]);
    if (!match || low < 1 || high > 65_535) return undefined;
    if (low > high) throw new SyntaxError(`"${item}": the range runs backwards; write ${high}-${low}`);
    return { low, high };
  },
);

function readListenAddress(input: unknown): string | undefined {
  const given = textOf(input);
  if (given === undefined) return undefined;
  if (/^:\d+$/.test(given)) {
    throw new SyntaxError(
      `"${given}" has no host; write 127.0.0.1${given} for this machine, or 0.0.0.0${given} for every interface`,
    );
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(given))
    throw new SyntaxError("an address is host:port, without a scheme such as http://");
  parseEndpoint(given);
  return given;
}

export const listenAddress = value("host:port, such as 0.0.0.0:7000", readListenAddress);

/** A listener that may be left out. */
export const listenAddressOrOff = value("host:port, such as 0.0.0.0:443, or off", (input) =>
  input === "off" || input === false ? "off" : readListenAddress(input),
);

export const host = value("a host name or an address, such as 0.0.0.0", (input) => {
  const given = textOf(input);
  return given !== undefined && isHost(given) ? given : undefined;
});

/** Where a share is found, as clients are told: `{name}` stands for its name, `{domain}` for each of the domains. */
export interface PublicUrl {
  readonly scheme: "http" | "https";
  /** Undefined: each of the domains. */
  readonly domain: string | undefined;
  /** Undefined: the scheme's own. */
  readonly port: number | undefined;
}

export const publicUrls = list(
  "a list of URLs with {name} before the domain, such as https://{name}.{domain}:8443",
  (item): PublicUrl | undefined => {
    const match = /^(https?):\/\/\{name\}\.(\{domain\}|[^\s:/@?#{}]+)(?::(\d{1,5}))?\/?$/i.exec(item);
    if (match === null) return undefined;
    const [, scheme, domain, digits] = match as unknown as [string, string, string, string | undefined];
    const port = digits === undefined ? undefined : Number(digits);
    if (port === 0 || (port ?? 1) > 65_535) return undefined;
    const isHttps = scheme.toLowerCase() === "https";
    return {
      scheme: isHttps ? "https" : "http",
      domain: domain === "{domain}" ? undefined : domain.toLowerCase(),
      port: port === (isHttps ? 443 : 80) ? undefined : port,
    };
  },
);

/** http(s), and no user in it: a secret belongs in a file. */
export const url = value("a URL that begins with https:// or http://", (input) => {
  const given = textOf(input);
  if (given === undefined || !URL.canParse(given)) return undefined;
  const { protocol, username, password, href } = new URL(given);
  if (username !== "" || password !== "")
    throw new SyntaxError("a URL here holds no user and no password; a secret belongs in a file");
  return protocol === "https:" || protocol === "http:" ? href : undefined;
});
