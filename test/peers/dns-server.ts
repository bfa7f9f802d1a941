import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { FrameReader, writeFrame } from "@sockeye/engine/dns/frames";
import { type Asked, readMessage, writeAnswer } from "@sockeye/engine/dns/message";
import type { Endpoint } from "@sockeye/engine/endpoint";

export interface Heard {
  readonly query: Asked;
  readonly over: "udp" | "tcp";
  /** The client's port. */
  readonly port: number;
}

/** What to send back: nothing, a message, or several, each as it is. */
export type Script = (heard: Heard) => Buffer | readonly Buffer[] | undefined;

/** A scripted DNS server on a port of loopback, UDP and TCP. */
export class DnsServer implements AsyncDisposable {
  readonly heard: Heard[] = [];
  /** May be changed at any time. */
  script: Script;
  /** Connections that were made. */
  connections = 0;
  readonly sockets = new Set<Socket>();
  readonly #udp: UdpSocket;
  readonly #tcp: Server;

  private constructor(script: Script) {
    this.script = script;
    this.#udp = createSocket("udp4", (bytes, from) => {
      for (const answer of this.#answers(bytes, "udp", from.port))
        this.#udp.send(answer, from.port, from.address);
    });
    this.#udp.on("error", () => {});
    this.#tcp = createServer((socket) => {
      this.connections += 1;
      this.sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.sockets.delete(socket));
      const frames = new FrameReader();
      socket.on("data", (chunk: Buffer) => {
        for (const bytes of frames.push(chunk)) {
          for (const answer of this.#answers(bytes, "tcp", socket.remotePort!))
            socket.write(writeFrame(answer));
        }
      });
    });
  }

  static async start(script: Script): Promise<DnsServer> {
    // The same port has to be free for both.
    for (let tries = 0; ; tries++) {
      const server = new DnsServer(script);
      server.#tcp.listen(0, "127.0.0.1");
      await once(server.#tcp, "listening");
      try {
        server.#udp.bind(server.port, "127.0.0.1");
        await once(server.#udp, "listening");
        return server;
      } catch (error) {
        server.#tcp.close();
        server.#udp.close();
        if (tries === 10) throw error;
      }
    }
  }

  get port(): number {
    const address = this.#tcp.address();
    if (address === null || typeof address === "string") throw new Error("the server does not listen");
    return address.port;
  }

  get endpoint(): Endpoint {
    return { host: "127.0.0.1", port: this.port };
  }

  /** Names that were asked for, in order, each with how. */
  get questions(): string[] {
    return this.heard.map(({ query, over }) => `${over} ${query.question.name} ${query.question.type}`);
  }

  #answers(bytes: Buffer, over: "udp" | "tcp", port: number): readonly Buffer[] {
    const query = readMessage(bytes);
    if (query?.question === undefined) return [];
    const heard = { query: query as Asked, over, port };
    this.heard.push(heard);
    const answer = this.script(heard);
    if (answer === undefined) return [];
    return Buffer.isBuffer(answer) ? [answer] : answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.#udp.close();
    this.#tcp.close();
    await once(this.#tcp, "close");
  }
}

/** An answer with these IPv4 addresses, kept for a minute. */
export function answerA(query: Asked, ...addresses: string[]): Buffer {
  const records = addresses.map((address) => ({
    type: 1,
    ttl: 60,
    data: Buffer.from(address.split(".").map(Number)),
  }));
  return writeAnswer(query, 0, records);
}
