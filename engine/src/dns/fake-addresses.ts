import { randomBytes, randomInt } from "node:crypto";
import { type AddressWords, formatAddress, parseAddress, wordMask } from "../router/address.ts";
import { type Network, parseNetwork } from "../router/pattern.ts";

/** Names that have an address at one time: some 20 MB at the most. */
export const MAX_FAKE_NAMES = 65_536;
/** Seconds that an answer with a fake address may be kept by whoever got it. */
export const FAKE_TTL = 60;

export interface FakeAddressOptions {
  /** Default 198.18.0.0/15, of RFC 2544 (benchmarks between networks), which no network uses. */
  readonly ipv4?: string;
  /** Default fc00::/18, of RFC 4193 §3.2 (not yet defined). */
  readonly ipv6?: string;
  /** Addresses of the pools that are taken: the device's own, the DNS server's. */
  readonly reserved?: readonly string[];
  readonly maxNames?: number;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
  /** Where in the pool the first address lies, from 0 to `size` - 1. Default: by chance. */
  readonly firstSlot?: (size: number) => number;
}

/** A name with its two addresses, which are the slot's in each pool. */
interface Entry {
  name: string;
  readonly slot: number;
  /** Flows that use it. */
  holds: number;
  /** Until then somebody may still keep an answer with it. */
  reusableAt: number;
}

export interface FakePair {
  readonly ipv4: AddressWords;
  readonly ipv6: AddressWords;
}

/**
 * Hands out addresses that stand for names. A name keeps its addresses while it is asked for, or while a flow holds one of
 * them; when all are taken, the name that was neither for the longest time loses its. An address never changes its name
 * before the TTL of its last answer, and of its last flow, is over.
 *
 * The first address is taken by chance, and the IPv6 ones hold 32 random bits, so that one that somebody kept from before a
 * restart is, with all but certainty, unknown rather than another name's.
 */
export class FakeAddresses {
  readonly ipv4: Network;
  readonly ipv6: Network;
  /** Names that can have an address at one time. */
  readonly capacity: number;
  readonly #now: () => number;
  readonly #reserved: ReadonlySet<number>;
  /** Slots in a pool, reserved ones included: slot 0 is the network's second address. */
  readonly #size: number;
  readonly #firstSlot: number;
  readonly #nonce = randomBytes(4).readUInt32BE(0);
  readonly #byName = new Map<string, Entry>();
  readonly #bySlot = new Map<number, Entry>();
  /** Those that no flow holds; the next to be reused first, so in the order of `reusableAt`. */
  readonly #idle = new Set<Entry>();
  /** Slots that were looked at for a first use. */
  #visited = 0;
  #refused = 0;

  /** @throws {SyntaxError} for a pool that is no network or has no room. */
  constructor(options: FakeAddressOptions = {}) {
    this.ipv4 = poolOf(options.ipv4 ?? "198.18.0.0/15", 1);
    this.ipv6 = poolOf(options.ipv6 ?? "fc00::/18", 4);
    this.#now = options.now ?? (() => performance.now());
    this.#size = Math.min(slotsIn(this.ipv4, 32), slotsIn(this.ipv6, 128));
    const reserved = (options.reserved ?? []).map((address) => this.#slotOf(parseAddress(address), true));
    this.#reserved = new Set(reserved.filter((slot) => slot !== undefined));
    this.capacity = Math.min(options.maxNames ?? MAX_FAKE_NAMES, this.#size - this.#reserved.size);
    this.#firstSlot = (options.firstSlot ?? randomInt)(this.#size);
  }

  /** Names that have an address now. */
  get size(): number {
    return this.#byName.size;
  }

  /** Questions so far for which every address was in use. */
  get refused(): number {
    return this.#refused;
  }

  /**
   * The addresses of `name` (lower case, no final dot), for an answer that may be kept for FAKE_TTL seconds.
   * @returns undefined when every address is in use.
   */
  assign(name: string): FakePair | undefined {
    const entry = this.#byName.get(name) ?? this.#useFresh(name) ?? this.#reuse(name);
    if (entry === undefined) {
      this.#refused++;
      return undefined;
    }
    entry.reusableAt = this.#now() + FAKE_TTL * 1000;
    if (entry.holds === 0) this.#moveLast(entry);
    return { ipv4: this.#ipv4At(entry.slot), ipv6: this.#ipv6At(entry.slot) };
  }

  /** True for an address of a pool, whether it stands for a name or not. */
  includes(address: string): boolean {
    const words = parseAddress(address);
    return words !== undefined && isIn(words.length === 1 ? this.ipv4 : this.ipv6, words);
  }

  /** The name that a fake address stands for; undefined for any other address, and for one that is unknown (any more). */
  nameOf(address: string): string | undefined {
    return this.#entryAt(address)?.name;
  }

  /**
   * A flow uses this address: until release() it keeps its name. Each hold is counted.
   * @returns false, and holds nothing, where the address stands for no name.
   */
  hold(address: string): boolean {
    const entry = this.#entryAt(address);
    if (entry === undefined) return false;
    entry.holds += 1;
    this.#idle.delete(entry);
    return true;
  }

  /** The flow of one hold() ended. Whoever asked for the name may come again, so the address is kept for a TTL more. */
  release(address: string): void {
    const entry = this.#entryAt(address);
    if (entry === undefined || entry.holds === 0) return;
    entry.holds -= 1;
    if (entry.holds > 0) return;
    entry.reusableAt = this.#now() + FAKE_TTL * 1000;
    this.#moveLast(entry);
  }

  #useFresh(name: string): Entry | undefined {
    if (this.#byName.size >= this.capacity) return undefined;
    while (this.#visited < this.#size) {
      const slot = (this.#firstSlot + this.#visited++) % this.#size;
      if (this.#reserved.has(slot)) continue;
      const entry = { name, slot, holds: 0, reusableAt: 0 };
      this.#byName.set(name, entry);
      this.#bySlot.set(slot, entry);
      return entry;
    }
    return undefined;
  }

  #reuse(name: string): Entry | undefined {
    const entry = this.#idle.values().next().value;
    if (entry === undefined || entry.reusableAt > this.#now()) return undefined;
    this.#byName.delete(entry.name);
    entry.name = name;
    this.#byName.set(name, entry);
    return entry;
  }

  #moveLast(entry: Entry): void {
    this.#idle.delete(entry);
    this.#idle.add(entry);
  }

  #entryAt(address: string): Entry | undefined {
    const slot = this.#slotOf(parseAddress(address), false);
    return slot === undefined ? undefined : this.#bySlot.get(slot);
  }

  /** @param mayLackRandom accepts an IPv6 address whose random bits are zero. */
  #slotOf(words: AddressWords | undefined, mayLackRandom: boolean): number | undefined {
    if (words === undefined) return undefined;
    const pool = words.length === 1 ? this.ipv4 : this.ipv6;
    if (!isIn(pool, words)) return undefined;
    if (words.length === 4) {
      const open = words[2] === this.#nonceWord() || (mayLackRandom && words[2] === this.ipv6.address[2]);
      if (words[1] !== this.ipv6.address[1] || !open) return undefined;
    }
    const offset = words.at(-1)! - pool.address.at(-1)!;
    return offset >= 1 && offset <= this.#size ? offset - 1 : undefined;
  }

  #ipv4At(slot: number): AddressWords {
    return [this.ipv4.address[0]! + 1 + slot];
  }

  #ipv6At(slot: number): AddressWords {
    const [first, second, , last] = this.ipv6.address as [number, number, number, number];
    return [first, second, this.#nonceWord(), last + 1 + slot];
  }

  /** The third word of every IPv6 address: random where the pool leaves it open. */
  #nonceWord(): number {
    return this.ipv6.bits <= 64 ? this.#nonce : this.ipv6.address[2]!;
  }
}

/** Whether an address, of the network's family, is in the network. */
function isIn({ address, bits }: Network, words: AddressWords): boolean {
  if (words.length !== address.length) return false;
  return words.every((word, i) => ((word ^ address[i]!) & wordMask(bits - 32 * i)) === 0);
}

function poolOf(text: string, words: number): Network {
  const network = parseNetwork(text);
  if (network.address.length !== words) {
    throw new SyntaxError(`"${text}" is not an IPv${words === 1 ? 4 : 6} network`);
  }
  if (slotsIn(network, words * 32) < 1) throw new SyntaxError(`"${text}" has no room for addresses`);
  return network;
}

/** The addresses that can be handed out: neither the first nor the last of the network. */
function slotsIn({ bits }: Network, width: number): number {
  return Math.min(2 ** (width - bits), 2 ** 32) - 2;
}

/** For logs and tests: the pair as text. */
export function formatPair({ ipv4, ipv6 }: FakePair): { ipv4: string; ipv6: string } {
  return { ipv4: formatAddress(ipv4), ipv6: formatAddress(ipv6) };
}
