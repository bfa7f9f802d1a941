import { Expiry, type Expiring } from "./expiry.ts";
import { randomId } from "./id.ts";
import { isName, normalizeName } from "./label.ts";
import { matchesAny } from "./pattern.ts";
import { pickName, pickPort } from "./pick.ts";
import {
  type Claim,
  type Lease,
  type LeaseEnd,
  NameError,
  type NameRegistry,
  type PublicAddress,
  type Resolution,
} from "./registry.ts";
import { Waiters } from "./waiters.ts";

export interface RegistryOptions {
  /** What happens when an identity asks for what another one holds. */
  readonly policy: "reject" | "replace" | "balance";
  /** Patterns of names that may be registered at all. */
  readonly allow: readonly string[];
  readonly reserved: readonly string[];
  /** TCP ports that may be registered at all. */
  readonly ports: readonly { readonly low: number; readonly high: number }[];
  /** How long a lease holds without renewal. */
  readonly leaseMs: number;
  readonly maxWaiting: number;
  /** Milliseconds that only grow. */
  readonly clock: () => number;
}

/** How long a name that nobody holds any more is known to have been held: people then read that it is offline. */
const REMEMBERED_MS = 60 * 60_000;
/** So many at most; beyond, the one that has been away longest is forgotten. */
const MAX_REMEMBERED = 10_000;

const unknown: Resolution = { state: "unknown" };
const away: Resolution = { state: "away" };

/** The names and ports of one relay. Every method does its work before it returns, so nothing comes between two of its steps. */
export class MemoryRegistry implements NameRegistry {
  readonly #options: RegistryOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #leases = new Map<string, Held>();
  readonly #away = new Map<string, Remembered>();
  readonly #counts = new Map<string, number>();
  readonly #expiry: Expiry<Held>;
  readonly #forgetting: Expiry<Remembered>;
  readonly #waiters: Waiters;
  readonly #listeners = new Set<(lease: Lease, why: LeaseEnd) => void>();

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#waiters = new Waiters(options.maxWaiting);
    this.#expiry = new Expiry(options.leaseMs, options.clock, (held) => this.#end(held, "expired"));
    this.#forgetting = new Expiry(REMEMBERED_MS, options.clock, ({ key }) => void this.#away.delete(key));
  }

  async claim(claim: Claim): Promise<Lease> {
    this.#expiry.sweep();
    const address = this.#choose(claim);
    const key = keyOf(address);
    const holders = this.#entries.get(key)?.holders ?? [];
    const own = holders.filter((held) => this.#isTakenBack(held, claim));
    const others = holders.filter((held) => held.lease.identity !== claim.identity);
    if (others.length > 0 && this.#options.policy === "reject")
      throw new NameError("taken", `${describe(address)} is taken`);
    const left = this.#countOf(claim.identity, address.kind) - own.length;
    if (left >= claim.scope.maxLeases) {
      const what = address.kind === "http" ? "names" : "ports";
      throw new NameError("too-many", `${claim.scope.maxLeases} ${what} are held already, the most allowed`);
    }
    const replaced = this.#options.policy === "replace" ? others : [];
    const { identity, holder } = claim;
    const lease: Lease = { id: randomId(), address, identity, holder };
    this.#hold({ lease, key, instance: claim.instance });
    for (const held of own) this.#end(held, "taken-back");
    for (const held of replaced) this.#end(held, "replaced");
    this.#waiters.signal(key, () => this.#next(key));
    return lease;
  }

  async renew(lease: Lease): Promise<boolean> {
    this.#expiry.sweep();
    const held = this.#leases.get(lease.id);
    if (held === undefined) return false;
    this.#expiry.touch(held);
    return true;
  }

  async release(lease: Lease, options: { readonly lasting?: boolean } = {}): Promise<void> {
    const held = this.#leases.get(lease.id);
    if (held === undefined) return;
    this.#remove(held);
    if (!this.#entries.has(held.key) && options.lasting !== true) this.#remember(held.key);
  }

  resolve(address: PublicAddress): Resolution {
    const key = keyOf(address);
    const first = this.#expiry.oldest();
    if (first !== undefined && first.deadline <= this.#options.clock()) this.#expiry.sweep();
    const entry = this.#entries.get(key);
    if (entry !== undefined) return turnOf(entry).resolution;
    return this.#away.has(key) ? away : unknown;
  }

  async waitFor(address: PublicAddress, ms: number, signal: AbortSignal): Promise<Lease | undefined> {
    const known = this.resolve(address);
    if (known.state === "held") return known.lease;
    return this.#waiters.wait(keyOf(address), ms, signal);
  }

  onEnd(listener: (lease: Lease, why: LeaseEnd) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async list(): Promise<readonly Lease[]> {
    return Array.from(this.#leases.values(), ({ lease }) => lease);
  }

  /** Nobody is told of what ends here; who waits hears that there is no holder. */
  close(): void {
    this.#listeners.clear();
    this.#expiry.close();
    this.#forgetting.close();
    this.#waiters.close();
    for (const table of [this.#entries, this.#leases, this.#away, this.#counts]) table.clear();
  }

  /** @throws {NameError} */
  #choose({ wanted, scope }: Claim): PublicAddress {
    if (wanted.kind === "http") {
      if ("any" in wanted) return { kind: "http", name: this.#freeName(scope.names) };
      const name = normalizeName(wanted.name);
      if (this.#options.reserved.includes(name)) throw new NameError("reserved", `${name} is reserved`);
      if (!matchesAny(this.#options.allow, name) || !matchesAny(scope.names, name))
        throw new NameError("not-allowed", `${name} is not among the names that you may use`);
      return { kind: "http", name };
    }
    if (this.#options.ports.length === 0)
      throw new NameError("not-allowed", "this relay publishes no TCP ports");
    if (scope.ports.length === 0)
      throw new NameError("not-allowed", "your credential is good for no TCP port");
    if ("any" in wanted) return { kind: "tcp", port: this.#freePort(scope.ports, wanted.except) };
    const { port } = wanted;
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      throw new NameError("invalid", "a port is a number from 1 to 65535");
    if (!inRanges(this.#options.ports, port) || !inRanges(scope.ports, port))
      throw new NameError("not-allowed", `port ${port} is not among the ports that you may use`);
    return { kind: "tcp", port };
  }

  #freeName(patterns: readonly string[]): string {
    const { allow, reserved } = this.#options;
    const fits = (name: string) =>
      isName(name) &&
      matchesAny(allow, name) &&
      !reserved.includes(name) &&
      !this.#entries.has(keyOf({ kind: "http", name }));
    const name = pickName([...patterns, ...allow], (name) => matchesAny(patterns, name) && fits(name));
    if (name === undefined) throw new NameError("none-free", "none of the names that you may use is free");
    return name;
  }

  #freePort(ranges: Claim["scope"]["ports"], except: readonly number[] = []): number {
    const isFree = (port: number) =>
      inRanges(this.#options.ports, port) &&
      !except.includes(port) &&
      !this.#entries.has(keyOf({ kind: "tcp", port }));
    const port = pickPort(ranges, isFree);
    if (port === undefined) throw new NameError("none-free", "none of the ports that you may use is free");
    return port;
  }

  /** Where several may hold a name, another process of the same identity joins; elsewhere it is the same one, back again. */
  #isTakenBack(held: Held, claim: Claim): boolean {
    if (held.lease.identity !== claim.identity) return false;
    return this.#options.policy !== "balance" || held.instance === claim.instance;
  }

  #hold({ lease, key, instance }: Pick<Held, "lease" | "key" | "instance">): void {
    const held: Held = { lease, key, instance, resolution: { state: "held", lease }, deadline: 0 };
    const entry = this.#entries.get(key);
    if (entry === undefined) this.#entries.set(key, { holders: [held], turn: 0 });
    else entry.holders.push(held);
    this.#leases.set(lease.id, held);
    this.#count(lease, 1);
    this.#expiry.touch(held);
    const remembered = this.#away.get(key);
    if (remembered !== undefined) this.#forgetting.delete(remembered);
    this.#away.delete(key);
  }

  #end(held: Held, why: LeaseEnd): void {
    this.#remove(held);
    if (!this.#entries.has(held.key)) this.#remember(held.key);
    for (const listener of [...this.#listeners]) listener(held.lease, why);
  }

  #remove(held: Held): void {
    this.#leases.delete(held.lease.id);
    this.#expiry.delete(held);
    this.#count(held.lease, -1);
    const entry = this.#entries.get(held.key);
    if (entry === undefined) return;
    entry.holders.splice(entry.holders.indexOf(held), 1);
    if (entry.holders.length === 0) this.#entries.delete(held.key);
  }

  #remember(key: string): void {
    const remembered: Remembered = { key, deadline: 0 };
    this.#away.set(key, remembered);
    this.#forgetting.touch(remembered);
    if (this.#away.size <= MAX_REMEMBERED) return;
    const oldest = this.#forgetting.oldest()!;
    this.#forgetting.delete(oldest);
    this.#away.delete(oldest.key);
  }

  #next(key: string): Lease | undefined {
    const entry = this.#entries.get(key);
    return entry && turnOf(entry).lease;
  }

  #countOf(identity: string, kind: PublicAddress["kind"]): number {
    return this.#counts.get(`${kind} ${identity}`) ?? 0;
  }

  #count({ identity, address }: Lease, change: 1 | -1): void {
    const key = `${address.kind} ${identity}`;
    const count = (this.#counts.get(key) ?? 0) + change;
    if (count === 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
  }
}

interface Held extends Expiring {
  readonly lease: Lease;
  readonly key: string;
  readonly instance: string;
  readonly resolution: Resolution;
}

/** A name or port that is held, by one or by several in turn. */
interface Entry {
  readonly holders: Held[];
  turn: number;
}

interface Remembered extends Expiring {
  readonly key: string;
}

function turnOf(entry: Entry): Held {
  if (entry.holders.length === 1) return entry.holders[0]!;
  entry.turn = (entry.turn + 1) % entry.holders.length;
  return entry.holders[entry.turn]!;
}

function keyOf(address: PublicAddress): string {
  return address.kind === "http" ? `http ${address.name}` : `tcp ${address.port}`;
}

function describe(address: PublicAddress): string {
  return address.kind === "http" ? `the name ${address.name}` : `port ${address.port}`;
}

function inRanges(ranges: Claim["scope"]["ports"], port: number): boolean {
  return ranges.some(({ low, high }) => port >= low && port <= high);
}
