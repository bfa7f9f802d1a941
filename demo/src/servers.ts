import { DialError, type Endpoint } from "@sockeye/engine";
import { listenHttp } from "@sockeye/engine/inbound/http";
import type { ConnectRequest, InboundHandler, ListenOptions } from "@sockeye/engine/inbound/request";
import { listenSocks5 } from "@sockeye/engine/inbound/socks5";
import { Splice } from "@sockeye/engine/flow/splice";
import type { DemoWorld } from "./world.ts";

export interface DemoServer {
  readonly port: number;
  close(): Promise<void>;
}

/** A SOCKS5 proxy on loopback with a username and a password: the engine's own inbound, answering by itself. */
export async function startDemoSocksServer(
  world: DemoWorld,
  user: string,
  password: string,
): Promise<DemoServer> {
  const options = listenOptions(user, password);
  const inbound = await listenSocks5(options, forwardTo(world, "the demo SOCKS5 proxy"));
  return { port: inbound.address.port, close: () => inbound.close() };
}

/** An HTTP proxy on loopback with Basic authentication. */
export async function startDemoHttpServer(
  world: DemoWorld,
  user: string,
  password: string,
): Promise<DemoServer> {
  const options = listenOptions(user, password);
  const inbound = await listenHttp(options, forwardTo(world, "the demo HTTP proxy"));
  return { port: inbound.address.port, close: () => inbound.close() };
}

function listenOptions(username: string, password: string): ListenOptions {
  const address: Endpoint = { host: "127.0.0.1", port: 0 };
  return { address, credentials: { username, password }, maxConnections: 1000, handshakeTimeoutMs: 10_000 };
}

function forwardTo(world: DemoWorld, upstream: string): InboundHandler {
  return {
    connect: (request) => void forward(world, upstream, request),
    associate: (port) => port.close(),
    udpAvailable: () => false,
  };
}

async function forward(world: DemoWorld, upstream: string, request: ConnectRequest): Promise<void> {
  try {
    const socket = await world.dial(request.target, upstream);
    socket.pause();
    new Splice(request.accept(), socket, () => {});
  } catch (error) {
    request.reject(
      new DialError("refused", `the demo can't reach it: ${(error as Error).message}`, { cause: error }),
    );
  }
}
