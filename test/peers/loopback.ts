import { execFile } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Endpoint } from "@sockeye/engine/endpoint";

/** A TCP server on a port of loopback that the system chose; half-open allowed. */
export class LoopbackServer implements AsyncDisposable {
  readonly #server: Server;
  readonly sockets = new Set<Socket>();

  private constructor(onConnection: (socket: Socket) => void) {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.sockets.delete(socket));
      onConnection(socket);
    });
  }

  static async start(onConnection: (socket: Socket) => void): Promise<LoopbackServer> {
    const server = new LoopbackServer(onConnection);
    server.#server.listen(0, "127.0.0.1");
    await once(server.#server, "listening");
    return server;
  }

  /** Sends back what comes, and ends when the client does. */
  static echo(): Promise<LoopbackServer> {
    return LoopbackServer.start((socket) => socket.pipe(socket));
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the server does not listen");
    return address.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** A raw client that collects what it is told, so that a test can wait for it. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  #ended = false;
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(address: Endpoint) {
    this.socket = connect({ ...address, allowHalfOpen: true, noDelay: true });
    this.socket.on("error", () => {});
    this.socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake?.();
    });
    this.socket.on("end", () => {
      this.#ended = true;
      this.#wake?.();
    });
    this.socket.on("close", () => {
      this.#closed = true;
      this.#wake?.();
    });
  }

  send(data: Buffer | string): void {
    this.socket.write(data);
  }

  /** Takes exactly `length` bytes. Rejects when the connection ends before. */
  async take(length: number): Promise<Buffer> {
    while (this.#received.length < length) {
      if (this.#ended || this.#closed)
        throw new Error(`ended after ${this.#received.length} of ${length} bytes`);
      await this.#changed();
    }
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return taken;
  }

  /** Takes as far as `text` and with it. */
  async takeUntil(text: string): Promise<string> {
    while (!this.#received.includes(text)) {
      if (this.#ended || this.#closed)
        throw new Error(`ended before ${JSON.stringify(text)}: ${this.#received.toString()}`);
      await this.#changed();
    }
    return (await this.take(this.#received.indexOf(text) + text.length)).toString("latin1");
  }

  /** All that comes until the server ends or resets the connection. */
  async rest(): Promise<Buffer> {
    while (!this.#ended && !this.#closed) await this.#changed();
    return this.take(this.#received.length);
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** Waits until the condition holds; fails with what was awaited. */
export async function until(what: string, condition: () => boolean, timeoutMs = 3000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`still not so after ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export interface CurlResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs curl without the proxy settings of its surroundings. */
export function curl(...args: string[]): Promise<CurlResult> {
  return new Promise((resolve) => {
    execFile(
      "curl",
      ["-q", "--silent", "--show-error", "--max-time", "10", "--noproxy", "", ...args],
      { env: { PATH: process.env["PATH"] } },
      (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
        resolve({ status, stdout, stderr });
      },
    );
  });
}
