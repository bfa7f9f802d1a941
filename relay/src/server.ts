import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { formatEndpoint, parseEndpoint, type Endpoint } from "@sockeye/config-kit/endpoint";
import { WindowBudget } from "@sockeye/wire/mux";
import type { AdminSide } from "./admin/admin-side.ts";
import type { AdminServer } from "./admin/server.ts";
import type { Authoriser } from "./auth/authoriser.ts";
import type { RelayConfig } from "./config/schema.ts";
import { LocalDispatch } from "./dispatch/local-dispatch.ts";
import type { RelayLimits } from "./limits/limits.ts";
import { ClientDoor } from "./link/client-door.ts";
import { ShareDesk } from "./link/share-desk.ts";
import type { Lease, NameRegistry } from "./names/registry.ts";
import type { RelayObserver } from "./observer.ts";
import type { RelayTracer } from "./trace/tracer.ts";
import { plainAddress, TrustedProxies } from "./public/forwarded.ts";
import { HttpDoor } from "./public/http-door.ts";
import type { PublicContext } from "./public/public-context.ts";
import { certificateIdentity, TlsContexts } from "./tls/contexts.ts";
import { TcpPorts } from "./public/tcp-ports.ts";

/** What the relay is put together from. */
export interface RelayParts {
  readonly config: RelayConfig;
  readonly authoriser: Authoriser;
  readonly registry: NameRegistry;
  readonly limits: RelayLimits;
  readonly observer: RelayObserver;
  /** Where traces are made; its observer is among the `observer`s. */
  readonly tracer?: RelayTracer | undefined;
  /** What the admin listener shows; without it there is none. It is among the `observer`s. */
  readonly admin?: AdminSide | undefined;
  /** Called once when it has stopped: to close the parts. */
  readonly onStopped?: () => void | Promise<void>;
}

export interface Relay {
  /** Where it listens, as bound. */
  readonly control: Endpoint;
  readonly http: Endpoint | undefined;
  readonly https: Endpoint | undefined;
  readonly admin: Endpoint | undefined;
  /** True from when it listens everywhere until it drains. */
  readonly ready: boolean;
  counts(): RelayCounts;
  /**
   * Takes nobody new, tells the clients to go elsewhere, lets what is under way end, and stops.
   * @param deadlineMs after which what still runs is cut.
   */
  stop(deadlineMs?: number): Promise<void>;
}

export interface RelayCounts {
  readonly clients: number;
  /** Requests and TCP connections of the public that have a tunnel. */
  readonly tunnels: number;
  /** Of these, not yet taken up by their client. */
  readonly pending: number;
  /** Those of the link, with idle ones. */
  readonly streams: number;
  readonly publicConnections: number;
}

/** A client may end its side and still wait for its answer. */
const PUBLIC_SOCKETS = { noDelay: true, allowHalfOpen: true };
/** How often deadlines are looked at, so that none needs a timer of its own. */
const SWEEP_MS = 250;
/** Bytes by which the windows of all clients' streams may grow together. */
const WINDOW_BUDGET = 536_870_912;

/**
 * Starts the relay.
 * @throws {Error} where an address can't be listened on; nothing is left open then.
 */
export async function startRelay(parts: RelayParts): Promise<Relay> {
  const relay = new RelayServer(parts);
  try {
    await relay.listen();
  } catch (error) {
    await relay.stop(0);
    throw error;
  }
  return relay;
}

class RelayServer implements Relay {
  readonly #parts: RelayParts;
  readonly #dispatch: LocalDispatch;
  readonly #clients: ClientDoor;
  readonly #desk: ShareDesk;
  readonly #http: HttpDoor;
  readonly #ports: TcpPorts;
  /** With their addresses. */
  readonly #listeners = new Map<Server, string>();
  readonly #timers: NodeJS.Timeout[] = [];
  #stopListening = () => {};
  #control: Endpoint = { host: "", port: 0 };
  #httpAddress: Endpoint | undefined;
  #httpsAddress: Endpoint | undefined;
  #admin: AdminServer | undefined;
  readonly #tls: TlsContexts[] = [];
  #state: "starting" | "running" | "draining" | "stopped" = "starting";

  constructor(parts: RelayParts) {
    this.#parts = parts;
    const { config, authoriser, registry, limits, observer, tracer } = parts;
    this.#dispatch = new LocalDispatch(registry, config.names.hold * 1000);
    const { domains } = config;
    const context: PublicContext = {
      config,
      authoriser,
      limits,
      observer,
      tracer,
      dispatch: this.#dispatch,
      trusted: new TrustedProxies(config.trusted_proxies),
      domains: domains.map((domain) => `.${domain}`),
      offlinePages: { of: (address) => this.#desk.offlinePages.of(address) },
    };
    this.#http = new HttpDoor(context);
    this.#ports = new TcpPorts(context);
    this.#desk = new ShareDesk({
      config,
      authoriser,
      registry,
      observer,
      dispatch: this.#dispatch,
      ports: this.#ports,
      addressesOf: (lease) => this.#addressesOf(lease, domains),
    });
    const budget = new WindowBudget(WINDOW_BUDGET);
    this.#clients = new ClientDoor(
      { config, authoriser, limits, budget, observer },
      {
        entered: (session) => observer.clientConnected(session.id, session.identity, session.source),
        message: (session, message) => {
          if (message.type === "share")
            void this.#desk.share(session, message, () => session.links.length > 0);
          else if (message.type === "unshare") this.#desk.unshare(session, message.share);
        },
        left: (session, end) => {
          this.#desk.left(session);
          observer.clientDisconnected(session.id, end.message);
        },
      },
    );
  }

  get control(): Endpoint {
    return this.#control;
  }

  get http(): Endpoint | undefined {
    return this.#httpAddress;
  }

  get https(): Endpoint | undefined {
    return this.#httpsAddress;
  }

  get admin(): Endpoint | undefined {
    return this.#admin?.address;
  }

  get ready(): boolean {
    return this.#state === "running";
  }

  counts(): RelayCounts {
    const sessions = [...this.#clients.sessions];
    const { tunnels, pending } = this.#parts.limits.counts();
    return {
      clients: sessions.length,
      tunnels,
      pending,
      streams: sessions.reduce((sum, session) => sum + session.streams, 0),
      publicConnections: this.#http.connections + this.#ports.connections,
    };
  }

  async listen(): Promise<void> {
    const { config } = this.#parts;
    // The first to open and the last to close: whoever asks is told that it starts, and that it drains.
    await this.#openAdmin();
    this.#control = await this.#listenForClients();
    const { public_http, public_https } = config;
    if (public_http.address !== "off")
      this.#httpAddress = await this.#listen(public_http.address, createServer(PUBLIC_SOCKETS), (socket) =>
        this.#http.accept(socket, false),
      );
    if (public_https.address !== "off") {
      const contexts = await this.#contexts("public_https", public_https);
      const server = contexts.createServer(
        {
          handshakeTimeoutMs: config.limits.handshake_timeout * 1000,
          allowHalfOpen: true,
          alpn: ["http/1.1"],
        },
        (socket) => this.#http.accept(socket, true),
      );
      this.#httpsAddress = await this.#listen(public_https.address, createServer(PUBLIC_SOCKETS), (socket) =>
        server.emit("connection", socket),
      );
    }
    this.#every(SWEEP_MS, () => {
      const now = performance.now();
      this.#http.sweep(now);
      this.#ports.sweep(now);
      this.#desk.sweep(now);
    });
    this.#every(config.heartbeat_interval * 1000, () => {
      for (const session of this.#clients.sessions) void this.#desk.renew(session);
    });
    this.#stopListening = this.#parts.authoriser.onRevocation(() => {
      for (const session of this.#clients.sessions) void this.#desk.renew(session);
    });
    this.#state = "running";
  }

  async stop(deadlineMs = this.#parts.config.drain_timeout * 1000): Promise<void> {
    if (this.#state === "draining" || this.#state === "stopped") return;
    this.#state = "draining";
    this.#parts.observer.draining(deadlineMs);
    for (const listener of this.#listeners.keys()) listener.close();
    this.#ports.stopAccepting();
    this.#clients.drain(deadlineMs);
    this.#http.drain();
    const until = performance.now() + deadlineMs;
    while (this.#http.connections + this.#ports.connections > 0 && performance.now() < until)
      await new Promise((resolve) => setTimeout(resolve, 50));
    this.#state = "stopped";
    this.#http.destroy();
    this.#ports.destroy();
    for (const timer of this.#timers) clearInterval(timer);
    this.#stopListening();
    for (const contexts of this.#tls) contexts.close();
    this.#clients.close();
    this.#desk.close();
    await this.#admin?.close();
    await this.#parts.onStopped?.();
  }

  async #openAdmin(): Promise<void> {
    const { admin, config } = this.#parts;
    if (admin === undefined) return;
    const isSecure = config.admin.tls_cert.length > 0;
    this.#admin = await admin.listen(isSecure ? await this.#contexts("admin", config.admin) : undefined, {
      unhealthy: () => (this.#state === "running" ? this.#lostListeners() : []),
      notReady: () => (this.#state === "running" ? this.#lostListeners() : [this.#state]),
      counts: () => this.counts(),
    });
  }

  #lostListeners(): string[] {
    const lost = [...this.#listeners].filter(([listener]) => !listener.listening);
    return lost.map(([, address]) => `the listener on ${address} is gone`);
  }

  #every(ms: number, work: () => void): void {
    this.#timers.push(setInterval(work, ms));
  }

  /** The control listener: in clear, or by TLS, with certificates of clients where they are asked for. */
  async #listenForClients(): Promise<Endpoint> {
    const { control, limits } = this.#parts.config;
    const sockets = createServer({ noDelay: true });
    if (control.tls_cert.length === 0)
      return this.#listen(control.address, sockets, (socket) =>
        this.#clients.accept(socket, { source: plainAddress(socket.remoteAddress) }),
      );
    const contexts = await this.#contexts("control", control);
    const server = contexts.createServer({ handshakeTimeoutMs: limits.handshake_timeout * 1000 }, (socket) =>
      this.#clients.accept(socket, {
        source: plainAddress(socket.remoteAddress),
        certificate: certificateIdentity(socket),
      }),
    );
    return this.#listen(control.address, sockets, (socket) => server.emit("connection", socket));
  }

  async #contexts(
    listener: string,
    files: {
      readonly tls_cert: readonly string[];
      readonly tls_key: readonly string[];
      readonly client_ca?: string | undefined;
    },
  ): Promise<TlsContexts> {
    const { observer } = this.#parts;
    const contexts = await TlsContexts.open(
      { certificates: files.tls_cert, keys: files.tls_key, clientCa: files.client_ca },
      {
        onReload: (certificates) => observer.certificatesReloaded(listener, certificates),
        onProblem: (sentence) => observer.problem(`the certificates of ${listener}`, new Error(sentence)),
      },
    );
    this.#tls.push(contexts);
    return contexts;
  }

  async #listen(address: string, server: Server, accept: (socket: Socket) => void): Promise<Endpoint> {
    const { host, port } = parseEndpoint(address);
    server.on("connection", accept);
    this.#listeners.set(server, address);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port, backlog: 4096 }, () => {
        server.off("error", reject);
        server.on("error", (error) => this.#parts.observer.problem(`the listener on ${address}`, error));
        resolve();
      });
    });
    return { host, port: (server.address() as AddressInfo).port };
  }

  #addressesOf(lease: Lease, domains: readonly string[]): string[] {
    const { address } = lease;
    if (address.kind === "tcp") return [formatEndpoint({ host: domains[0]!, port: address.port })];
    const urls = (scheme: string, usual: number, at: Endpoint | undefined) =>
      at === undefined
        ? []
        : domains.map(
            (domain) => `${scheme}://${address.name}.${domain}${at.port === usual ? "" : `:${at.port}`}`,
          );
    return [...urls("https", 443, this.#httpsAddress), ...urls("http", 80, this.#httpAddress)];
  }
}
