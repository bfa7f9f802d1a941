import { isIP } from "node:net";
import { MASK } from "./mask.ts";

/** A secret that is shorter stands in words that are none. It is masked where it stands by itself. */
const MIN_SECRET = 4;

/** Dotted words that are no names of hosts: keys of the configuration, and files of ours. */
const OWN_WORDS =
  /^(?:tun|listen|limits|log|routes|upstreams|process|upstream|config|node)\.|\.(?:ts|js|mjs|cjs|node|json|ya?ml|sock|db|conf|service|log|html|pub|pem|key|crt)$/i;

const IPV4 = /(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)/g;
const IPV6 = /(?<![\w:.])(?:[\da-f]{0,4}:){2,7}(?:[\da-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])/gi;
const DOTTED_NAME =
  /(?<![\p{L}\p{N}_./-])(?:[\p{L}\p{N}_](?:[\p{L}\p{N}_-]*[\p{L}\p{N}_])?\.)+(?:\p{L}{2,63}|xn--[\w-]+)(?![\p{L}\p{N}_-])/giu;

/** What is known to be in the texts. */
export interface Private {
  readonly secrets: Iterable<string>;
  readonly users: Iterable<string>;
  /** Of upstreams. */
  readonly servers: Iterable<string>;
  /** Of everything else: targets, rules, this machine. */
  readonly hosts: Iterable<string>;
  readonly home: string;
}

/**
 * Puts other words in the place of private ones, the same for the same, so that a report can be followed and tells nobody's
 * names. Besides what it was told of, whatever looks like an address or a host's name is replaced.
 */
export class Disguise {
  readonly #known = new Map<string, string>();
  readonly #secrets: RegExp | undefined;
  readonly #pattern: RegExp | undefined;
  readonly #home: string;
  #hosts = 0;
  #addresses = 0;

  constructor({ secrets, users, servers, hosts, home }: Private) {
    const telling = longestFirst(secrets).filter((secret) => secret.length >= MIN_SECRET);
    // A server may have said it back in other letters.
    if (telling.length > 0) this.#secrets = new RegExp(telling.map(escapePattern).join("|"), "giu");
    this.#home = home;
    let userCount = 0;
    let serverCount = 0;
    for (const user of users) this.#name(user, () => `user-${++userCount}`);
    for (const server of servers) this.#name(server, () => `upstream-${++serverCount}.example`);
    for (const host of hosts) this.#name(host, () => this.#nextName(host));
    const words = longestFirst(this.#known.keys()).map(escapePattern);
    if (words.length > 0) {
      this.#pattern = new RegExp(`(?<![\\p{L}\\p{N}_])(?:${words.join("|")})(?![\\p{L}\\p{N}_])`, "giu");
    }
  }

  text(given: string): string {
    let text = this.#secrets === undefined ? given : given.replace(this.#secrets, MASK);
    if (this.#home.length > 1) text = text.replaceAll(this.#home, "~");
    text = text.replace(/(\/(?:home|Users)\/|\\Users\\)[^/\\\s"']+/g, "$1user");
    if (this.#pattern)
      text = text.replace(this.#pattern, (word) => this.#known.get(word.toLowerCase()) ?? word);
    text = text.replace(IPV6, (word) => (isIP(word) === 6 ? this.#unknown(word) : word));
    text = text.replace(IPV4, (word) => (isIP(word) === 4 ? this.#unknown(word) : word));
    return text.replace(DOTTED_NAME, (word) =>
      OWN_WORDS.test(word) || isOurs(word) ? word : this.#unknown(word),
    );
  }

  /** A value with every text in it disguised, keys too. */
  value(given: unknown): unknown {
    if (typeof given === "string") return this.text(given);
    if (Array.isArray(given)) return given.map((inner) => this.value(inner));
    if (typeof given !== "object" || given === null) return given;
    return Object.fromEntries(
      Object.entries(given).map(([key, inner]) => [this.text(key), this.value(inner)]),
    );
  }

  #name(word: string, next: () => string): void {
    const known = word.toLowerCase();
    if (known !== "" && !this.#known.has(known) && !isHarmless(known)) this.#known.set(known, next());
  }

  #unknown(word: string): string {
    const known = word.toLowerCase();
    if (isHarmless(known)) return word;
    const name = this.#known.get(known) ?? this.#nextName(known);
    this.#known.set(known, name);
    return name;
  }

  #nextName(host: string): string {
    return isIP(host) === 0 ? `host-${++this.#hosts}.example` : `address-${++this.#addresses}`;
  }
}

/** The machine itself, whose names everybody knows. */
function isHarmless(word: string): boolean {
  return /^(?:localhost|direct|block|::1?|0\.0\.0\.0|127\.\d+\.\d+\.\d+)$/.test(word);
}

function isOurs(word: string): boolean {
  return /^(?:upstream|host)-\d+\.example$/.test(word);
}

function longestFirst(words: Iterable<string>): string[] {
  return [...new Set(words)].sort((a, b) => b.length - a.length);
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
