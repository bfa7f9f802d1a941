import { excerpt, type Found, type Finds, ImportError, literal } from "./found.ts";
import { nameOfHost } from "./url.ts";

/** Options of ssh(1) that take a value, besides those that are understood. */
const WITH_VALUE = "BbcDEeILmOPQRSWw";
/** Those that change nothing of how the server is reached. */
const WITHOUT_MEANING = "46AaCfGgKkMNnqsTtVvXxYy";

/** What a hop is reached by: `[user@]host[:port]`. */
interface Place {
  readonly user: string | undefined;
  readonly host: string;
  readonly port: string | undefined;
}

/**
 * Reads an `ssh …` command line. Values that it leaves to ~/.ssh/config stay there: the address may be an alias.
 * @throws {ImportError} with why it can't be read.
 */
export function readSshCommand(line: string): Finds {
  const command = parseCommand(splitWords(line).slice(1));
  if (command.destination === undefined) throw new ImportError("it names no host");
  const place = readPlace(command.destination);
  const { given, warnings } = command;
  const hops = (given.get("proxyjump")?.[0] ?? "").split(",").filter((hop) => hop !== "" && hop !== "none");
  const from = excerpt(line);
  const jumps = hops.map((hop, i): Found => {
    const before = i === 0 ? undefined : hopId(hops, i - 1);
    const at = readPlace(hop.trim());
    return {
      id: hopId(hops, i),
      name: nameOfHost(at.host),
      upstream: sshUpstream(at),
      via: before,
      from,
      warnings: [],
    };
  });
  const user = given.get("user")?.[0] ?? place.user;
  const port = given.get("port")?.[0] ?? place.port;
  const host = given.get("hostname")?.[0] ?? place.host;
  const identities = given.get("identityfile") ?? [];
  const found: Found = {
    id: line,
    name: nameOfHost(place.host),
    upstream: {
      ...sshUpstream({ user, host, port }),
      ...(identities.length > 0 && { identity_file: identities.map(literal) }),
    },
    via: hops.length === 0 ? undefined : hopId(hops, hops.length - 1),
    from,
    warnings,
  };
  return { found: [...jumps, found], skipped: [] };
}

function hopId(hops: readonly string[], last: number): string {
  return `hop ${hops.slice(0, last + 1).join(",")}`;
}

export function sshUpstream({ user, host, port }: Place): Record<string, unknown> {
  const address = host.includes(":") ? `[${host}]` : host;
  return {
    type: "ssh",
    address: literal(port === undefined ? address : `${address}:${port}`),
    ...(user !== undefined && { user: literal(user) }),
  };
}

/** `[user@]host[:port]`, `[user@][v6]:port` or `ssh://[user@]host[:port]`; a bare IPv6 address has no port. */
export function readPlace(text: string): Place {
  const bare = text.replace(/^ssh:\/\//i, "").replace(/\/$/, "");
  const at = bare.lastIndexOf("@");
  const user = at === -1 ? undefined : bare.slice(0, at);
  const rest = bare.slice(at + 1);
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(rest);
  const host = match?.[1] ?? match?.[2] ?? rest;
  if (host === "" || user === "") throw new ImportError(`"${excerpt(text)}" names no host`);
  return { user, host, port: match?.[3] };
}

interface Command {
  readonly destination: string | undefined;
  /** Keywords of ssh_config(5) in lower case. */
  readonly given: ReadonlyMap<string, readonly string[]>;
  readonly warnings: readonly string[];
}

const KEYWORDS: Readonly<Record<string, string>> = {
  p: "port",
  l: "user",
  i: "identityfile",
  J: "proxyjump",
};
const UNDERSTOOD = new Set([...Object.values(KEYWORDS), "hostname"]);

function parseCommand(words: readonly string[]): Command {
  const given = new Map<string, string[]>();
  const warnings: string[] = [];
  const give = (keyword: string, value: string) => given.set(keyword, [...(given.get(keyword) ?? []), value]);
  const option = (letter: string, value: string): void => {
    if (letter === "o") {
      const [, keyword = "", setting = ""] = /^\s*([A-Za-z\d]+)[\s=]+(.*)$/s.exec(value) ?? [];
      if (UNDERSTOOD.has(keyword.toLowerCase())) give(keyword.toLowerCase(), setting);
      else warnings.push(`-o ${excerpt(value)} was left out`);
    } else if (letter === "F") warnings.push("-F was left out: set ssh_config_file if that file is needed");
    else if (KEYWORDS[letter] === undefined)
      warnings.push(`-${letter} was left out: Sockeye forwards by its routes`);
    else give(KEYWORDS[letter], value);
  };
  let destination: string | undefined;
  let at = 0;
  for (; at < words.length; at++) {
    const word = words[at]!;
    if (word === "--" || (destination !== undefined && !word.startsWith("-"))) break;
    if (!word.startsWith("-") || word === "-") {
      destination = word;
      continue;
    }
    // Letters may stand together, and the value of the last may follow at once: -Np2222.
    for (let i = 1; i < word.length; i++) {
      const letter = word[i]!;
      if (WITHOUT_MEANING.includes(letter)) continue;
      if (!`${WITH_VALUE}oFpliJ`.includes(letter)) throw new ImportError(`ssh has no option -${letter}`);
      const value = i + 1 < word.length ? word.slice(i + 1) : words[++at];
      if (value === undefined) throw new ImportError(`-${letter} has no value`);
      option(letter, value);
      break;
    }
  }
  const rest = words.slice(words[at] === "--" ? at + 1 : at);
  if (destination === undefined) destination = rest.shift();
  if (rest.length > 0) warnings.push("the command that it runs there was left out");
  return { destination, given, warnings };
}

/**
 * Words as a shell has them: quotes, backslashes, a backslash at a line's end. Nothing is expanded.
 * @throws {ImportError} where a quote is not closed, or more than one command stands there.
 */
function splitWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  const pattern =
    /\\\r?\n|'([^']*)'|"((?:[^"\\]|\\[^])*)"|\\([^])|(\s+)|([|&;<>`$()'"])|([^\s|&;<>`$()'"\\]+)/g;
  for (const [all, single, double, escaped, space, special, plain] of line.matchAll(pattern)) {
    if (special !== undefined) {
      const quote = special === "'" || special === '"';
      throw new ImportError(
        quote ? "a quote in it is not closed" : `"${special}" in it means something to a shell only`,
      );
    }
    if (space !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (!all.startsWith("\\\n") && !all.startsWith("\\\r\n")) {
      word = (word ?? "") + (single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? escaped ?? plain ?? "");
    }
  }
  return word === undefined ? words : [...words, word];
}
