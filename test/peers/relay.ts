import { once } from "node:events";
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from "node:http";
import {
  type AddressInfo,
  connect,
  createServer,
  type LookupFunction,
  type Server as TcpServer,
  type Socket,
} from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { ShareClient } from "@sockeye/engine/share/client";
import type { ShareClientOptions, ShareSpec } from "@sockeye/engine/share/share";
import { AuthError, type Authoriser, type Grant } from "@sockeye/relay/auth/authoriser";
import { relaySchema } from "@sockeye/relay/config/schema";
import { startConfiguredRelay } from "@sockeye/relay/configured";
import type { ServedEnd } from "@sockeye/relay/observer";
import { observing } from "@sockeye/relay/observers";
import type { Relay } from "@sockeye/relay/server";

/** Whoever shows `token-NAME` is NAME, and may have every name and port, until the token is revoked. */
export class TestAuthoriser implements Authoriser {
  readonly revoked = new Set<string>();
  readonly #listeners = new Set<() => void>();

  revoke(identity: string): void {
    this.revoked.add(identity);
    for (const listener of this.#listeners) listener();
  }

  async authenticate({ token }: { readonly token?: string | undefined }): Promise<Grant> {
    const identity = /^token-(\w+)$/.exec(token ?? "")?.[1];
    if (identity === undefined || this.revoked.has(identity))
      throw new AuthError("refused", "the credential is not accepted");
    const ports = [{ low: 1, high: 65_535 }];
    return { identity, names: ["*"], ports, limits: {}, origin: { authoriser: "test", reference: identity } };
  }

  authorise(
    grant: Grant | undefined,
  ): { allowed: true } | { allowed: false; code: "revoked"; reason: string } {
    if (grant !== undefined && !this.revoked.has(grant.identity)) return { allowed: true };
    return { allowed: false, code: "revoked", reason: "the credential has been revoked" };
  }

  onRevocation(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#listeners.clear();
  }
}

export interface TestRelay extends Relay, AsyncDisposable {
  readonly authoriser: TestAuthoriser;
  /** Requests and connections that have ended. */
  readonly ended: ServedEnd[];
  readonly problems: string[];
  /** Connections that were not let in, one line each. */
  readonly refusals: string[];
  /** The sources of clients that came in. */
  readonly connected: string[];
}

/** A relay in this process on loopback, with names under `localhost`. @param settings keys of its configuration. */
export async function startTestRelay(settings: Record<string, unknown> = {}): Promise<TestRelay> {
  const config = relaySchema.parse({
    domains: "localhost",
    control: { address: "127.0.0.1:0" },
    data: { address: "127.0.0.1:0" },
    public_http: { address: "127.0.0.1:0" },
    admin: { address: "off" },
    tcp: { host: "127.0.0.1", ports: "20000-30000" },
    heartbeat_interval: "500ms",
    ...settings,
  });
  const authoriser = new TestAuthoriser();
  const ended: ServedEnd[] = [];
  const refusals: string[] = [];
  const connected: string[] = [];
  const problems: string[] = [];
  const observer = observing({
    clientConnected: (_client, _identity, source) => connected.push(source),
    connectionRefused: (listener, source, why) =>
      refusals.push(`${listener} ${source}: ${Object.values(why).join()}`),
    requestEnded: (end) => ended.push(end),
    problem: (what, error) => problems.push(`${what}: ${error.message}`),
  });
  const relay = await startConfiguredRelay(config, observer, { authoriser });
  const extras = {
    authoriser,
    ended,
    problems,
    refusals,
    connected,
    [Symbol.asyncDispose]: async () => {
      await relay.stop(0);
      authoriser.close();
    },
  };
  return Object.assign(relay, extras);
}

export interface TestShare extends AsyncDisposable {
  readonly client: ShareClient;
  /** What the observer was told, one line each. */
  readonly told: string[];
  close(): void;
}

/** A client with one share, which is public when this returns. */
export async function startShare(
  relay: { readonly control: { readonly host: string; readonly port: number } },
  spec: ShareSpec,
  options: Partial<ShareClientOptions> = {},
): Promise<TestShare & { readonly address: string }> {
  const told: string[] = [];
  const client = new ShareClient({
    relay: relay.control,
    token: "token-ada",
    heartbeat: { intervalMs: 500, deadAfterMs: 1500 },
    ...options,
    observer: {
      connected: () => told.push("connected"),
      disconnected: (reason) => told.push(`disconnected: ${reason}`),
      refused: (code) => told.push(`refused: ${code}`),
      shared: (share) => told.push(`shared: ${share.addresses.join()}`),
      unshared: (_share, code) => told.push(`unshared: ${code}`),
      request: (_share, { method, target, status }) => told.push(`${method} ${target} ${status}`),
      localFailed: (_share, { reason }) => told.push(`local: ${reason}`),
      ...options.observer,
    },
  });
  const share = client.add(spec);
  client.start();
  const close = () => client.close();
  try {
    await until(() => share.addresses.length > 0 || told.some(isFinal), "the share is public");
    if (share.addresses.length === 0) throw new Error("the relay does not want it");
  } catch (error) {
    close();
    throw new Error(`not shared: ${told.join("; ")}`, { cause: error });
  }
  return { client, told, close, address: share.addresses[0]!, [Symbol.asyncDispose]: async () => close() };
}

function isFinal(line: string): boolean {
  return line.startsWith("refused") || line.startsWith("unshared");
}

/** Waits until it is so, with a generous deadline. */
export async function until(isSo: () => boolean, what: string, ms = 20_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
    await sleep(5);
  }
}

export interface LocalService extends AsyncDisposable {
  readonly port: number;
  readonly target: { readonly host: string; readonly port: number };
  /** TCP connections that were made to it so far. */
  readonly connections: number;
  stop(): Promise<void>;
}

export async function startLocalHttp(
  onRequest: RequestListener,
  prepare?: (server: Server) => void,
): Promise<LocalService> {
  const server = createHttpServer(onRequest);
  prepare?.(server);
  return listening(server, () => server.closeAllConnections());
}

export async function startLocalTcp(onConnection: (socket: Socket) => void): Promise<LocalService> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    onConnection(socket);
  });
  return listening(server, () => {
    for (const socket of sockets) socket.destroy();
  });
}

async function listening(server: TcpServer, cutAll: () => void): Promise<LocalService> {
  let connections = 0;
  server.on("connection", () => connections++);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const stop = async () => {
    const closed = server.listening ? once(server, "close") : undefined;
    server.close();
    cutAll();
    await closed;
  };
  return {
    port,
    target: { host: "127.0.0.1", port },
    get connections() {
      return connections;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Every name is this machine: what curl does with names under localhost, and Node does not. */
export const lookupLoopback: LookupFunction = (_name, options, done) => {
  if (options.all === true) done(null, [{ address: "127.0.0.1", family: 4 }]);
  else done(null, "127.0.0.1", 4);
};

/** All of a request's body. */
export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** Sends `text` on a connection of its own and reads until the end, or until what came satisfies `enough`. */
export async function raw(
  port: number,
  text: string,
  enough: (got: string) => boolean = () => false,
): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  let got = "";
  socket.on("data", (chunk: Buffer) => {
    got += chunk.toString("latin1");
    if (enough(got)) socket.destroy();
  });
  socket.on("end", () => socket.end());
  socket.write(text, "latin1");
  const late = setTimeout(() => socket.destroy(), 15_000);
  await new Promise((resolve) => socket.once("close", resolve));
  clearTimeout(late);
  return got;
}
