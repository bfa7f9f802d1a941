import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { LinkConnection } from "@sockeye/link/link-connection";
import { encodeMessage, LINK_VERSION, readRelayMessage, type RelayMessage } from "@sockeye/link/messages";
import type { Relay } from "@sockeye/relay/server";
import { WindowBudget } from "@sockeye/wire/mux";
import type { TunnelStream } from "@sockeye/wire/mux-stream";
import { until } from "./relay.ts";

/** A client that says what it is told to say, and takes no stream up. */
export class Client implements AsyncDisposable {
  readonly heard: RelayMessage[] = [];
  /** As the relay opened them. */
  readonly opened: TunnelStream[] = [];
  ended = false;
  readonly #link: LinkConnection;
  readonly #socket: Duplex;

  static async at(port: number, host = "127.0.0.1"): Promise<Client> {
    return new Client(connect({ port, host }));
  }

  static async to(relay: Pick<Relay, "control">, hello: { apart: boolean }): Promise<Client> {
    const client = await Client.at(relay.control.port);
    client.say({ type: "hello", version: LINK_VERSION, token: "token-ada", instance: "12345678", ...hello });
    await until(() => client.heard.length > 0, "it is welcome");
    return client;
  }

  constructor(socket: Duplex) {
    this.#socket = socket;
    this.#link = new LinkConnection(socket, {
      role: "client",
      heartbeat: { intervalMs: 60_000, deadAfterMs: 120_000 },
      budget: new WindowBudget(0),
      handler: {
        opened: (stream) => {
          this.opened.push(stream);
          return stream.receiver;
        },
        control: (bytes) => this.heard.push(readRelayMessage(bytes)),
        closed: () => (this.ended = true),
      },
    });
  }

  get streams(): number {
    return this.opened.length;
  }

  /** Takes no notice of the relay any more, and leaves the connection open. */
  stop(): void {
    this.#socket.removeAllListeners("data");
    this.#socket.pause();
    this.#socket.write = () => true;
  }

  say(message: Parameters<typeof encodeMessage>[0]): void {
    this.#link.sendControl(encodeMessage(message));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#link.close();
  }
}
