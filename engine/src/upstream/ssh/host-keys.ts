/** Whether a server's host key is the one that we know: known_hosts files, and a store of our own for hosts never seen. */
import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import type { ServerHostKeyAlgorithm } from "ssh2";
import type { SshUpstreamConfig } from "../../config/config.ts";
import { formatEndpoint, type Endpoint } from "../../endpoint.ts";
import { DialError } from "../../errors.ts";
import { readNamedFile } from "../../named-file.ts";
import {
  fingerprint,
  formatKnownHost,
  keyTypeOf,
  knownHostsName,
  matchesHost,
  parseKnownHosts,
  type KnownHost,
} from "./known-hosts.ts";

export type HostKeyMode = NonNullable<SshUpstreamConfig["host_key_check"]>;

export interface HostKeyOptions {
  /** Where the server is, after ssh_config's HostName and Port. */
  readonly server: Endpoint;
  /** HostKeyAlias: looked up in place of the host, without a port. */
  readonly alias?: string | undefined;
  /** known_hosts files; those that do not exist are passed over. */
  readonly files: readonly string[];
  readonly trustStore: TrustStore;
  readonly mode: HostKeyMode;
  /** Asks a person whether to trust the key, in the mode `ask`. Absent where nobody is there. */
  readonly ask?: ((key: Buffer) => Promise<boolean>) | undefined;
}

/** known: it is on file. new: it has just been remembered. unchecked: the mode is off. */
export type HostKeyVerdict = "known" | "new" | "unchecked";

/** The algorithms by which each type of key can sign, in our order of preference (ssh2's, and RFC 8332 for RSA). */
const algorithmsOfType: ReadonlyMap<string, readonly ServerHostKeyAlgorithm[]> = new Map([
  ["ssh-ed25519", ["ssh-ed25519"]],
  ["ecdsa-sha2-nistp256", ["ecdsa-sha2-nistp256"]],
  ["ecdsa-sha2-nistp384", ["ecdsa-sha2-nistp384"]],
  ["ecdsa-sha2-nistp521", ["ecdsa-sha2-nistp521"]],
  ["ssh-rsa", ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]],
]);

/** The check of one server's key, with what the files said when it was loaded. */
export class HostKeyCheck {
  readonly #options: HostKeyOptions;
  readonly #name: string;
  #entries: readonly KnownHost[];

  private constructor(options: HostKeyOptions, entries: readonly KnownHost[]) {
    this.#options = options;
    this.#name = options.alias?.toLowerCase() ?? knownHostsName(options.server.host, options.server.port);
    this.#entries = entries;
  }

  /** @throws {DialError} `host-key` where a file exists and can't be read. */
  static async load(options: HostKeyOptions): Promise<HostKeyCheck> {
    if (options.mode === "off") return new HostKeyCheck(options, []);
    const files = await Promise.all([...options.files.map(readKnownHosts), options.trustStore.entries()]);
    return new HostKeyCheck(options, files.flat());
  }

  /**
   * The order in which to ask for key types: those we know first, as OpenSSH does, so that a server with several
   * keys shows the one that we can compare.
   */
  get algorithms(): ServerHostKeyAlgorithm[] {
    const known = new Set(this.#plainEntries().map((entry) => entry.keyType));
    const types = [...algorithmsOfType.keys()];
    const ordered = [...types.filter((type) => known.has(type)), ...types.filter((type) => !known.has(type))];
    return ordered.flatMap((type) => algorithmsOfType.get(type)!);
  }

  /**
   * Judges the key that the server proved to hold, and remembers it where the mode says so.
   * @throws {DialError} `host-key`, scope upstream, with a sentence that says what to do.
   */
  async verify(key: Buffer): Promise<HostKeyVerdict> {
    if (this.#options.mode === "off") return "unchecked";
    if (this.#judge(key) === "known") return "known";
    if (this.#options.mode === "strict") throw this.#unknown(key);
    if (this.#options.mode === "ask") {
      if (this.#options.ask === undefined) throw this.#unknown(key);
      if (!(await this.#options.ask(key))) throw this.#declined(key);
    }
    // Judged again with the store held, for another connection may have met this host meanwhile.
    return await this.#options.trustStore.update(async (stored, remember) => {
      this.#entries = [...this.#entries, ...stored];
      if (this.#judge(key) === "known") return "known";
      await remember(this.#name, key);
      return "new";
    });
  }

  /** True where another connection has had the key remembered since the files were read. @throws {DialError} `host-key`. */
  async isKnownByNow(key: Buffer): Promise<boolean> {
    this.#entries = [...this.#entries, ...(await this.#options.trustStore.entries())];
    return this.#judge(key) === "known";
  }

  /** An authority that is on file for this host and that is of no use here, for host certificates are not supported. */
  get unusedAuthority(): KnownHost | undefined {
    return this.#matching(this.#name).find((entry) => entry.marker === "cert-authority");
  }

  #judge(key: Buffer): "known" | "unknown" {
    const revoked = this.#matching(this.#name).find(
      (entry) => entry.marker === "revoked" && entry.key.equals(key),
    );
    if (revoked) throw this.#revoked(key, revoked);
    const plain = this.#plainEntries();
    if (plain.some((entry) => entry.key.equals(key))) return "known";
    const conflicting =
      plain.find((entry) => entry.keyType === keyTypeOf(key)) ??
      plain.find((entry) => algorithmsOfType.has(entry.keyType));
    if (conflicting) throw this.#changed(key, conflicting);
    // OpenSSH accepts the very key under the name without the port, too.
    const { server, alias } = this.#options;
    const bare = alias === undefined && server.port !== 22 ? this.#matching(server.host.toLowerCase()) : [];
    if (bare.some((entry) => entry.marker === "plain" && entry.key.equals(key))) return "known";
    return "unknown";
  }

  #plainEntries(): KnownHost[] {
    return this.#matching(this.#name).filter((entry) => entry.marker === "plain");
  }

  #matching(name: string): KnownHost[] {
    return this.#entries.filter((entry) => matchesHost(entry, name));
  }

  #changed(key: Buffer, old: KnownHost): DialError {
    const what =
      old.keyType === keyTypeOf(key)
        ? `the host key of ${this.#where()} has changed`
        : `${this.#where()} shows a host key of a type that it has not used before`;
    return hostKeyError(
      `${what}: it is now ${describe(key)}, but ${old.file} line ${old.line} says ` +
        `${describe(old.key)}. Somebody may be intercepting the connection, or the server was set up anew. ` +
        `If you have checked the new fingerprint, remove that line and connect again`,
    );
  }

  #revoked(key: Buffer, entry: KnownHost): DialError {
    return hostKeyError(
      `the host key of ${this.#where()}, ${describe(key)}, is revoked by ${entry.file} line ${entry.line}. ` +
        `Whoever answers with it must not be trusted; ask the server's keeper for its present key`,
    );
  }

  #unknown(key: Buffer): DialError {
    const authority = this.#matching(this.#name).find((entry) => entry.marker === "cert-authority");
    const hint =
      authority === undefined
        ? ""
        : ` (${authority.file} line ${authority.line} names a certificate authority for it, but host ` +
          `certificates are not supported: the plain key must be on file)`;
    return hostKeyError(
      `the host key of ${this.#where()}, ${describe(key)}, is not known, and ${this.#why()}${hint}. ` +
        `If you have checked the fingerprint, add the key to ${this.#options.files[0] ?? "a known_hosts file"} ` +
        `under the name ${this.#name}`,
    );
  }

  #why(): string {
    return this.#options.mode === "ask" ? "nobody is there to ask about it" : "host_key_check is strict";
  }

  #declined(key: Buffer): DialError {
    return hostKeyError(
      `the host key of ${this.#where()}, ${describe(key)}, is not known, and nobody said that it is to be trusted`,
    );
  }

  #where(): string {
    const { server, alias } = this.#options;
    return alias === undefined ? formatEndpoint(server) : `${formatEndpoint(server)} (${alias})`;
  }
}

function describe(key: Buffer): string {
  return `${fingerprint(key)} (${keyTypeOf(key) ?? "malformed"})`;
}

function hostKeyError(message: string, cause?: unknown): DialError {
  return new DialError("host-key", message, { step: "host-key", scope: "upstream", cause });
}

/** Some 100,000 hosts. */
const MAX_KNOWN_HOSTS_BYTES = 16 * 1024 * 1024;

async function readKnownHosts(path: string): Promise<KnownHost[]> {
  try {
    return parseKnownHosts(await readNamedFile(path, MAX_KNOWN_HOSTS_BYTES), path);
  } catch (error) {
    if (isMissing(error)) return [];
    throw hostKeyError(`${path} can't be read: ${(error as Error).message}`, error);
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR";
}

/** Updates of one file wait for each other, whichever object they came through. */
const pendingUpdates = new Map<string, Promise<unknown>>();

/** The keys of hosts first met by us: a known_hosts file of our own, readable by its owner alone. */
export class TrustStore {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  async entries(): Promise<KnownHost[]> {
    return await readKnownHosts(this.path);
  }

  /**
   * Runs `change` with what the store holds while nobody else in this process can add to it.
   * @throws {DialError} `host-key` where the file can't be read or written.
   */
  async update<T>(
    change: (entries: KnownHost[], remember: (name: string, key: Buffer) => Promise<void>) => Promise<T>,
  ): Promise<T> {
    const previous = pendingUpdates.get(this.path) ?? Promise.resolve();
    const run = previous.then(async () =>
      change(await this.entries(), async (name, key) => this.#append(formatKnownHost(name, key))),
    );
    const settled = run.then(
      () => undefined,
      () => undefined,
    );
    pendingUpdates.set(this.path, settled);
    try {
      return await run;
    } finally {
      if (pendingUpdates.get(this.path) === settled) pendingUpdates.delete(this.path);
    }
  }

  /** One write in append mode, so that a reader, or another process's writer, never meets half a line. */
  async #append(line: string): Promise<void> {
    try {
      await mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
      const file = await open(this.path, "a+", 0o600);
      try {
        const { size } = await file.stat();
        const last = size === 0 ? "\n" : (await file.read(Buffer.alloc(1), 0, 1, size - 1)).buffer.toString();
        await file.write(last === "\n" ? line : `\n${line}`);
      } finally {
        await file.close();
      }
    } catch (error) {
      const reason = (error as Error).message;
      throw hostKeyError(`the host's key can't be remembered in ${this.path}: ${reason}`, error);
    }
  }
}
