/** What sources have in common that are of one address. */
export class Host<Source> {
  readonly address: Buffer;
  readonly text: string;
  /** By port; the one that was quiet longest first, about. */
  readonly ports = new Map<number, Source>();
  /** @internal The next host with the same hash. */
  sameHash: Host<Source> | undefined;

  constructor(address: Buffer, text: string) {
    this.address = address;
    this.text = text;
  }
}

/**
 * Hosts by the bytes of their address, looked up where they stand in a packet, without allocation. The hash is seeded, so that
 * nobody outside can make addresses collide.
 */
export class Hosts<Source> {
  readonly #byHash = new Map<number, Host<Source>>();
  readonly #seed: number;
  /** The host of the packet before, which is most often that of this one too. */
  #last: Host<Source> | undefined;

  /** @param random from 0 to below 1. */
  constructor(random: () => number) {
    this.#seed = Math.floor(random() * 0x1_0000_0000) | 0;
  }

  find(bytes: Buffer, at: number, addressBytes: 4 | 16): Host<Source> | undefined {
    if (this.#last && isAt(this.#last.address, bytes, at, addressBytes)) return this.#last;
    let host = this.#byHash.get(this.#hash(bytes, at, addressBytes));
    while (host && !isAt(host.address, bytes, at, addressBytes)) host = host.sameHash;
    if (host) this.#last = host;
    return host;
  }

  add(host: Host<Source>): void {
    const hash = this.#hash(host.address, 0, host.address.length);
    host.sameHash = this.#byHash.get(hash);
    this.#byHash.set(hash, host);
  }

  remove(host: Host<Source>): void {
    if (this.#last === host) this.#last = undefined;
    const hash = this.#hash(host.address, 0, host.address.length);
    let before = this.#byHash.get(hash);
    if (before === host) {
      if (host.sameHash) this.#byHash.set(hash, host.sameHash);
      else this.#byHash.delete(hash);
      return;
    }
    while (before && before.sameHash !== host) before = before.sameHash;
    if (before) before.sameHash = host.sameHash;
  }

  #hash(bytes: Uint8Array, at: number, length: number): number {
    let hash = this.#seed;
    for (let i = at; i < at + length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
    return hash ^ (hash >>> 15);
  }
}

function isAt(address: Buffer, bytes: Buffer, at: number, length: number): boolean {
  if (address.length !== length) return false;
  for (let i = 0; i < length; i++) if (address[i] !== bytes[at + i]) return false;
  return true;
}
