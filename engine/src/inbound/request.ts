import type { Duplex } from "node:stream";
import type { Endpoint } from "../endpoint.ts";
import type { DialError } from "../errors.ts";

export type InboundKind = "socks5" | "http" | "tun" | "share";

/** An application that wants a connection. It hears nothing until accept() or reject(), exactly one of which is called once. */
export interface ConnectRequest {
  readonly inbound: InboundKind;
  readonly source: Endpoint;
  readonly target: Endpoint;
  /**
   * Calls back, at most once, when the application goes away before the answer; soon, if it is away already. Replaces an
   * earlier callback. accept() and reject() may still be called after it.
   */
  onCancel(callback: () => void): void;
  /**
   * Tells the application that it is connected. Returns its side: paused, half-open allowed, early bytes put back. An
   * application that went away during the dial leaves it `destroyed`; one that had ended its direction with nothing left
   * to read leaves it `readableEnded`, and its "end" does not come again.
   */
  accept(): Duplex;
  /** Tells the application why not, in the inbound's own words, and ends its connection. */
  reject(error: DialError): void;
}

/** An application's UDP side: one per application source. The engine sets the callbacks in associate(). */
export interface DatagramPort {
  readonly inbound: InboundKind;
  readonly source: Endpoint;
  /** A datagram from the application to `target`. `payload` stays valid. */
  onDatagram: (target: Endpoint, payload: Buffer) => void;
  /** The association ended, by the application, by a failure or by close(); called once. */
  onClose: () => void;
  /** Hands the application a datagram that came from `source`. */
  deliver(source: Endpoint, payload: Buffer): void;
  /**
   * Tells the application that datagrams to `target` go nowhere, so that it tries something else at once. Absent where the
   * inbound has no words for it.
   */
  refuse?(target: Endpoint, error: DialError): void;
  close(): void;
}

/** What an inbound hands its connections to. */
export interface InboundHandler {
  connect(request: ConnectRequest): void;
  associate(port: DatagramPort): void;
  /** False when no route can carry a datagram, so that UDP ASSOCIATE is refused in SOCKS5's own words. */
  udpAvailable(): boolean;
}

/** A listening inbound. */
export interface Inbound {
  readonly kind: InboundKind;
  /** Where it listens, with the port that the system chose where 0 was asked for. */
  readonly address: Endpoint;
  /** Connections that have not become a flow yet: handshaking, or waiting for their dial. */
  readonly pending: number;
  /** For connections from now on; those that are open count. */
  setLimits(limits: InboundLimits): void;
  /** Stops accepting, and ends connections that are still in their handshake. Flows are the engine's to end. */
  close(): Promise<void>;
}

export interface InboundCredentials {
  readonly username: string;
  readonly password: string;
}

/** The settings shared by every inbound that listens on TCP. */
export interface ListenOptions extends ListenEvents, InboundLimits {
  readonly address: Endpoint;
  /** Where set, an application must present these. */
  readonly credentials?: InboundCredentials | undefined;
}

export interface InboundLimits {
  /** Connections accepted at one time, flows included; one more is closed at once. */
  readonly maxConnections: number;
  /** From accept to the end of the application's request. */
  readonly handshakeTimeoutMs: number;
  /** The most bytes that the head of an HTTP request may have. Default 32,768. */
  readonly handshakeBytes?: number;
}

/** What a listener tells of itself, for metrics and logs. */
export interface ListenEvents {
  readonly onAccept?: (() => void) | undefined;
  /** A client was sent away before its request was heard. `why` is a few words. */
  readonly onRefused?: ((source: Endpoint, why: string) => void) | undefined;
  /**
   * A connection could not be accepted, as when descriptors run out, told at most once a second; or a defect of ours cost
   * one.
   */
  readonly onError?: ((error: Error) => void) | undefined;
}
