import type { ControlHost } from "./control/host.ts";
import { type Port, PortServer } from "./control/message-port.ts";
import type { Service } from "./control/protocol.ts";
import { type ControlServer, type ControlServerOptions, startControlServer } from "./control/server.ts";
import { createService } from "./control/service.ts";
import type { Endpoint } from "./endpoint.ts";

/** Where the control contract is spoken: at ports of this program's other processes, and at a WebSocket on loopback. */
export class Faces {
  readonly #host: ControlHost;
  /** One for every client: it lets one write at a time. */
  readonly #service: Service;
  readonly #ports: PortServer;
  #server: ControlServer | undefined;

  constructor(host: ControlHost) {
    this.#host = host;
    this.#service = createService(host);
    this.#ports = new PortServer(this.#service);
  }

  /** Of the WebSocket, once it is open. */
  get address(): Endpoint | undefined {
    return this.#server?.address;
  }

  /** @throws {ControlError} as startControlServer does. */
  async open(options: Omit<ControlServerOptions, "service">): Promise<void> {
    this.#server = await startControlServer(this.#host, { ...options, service: this.#service });
  }

  /** @returns the way to end it. */
  serve(port: Port): () => void {
    return this.#ports.serve(port);
  }

  async close(): Promise<void> {
    await this.#server?.close();
    this.#ports.close();
  }
}
