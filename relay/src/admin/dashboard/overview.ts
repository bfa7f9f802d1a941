import type { PublicAddress } from "../../names/registry.ts";
import { shownAddress } from "../../names/registry.ts";
import type { Carried, RelayObserver, ServedEnd } from "../../observer.ts";
import { observing } from "../../observers.ts";
import { addTo, Traffic, type TrafficCounts, zero } from "./traffic.ts";

/** Requests that are remembered, the latest of them. */
export const MAX_RECENT = 100;
/** Characters of a path that are remembered. */
const MAX_PATH = 200;

export interface ShareView extends Readonly<TrafficCounts> {
  readonly address: PublicAddress;
}

export interface ClientView extends Readonly<TrafficCounts> {
  readonly id: string;
  readonly identity: string;
  readonly source: string;
  /** By `Date.now()`. */
  readonly since: number;
  readonly shares: readonly ShareView[];
}

export interface RequestView extends Pick<
  ServedEnd,
  "address" | "source" | "method" | "status" | "ms" | "bytesIn" | "bytesOut" | "error" | "identity"
> {
  /** When it ended, by `Date.now()`. */
  readonly at: number;
  /** HTTP only; without what follows a question mark, which is often a secret. */
  readonly path: string | undefined;
}

interface Client extends TrafficCounts {
  readonly id: string;
  readonly identity: string;
  readonly source: string;
  readonly since: number;
  readonly shares: Map<string, TrafficCounts & { readonly address: PublicAddress }>;
}

/**
 * What the dashboard shows: who is connected, what they share, and what was asked for lately. As large as the relay's own
 * limits of clients and their names, and `MAX_RECENT`.
 */
export class Overview {
  readonly observer: RelayObserver;
  readonly traffic = new Traffic();
  readonly #clients = new Map<string, Client>();
  readonly #recent: RequestView[] = [];

  constructor() {
    this.observer = observing({
      clientConnected: (id, identity, source) =>
        this.#clients.set(id, { id, identity, source, since: Date.now(), shares: new Map(), ...zero() }),
      clientDisconnected: (id) => this.#clients.delete(id),
      shared: (id, address) =>
        this.#clients.get(id)?.shares.set(shownAddress(address), { address, ...zero() }),
      unshared: (id, address) => this.#clients.get(id)?.shares.delete(shownAddress(address)),
      carried: (carried) => this.#carried(carried),
      requestEnded: (end) => this.#ended(end),
    });
  }

  /** The longest connected first. */
  get clients(): readonly ClientView[] {
    return [...this.#clients.values()].map((client) => ({ ...client, shares: [...client.shares.values()] }));
  }

  /** The latest first. */
  get recent(): readonly RequestView[] {
    return this.#recent.toReversed();
  }

  #carried({ client, address, bytesIn, bytesOut }: Carried): void {
    this.#count(client, address, { requests: 0, failed: 0, bytesIn, bytesOut });
  }

  #ended(end: ServedEnd): void {
    const { address, source, method, status, ms, bytesIn, bytesOut, error, identity, told } = end;
    this.#count(end.client, address, {
      requests: 1,
      failed: isFailure(end) ? 1 : 0,
      bytesIn: bytesIn - (told?.bytesIn ?? 0),
      bytesOut: bytesOut - (told?.bytesOut ?? 0),
    });
    const path = end.target?.split("?", 1)[0]!.slice(0, MAX_PATH);
    const about = { address, source, method, status, ms, bytesIn, bytesOut, error, identity };
    this.#recent.push({ at: Date.now(), path, ...about });
    if (this.#recent.length > MAX_RECENT) this.#recent.shift();
  }

  #count(id: string | undefined, address: PublicAddress | undefined, more: TrafficCounts): void {
    this.traffic.add(Date.now(), more);
    const client = id === undefined ? undefined : this.#clients.get(id);
    const share = address === undefined ? undefined : client?.shares.get(shownAddress(address));
    for (const count of [client, share]) if (count !== undefined) addTo(count, more);
  }
}

/** Whoever asked went away, or asked for what there is not: that is no failure of the relay or its clients. */
export function isFailure({ error, status }: Pick<ServedEnd, "error" | "status">): boolean {
  switch (error) {
    case undefined:
      return status >= 500;
    case "cancelled":
    case "bad-request":
    case "unknown-name":
      return false;
    default:
      return true;
  }
}
