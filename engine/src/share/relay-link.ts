import type { RefusalCode } from "@sockeye/link/messages";
import type { RelayConfig, Secret } from "../config/config.ts";
import { REDACTED } from "../observe/redact.ts";
import { ShareClient } from "./client.ts";
import type { Share, ShareSpec } from "./share.ts";
import { clientOptionsOf } from "./client-options.ts";
import type { LiveShare } from "./live-share.ts";

export type RelayState =
  | { readonly state: "off" }
  | { readonly state: "connecting" }
  | { readonly state: "live"; readonly since: number }
  /** `retryAt` by the clock on the wall. */
  | { readonly state: "reconnecting"; readonly reason: string; readonly retryAt: number }
  | { readonly state: "refused"; readonly reason: string; readonly retryAt: number };

export interface RelayLinkContext {
  readonly readSecret: (secret: Secret) => Promise<string>;
  readonly onState: (state: RelayState) => void;
  readonly onShare: (share: LiveShare) => void;
}

/** What a relay refuses is asked for again after so long: its operator may have changed something. */
const RETRY_REFUSED_MS = 30_000;
/** Refusals of a whole client that last until somebody does something. */
const REFUSED: ReadonlySet<RefusalCode> = new Set(["version", "auth", "protocol"]);
/** Refusals of one share that may end by themselves. A name that was taken from us is not taken back without being asked. */
const WORTH_ANOTHER_TRY: ReadonlySet<string> = new Set(["unavailable", "limit", "none-free", "local"]);

/** All that is shared through one relay: one client, which is there while there is something to share. */
export class RelayLink {
  readonly config: RelayConfig;
  readonly #context: RelayLinkContext;
  readonly #members = new Map<LiveShare, ShareSpec | undefined>();
  readonly #published = new Map<Share, LiveShare>();
  readonly #retries = new Map<LiveShare, NodeJS.Timeout>();
  #client: ShareClient | undefined;
  /** As it was read last. */
  #token: string | undefined;
  #reopen: NodeJS.Timeout | undefined;
  #opening = false;
  #closed = false;
  #state: RelayState = { state: "off" };

  constructor(config: RelayConfig, context: RelayLinkContext) {
    this.config = config;
    this.#context = context;
  }

  get state(): RelayState {
    return this.#state;
  }

  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  /** Shares one more, at once or when the relay is reached. */
  add(live: LiveShare): void {
    this.#members.set(live, undefined);
    void this.#prepare(live);
    if (this.#client === undefined && this.#reopen === undefined) void this.#open();
  }

  /** Gives one back; its streams are cut by the relay. */
  remove(live: LiveShare): void {
    this.#members.delete(live);
    clearTimeout(this.#retries.get(live));
    this.#retries.delete(live);
    for (const [share, published] of this.#published) {
      if (published !== live) continue;
      this.#client?.remove(share);
      this.#published.delete(share);
    }
    live.addresses = [];
    live.refusal = undefined;
  }

  /** Asks at once for what was refused. */
  retry(live: LiveShare): void {
    if (this.#state.state === "refused") {
      clearTimeout(this.#reopen);
      this.#reopen = undefined;
      this.#client?.close();
      this.#client = undefined;
      void this.#open();
      return;
    }
    this.#askAgain(live);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#reopen);
    for (const timer of this.#retries.values()) clearTimeout(timer);
    this.#client?.close();
    for (const live of this.#members.keys()) live.addresses = [];
  }

  async #prepare(live: LiveShare): Promise<void> {
    try {
      const spec = await live.spec(this.#context.readSecret);
      if (this.#closed || !this.#members.has(live)) return;
      live.refusal = undefined;
      this.#members.set(live, spec);
      if (this.#client !== undefined) this.#publish(live, spec);
    } catch (error) {
      if (this.#closed || !this.#members.has(live)) return;
      this.#refused(live, "local", (error as Error).message);
    }
  }

  #publish(live: LiveShare, spec: ShareSpec): void {
    this.#published.set(this.#client!.add(spec), live);
  }

  async #open(): Promise<void> {
    if (this.#opening) return;
    this.#opening = true;
    this.#setState({ state: "connecting" });
    try {
      const options = await clientOptionsOf(this.config, this.#context.readSecret);
      if (this.#isClosed()) return;
      this.#token = options.token;
      const client = new ShareClient({
        ...options,
        tap: (share) => this.#published.get(share)?.tap(),
        observer: this.#observer(),
      });
      this.#client = client;
      this.#published.clear();
      for (const [live, spec] of this.#members) if (spec !== undefined) this.#publish(live, spec);
      client.start();
    } catch (error) {
      if (!this.#isClosed()) this.#giveUp((error as Error).message);
    } finally {
      this.#opening = false;
    }
  }

  #observer(): NonNullable<ConstructorParameters<typeof ShareClient>[0]["observer"]> {
    return {
      connected: () => this.#setState({ state: "live", since: Date.now() }),
      disconnected: (reason, retryMs, code) => {
        const retryAt = Date.now() + retryMs;
        const refused = code !== undefined && REFUSED.has(code);
        this.#setState({
          state: refused ? "refused" : "reconnecting",
          reason: this.#withoutToken(reason),
          retryAt,
        });
        for (const live of this.#members.keys()) live.addresses = [];
      },
      refused: (_code, message) => {
        this.#client = undefined;
        this.#giveUp(this.#withoutToken(message));
      },
      shared: (share) => {
        const live = this.#published.get(share);
        if (live === undefined) return;
        live.addresses = share.addresses;
        live.refusal = undefined;
        this.#context.onShare(live);
      },
      unshared: (share, code, message) => {
        const live = this.#published.get(share);
        if (live !== undefined) this.#refused(live, code, this.#withoutToken(message));
      },
    };
  }

  #refused(live: LiveShare, code: RefusalCode | "local", message: string): void {
    live.addresses = [];
    live.refusal = { code, message };
    this.#context.onShare(live);
    if (!WORTH_ANOTHER_TRY.has(code)) return;
    clearTimeout(this.#retries.get(live));
    this.#retries.set(
      live,
      setTimeout(() => this.#askAgain(live), RETRY_REFUSED_MS),
    );
  }

  #askAgain(live: LiveShare): void {
    clearTimeout(this.#retries.get(live));
    this.#retries.delete(live);
    const known = [...this.#published].find(([, published]) => published === live);
    if (known === undefined) {
      if (this.#members.has(live)) void this.#prepare(live);
      return;
    }
    if (live.addresses.length > 0) return;
    live.refusal = undefined;
    this.#client?.again(known[0]);
  }

  /** The client is of no use as it is; another one is made in a while. */
  #giveUp(reason: string): void {
    for (const live of this.#members.keys()) live.addresses = [];
    this.#setState({ state: "refused", reason, retryAt: Date.now() + RETRY_REFUSED_MS });
    this.#reopen = setTimeout(() => {
      this.#reopen = undefined;
      void this.#open();
    }, RETRY_REFUSED_MS);
  }

  /** A relay may say back what it was told, and what it says is shown and logged. */
  #withoutToken(said: string): string {
    return this.#token === undefined || this.#token === "" ? said : said.replaceAll(this.#token, REDACTED);
  }

  #isClosed(): boolean {
    return this.#closed;
  }

  #setState(state: RelayState): void {
    this.#state = state;
    this.#context.onState(state);
  }
}
