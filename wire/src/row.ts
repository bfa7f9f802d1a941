/** Where somebody stands in a row, and whether still. Whoever enters keeps it, to leave by. */
export class Place<T> {
  readonly item: T;
  /** @internal */
  before: Place<T> | undefined = undefined;
  /** @internal */
  after: Place<T> | undefined = undefined;
  /** @internal */
  taken = false;

  constructor(item: T) {
    this.item = item;
  }
}

/**
 * Those who wait or work at the moment, in the order of their coming, where they come and go by the thousand a second. In place
 * of a Set for the reason that roster.ts gives; and in place of a roster where its user can keep the place, as that adds
 * nothing to the objects themselves.
 */
export class Row<T, P extends Place<T> = Place<T>> implements Iterable<P> {
  #first: Place<T> | undefined;
  #last: Place<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The place of the one who came first of those who are there. */
  get first(): P | undefined {
    return this.#first as P | undefined;
  }

  /** @param place a new one. @returns it; it is the last now. */
  enter(place: P): P {
    place.taken = true;
    place.before = this.#last;
    if (this.#last === undefined) this.#first = place;
    else this.#last.after = place;
    this.#last = place;
    this.#size++;
    return place;
  }

  /** @param place of this row. @returns whether it was still taken. */
  leave(place: P): boolean {
    if (!place.taken) return false;
    const { before, after } = place;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    place.taken = false;
    place.before = undefined;
    place.after = undefined;
    this.#size--;
    return true;
  }

  /** The places that are taken now, whoever comes or goes meanwhile. */
  [Symbol.iterator](): ArrayIterator<P> {
    const places: P[] = [];
    for (let place = this.#first; place !== undefined; place = place.after) places.push(place as P);
    return places.values();
  }
}
