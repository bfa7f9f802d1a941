import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIP } from "node:net";
import type { Endpoint } from "../endpoint.ts";
import type { TakenSocket } from "./egress.ts";
import type { UdpSocket, UdpSocketOwner } from "./udp-socket.ts";

/** Bytes that wait in one socket before datagrams are dropped. */
const MAX_QUEUED_BYTES = 1 << 20;

/** A socket of Node's: each datagram is a system call and a callback of its own. */
export class DgramSocket implements UdpSocket {
  readonly #socket: Socket;
  #closed = false;
  #peer: Endpoint | undefined;

  /**
   * @param taken as an egress gave it; undefined for a socket that is bound to any port of the machine's. Where binding fails, the
   * owner hears of it later.
   */
  constructor(family: 4 | 6, taken: TakenSocket | undefined, owner: UdpSocketOwner) {
    const socket = createSocket({
      type: family === 4 ? "udp4" : "udp6",
      ipv6Only: family === 6,
      lookup: literalLookup,
    });
    this.#socket = socket;
    socket.on("error", (error) => {
      if (!this.#closed) owner.onError(error);
    });
    socket.on("message", (payload: Buffer, { address, port }: RemoteInfo) => {
      if (!this.#closed) owner.onDatagram({ host: address, port }, payload);
    });
    if (typeof taken === "number") socket.bind({ fd: taken });
    else socket.bind(0, taken ?? (family === 4 ? "0.0.0.0" : "::"));
  }

  /** The look-up is ours, so that it is connected, or has failed, on return. */
  connect(peer: Endpoint): boolean {
    try {
      this.#socket.connect(peer.port, peer.host, ignoreSendError);
      this.#socket.remoteAddress();
    } catch {
      return false;
    }
    this.#peer = peer;
    return true;
  }

  send(host: string, port: number, payload: Buffer): void {
    if (this.#closed || this.#socket.getSendQueueSize() > MAX_QUEUED_BYTES) return;
    if (!this.#peer) this.#socket.send(payload, port, host, ignoreSendError);
    else if (host === this.#peer.host && port === this.#peer.port)
      this.#socket.send(payload, ignoreSendError);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#socket.close();
    } catch {
      // It never opened.
    }
  }
}

/** Addresses are literal by the time they reach a socket: answering at once keeps datagrams in their order. */
function literalLookup(
  host: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void,
): void {
  callback(null, host, isIP(host));
}

function ignoreSendError(): void {
  // A datagram that can't be sent is a datagram lost, which UDP allows.
}
