import { type AddressWords, wordMask } from "./address.ts";
import type { Network } from "./pattern.ts";

interface Node<T> {
  readonly address: AddressWords;
  readonly bits: number;
  value: T | undefined;
  zero: Node<T> | undefined;
  one: Node<T> | undefined;
}

/**
 * Values by network, for addresses of one width: a path-compressed binary trie, so that a look-up passes only networks
 * that hold the address, and points where two networks part.
 */
export class NetworkTrie<T> {
  #root: Node<T> | undefined;

  /** The value of exactly this network, made by `create` where there is none yet. */
  getOrCreate(network: Network, create: () => T): T {
    if (this.#root === undefined) {
      this.#root = leaf(network);
      return (this.#root.value = create());
    }
    let parent: Node<T> | undefined;
    let node = this.#root;
    for (;;) {
      const shared = sharedBits(node.address, network.address, Math.min(node.bits, network.bits));
      if (shared < node.bits) {
        const fork = leaf<T>({ address: network.address, bits: shared });
        this.#replace(parent, fork);
        setChild(fork, node);
        node = fork;
      }
      if (node.bits === network.bits) return (node.value ??= create());
      const next = bitAt(network.address, node.bits) === 0 ? node.zero : node.one;
      if (next === undefined) {
        const added = leaf<T>(network);
        setChild(node, added);
        return (added.value = create());
      }
      parent = node;
      node = next;
    }
  }

  /** Appends to `into` the values of every network that holds `address` (its first `bits` bits), the widest first. */
  collect(address: AddressWords, bits: number, into: T[]): void {
    let node = this.#root;
    while (node !== undefined && node.bits <= bits && holds(node, address)) {
      if (node.value !== undefined) into.push(node.value);
      if (node.bits === bits) return;
      node = bitAt(address, node.bits) === 0 ? node.zero : node.one;
    }
  }

  #replace(parent: Node<T> | undefined, node: Node<T>): void {
    if (parent === undefined) this.#root = node;
    else setChild(parent, node);
  }
}

function leaf<T>({ address, bits }: Network): Node<T> {
  return { address, bits, value: undefined, zero: undefined, one: undefined };
}

function setChild<T>(parent: Node<T>, child: Node<T>): void {
  if (bitAt(child.address, parent.bits) === 0) parent.zero = child;
  else parent.one = child;
}

function bitAt(address: AddressWords, bit: number): number {
  return (address[bit >> 5]! >>> (31 - (bit & 31))) & 1;
}

/** How many leading bits two addresses share, at most `limit`. */
function sharedBits(a: AddressWords, b: AddressWords, limit: number): number {
  for (let i = 0; i < a.length && i * 32 < limit; i++) {
    const difference = a[i]! ^ b[i]!;
    if (difference !== 0) return Math.min(limit, i * 32 + Math.clz32(difference));
  }
  return limit;
}

function holds<T>(node: Node<T>, address: AddressWords): boolean {
  for (let i = 0; i * 32 < node.bits; i++) {
    if (((node.address[i]! ^ address[i]!) & wordMask(node.bits - i * 32)) !== 0) return false;
  }
  return true;
}
