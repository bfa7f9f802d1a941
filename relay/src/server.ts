import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { parseEndpoint, type Endpoint } from "@sockeye/config-kit/endpoint";
import { WindowBudget } from "@sockeye/wire/mux";
import type { AdminSide } from "./admin/admin-side.ts";
import type { AdminServer } from "./admin/server.ts";
import type { Authoriser } from "./auth/authoriser.ts";
import type { RelayConfig } from "./config/schema.ts";
import { LocalDispatch } from "./dispatch/local-dispatch.ts";
import type { RelayLimits } from "./limits/limits.ts";
import { Entrance } from "./edge/entrance.ts";
import { type ClientPeer, ClientDoor } from "./link/client-door.ts";
import { DataDoor } from "./link/data-door.ts";
import { ShareDesk } from "./link/share-desk.ts";
import type { NameRegistry } from "./names/registry.ts";
import type { ListenerName, RelayObserver } from "./observer.ts";
import type { RelayTracer } from "./trace/tracer.ts";
import { publicAddresses } from "./public-addresses.ts";
import { TrustedProxies } from "./public/forwarded.ts";
import { HttpDoor } from "./public/http-door.ts";
import type { PublicContext } from "./public/public-context.ts";
import { TlsContexts, type TlsServerOptions } from "./tls/contexts.ts";
import { TlsGate, type TlsGateHooks } from "./tls/gate.ts";
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
  readonly data: Endpoint | undefined;
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

/** The keys of a listener that say how it speaks TLS. */
interface TlsKeys {
  readonly tls_cert: readonly string[];
  readonly tls_key: readonly string[];
  readonly client_ca?: string | undefined;
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
  readonly #trusted: TrustedProxies;
  readonly #clients: ClientDoor;
  readonly #data: DataDoor;
  readonly #desk: ShareDesk;
  readonly #http: HttpDoor;
  readonly #ports: TcpPorts;
  /** With their addresses. */
  readonly #listeners = new Map<Server, string>();
  readonly #timers: NodeJS.Timeout[] = [];
  #stopListening = () => {};
  #control: Endpoint = { host: "", port: 0 };
  #dataAddress: Endpoint | undefined;
  #httpAddress: Endpoint | undefined;
  #httpsAddress: Endpoint | undefined;
  #admin: AdminServer | undefined;
  readonly #tls: TlsContexts[] = [];
  readonly #entrances: (Entrance | TlsGate)[] = [];
  #state: "starting" | "running" | "draining" | "stopped" = "starting";

  constructor(parts: RelayParts) {
    this.#parts = parts;
    const { config, authoriser, registry, limits, observer, tracer } = parts;
    this.#dispatch = new LocalDispatch(registry, config.names.hold * 1000);
    const { domains } = config;
    this.#trusted = new TrustedProxies(config.trusted_proxies);
    const context: PublicContext = {
      config,
      authoriser,
      limits,
      observer,
      tracer,
      dispatch: this.#dispatch,
      trusted: this.#trusted,
      domains: domains.map((domain) => `.${domain}`),
      offlinePages: { of: (address) => this.#desk.offlinePages.of(address) },
    };
    this.#http = new HttpDoor(context);
    this.#ports = new TcpPorts(context, this.#entrance("tcp", config.tcp));
    this.#desk = new ShareDesk({
      config,
      authoriser,
      registry,
      observer,
      dispatch: this.#dispatch,
      ports: this.#ports,
      addressesOf: ({ address }) =>
        publicAddresses(address, config, { http: this.#httpAddress?.port, https: this.#httpsAddress?.port }),
    });
    const door = { config, authoriser, limits, budget: new WindowBudget(WINDOW_BUDGET), observer };
    this.#data = new DataDoor(door);
    this.#clients = new ClientDoor(door, {
      dataListener: () => this.#dataAddress && { tickets: this.#data, port: this.#dataAddress.port },
      entered: (session) => observer.clientConnected(session.id, session.identity, session.source),
      message: (session, message) => {
        if (message.type === "share") void this.#desk.share(session, message, () => session.links.length > 0);
        else if (message.type === "unshare") this.#desk.unshare(session, message.share);
        else if (message.type === "undialled") this.#data.unwanted(session, message.key);
      },
      left: (session, end) => {
        this.#desk.left(session);
        observer.clientDisconnected(session.id, end.message);
      },
    });
  }

  get control(): Endpoint {
    return this.#control;
  }

  get data(): Endpoint | undefined {
    return this.#dataAddress;
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
    const { control, data, public_http, public_https } = config;
    this.#control = await this.#listenForClients("control", control, (socket, peer) =>
      this.#clients.accept(socket, peer),
    );
    if (data.address !== "off") {
      // Clients speak to both as they speak to the first: what is asked for on control is asked for here, unless this has its own.
      const tls = data.tls_cert.length > 0 ? data : control;
      const { tls_cert, tls_key, client_ca } = tls;
      this.#dataAddress = await this.#listenForClients(
        "data",
        { ...data, tls_cert, tls_key, client_ca },
        (socket, peer) => this.#data.accept(socket, peer),
      );
    }
    if (public_http.address !== "off") {
      const entrance = this.#entrance("http", public_http);
      this.#httpAddress = await this.#listen(public_http.address, createServer(PUBLIC_SOCKETS), (socket) =>
        entrance.accept(socket, (guest) => this.#http.accept(guest, false)),
      );
    }
    if (public_https.address !== "off") {
      const gate = await this.#gate(
        "public_https",
        public_https,
        { allowHalfOpen: true, alpn: ["http/1.1"] },
        { arrived: (guest) => this.#http.accept(guest, true) },
      );
      const entrance = this.#entrance("https", public_https);
      this.#httpsAddress = await this.#listen(public_https.address, createServer(PUBLIC_SOCKETS), (socket) =>
        entrance.accept(socket, (guest) => gate.enter(guest)),
      );
    }
    this.#every(SWEEP_MS, () => {
      const now = performance.now();
      this.#http.sweep(now);
      this.#ports.sweep(now);
      this.#desk.sweep(now);
      this.#data.sweep(now);
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
    for (const entrance of this.#entrances) entrance.close();
    this.#clients.close();
    this.#data.close();
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

  /** A listener for clients: in clear, or by TLS, with certificates of clients where they are asked for. */
  async #listenForClients(
    name: "control" | "data",
    listener: RelayConfig["control"],
    accept: (socket: Socket, peer: ClientPeer) => void,
  ): Promise<Endpoint> {
    const entrance = this.#entrance(name, listener);
    const sockets = createServer({ noDelay: true });
    if (listener.tls_cert.length === 0)
      return this.#listen(listener.address, sockets, (socket) =>
        entrance.accept(socket, ({ source, slot }) => accept(socket, { source: source.host, slot })),
      );
    const gate = await this.#gate(
      name,
      listener,
      {},
      {
        arrived: ({ socket, source, slot, certificate }) =>
          accept(socket, { source: source.host, slot, certificate }),
        failed: (source, tls) => this.#parts.observer.connectionRefused(name, source, { tls }),
      },
    );
    return this.#listen(listener.address, sockets, (socket) =>
      entrance.accept(socket, (guest) => gate.enter(guest)),
    );
  }

  #entrance(name: ListenerName, listener: Pick<RelayConfig["tcp"], "proxy_protocol">): Entrance {
    const { config, limits, observer } = this.#parts;
    const forClients = name === "control" || name === "data";
    const entrance = new Entrance({
      listener: name,
      proxyProtocol: listener.proxy_protocol,
      trusted: this.#trusted,
      headerMs: (forClients ? config.limits.handshake_timeout : config.limits.head_timeout) * 1000,
      maxWaiting: forClients ? config.limits.max_handshakes : config.limits.max_connections,
      admit: (source) => (forClients ? limits.handshake(source) : limits.connection(source)),
      observer,
    });
    this.#entrances.push(entrance);
    return entrance;
  }

  async #gate(
    name: string,
    files: TlsKeys,
    options: Omit<TlsServerOptions, "handshakeTimeoutMs">,
    hooks: TlsGateHooks,
  ): Promise<TlsGate> {
    const contexts = await this.#contexts(name, files);
    const handshakeTimeoutMs = this.#parts.config.limits.handshake_timeout * 1000;
    const gate = new TlsGate(contexts, { handshakeTimeoutMs, ...options }, hooks);
    this.#entrances.push(gate);
    return gate;
  }

  async #contexts(listener: string, files: TlsKeys): Promise<TlsContexts> {
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
}
