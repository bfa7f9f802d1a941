import { isIPv4, type Server, type Socket } from "node:net";
import { DeadlineQueue } from "../deadline-queue.ts";
import { type Endpoint, formatEndpoint } from "../endpoint.ts";
import type { ListenOptions } from "./request.ts";

/** How long a connection that was refused may take to read why, before it is cut. */
const LINGER_MS = 2_000;
/** A shortage of descriptors fails many accepts a second; one report a second says it all. */
const REPORT_INTERVAL_MS = 1_000;

/**
 * How an inbound's sockets are opened: half-open allowed, no Nagle delay, dead peers found by keepalive. On loopback no peer
 * dies unheard, and keepalive would cost each connection four system calls.
 */
export function socketOptions(address: Endpoint) {
  return {
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: !isLoopback(address.host),
    keepAliveInitialDelay: 60_000,
  } as const;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

/**
 * Starts `server` (of node:net or node:http) on the address, with the limit on connections. A failed accept, as when
 * descriptors run out, is told to `options.onError` and ends nothing.
 * @returns where it listens.
 * @throws {Error} with a sentence that names the address and says what to do.
 */
export function startListening(server: Server, options: ListenOptions): Promise<Endpoint> {
  const { address, onError, onAccept } = options;
  server.maxConnections = options.maxConnections;
  if (onAccept) server.on("connection", onAccept);
  return new Promise((resolve, reject) => {
    const onFailure = (error: NodeJS.ErrnoException): void => reject(listenFailure(error, address));
    server.once("error", onFailure);
    server.listen({ host: address.host, port: address.port, backlog: 4096 }, () => {
      let reportedAt = -Infinity;
      server.on("error", (error) => {
        const now = performance.now();
        if (now - reportedAt < REPORT_INTERVAL_MS) return;
        reportedAt = now;
        onError?.(new Error(`${formatEndpoint(address)} could not accept a connection: ${error.message}`));
      });
      server.off("error", onFailure);
      const bound = server.address();
      if (bound === null || typeof bound === "string") reject(new Error("the server has no TCP address"));
      else resolve({ host: bound.address, port: bound.port });
    });
  });
}

/** Why an address can't be listened on, in a sentence that names it and says what to do. */
export function listenFailure(error: NodeJS.ErrnoException, address: Endpoint): Error {
  const where = formatEndpoint(address);
  const options = { cause: error };
  switch (error.code) {
    case "EADDRINUSE":
      return new Error(
        `can't listen on ${where}: another program listens there; stop it, or choose another port`,
        options,
      );
    case "EACCES":
      return new Error(
        `can't listen on ${where}: the system does not allow it; choose a port from 1024 up`,
        options,
      );
    case "EADDRNOTAVAIL":
      return new Error(
        `can't listen on ${where}: this machine does not have the address ${address.host}; choose one that it has, such as 127.0.0.1`,
        options,
      );
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new Error(
        `can't listen on ${where}: the name ${address.host} does not resolve; write an address of this machine`,
        options,
      );
    default:
      return new Error(`can't listen on ${where}: ${error.message}`, options);
  }
}

/** Frees the port at once. Connections that live on are their owners' to end, so their end is not awaited. */
export function stopListening(server: Server): Promise<void> {
  if (server.listening) server.close();
  return new Promise((resolve) => setImmediate(resolve));
}

/** Where a connection comes from. An IPv4 client of a listener on `::` is given as IPv4. */
export function sourceOf(socket: Socket): Endpoint {
  return { host: plainAddress(socket.remoteAddress ?? ""), port: socket.remotePort ?? 0 };
}

/** An IPv4 address written as IPv6 (RFC 4291 §2.5.5.2) in its own form; any other as it is. */
export function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

const lingering = new DeadlineQueue<Socket>(LINGER_MS, (socket) => socket.destroy());

/**
 * Says a last word and ends the connection: what the client still sends is read and dropped, since unread bytes would
 * turn the end into a reset that can overtake the answer.
 */
export function endWith(socket: Socket, answer: Buffer | string | undefined): void {
  if (socket.destroyed) return;
  if (answer === undefined) socket.end();
  else socket.end(answer);
  socket.resume();
  const deadline = lingering.add(socket);
  socket.once("close", () => lingering.lift(deadline));
}

/** Stands guard wherever a socket would have no `error` listener of its owner's; the `close` that follows does the work. */
export function ignoreError(): void {}
