import { Place, Row } from "./row.ts";

/**
 * A set, in the order of coming, of objects that come and go by the thousand a second.
 *
 * It stands in for Set and Map because V8 gives those a new table every so often, and the old one points at the new one and at
 * all that it held. A table that has lived long enough to be moved to the old generation stays there, dead, until the next full
 * collection; until then it keeps its successor alive, that one the next, and with them whatever was in one of them at the
 * wrong moment. Collections of the young generation, which should find nothing left of a connection, copy it then. Here, who
 * has left points at nobody.
 */
export class Roster<T extends object> implements Iterable<T> {
  /** The property by which an object knows its place in this roster. */
  readonly #place = Symbol("place");
  readonly #row = new Row<T>();

  get size(): number {
    return this.#row.size;
  }

  /** The one who came first of those who are there. */
  get first(): T | undefined {
    return this.#row.first?.item;
  }

  has(item: T): boolean {
    return this.#placeOf(item) !== undefined;
  }

  /** Goes to the end; who is there already stays where it is. */
  add(item: T): void {
    if (!this.has(item)) this.#setPlace(item, this.#row.enter(new Place(item)));
  }

  /** @returns whether it was there. */
  delete(item: T): boolean {
    const place = this.#placeOf(item);
    if (place === undefined) return false;
    this.#row.leave(place);
    this.#setPlace(item, undefined);
    return true;
  }

  /** Those who are there now, in the order of their coming, whoever comes or goes meanwhile. */
  [Symbol.iterator](): ArrayIterator<T> {
    return Array.from(this.#row, ({ item }) => item).values();
  }

  #placeOf(item: T): Place<T> | undefined {
    return (item as Readonly<Record<symbol, Place<T> | undefined>>)[this.#place];
  }

  #setPlace(item: T, place: Place<T> | undefined): void {
    (item as Record<symbol, Place<T> | undefined>)[this.#place] = place;
  }
}
