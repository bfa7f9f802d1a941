import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { pipeline } from "node:stream/promises";

export interface Peer {
  readonly host: string;
  readonly port: number;
  stop(): Promise<void>;
}

export interface TcpPeer extends Peer {
  /** Connections open now. */
  readonly open: number;
  /** Connections accepted so far. */
  readonly accepted: number;
}

/** A TCP server on loopback that hands each connection to `serve`; stop() cuts what is open. */
export async function startTcpServer(
  serve: (socket: Socket) => void,
  options: { readonly host?: string; readonly port?: number } = {},
): Promise<TcpPeer> {
  const open = new Set<Socket>();
  let accepted = 0;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    accepted++;
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", () => socket.destroy());
    serve(socket);
  });
  await listen(server, options.host ?? "127.0.0.1", options.port ?? 0);
  const { address, port } = server.address() as AddressInfo;
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of open) socket.destroy();
    });
  return {
    host: address,
    port,
    stop,
    get open() {
      return open.size;
    },
    get accepted() {
      return accepted;
    },
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve());
  });
}

/** Sends back what it gets, and ends when the other side has ended. */
export function startEcho(
  options: { readonly host?: string; readonly port?: number } = {},
): Promise<TcpPeer> {
  return startTcpServer((socket) => void socket.pipe(socket), options);
}

/** Says `greeting` before the client says anything, then echoes. */
export function startSpeakFirst(greeting: string): Promise<TcpPeer> {
  return startTcpServer((socket) => {
    socket.write(greeting);
    socket.pipe(socket);
  });
}

/** Sends `bytes` bytes made by patternChunks(), then ends. */
export function startSource(bytes: number): Promise<TcpPeer> {
  return startTcpServer((socket) => {
    socket.resume();
    pipeline(patternChunks(bytes), socket, { end: true }).catch(() => socket.destroy());
  });
}

/**
 * Reads to the end, or `bytes` bytes, then answers one line, `<bytes> <sha256>`, and ends. Without a count the answer arrives
 * only where half-close is kept.
 */
export function startSink(bytes = Infinity): Promise<TcpPeer> {
  return startTcpServer((socket) => {
    digestOf(socket.iterator({ destroyOnReturn: false }), bytes).then(
      (digest) => socket.end(`${digest}\n`),
      () => socket.destroy(),
    );
  });
}

/** Reads a stream to its end, or to `most` bytes: `<bytes> <sha256>`. */
export async function digestOf(stream: AsyncIterable<Buffer>, most = Infinity): Promise<string> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    hash.update(chunk);
    if (bytes >= most) break;
  }
  return `${bytes} ${hash.digest("hex")}`;
}

/** `bytes` bytes in which no two 64 KB blocks are alike, so that a lost, doubled or swapped block shows. */
export function* patternChunks(bytes: number): Generator<Buffer> {
  const size = 65_536;
  const base = Buffer.alloc(size, "the quick brown fox jumps over the lazy dog. ");
  for (let offset = 0, block = 0; offset < bytes; offset += size, block++) {
    const chunk = Buffer.from(base.subarray(0, Math.min(size, bytes - offset)));
    if (chunk.length >= 4) chunk.writeUInt32BE(block);
    yield chunk;
  }
}

/** A UDP server on loopback that sends each datagram back. */
export async function startUdpEcho(host = "127.0.0.1"): Promise<Peer> {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  socket.on("message", (payload, from) => socket.send(payload, from.port, from.address));
  await new Promise<void>((resolve) => socket.bind(0, host, resolve));
  const stop = () => new Promise<void>((resolve) => socket.close(() => resolve()));
  return { host, port: socket.address().port, stop };
}
