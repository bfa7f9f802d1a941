import { connect, type LookupFunction } from "node:net";
import { Carry, type CarryEnd } from "@sockeye/link/carry";
import type { ResetReason } from "@sockeye/wire/mux-frames";
import type { TunnelStream } from "@sockeye/wire/mux-stream";
import type { Endpoint } from "@sockeye/config-kit/endpoint";

/** How long the local service has to take a connection. */
const CONNECT_MS = 10_000;

/** A development server listens on one of the two, and it is not known on which. No look-up is needed to know them. */
const LOCALHOST = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
];

const lookupLocalhost: LookupFunction = (_name, _options, done) => done(null, LOCALHOST);

/** Connects a stream that the relay opened to the local service, and carries it. @returns what carries it. */
export function carryToLocal(
  target: Endpoint,
  stream: TunnelStream,
  onDone: (end: CarryEnd, failure: LocalFailure | undefined) => void,
): Carry {
  const socket = connect({
    host: target.host,
    port: target.port,
    noDelay: true,
    allowHalfOpen: true,
    ...(target.host === "localhost" ? { lookup: lookupLocalhost } : {}),
  });
  let failure: LocalFailure | undefined;
  const late = setTimeout(() => fail("timeout", "it did not answer in time"), CONNECT_MS);
  const fail = (reason: ResetReason, message: string) => {
    failure = { reason, message };
    stream.reset(reason);
    socket.destroy();
  };
  socket.once("connect", () => {
    clearTimeout(late);
    stream.takeUp?.();
  });
  socket.once("error", (error: NodeJS.ErrnoException) => {
    if (socket.connecting || isConnectError(error)) fail(reasonOf(error), messageOf(error));
  });
  // What the public sends meanwhile waits in the socket, and its limit holds back the stream.
  return new Carry(socket, stream, (end) => {
    clearTimeout(late);
    onDone(end, failure);
  });
}

/** Why the local service could not be reached. */
export interface LocalFailure {
  readonly reason: ResetReason;
  readonly message: string;
}

function isConnectError(error: NodeJS.ErrnoException): boolean {
  return error.syscall === "connect" || error.syscall === "getaddrinfo" || error instanceof AggregateError;
}

function reasonOf(error: NodeJS.ErrnoException): ResetReason {
  switch (error.code) {
    case "ECONNREFUSED":
      return "refused";
    case "ETIMEDOUT":
      return "timeout";
    default:
      return "unreachable";
  }
}

function messageOf(error: NodeJS.ErrnoException): string {
  return error.code === "ECONNREFUSED" ? "it refused the connection" : error.message;
}
