import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";
import type { Grant } from "../auth/authoriser.ts";
import type { PublicAddress } from "../names/registry.ts";
import type { Gate } from "../public/gate.ts";
import type { IdleStreams } from "../public/idle-streams.ts";

/** One share of one client, as the public side sees it. */
export interface Route {
  readonly address: PublicAddress;
  /** The client's session. */
  readonly client: string;
  readonly grant: Grant;
  /** What the local service is to see as Host; undefined: what the public sent. */
  readonly host: string | undefined;
  /** Who may come; undefined: all. */
  readonly gate: Gate | undefined;
  /** HTML for whoever comes while the local service does not answer. */
  readonly offlinePage: Buffer | undefined;
  /** Streams to the local service that wait for their next request. */
  readonly idle: IdleStreams;
  /**
   * Opens a stream to the local service; what is written waits where it must.
   * @param source `address:port` of the public connection; empty for a stream that carries requests of many.
   * @returns undefined where the client is gone, or has as many streams as it may have.
   */
  open(source: string, receiver: StreamReceiver): TunnelStream | undefined;
  /** Tells the client's person of a request that has ended, where they asked for it. */
  seen(request: { method: string; target: string; status: number; ms: number }): void;
}

export type Found =
  | { readonly state: "held"; readonly route: Route }
  /** Its client was here lately. */
  | { readonly state: "away" }
  | { readonly state: "unknown" };

/**
 * Which client answers for a public name or port. Here: one that is connected to this relay. A dispatch of several relays
 * would give a route that leads through another one.
 */
export interface Dispatch {
  /** Asked for each request; an answer that is at hand comes without a promise. */
  find(address: PublicAddress): Found | Promise<Found>;
  /** Waits until a client is there, at most `ms`. @throws the signal's reason when it fires. */
  waitFor(address: PublicAddress, ms: number, signal: AbortSignal): Promise<Route | undefined>;
}
