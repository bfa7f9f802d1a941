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

export interface TlsGateHooks {
  readonly arrived: (guest: SecureGuest) => void;
  /** Somebody whose handshake came to nothing, and why. */
  readonly failed?: ((source: string, reason: string) => void) | undefined;
}

/**
 * The TLS handshakes of one listener. A TLS server gives sockets that know their proxy and not whom it speaks for, so each guest
 * waits here under the two ends of its connection, which no other connection has while it is open.
 */
export class TlsGate {
  readonly #server: Server;
  readonly #shaking = new Map<string, Guest>();

  constructor(contexts: TlsContexts, options: TlsServerOptions, hooks: TlsGateHooks) {
    this.#server = contexts.createServer(options, (socket) => {
      const key = endsOf(socket);
      const guest = this.#shaking.get(key);
      if (guest === undefined) return void socket.destroy();
      this.#shaking.delete(key);
      hooks.arrived({ ...guest, socket, certificate: certificateIdentity(socket) });
    });
    // Before it is destroyed: afterwards it does not know its ends any more.
    this.#server.prependListener("tlsClientError", (error, socket) => {
      const guest = this.#shaking.get(endsOf(socket));
      const reason = whyNoHandshake(error, socket);
      if (guest !== undefined && reason !== undefined) hooks.failed?.(guest.source.host, reason);
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

/**
 * What was wrong with a handshake, in OpenSSL's words; undefined where the connection ended before it began, as those of health
 * checks do.
 */
function whyNoHandshake(error: Error, socket: TLSSocket): string | undefined {
  const { authorizationError } = socket as { readonly authorizationError: unknown };
  if (typeof authorizationError === "string") return `its certificate is not accepted: ${authorizationError}`;
  const { code, reason } = error as NodeJS.ErrnoException & { readonly reason?: string };
  if (code === "ECONNRESET" && socket.bytesRead === 0) return undefined;
  return reason ?? error.message;
}

function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
