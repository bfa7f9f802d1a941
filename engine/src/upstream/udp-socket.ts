import type { Endpoint } from "../endpoint.ts";

/** A UDP socket of this machine, of one address family, bound to a port. */
export interface UdpSocket {
  /** All datagrams go to this address and come from it. @returns false where the system refuses; it stays as it was then. */
  connect(peer: Endpoint): boolean;
  /** Sends to a literal address, or drops. The payload must not change. */
  send(host: string, port: number, payload: Buffer): void;
  close(): void;
}

/** Nobody is told of anything after close(). */
export interface UdpSocketOwner {
  /** The source's object may be the one of the datagram before. */
  onDatagram(source: Endpoint, payload: Buffer): void;
  /** What the system says of the socket, or of a datagram that could not be delivered; it may go on all the same. */
  onError(error: Error): void;
}
