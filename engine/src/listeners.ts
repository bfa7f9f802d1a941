import type { Config, Limits, ListenerConfig, Secret } from "./config/config.ts";
import { type Endpoint, parseEndpoint } from "./endpoint.ts";
import { listenHttp } from "./inbound/http.ts";
import { listenFailure } from "./inbound/listener.ts";
import type { InboundHandler, InboundLimits, ListenEvents, ListenOptions } from "./inbound/request.ts";
import { listenSocks5 } from "./inbound/socks5.ts";

export type ListenerKind = "socks5" | "http" | "metrics";

/** Something that listens. */
interface Listener {
  /** With the port that the system chose where 0 was asked for. */
  readonly address: Endpoint;
  /** Connections that are no flow yet. */
  readonly pending?: number;
  setLimits?(limits: InboundLimits): void;
  close(): Promise<void>;
}

/** A listener as the configuration wants it. */
interface Opening {
  readonly kind: ListenerKind;
  /** As configured. */
  readonly address: string;
  /** Where it listens and who may in; another value means that it must be opened anew. In memory only: it holds the password. */
  readonly signature: string;
  open(): Promise<Listener>;
}

interface Listening {
  readonly opening: Opening;
  readonly listener: Listener;
}

export interface ListenersOptions {
  readonly handler: InboundHandler;
  readonly readSecret: (secret: Secret) => Promise<string>;
  readonly events: (kind: "socks5" | "http") => ListenEvents;
  readonly openMetrics: (address: Endpoint) => Promise<Listener>;
}

/** Everything that listens, but for the control server. A change happens whole or not at all. */
export class Listeners {
  readonly #options: ListenersOptions;
  readonly #listening = new Map<ListenerKind, Listening>();

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  *[Symbol.iterator](): IterableIterator<{ kind: ListenerKind; address: Endpoint; pending: number }> {
    for (const [kind, { listener }] of this.#listening) {
      yield { kind, address: listener.address, pending: listener.pending ?? 0 };
    }
  }

  /** Configured and not listening: after a change that failed and could not be taken back, say. */
  missing(config: Config): readonly ListenerKind[] {
    return (["socks5", "http", "metrics"] as const).filter(
      (kind) => config.listen[kind] && !this.#listening.has(kind),
    );
  }

  /**
   * Opens, reopens and closes listeners until they are those of `config`, with the secrets as they are now. New addresses
   * are bound before old ones are let go; one that another listener of ours still holds, as when two change places, is
   * freed for the moment that it takes. Connections that have become flows go on.
   * @returns the kinds that were opened, reopened or closed.
   * @throws {Error} when an address can't be bound or a secret can't be read; what listened before listens again then.
   */
  async apply(config: Config): Promise<readonly ListenerKind[]> {
    const wanted = await this.#wanted(config);
    const changed = wanted.filter(({ kind, signature }) => {
      return this.#listening.get(kind)?.opening.signature !== signature;
    });
    const leaving = [...this.#listening.values()].filter(({ opening }) => {
      return !wanted.some(({ signature }) => signature === opening.signature);
    });
    const inTheWay = leaving.filter((listening) => changed.some((opening) => holds(listening, opening)));
    const blocked = changed.filter((opening) => inTheWay.some((listening) => holds(listening, opening)));

    const opened: Listening[] = [];
    try {
      for (const opening of changed) {
        if (!blocked.includes(opening)) opened.push({ opening, listener: await opening.open() });
      }
      await this.#closeAll(inTheWay);
      for (const opening of blocked) opened.push({ opening, listener: await opening.open() });
    } catch (error) {
      for (const { listener } of opened) await listener.close();
      await this.#reopen(inTheWay);
      throw error;
    }
    await this.#closeAll(leaving);
    for (const listening of opened) this.#listening.set(listening.opening.kind, listening);
    for (const { listener } of this.#listening.values()) listener.setLimits?.(limitsOf(config.limits));
    return [...new Set([...changed, ...leaving.map(({ opening }) => opening)].map(({ kind }) => kind))];
  }

  /** Applications are no longer let in; metrics and health go on. */
  async closeInbounds(): Promise<void> {
    await this.#closeAll([...this.#listening.values()].filter(({ opening }) => opening.kind !== "metrics"));
  }

  async close(): Promise<void> {
    await this.#closeAll([...this.#listening.values()]);
  }

  async #closeAll(listening: readonly Listening[]): Promise<void> {
    for (const { opening, listener } of listening) {
      if (this.#listening.get(opening.kind)?.listener !== listener) continue;
      this.#listening.delete(opening.kind);
      await listener.close();
    }
  }

  /** Takes back what #closeAll did. */
  async #reopen(closed: readonly Listening[]): Promise<void> {
    for (const { opening } of closed) {
      if (this.#listening.has(opening.kind)) continue;
      this.#listening.set(opening.kind, { opening, listener: await opening.open() });
    }
  }

  async #wanted({ listen, limits }: Config): Promise<Opening[]> {
    const wanted: Opening[] = [];
    if (listen.socks5) wanted.push(await this.#inbound("socks5", listen.socks5, limits));
    if (listen.http) wanted.push(await this.#inbound("http", listen.http, limits));
    if (listen.metrics) {
      const { address } = listen.metrics;
      wanted.push({
        kind: "metrics",
        address,
        signature: `metrics ${address}`,
        open: () => this.#openMetrics(address),
      });
    }
    return wanted;
  }

  async #inbound(kind: "socks5" | "http", config: ListenerConfig, limits: Limits): Promise<Opening> {
    const { handler, readSecret, events } = this.#options;
    const options: ListenOptions = {
      address: parseEndpoint(config.address),
      credentials: config.auth && {
        username: config.auth.username,
        password: await readSecret(config.auth.password),
      },
      ...limitsOf(limits),
    };
    const listen = kind === "socks5" ? listenSocks5 : listenHttp;
    return {
      kind,
      address: config.address,
      signature: JSON.stringify([kind, options.address, options.credentials]),
      open: () => listen({ ...options, ...events(kind) }, handler),
    };
  }

  async #openMetrics(address: string): Promise<Listener> {
    const endpoint = parseEndpoint(address);
    try {
      return await this.#options.openMetrics(endpoint);
    } catch (error) {
      throw listenFailure(error as NodeJS.ErrnoException, endpoint);
    }
  }
}

/** True when `listening` has the address that `opening` wants, be it by a port that the system chose, or among all addresses. */
function holds({ listener }: Listening, opening: Opening): boolean {
  const { host, port } = parseEndpoint(opening.address);
  if (port === 0 || port !== listener.address.port) return false;
  return [host, listener.address.host].some(isEveryAddress) || host === listener.address.host;
}

function isEveryAddress(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

function limitsOf(limits: Limits): InboundLimits {
  return {
    maxConnections: limits.max_connections,
    handshakeTimeoutMs: limits.handshake_timeout * 1000,
    handshakeBytes: limits.handshake_bytes,
  };
}
