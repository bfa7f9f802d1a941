interface Entry<T> {
  readonly id: number;
  readonly item: T;
  next: Entry<T> | undefined;
}

const LEAST_CHAINS = 16;

/**
 * Objects by number, where they come and go by the thousand a second. In place of a Map for the reason that roster.ts gives.
 * Numbers are whole and not negative; ones that follow each other are found at once.
 */
export class Numbered<T extends object> {
  /** As many as a power of two; a number is in the chain that its last bits name. */
  #chains: (Entry<T> | undefined)[] = new Array<Entry<T> | undefined>(LEAST_CHAINS).fill(undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(id: number): boolean {
    return this.get(id) !== undefined;
  }

  get(id: number): T | undefined {
    let entry = this.#chains[id & (this.#chains.length - 1)];
    while (entry !== undefined && entry.id !== id) entry = entry.next;
    return entry?.item;
  }

  /** @throws {RangeError} where the number is taken. */
  add(id: number, item: T): void {
    if (this.has(id)) throw new RangeError(`${id} is taken`);
    if (this.#size >= this.#chains.length) this.#grow();
    this.#put(id, item);
    this.#size++;
  }

  /** @returns whether it was there. */
  delete(id: number): boolean {
    const at = id & (this.#chains.length - 1);
    let before: Entry<T> | undefined;
    let entry = this.#chains[at];
    while (entry !== undefined && entry.id !== id) {
      before = entry;
      entry = entry.next;
    }
    if (entry === undefined) return false;
    if (before === undefined) this.#chains[at] = entry.next;
    else before.next = entry.next;
    entry.next = undefined;
    this.#size--;
    return true;
  }

  clear(): void {
    this.#chains = new Array<Entry<T> | undefined>(LEAST_CHAINS).fill(undefined);
    this.#size = 0;
  }

  /** Those that are there now, in no order. */
  all(): T[] {
    const items: T[] = [];
    for (const first of this.#chains) {
      for (let entry = first; entry !== undefined; entry = entry.next) items.push(entry.item);
    }
    return items;
  }

  #put(id: number, item: T): void {
    const at = id & (this.#chains.length - 1);
    this.#chains[at] = { id, item, next: this.#chains[at] };
  }

  #grow(): void {
    const before = this.#chains;
    this.#chains = new Array<Entry<T> | undefined>(before.length * 2).fill(undefined);
    for (const first of before) {
      for (let entry = first; entry !== undefined; entry = entry.next) this.#put(entry.id, entry.item);
    }
  }
}
