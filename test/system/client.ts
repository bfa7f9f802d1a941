import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Endpoint } from "@sockeye/engine";
import { formatEndpoint } from "@sockeye/engine";

export type Inbound = "socks5" | "http";

/** Whoever asked was told no, in the inbound's own words. */
export class Refused extends Error {
  override readonly name = "Refused";
  /** A SOCKS5 reply code, or an HTTP status. */
  readonly answer: number;
  constructor(answer: number) {
    super(`the inbound answered ${answer}`);
    this.answer = answer;
  }
}

/**
 * Connects to `target` through an inbound, as an application would that knows nothing of the engine. Written apart from
 * the engine's codecs, so that the two do not share a misunderstanding.
 * @throws {Refused}
 */
export async function connectThrough(kind: Inbound, inbound: Endpoint, target: Endpoint): Promise<Socket> {
  const socket = connect({ ...inbound, allowHalfOpen: true, noDelay: true });
  await once(socket, "connect");
  if (kind === "socks5") await socksConnect(socket, target);
  else await httpConnect(socket, target);
  return socket;
}

async function socksConnect(socket: Socket, target: Endpoint): Promise<void> {
  socket.write(Buffer.of(5, 1, 0));
  const method = await readExactly(socket, 2);
  if (method[1] !== 0) throw new Refused(method[1]!);
  const name = Buffer.from(target.host);
  socket.write(
    Buffer.concat([Buffer.of(5, 1, 0, 3, name.length), name, Buffer.of(target.port >> 8, target.port & 255)]),
  );
  const head = await readExactly(socket, 4);
  if (head[1] !== 0) {
    socket.destroy();
    throw new Refused(head[1]!);
  }
  await readExactly(socket, head[3] === 4 ? 18 : 6);
}

async function httpConnect(socket: Socket, target: Endpoint): Promise<void> {
  const authority = formatEndpoint(target);
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  let head = "";
  while (!head.endsWith("\r\n\r\n")) head += (await readExactly(socket, 1)).toString("latin1");
  const status = Number(head.split(" ")[1]);
  if (status === 200) return;
  socket.destroy();
  throw new Refused(status);
}

async function readExactly(socket: Socket, length: number): Promise<Buffer> {
  for (;;) {
    const chunk = socket.read(length) as Buffer | null;
    if (chunk) return chunk;
    if (socket.readableEnded) throw new Error("the inbound closed the connection");
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: Error): void => {
        socket.off("readable", settle).off("end", settle).off("error", settle);
        if (error) reject(error);
        else resolve();
      };
      socket.on("readable", settle).on("end", settle).on("error", settle);
    });
  }
}
