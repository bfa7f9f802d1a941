import { randomInt } from "node:crypto";

/** Something that is remembered of a source or a client for as long as it says more than nothing. */
export interface TrackedEntry {
  /** While it is above 0, the entry stays. */
  active: number;
  touched: number;
}

/** Looked at for each new entry, so that what is idle leaves faster than new ones come. */
const LOOKED_AT = 4;
/** Shared by those for whom there is no room. */
const SHARED_ENTRIES = 256;

/**
 * A bounded table of entries. One leaves when it has been idle for so long that it equals a new one; never earlier, for
 * otherwise whoever comes from many addresses could have its own entry forgotten, and begin anew. When there is no room,
 * newcomers share a few entries among them, each by a number that nobody outside can know.
 */
export class Tracked<Entry extends TrackedEntry> {
  readonly #entries = new Map<string, Entry>();
  readonly #shared = new Array<Entry | undefined>(SHARED_ENTRIES);
  readonly #seed = randomInt(2 ** 32);
  readonly #max: number;
  readonly #idleMs: number;
  readonly #make: (now: number) => Entry;

  constructor(max: number, idleMs: number, make: (now: number) => Entry) {
    this.#max = max;
    this.#idleMs = idleMs;
    this.#make = make;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string, now: number): Entry {
    const entry = this.#entries.get(key) ?? this.#add(key, now);
    entry.touched = now;
    return entry;
  }

  #add(key: string, now: number): Entry {
    this.#dropIdle(now);
    if (this.#entries.size >= this.#max) return (this.#shared[this.#placeOf(key)] ??= this.#make(now));
    const entry = this.#make(now);
    this.#entries.set(key, entry);
    return entry;
  }

  /** Looks at those that have waited longest for a look; what is in use goes to the end. */
  #dropIdle(now: number): void {
    let looked = 0;
    for (const [key, entry] of this.#entries) {
      if (++looked > LOOKED_AT) return;
      this.#entries.delete(key);
      if (entry.active > 0 || now - entry.touched < this.#idleMs) this.#entries.set(key, entry);
    }
  }

  /** FNV-1a with a secret beginning: enough to spread, and to keep anyone from choosing a neighbour. */
  #placeOf(key: string): number {
    let hash = this.#seed;
    for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
    return (hash >>> 0) % SHARED_ENTRIES;
  }
}
