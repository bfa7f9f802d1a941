import { connect, type LookupFunction, type Socket } from "node:net";
import type { Carry, CarryEnd } from "@sockeye/link/carry";
import type { ResetReason } from "@sockeye/wire/mux-frames";
import type { TunnelStream } from "@sockeye/wire/mux-stream";
import { type LocalFailure, localFailureOf } from "./local-failure.ts";
import { type StreamTap, TappedCarry } from "./tapped-carry.ts";
import type { Endpoint } from "@sockeye/config-kit/endpoint";

/** How long the local service has to take a connection. */
const CONNECT_MS = 10_000;

/** A development server listens on one of the two, and it is not known on which. No look-up is needed to know them. */
const LOCALHOST = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
];

const lookupLocalhost: LookupFunction = (_name, _options, done) => done(null, LOCALHOST);

/** Begins a connection to the local service. Whoever asks owns the socket, and listens to its errors at once. */
export function dialLocal(target: Endpoint): Socket {
  return connect({
    host: target.host,
    port: target.port,
    noDelay: true,
    allowHalfOpen: true,
    ...(target.host === "localhost" ? { lookup: lookupLocalhost } : {}),
  });
}

export interface LocalCarryOptions {
  /** Once. */
  readonly onDone: (end: CarryEnd, failure: LocalFailure | undefined) => void;
  readonly tap?: StreamTap | undefined;
}

/** Connects a stream that the relay opened to the local service, and carries it. @returns what carries it. */
export function carryToLocal(
  target: Endpoint,
  stream: TunnelStream,
  { onDone, tap }: LocalCarryOptions,
): Carry {
  const socket = dialLocal(target);
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
    const found = localFailureOf(error);
    if (socket.connecting || isConnectError(error)) fail(found.reason, found.message);
  });
  // What the public sends meanwhile waits in the socket, and its limit holds back the stream.
  return new TappedCarry({ socket, stream, tap }, (end) => {
    clearTimeout(late);
    onDone(end, failure);
  });
}

function isConnectError(error: NodeJS.ErrnoException): boolean {
  return error.syscall === "connect" || error.syscall === "getaddrinfo" || error instanceof AggregateError;
}
