import type { Route } from "../dispatch/dispatch.ts";
import type { CarriedBytes, RelayObserver } from "../observer.ts";

/** How often the bytes of one request or connection are told while it lasts. */
const TELL_EVERY_MS = 1000;

/** Tells of the bytes of a request or connection as they flow, so that figures of a long one do not wait for its end. */
export class Progress {
  readonly #observer: RelayObserver;
  #toldAt: number;
  #told: CarriedBytes | undefined;

  /** @param now when it began, by `performance.now()`. */
  constructor(observer: RelayObserver, now: number) {
    this.#observer = observer;
    this.#toldAt = now;
  }

  /** All that has been told of; undefined: nothing, as of most. */
  get told(): CarriedBytes | undefined {
    return this.#told;
  }

  /** To be called several times a second. @param total since its beginning; asked for only where it is time. */
  sweep(now: number, route: Route | undefined, total: () => CarriedBytes): void {
    if (now - this.#toldAt < TELL_EVERY_MS || route === undefined) return;
    this.#toldAt = now;
    const { bytesIn, bytesOut } = total();
    const more = {
      bytesIn: bytesIn - (this.#told?.bytesIn ?? 0),
      bytesOut: bytesOut - (this.#told?.bytesOut ?? 0),
    };
    if (more.bytesIn === 0 && more.bytesOut === 0) return;
    this.#told = { bytesIn, bytesOut };
    const { address, client, grant } = route;
    this.#observer.carried({ address, client, identity: grant.identity, ...more });
  }
}
