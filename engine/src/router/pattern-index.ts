import type { AddressWords } from "./address.ts";
import type { Pattern } from "./pattern.ts";
import { NetworkTrie } from "./trie.ts";

/** Values by what a pattern matches, its ports left aside: rules for one name or one network share a value. */
export class PatternIndex<T> {
  #any: T | undefined;
  readonly #names = new Map<string, T>();
  readonly #suffixes = new Map<string, T>();
  readonly #ipv4 = new NetworkTrie<T>();
  readonly #ipv6 = new NetworkTrie<T>();

  getOrCreate(pattern: Pattern, create: () => T): T {
    switch (pattern.kind) {
      case "any":
        return (this.#any ??= create());
      case "name":
        return getOrCreate(this.#names, pattern.name, create);
      case "suffix":
        return getOrCreate(this.#suffixes, pattern.suffix, create);
      case "network":
        return this.#trieOf(pattern.network.address).getOrCreate(pattern.network, create);
    }
  }

  /** Appends to `into` the values of every pattern that matches the address. */
  collectAddress(address: AddressWords, into: T[]): void {
    this.#collectNetwork(address, address.length * 32, into);
  }

  /** Appends to `into` the values of every pattern that matches the name. */
  collectName(name: string, into: T[]): void {
    const exact = this.#names.get(name);
    if (exact !== undefined) into.push(exact);
    this.#collectSuffixes(name, into);
    if (this.#any !== undefined) into.push(this.#any);
  }

  /** Appends to `into` the values of every pattern that matches all that `pattern` does. */
  collectCovering(pattern: Pattern, into: T[]): void {
    switch (pattern.kind) {
      case "any":
        if (this.#any !== undefined) into.push(this.#any);
        return;
      case "name":
        this.collectName(pattern.name, into);
        return;
      case "suffix": {
        const same = this.#suffixes.get(pattern.suffix);
        if (same !== undefined) into.push(same);
        this.#collectSuffixes(pattern.suffix, into);
        if (this.#any !== undefined) into.push(this.#any);
        return;
      }
      case "network":
        this.#collectNetwork(pattern.network.address, pattern.network.bits, into);
    }
  }

  #collectNetwork(address: AddressWords, bits: number, into: T[]): void {
    this.#trieOf(address).collect(address, bits, into);
    if (this.#any !== undefined) into.push(this.#any);
  }

  #collectSuffixes(name: string, into: T[]): void {
    if (this.#suffixes.size === 0) return;
    for (let dot = name.indexOf("."); dot !== -1; dot = name.indexOf(".", dot + 1)) {
      const value = this.#suffixes.get(name.slice(dot + 1));
      if (value !== undefined) into.push(value);
    }
  }

  #trieOf(address: AddressWords): NetworkTrie<T> {
    return address.length === 1 ? this.#ipv4 : this.#ipv6;
  }
}

function getOrCreate<T>(map: Map<string, T>, key: string, create: () => T): T {
  const present = map.get(key);
  if (present !== undefined) return present;
  const created = create();
  map.set(key, created);
  return created;
}
