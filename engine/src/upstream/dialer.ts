import type { OnReadOpts } from "node:net";
import type { Duplex } from "node:stream";
import type { CancelSignal } from "../cancel.ts";
import type { Endpoint } from "../endpoint.ts";
import type { DialStep } from "../errors.ts";

export interface DialOptions {
  /** Ends the dial; its reason is the DialError to reject with (see abortReason). The deadline is in it: whoever asks sets one. */
  readonly signal: CancelSignal;
  /** The flow that is dialled for, for logs. */
  readonly flow?: number;
  /** The host of the application that is dialled for, so that one's dials don't crowd out another's; absent for our own. */
  readonly source?: string;
  /** Told each step as it begins, so that a failure or a time-out can name it. */
  readonly onStep?: (step: DialStep) => void;
  /** Where the stream is a socket of our own, it reads into this memory instead of new memory; see net.Socket's `onread`. */
  readonly onread?: OnReadOpts | undefined;
}

/**
 * Opens connections to targets. A dialer is built on another dialer (`via`), and `direct` is the ground,
 * so that chaining is composition and no dialer knows what it runs over.
 */
export interface Dialer {
  /**
   * @returns a stream that is connected to the target: writable at once, nothing read from it yet, half-open
   * allowed (an end in one direction leaves the other open). It is paused; bytes that came with the end of a
   * handshake have been put back. The caller owns it and must destroy it.
   * @throws {DialError}
   */
  dial(target: Endpoint, options: DialOptions): Promise<Duplex>;

  /** The second, optional capability: datagrams. Absent where the protocol has none. */
  readonly udp?: UdpDialer | undefined;
}

export interface UdpDialer {
  /**
   * One association serves every target of one application source.
   * @throws {DialError}
   */
  associate(receiver: UdpReceiver, options: AssociateOptions): Promise<UdpAssociation>;
}

export interface AssociateOptions extends DialOptions {
  /** All datagrams go to this address and come from it; others may be dropped. */
  readonly peer?: Endpoint | undefined;
}

export interface UdpReceiver {
  /** A datagram from `source`; `payload` is valid after the call. */
  onDatagram(source: Endpoint, payload: Buffer): void;
  /** The association ended, by itself or by close(); called once. */
  onClose(error?: Error): void;
}

export interface UdpAssociation {
  /** Sends, or drops when the socket is congested (UDP promises nothing). */
  send(target: Endpoint, payload: Buffer): void;
  close(): void;
}
