import type { RefusalCode } from "@sockeye/link/messages";
import type { PublicAddress } from "./names/registry.ts";

/** Why a request or a connection was not served as asked. Labels of metrics: the list is closed. */
export type ErrorKind =
  | "bad-request" // its head or body can't be read
  | "unknown-name"
  | "away" // the client did not come back in time
  | "limit"
  | "not-taken" // the client did not take it up in time
  | "not-authorised"
  | "guarded" // the share does not let this one in
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

/** Why a connection was not let in: a limit's key, or words about its PROXY header, or about its TLS handshake. */
export type ConnectionRefusal =
  { readonly limit: string } | { readonly header: string } | { readonly tls: string };

/** The span of one request or connection of the public. */
export interface RequestTrace {
  /** 32 hexadecimal digits; for logs. */
  readonly traceId: string;
  /** What whoever answers is to see as `traceparent` (W3C Trace Context §3.2). */
  readonly traceparent: string;
  /** The public's `traceparent` was read, and its `tracestate` belongs to this trace. */
  readonly continued: boolean;
  end(served: ServedEnd): void;
}

/** A request or a connection of the public that is being served. */
export interface ServedStart {
  readonly address: PublicAddress | undefined;
  readonly source: string;
  /** HTTP only. */
  readonly method?: string | undefined;
  readonly target?: string | undefined;
  /** Where traces are made. */
  readonly trace?: RequestTrace | undefined;
}

export interface CarriedBytes {
  /** From the public. */
  readonly bytesIn: number;
  /** To the public. */
  readonly bytesOut: number;
}

/** What a request or connection that is under way has carried since it was last told of. */
export interface Carried extends CarriedBytes {
  readonly address: PublicAddress;
  readonly client: string;
  readonly identity: string;
}

export interface ServedEnd extends ServedStart, CarriedBytes {
  /** The session that served it; undefined where it came to none. */
  readonly client: string | undefined;
  /** Whose session that is. */
  readonly identity: string | undefined;
  /** HTTP only; 0 where the public client went before there was one. */
  readonly status: number;
  readonly ms: number;
  /** Of its bytes those that `carried` has told of already; undefined: none. */
  readonly told?: CarriedBytes | undefined;
  readonly error: ErrorKind | undefined;
  /** The key of the configuration that refused it: `limits.max_tunnels`. */
  readonly limit?: string | undefined;
}

/** A certificate that a listener shows from now on. */
export interface CertificateInForce {
  readonly file: string;
  /** Whom it is for. */
  readonly names: readonly string[];
  readonly validUntil: Date;
}

/** Why a connection became no client. It holds no secret. */
export interface ClientRefusal {
  /** As the client was told. */
  readonly code: RefusalCode;
  readonly reason: string;
  /** What the client was not told. */
  readonly detail?: string | undefined;
  /** What its credential goes by, where that is known: a token's id. */
  readonly credential?: string | undefined;
}

/** Why a client did not get a name or port. */
export interface ShareRefusal {
  readonly code: RefusalCode;
  readonly reason: string;
  /** As it was asked for; undefined where the relay was to choose. */
  readonly wanted: string | undefined;
}

/** What the relay tells of itself. Each call is cheap and may not throw. */
export interface RelayObserver {
  /** `client`: the session's id; `source`: its address. */
  clientConnected(client: string, identity: string, source: string): void;
  clientDisconnected(client: string, reason: string): void;
  /**
   * A connection that was not let in, before anything of it was read but a PROXY header and a TLS handshake; the limit is its
   * key. Of handshakes of the public, which anyone may break off, nothing is told.
   */
  connectionRefused(listener: ListenerName, source: string, why: ConnectionRefusal): void;
  /** A connection on the control or data listener that became no client. */
  clientRefused(source: string, refusal: ClientRefusal): void;
  /** A name or port that a client asked for and did not get. */
  shareRefused(client: string, refusal: ShareRefusal): void;
  shared(client: string, address: PublicAddress): void;
  unshared(client: string, address: PublicAddress): void;
  connectionOpened(listener: "http" | "https" | "tcp"): void;
  connectionClosed(listener: "http" | "https" | "tcp"): void;
  requestStarted(start: ServedStart): void;
  /** About every second for each that lasts so long. */
  carried(carried: Carried): void;
  requestEnded(end: ServedEnd): void;
  /** A problem that is nobody's request: a listener's error, a failed renewal. */
  problem(what: string, error: Error): void;
  /** The files of a listener have changed. */
  certificatesReloaded(listener: string, certificates: readonly CertificateInForce[]): void;
  draining(deadlineMs: number): void;
}
