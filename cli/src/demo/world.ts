import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { Endpoint } from "@sockeye/engine";

/** Names under this suffix exist only behind the demo upstreams: nothing else on the machine can resolve them. */
export const DEMO_SUFFIX = ".demo";

/**
 * The far side of the demo: a web server that says which upstream a request came through. It knows by the connection that
 * the upstream opened to it, not by what the request says of itself.
 */
export class DemoWorld {
  readonly #server = createServer((request, response) => this.#answer(request, response));
  /** Which upstream opened the connection from this local port. */
  readonly #openedBy = new Map<number, string>();
  #port = 0;

  async start(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /**
   * Connects as an upstream would: names of the demo lead to its web server, all else to where it says.
   * @throws the system's error when the target can't be reached.
   */
  async dial(target: Endpoint, upstream: string): Promise<Socket> {
    const isDemo = target.host.endsWith(DEMO_SUFFIX);
    const where = isDemo ? { host: "127.0.0.1", port: this.#port } : target;
    const socket = connect({ ...where, allowHalfOpen: true, noDelay: true });
    await once(socket, "connect");
    const { localPort } = socket;
    if (isDemo && localPort !== undefined) {
      this.#openedBy.set(localPort, upstream);
      socket.once("close", () => this.#openedBy.delete(localPort));
    }
    return socket;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const upstream = this.#openedBy.get(request.socket.remotePort ?? 0) ?? "no upstream at all";
    response.setHeader("content-type", "text/plain; charset=utf-8");
    response.end(`Hello from ${request.headers.host ?? "the demo"}. You came through ${upstream}.\n`);
  }
}
