import type { Duplex } from "node:stream";
import type { Endpoint } from "../endpoint.ts";

/*
 * What the stack tells of the applications behind the device. It decides nothing: whether a connection is accepted, where a
 * datagram goes, whether a target is reachable are the handler's answers.
 */

/** Why a connection or datagram goes nowhere, as the application's own system is to hear of it. */
export type Refusal =
  /** TCP: RST. UDP: port unreachable. */
  | "refused"
  /** ICMP: host unreachable; ICMPv6: address unreachable. */
  | "unreachable"
  /** ICMP: communication administratively prohibited. */
  | "prohibited";

/** An application's SYN. It hears nothing until accept() or refuse(), exactly one of which is called once. */
export interface TcpAttempt {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** Calls back, at most once, when the application gave up before the answer, by a RST or by silence. */
  onCancel(callback: () => void): void;
  /**
   * Answers with a SYN-ACK.
   * @returns the application's bytes: paused, half-open allowed. A reset by the application destroys it with an error that
   *   has the code ECONNRESET; destroy() with an error resets the connection; destroy() after both ends is quiet.
   */
  accept(): Duplex;
  refuse(why: Refusal): void;
}

/** One UDP source (address and port) of an application: endpoint-independent mapping (RFC 4787 §4.1). */
export interface UdpSource {
  readonly source: Endpoint;
  /** Set by the handler: a datagram to `target`. `payload` is the handler's to keep. */
  onDatagram: (target: Endpoint, payload: Buffer) => void;
  /** Set by the handler: no datagram for the idle time, or the stack closed; called once. */
  onClose: () => void;
  /** Hands the application a datagram from `from`, whose family must be that of `source`; others are dropped. */
  deliver(from: Endpoint, payload: Buffer): void;
  /** Tells the application that its last datagram to `target` went nowhere, so that it tries something else at once. */
  refuse(target: Endpoint, why: Refusal): void;
  close(): void;
}

export interface StackHandler {
  tcp(attempt: TcpAttempt): void;
  /** The first datagram of a source: onDatagram is called for it as soon as this returns. */
  udp(source: UdpSource): void;
  /** An echo request: it is answered if `reachable(true)` is called within a few seconds. Absent: echo is never answered. */
  readonly echo?: ((target: string, reachable: (yes: boolean) => void) => void) | undefined;
}
