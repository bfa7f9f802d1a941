import { randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { isIP, isIPv6 } from "node:net";
import type { Endpoint } from "../endpoint.ts";
import { formatEndpoint } from "../endpoint.ts";
import { abortReason, DialError } from "../errors.ts";
import { DirectDialer } from "../upstream/direct.ts";
import type { Dialer } from "../upstream/dialer.ts";
import { answersQuestion, type Asked, FLAG, type Message, readMessage } from "./message.ts";
import { DnsOverStream } from "./over-stream.ts";
import type { AskServer } from "./path.ts";

/** Where the sockets for questions come from; those that stay out of the TUN device are made by somebody with privileges. */
export interface DnsSockets {
  /** A datagram socket of that family, neither connected nor used before; its port is the system's choice, and so random. */
  udp(family: 4 | 6, server: string): Socket | Promise<Socket>;
  readonly tcp: Pick<Dialer, "dial">;
}

export const ordinarySockets: DnsSockets = {
  udp: (family) => createSocket(family === 4 ? "udp4" : "udp6"),
  tcp: new DirectDialer(),
};

/**
 * Asks a server over the machine's own network: by UDP from a port of its own each time, and by TCP when the answer is cut
 * (RFC 1035 §4.2, RFC 5452 §9), or when the server is a name. Datagrams that are from elsewhere, have another id or another
 * question are passed over.
 * @returns see AskServer; rejects with a DialError.
 */
export function askDirectly(sockets: DnsSockets = ordinarySockets): AskServer {
  return async (server, query, { signal }) => {
    const asked = readMessage(query);
    if (asked?.question === undefined) throw new DialError("internal", "there is no question in the query");
    // A datagram needs an address; whoever dials for TCP resolves names.
    if (isIP(server.host) !== 0) {
      const answer = await askByUdp(sockets, server, asked as Asked, signal);
      if ((answer.flags & FLAG.TC) === 0) return answer.bytes;
    }
    const connection = new DnsOverStream(server, sockets.tcp);
    try {
      return await connection.ask(query, { signal });
    } finally {
      connection.close();
    }
  };
}

async function askByUdp(
  sockets: DnsSockets,
  server: Endpoint,
  query: Asked,
  signal: AbortSignal,
): Promise<Message> {
  if (signal.aborted) throw abortReason(signal);
  const socket = await sockets.udp(isIPv6(server.host) ? 6 : 4, server.host);
  const id = randomInt(65_536);
  const datagram = Buffer.from(query.bytes);
  datagram.writeUInt16BE(id, 0);
  return new Promise((resolve, reject) => {
    const onAbort = () => end(abortReason(signal));
    const end = (result: Message | Error) => {
      signal.removeEventListener("abort", onAbort);
      socket.removeAllListeners("message");
      socket.close();
      if (result instanceof Error) reject(result);
      else resolve(result);
    };
    socket.on("error", (cause: NodeJS.ErrnoException) => {
      if (socket.listenerCount("message") > 0) end(failed(server, cause));
    });
    socket.on("message", (bytes, from) => {
      if (bytes.length < 2 || bytes.readUInt16BE(0) !== id || from.port !== server.port) return;
      const answer = readMessage(bytes);
      if (answer === undefined || !answersQuestion(answer, query)) return;
      bytes.writeUInt16BE(query.id, 0);
      end(answer);
    });
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) {
      onAbort();
      return;
    }
    // A connected socket hears only this server, and that nothing listens there.
    socket.connect(server.port, server.host, (cause?: Error) => {
      if (socket.listenerCount("message") === 0) return;
      if (cause) end(failed(server, cause));
      else socket.send(datagram);
    });
  });
}

function failed(server: Endpoint, cause: NodeJS.ErrnoException): DialError {
  const refused = cause.code === "ECONNREFUSED";
  const words = refused ? "does not listen" : "can't be asked";
  return new DialError(
    refused ? "refused" : "unreachable",
    `the DNS server ${formatEndpoint(server)} ${words}`,
    { cause },
  );
}
