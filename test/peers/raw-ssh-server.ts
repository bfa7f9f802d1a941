/**
 * An SSH server inside the process that answers the messages of the connection protocol (RFC 4254 §5) as a test tells it to,
 * rightly or wrongly: for what no real server does.
 */
import { once } from "node:events";
import { connect, type AddressInfo, type Socket } from "node:net";
import ssh2 from "ssh2";
import { preferredAlgorithms } from "@sockeye/engine/upstream/ssh/crypto";

/** A channel, as the client opened it; the numbers are its own unless it says otherwise. */
export interface RawOpen {
  readonly sender: number;
  readonly window: number;
  readonly packetSize: number;
  readonly data: { readonly destIP: string; readonly destPort: number };
}

/** Messages to the client. `id` is the client's number of the channel. */
export interface RawPeer {
  /** `inSeqno`: packets that came. */
  readonly _decipher: { readonly inSeqno: number };
  channelOpenConfirm(id: number, ours: number, window: number, maxPacket: number): void;
  channelOpenFail(id: number, reason: number, description: string): void;
  channelData(id: number, data: Buffer): void;
  channelExtData(id: number, data: Buffer, type: number): void;
  channelEOF(id: number): void;
  channelClose(id: number): void;
  channelWindowAdjust(id: number, bytes: number): void;
  ping(): void;
  rekey(): void;
}

/** Messages from the client; a channel is named by the server's number. */
export interface RawHandlers {
  onOpen?(peer: RawPeer, open: RawOpen): void;
  onData?(ours: number, data: Buffer): void;
  onWindowAdjust?(ours: number, bytes: number): void;
  onEof?(ours: number): void;
  onClose?(ours: number): void;
  onFailure?(ours: number): void;
}

export interface RawConnection extends AsyncDisposable {
  readonly client: ssh2.Client;
  readonly peer: RawPeer;
  /** The server's end of the TCP connection. */
  readonly serverSocket: Socket;
  readonly clientSocket: Socket;
}

interface Inside {
  readonly _protocol: RawPeer & {
    readonly _handlers: Record<string, (protocol: RawPeer, ...rest: never[]) => void>;
  };
  readonly _sock: Socket;
}

/** A client, logged in to a server of its own. */
export async function connectRaw(handlers: RawHandlers): Promise<RawConnection> {
  const hostKey = newHostKey();
  const server = new ssh2.Server({ hostKeys: [hostKey] });
  const ready = Promise.withResolvers<Inside>();
  server.on("connection", (connection) => {
    connection.on("authentication", (context) => context.accept());
    connection.on("error", () => undefined);
    connection.on("ready", () => ready.resolve(connection as unknown as Inside));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  const clientSocket = connect({
    port: (server.address() as AddressInfo).port,
    host: "127.0.0.1",
    noDelay: true,
  });
  const client = new ssh2.Client();
  client.on("error", () => undefined);
  client.connect({ sock: clientSocket, username: "test", algorithms: preferredAlgorithms() });
  await once(client, "ready");
  const inside = await ready.promise;
  takeMessages(inside._protocol._handlers, handlers);
  return {
    client,
    peer: inside._protocol,
    serverSocket: inside._sock,
    clientSocket,
    [Symbol.asyncDispose]: async () => {
      clientSocket.destroy();
      inside._sock.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A server that lets anybody in by password, and what it does with a connection once somebody is. */
export interface RawServer extends AsyncDisposable {
  readonly port: number;
}

/** Such a server, for clients of their own making. `options` are ssh2's. */
export async function startRawServer(
  onReady: (peer: RawPeer, socket: Socket, handlers: (own: RawHandlers) => void) => void,
  options: Partial<ssh2.ServerConfig> = {},
): Promise<RawServer> {
  const server = new ssh2.Server({ ...options, hostKeys: [newHostKey()] });
  const sockets = new Set<Socket>();
  server.on("connection", (connection) => {
    const inside = connection as unknown as Inside;
    sockets.add(inside._sock);
    connection.on("authentication", (context) => {
      if (context.method === "password") context.accept();
      else context.reject(["password"]);
    });
    connection.on("error", () => undefined);
    connection.on("ready", () =>
      onReady(inside._protocol, inside._sock, (own) => takeMessages(inside._protocol._handlers, own)),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function takeMessages(inside: Inside["_protocol"]["_handlers"], handlers: RawHandlers): void {
  Object.assign(inside, {
    CHANNEL_OPEN: (peer: RawPeer, open: RawOpen) => handlers.onOpen?.(peer, open),
    CHANNEL_DATA: (_: RawPeer, ours: number, data: Buffer) => handlers.onData?.(ours, data),
    CHANNEL_WINDOW_ADJUST: (_: RawPeer, ours: number, bytes: number) =>
      handlers.onWindowAdjust?.(ours, bytes),
    CHANNEL_EOF: (_: RawPeer, ours: number) => handlers.onEof?.(ours),
    CHANNEL_CLOSE: (_: RawPeer, ours: number) => handlers.onClose?.(ours),
    CHANNEL_FAILURE: (_: RawPeer, ours: number) => handlers.onFailure?.(ours),
  });
}

/** One in some hundreds of the keys that ssh2 makes is one that it can't read. */
function newHostKey(): string {
  for (;;) {
    const { private: key } = ssh2.utils.generateKeyPairSync("ed25519");
    if (!(ssh2.utils.parseKey(key) instanceof Error)) return key;
  }
}
