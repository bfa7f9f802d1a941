import type { Socket } from "node:net";
import type { Server, TLSSocket } from "node:tls";
import type { Guest } from "../edge/entrance.ts";
import { certificateIdentity, type TlsContexts, type TlsServerOptions } from "./contexts.ts";

/** A guest after the TLS handshake. */
export interface SecureGuest extends Omit<Guest, "socket"> {
  readonly socket: TLSSocket;
  /** Whom the certificate names that it showed. */
  readonly certificate: string | undefined;
}

/**
 * The TLS handshakes of one listener. A TLS server gives sockets that know their proxy and not whom it speaks for, so each guest
 * waits here under the two ends of its connection, which no other connection has while it is open.
 */
export class TlsGate {
  readonly #server: Server;
  readonly #shaking = new Map<string, Guest>();

  constructor(contexts: TlsContexts, options: TlsServerOptions, arrived: (guest: SecureGuest) => void) {
    this.#server = contexts.createServer(options, (socket) => {
      const key = endsOf(socket);
      const guest = this.#shaking.get(key);
      if (guest === undefined) return void socket.destroy();
      this.#shaking.delete(key);
      arrived({ ...guest, socket, certificate: certificateIdentity(socket) });
    });
  }

  /** Takes a guest over; one that does not manage the handshake in time is let go. */
  enter(guest: Guest): void {
    const key = endsOf(guest.socket);
    this.#shaking.set(key, guest);
    guest.socket.once("close", () => {
      if (this.#shaking.get(key) === guest) this.#shaking.delete(key);
    });
    this.#server.emit("connection", guest.socket);
  }

  /** Ends those that are still at it. */
  close(): void {
    for (const { socket } of [...this.#shaking.values()]) socket.destroy();
  }
}

function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
