import type { LookupAddress } from "node:dns";
import { isIP } from "node:net";
import { formatAddress, normalizeHost } from "../router/address.ts";
import type { GetAddrInfo } from "../upstream/resolver.ts";
import {
  CLASS_IN,
  type Message,
  RCODE,
  rcodeOf,
  readMessage,
  readName,
  TYPE,
  writeQuery,
} from "./message.ts";
import { Nameservers } from "./nameservers.ts";
import { askDirectly } from "./over-udp.ts";
import type { AskServer } from "./path.ts";
import { DNS_SERVERS } from "./plan.ts";
import { parseHosts, parseResolvConf, type ResolvConf } from "./system-settings.ts";

export interface StubResolverOptions {
  /** The text of resolv.conf as it was before anything was changed: see originalResolvConf(). */
  readonly resolvConf: string;
  /** The text of /etc/hosts. */
  readonly hosts?: string;
  /** How a server is asked. Default: over ordinary sockets. */
  readonly ask?: AskServer;
  /** Families that this machine can connect by, the one to try first, first. Default both, IPv6 first (RFC 6724). */
  readonly families?: () => readonly (4 | 6)[];
  /** Everything about a name. Default 10 s. */
  readonly deadlineMs?: number;
  /** For tests. */
  readonly port?: number;
}

/** Once one family has answered, the other has this long (RFC 8305 §3 has 50 ms; a fresh connection is worth more). */
const OTHER_FAMILY_MS = 250;
const DEADLINE_MS = 10_000;
/** Aliases followed within one answer. */
const MAX_ALIASES = 16;

type Found =
  | { readonly kind: "addresses"; readonly addresses: readonly LookupAddress[] }
  /** The name has none of this family, or does not exist. */
  | { readonly kind: "none" }
  | { readonly kind: "failed"; readonly cause: unknown };

/** We may be named there, by ourselves, or by a run that ended without putting back what it changed. */
function withoutOurs(resolvConf: string): ResolvConf {
  const conf = parseResolvConf(resolvConf);
  const isOurs = (host: string) => (DNS_SERVERS as readonly string[]).includes(host);
  return { ...conf, nameservers: conf.nameservers.filter((host) => !isOurs(host)) };
}

/**
 * Resolves names as the system would have, had its DNS not been pointed at us: /etc/hosts, then the original name servers,
 * asked over sockets that stay out of the TUN device. What nsswitch.conf(5) knows beside files and DNS is not asked.
 */
export class StubResolver {
  #conf: ResolvConf;
  readonly #hosts: ReadonlyMap<string, readonly string[]>;
  readonly #families: () => readonly (4 | 6)[];
  readonly #deadlineMs: number;
  /** For whole questions too: the original resolvers, as they are. */
  readonly nameservers: Nameservers;

  constructor(options: StubResolverOptions) {
    this.#conf = withoutOurs(options.resolvConf);
    this.#hosts = parseHosts(options.hosts ?? "");
    this.#families = options.families ?? (() => [6, 4]);
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    const port = options.port === undefined ? {} : { port: options.port };
    this.nameservers = new Nameservers(this.#conf, options.ask ?? askDirectly(), port);
  }

  /** The system's name servers are others now. @param resolvConf as in the options. */
  use(resolvConf: string): void {
    this.#conf = withoutOurs(resolvConf);
    this.nameservers.use(this.#conf);
  }

  /** In the place of the system's look-up: see Resolver.use(). `done` is called once, never before this returns. */
  readonly getAddrInfo: GetAddrInfo = (name, done) => {
    this.lookup(name).then(
      (addresses) => done(null, addresses),
      (error: unknown) => done(error instanceof Error ? error : new Error(String(error)), []),
    );
  };

  /**
   * @returns at least one address.
   * @throws an Error with the `code` of getaddrinfo(3): ENOTFOUND for a name without addresses, EAI_AGAIN where nobody
   *   could be asked.
   */
  async lookup(given: string): Promise<readonly LookupAddress[]> {
    const name = normalizeHost(given);
    if (name === "") throw notFound(given);
    const families = this.#families();
    const local = this.#lookupLocally(name, families);
    if (local !== undefined) return local.length > 0 ? local : Promise.reject(notFound(given));
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), this.#deadlineMs);
    try {
      let failure: unknown;
      for (const candidate of this.#candidates(given, name)) {
        const found = await this.#lookupFamilies(candidate, families, controller.signal);
        if (found.kind === "addresses") return found.addresses;
        if (found.kind === "failed") failure = found.cause;
      }
      throw failure === undefined ? notFound(given) : tryAgain(given, failure);
    } finally {
      clearTimeout(timer);
      controller.abort();
    }
  }

  /** What needs no server: addresses, /etc/hosts, and localhost with all below it (RFC 6761 §6.3). */
  #lookupLocally(name: string, families: readonly (4 | 6)[]): LookupAddress[] | undefined {
    if (isIP(name) !== 0) return [toLookupAddress(name)];
    const isLocalhost = name === "localhost" || name.endsWith(".localhost");
    const known = this.#hosts.get(name)?.map(toLookupAddress);
    if (isLocalhost) {
      const own = known?.filter(({ address }) => address === "::1" || address.startsWith("127."));
      return own && own.length > 0 ? own : ["127.0.0.1", "::1"].map(toLookupAddress);
    }
    if (known === undefined) return undefined;
    const usable = known.filter(({ family }) => families.includes(family as 4 | 6));
    return usable.length > 0 ? usable : known;
  }

  /** The names to ask for in turn, as resolv.conf(5) says of `search` and `ndots`. */
  #candidates(given: string, name: string): string[] {
    if (given.endsWith(".")) return [name];
    const { search, ndots } = this.#conf;
    const searched = search.map((suffix) => `${name}.${suffix}`);
    const dots = name.split(".").length - 1;
    return dots >= ndots ? [name, ...searched] : [...searched, name];
  }

  async #lookupFamilies(name: string, families: readonly (4 | 6)[], signal: AbortSignal): Promise<Found> {
    const found = new Map<4 | 6, Found>();
    const controller = new AbortController();
    const onAbort = () => controller.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    let timer: NodeJS.Timeout | undefined;
    const asked = families.map(async (family) => {
      const answer = await this.#lookupFamily(name, family, controller.signal);
      found.set(family, answer);
      if (answer.kind === "addresses") timer ??= setTimeout(() => controller.abort(), OTHER_FAMILY_MS);
    });
    try {
      await Promise.all(asked);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
    const inOrder = families.map((family) => found.get(family)!);
    const addresses = inOrder.flatMap((one) => (one.kind === "addresses" ? one.addresses : []));
    if (addresses.length > 0) return { kind: "addresses", addresses };
    return inOrder.find(({ kind }) => kind === "failed") ?? { kind: "none" };
  }

  async #lookupFamily(name: string, family: 4 | 6, signal: AbortSignal): Promise<Found> {
    const query = writeQuery(0, name, family === 4 ? TYPE.A : TYPE.AAAA);
    if (query === undefined) return { kind: "none" };
    try {
      const answer = readMessage(await this.nameservers.ask(query, { signal }));
      if (answer === undefined) return { kind: "failed", cause: new Error("the answer can't be read") };
      const rcode = rcodeOf(answer);
      if (rcode === RCODE.NXDOMAIN) return { kind: "none" };
      if (rcode !== RCODE.NOERROR) return { kind: "failed", cause: new Error(`answered with code ${rcode}`) };
      const addresses = addressesIn(answer, family);
      return addresses.length > 0 ? { kind: "addresses", addresses } : { kind: "none" };
    } catch (cause) {
      return { kind: "failed", cause };
    }
  }
}

/** The addresses of the name that was asked for, and of what it is an alias of; whatever else a server adds is not believed. */
export function addressesIn(answer: Message, family: 4 | 6): LookupAddress[] {
  const { bytes } = answer;
  const records = answer.records
    .filter((record) => record.section === "answer" && record.class === CLASS_IN)
    .map((record) => ({ ...record, owner: readName(bytes, record.start) }));
  let owner = answer.question?.name;
  for (let i = 0; i < MAX_ALIASES; i++) {
    const alias = records.find((record) => record.type === TYPE.CNAME && record.owner === owner);
    if (alias === undefined) break;
    owner = readName(bytes, alias.dataStart);
  }
  if (owner === undefined) return [];
  const [type, length] = family === 4 ? [TYPE.A, 4] : [TYPE.AAAA, 16];
  return records
    .filter((record) => record.type === type && record.owner === owner)
    .filter((record) => record.dataEnd - record.dataStart === length)
    .map((record) => ({ address: textOf(bytes.subarray(record.dataStart, record.dataEnd)), family }));
}

function textOf(data: Buffer): string {
  const words = Array.from({ length: data.length / 4 }, (_, i) => data.readUInt32BE(4 * i));
  return formatAddress(words);
}

function toLookupAddress(address: string): LookupAddress {
  return { address, family: isIP(address) };
}

function notFound(name: string): Error {
  return Object.assign(new Error(`no address for ${name}`), { code: "ENOTFOUND" });
}

function tryAgain(name: string, cause: unknown): Error {
  const sentence = `${name} could not be resolved: ${cause instanceof Error ? cause.message : String(cause)}`;
  return Object.assign(new Error(sentence, { cause }), { code: "EAI_AGAIN" });
}
