import type { PublicAddress } from "./names/registry.ts";

/** Why a request or a connection was not served as asked. Labels of metrics: the list is closed. */
export type ErrorKind =
  | "bad-request" // its head or body can't be read
  | "unknown-name"
  | "away" // the client did not come back in time
  | "limit"
  | "not-authorised"
  | "local-refused"
  | "local-unreachable"
  | "local-timeout"
  | "local-closed" // the local service ended before its answer was complete
  | "bad-response"
  | "lost" // the connection to the client ended
  | "idle" // nothing came for too long
  | "cancelled"; // the public client went first

/** Where connections come in. */
export type ListenerName = "control" | "data" | "http" | "https" | "tcp";

/** A request or a connection of the public that is being served. */
export interface ServedStart {
  readonly address: PublicAddress | undefined;
  readonly source: string;
  /** HTTP only. */
  readonly method?: string | undefined;
  readonly target?: string | undefined;
}

export interface ServedEnd extends ServedStart {
  /** The session that served it; undefined where it came to none. */
  readonly client: string | undefined;
  /** HTTP only; 0 where the public client went before there was one. */
  readonly status: number;
  readonly ms: number;
  /** From the public. */
  readonly bytesIn: number;
  /** To the public. */
  readonly bytesOut: number;
  readonly error: ErrorKind | undefined;
}

/** What the relay tells of itself. Each call is cheap and may not throw. */
export interface RelayObserver {
  /** `client`: the session's id; `source`: its address. */
  clientConnected(client: string, identity: string, source: string): void;
  clientDisconnected(client: string, reason: string): void;
  /** A connection that was not let in, before anything of it was read but a PROXY header; `reason` in words, or a limit's key. */
  connectionRefused(listener: ListenerName, source: string, reason: string): void;
  /** A connection on the control or data listener that became no client; `code` as it was told. */
  clientRefused(source: string, code: string): void;
  shared(client: string, address: PublicAddress): void;
  unshared(client: string, address: PublicAddress): void;
  connectionOpened(listener: "http" | "https" | "tcp"): void;
  connectionClosed(listener: "http" | "https" | "tcp"): void;
  requestStarted(start: ServedStart): void;
  requestEnded(end: ServedEnd): void;
  /** A problem that is nobody's request: a listener's error, a failed renewal. */
  problem(what: string, error: Error): void;
  draining(deadlineMs: number): void;
}
