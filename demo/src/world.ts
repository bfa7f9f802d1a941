import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { Endpoint } from "@sockeye/engine";

/** Names under this suffix exist only behind the demo upstreams: nothing else on the machine can resolve them. */
export const DEMO_SUFFIX = ".demo";

/** Names that each upstream has of its own, besides the upstream's: `wiki.bastion.demo`. */
export const PLACES = ["wiki", "mail", "build"] as const;

const MAX_STREAM_SECONDS = 600;
const MAX_STREAM_RATE = 1024 * 1024;
const STREAM_TICK_MS = 250;

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
   * Connects as an upstream would: names of the demo lead to its web server, which has port 80, and all else to where it says.
   * @throws an error that says why the target can't be reached.
   */
  async dial(target: Endpoint, upstream: string): Promise<Socket> {
    const isDemo = target.host.endsWith(DEMO_SUFFIX);
    if (isDemo && target.port !== 80) throw new Error(`nobody listens on port ${target.port} there`);
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
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://demo");
    if (pathname === "/stream") {
      const rate = Math.min(Number(searchParams.get("rate")) || 1, MAX_STREAM_RATE);
      stream(response, rate, Math.min(Number(searchParams.get("seconds")) || 1, MAX_STREAM_SECONDS));
      return;
    }
    response.end(`Hello from ${request.headers.host ?? "the demo"}. You came through ${upstream}.\n`);
  }
}

/** Sends about `rate` bytes a second; less where nobody takes them. */
function stream(response: ServerResponse, rate: number, seconds: number): void {
  const piece = Buffer.alloc(Math.ceil((rate * STREAM_TICK_MS) / 1000), ".");
  let left = Math.ceil((seconds * 1000) / STREAM_TICK_MS);
  const timer = setInterval(() => {
    if (left-- === 0) response.end();
    else if (!response.writableNeedDrain) response.write(piece);
  }, STREAM_TICK_MS);
  response.on("close", () => clearInterval(timer));
}
