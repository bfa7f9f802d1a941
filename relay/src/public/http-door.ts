import { Roster } from "@sockeye/wire/roster";
import type { Guest } from "../edge/entrance.ts";
import { HttpConnection } from "./http-connection.ts";
import type { PublicContext } from "./public-context.ts";

/** Where the public comes in by HTTP: every connection from its accept to its end. */
export class HttpDoor {
  readonly #context: PublicContext;
  readonly #connections = new Roster<HttpConnection>();
  #draining = false;

  constructor(context: PublicContext) {
    this.#context = context;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Takes a connection over. */
  accept({ socket, source, slot }: Guest, secure: boolean): void {
    const { observer } = this.#context;
    if (this.#draining) {
      socket.on("error", () => {});
      socket.destroy();
      return;
    }
    const listener = secure ? "https" : "http";
    observer.connectionOpened(listener);
    const peer = { address: source.host, port: source.port, secure };
    const connection = new HttpConnection(this.#context, socket, peer, () => {
      slot.release();
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
    for (const connection of this.#connections) connection.destroy();
  }
}
