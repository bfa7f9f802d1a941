/** How much at once, and how often. Counting opens nothing and keeps no timers; the time comes from outside. */

/** Milliseconds that only ever grow, from any beginning: `performance.now()`. */
export type Clock = () => number;

export type RefusalCode =
  | "too-many" // at once
  | "too-often"; // a second

/** Why something is not let in. */
export interface Refusal {
  readonly code: RefusalCode;
  /** The key of the configuration that says so: `limits.max_tunnels`. A label of metrics. */
  readonly limit: string;
  /** After so many seconds it may be; for `Retry-After`. Above 0. */
  readonly retryAfter: number;
}

/** Something that was counted in. Given back once; a second time does nothing. */
export interface Slot extends Disposable {
  release(): void;
}

/** A slot, or why there is none. */
export type Admission = { readonly slot: Slot } | { readonly refusal: Refusal };

/** Who asks, and of whom. */
export interface Asker {
  /** The source address as text, without a port; empty where it has been counted already, and the client alone is to be. */
  readonly source: string;
  /** The session of the client that is to answer, where it is known. */
  readonly client?: string | undefined;
  /** A TCP connection's rate to a client is one of its own. Default: http. */
  readonly kind?: "http" | "tcp";
}

/** A client that has authenticated. */
export interface ClientEntry {
  /** Its session. */
  readonly client: string;
  /** From its grant, where they are tighter than the relay's. */
  readonly maxTunnels?: number | undefined;
  readonly requestsPerSecond?: number | undefined;
}

export interface RelayLimits {
  /** A connection on a public listener: its rate, and how many there are in all and from its source. */
  connection(source: string): Admission;
  /** A connection of a client, on the control or data listener, before anything is known of it. */
  handshake(source: string): Admission;
  /** A client that has authenticated. What its grant says holds until the slot is released. */
  client(identity: string, entry?: ClientEntry): Admission;
  /** One request or TCP connection: its rate alone. Undefined: let in. */
  request(asker: Asker): Refusal | undefined;
  /** A tunnel to a client, open. */
  tunnel(client: string): Admission;
  /** A tunnel that was asked for and is not open yet. */
  pending(client: string): Admission;
  /** What there is now. */
  counts(): LimitCounts;
}

export interface LimitCounts {
  readonly connections: number;
  readonly handshakes: number;
  readonly clients: number;
  readonly tunnels: number;
  readonly pending: number;
  /** Source addresses that are remembered. */
  readonly sources: number;
}
