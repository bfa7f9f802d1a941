import type { Config, Limits, ListenerConfig, Secret } from "../config/config.ts";
import { parseEndpoint } from "../endpoint.ts";
import { listenHttp } from "./http.ts";
import type { Inbound, InboundHandler, ListenOptions } from "./request.ts";
import { listenSocks5 } from "./socks5.ts";

type ListenerKind = "socks5" | "http";
const kinds = ["socks5", "http"] as const;

interface Listening {
  readonly inbound: Inbound;
  readonly config: ListenerConfig;
  /** What it was opened with; another value means that it must be opened anew. */
  readonly signature: string;
}

interface Opening {
  readonly kind: ListenerKind;
  readonly config: ListenerConfig;
  readonly signature: string;
}

/** The inbounds that are listening. A change either happens whole or not at all. */
export class Listeners {
  readonly #handler: InboundHandler;
  readonly #readSecret: (secret: Secret) => Promise<string>;
  readonly #onError: (error: Error) => void;
  readonly #listening = new Map<ListenerKind, Listening>();

  /** @param onError told when a listener could not accept a connection, as when descriptors run out. */
  constructor(
    handler: InboundHandler,
    readSecret: (secret: Secret) => Promise<string>,
    onError: (error: Error) => void,
  ) {
    this.#handler = handler;
    this.#readSecret = readSecret;
    this.#onError = onError;
  }

  *[Symbol.iterator](): IterableIterator<Inbound> {
    for (const { inbound } of this.#listening.values()) yield inbound;
  }

  /** Configured and not listening: after a reload that failed and could not be undone, say. */
  missing(config: Config): readonly string[] {
    return kinds.filter((kind) => config.listen[kind] && !this.#listening.has(kind));
  }

  /**
   * Opens, reopens and closes listeners until they are those of `config`. New addresses are bound before old ones are let
   * go; a listener that keeps its address is closed for the moment that it takes to open it with its new settings.
   * Connections that have become flows go on.
   * @throws {Error} when an address can't be bound; what listened before listens again then.
   */
  async apply(config: Config): Promise<void> {
    const wanted = kinds.flatMap((kind): Opening[] => {
      const listener = config.listen[kind];
      return listener ? [{ kind, config: listener, signature: signatureOf(listener, config.limits) }] : [];
    });
    const changed = wanted.filter(
      ({ kind, signature }) => this.#listening.get(kind)?.signature !== signature,
    );
    const moved = changed.filter(
      ({ kind, config: to }) => this.#listening.get(kind)?.config.address !== to.address,
    );
    const reopened = changed.filter((opening) => !moved.includes(opening));

    const opened = new Map<ListenerKind, Listening>();
    const undo: (() => Promise<void>)[] = [];
    try {
      for (const opening of moved) {
        const listening = await this.#open(opening, config.limits);
        undo.push(() => listening.inbound.close());
        opened.set(opening.kind, listening);
      }
      for (const opening of reopened) {
        const before = this.#listening.get(opening.kind)!;
        this.#listening.delete(opening.kind);
        await before.inbound.close();
        undo.push(async () => {
          const again = await this.#open({ kind: opening.kind, ...before }, config.limits);
          this.#listening.set(opening.kind, again);
        });
        const listening = await this.#open(opening, config.limits);
        undo.push(() => listening.inbound.close());
        opened.set(opening.kind, listening);
      }
    } catch (error) {
      for (const step of undo.reverse()) await step();
      throw error;
    }

    const unwanted = kinds.filter((kind) => !wanted.some((opening) => opening.kind === kind));
    for (const kind of [...unwanted, ...moved.map((opening) => opening.kind)]) {
      const before = this.#listening.get(kind);
      this.#listening.delete(kind);
      await before?.inbound.close();
    }
    for (const [kind, listening] of opened) this.#listening.set(kind, listening);
  }

  /** Stops accepting. */
  async close(): Promise<void> {
    const closing = [...this].map((inbound) => inbound.close());
    this.#listening.clear();
    await Promise.all(closing);
  }

  async #open({ kind, config, signature }: Opening, limits: Limits): Promise<Listening> {
    const credentials = config.auth && {
      username: config.auth.username,
      password: await this.#readSecret(config.auth.password),
    };
    const options: ListenOptions = {
      address: parseEndpoint(config.address),
      credentials,
      maxConnections: limits.max_connections,
      handshakeTimeoutMs: limits.handshake_timeout * 1000,
      onError: this.#onError,
    };
    const listen = kind === "socks5" ? listenSocks5 : listenHttp;
    return { inbound: await listen(options, this.#handler), config, signature };
  }
}

function signatureOf(listener: ListenerConfig, limits: Limits): string {
  return JSON.stringify([listener, limits.max_connections, limits.handshake_timeout]);
}
