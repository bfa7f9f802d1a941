import type { Socket } from "node:net";
import { plainAddress } from "./forwarded.ts";
import { HttpConnection } from "./http-connection.ts";
import type { PublicContext } from "./public-context.ts";

/** Where the public comes in by HTTP: every connection from its accept to its end. */
export class HttpDoor {
  readonly #context: PublicContext;
  readonly #connections = new Set<HttpConnection>();
  #draining = false;

  constructor(context: PublicContext) {
    this.#context = context;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Takes a connection over. */
  accept(socket: Socket, secure: boolean): void {
    const address = plainAddress(socket.remoteAddress);
    const { limits, observer } = this.#context;
    const admission = limits.connection(address);
    if ("refusal" in admission || this.#draining) {
      socket.on("error", () => {});
      socket.destroy();
      return;
    }
    const listener = secure ? "https" : "http";
    observer.connectionOpened(listener);
    const peer = { address, port: socket.remotePort ?? 0, secure };
    const connection = new HttpConnection(this.#context, socket, peer, () => {
      admission.slot.release();
      this.#connections.delete(connection);
      observer.connectionClosed(listener);
    });
    this.#connections.add(connection);
  }

  /** To be called several times a second. */
  sweep(now: number): void {
    for (const connection of this.#connections) connection.sweep(now);
  }

  /** Connections end with what is under way on them. */
  drain(): void {
    this.#draining = true;
    for (const connection of this.#connections) connection.drainOut();
  }

  destroy(): void {
    for (const connection of [...this.#connections]) connection.destroy();
  }
}
