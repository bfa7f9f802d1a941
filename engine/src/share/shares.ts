import { isDeepStrictEqual } from "node:util";
import type { Config, RelayConfig, Secret, ShareConfig } from "../config/config.ts";
import type { Logger } from "../observe/log.ts";
import { LiveShare } from "./live-share.ts";
import { RelayLink, type RelayState } from "./relay-link.ts";

type SharesConfig = Pick<Config, "relays" | "shares">;

export interface SharesContext {
  readonly readSecret: (secret: Secret) => Promise<string>;
  readonly log: Pick<Logger, "info" | "warn">;
}

/** A share and how it is, for showing. */
export interface ShareView {
  readonly name: string;
  readonly config: ShareConfig;
  readonly live: LiveShare | undefined;
  readonly relay: RelayState;
}

/** All shares of the configuration, through any number of relays, for as long as the engine runs. */
export class Shares {
  readonly #context: SharesContext;
  readonly #links = new Map<string, RelayLink>();
  /** Enabled ones. */
  readonly #live = new Map<string, LiveShare>();
  /** Of those that are off: what they kept and counted is there to look at, and goes on with them. */
  readonly #past = new Map<string, LiveShare>();
  /** Until the configuration says something else of the share. */
  readonly #switched = new Map<string, boolean>();
  #config: SharesConfig = { relays: {}, shares: {} };
  #closed = false;

  constructor(context: SharesContext) {
    this.#context = context;
  }

  /** Makes it so: what is the same goes on, what changed is given back and asked for anew. */
  apply(next: SharesConfig): void {
    const before = this.#config;
    this.#config = next;
    for (const name of this.#switched.keys()) {
      if (!isDeepStrictEqual(before.shares[name], next.shares[name])) this.#switched.delete(name);
    }
    this.#bringAbout();
  }

  /** In the order of the configuration. */
  *list(): Iterable<ShareView> {
    for (const [name, config] of Object.entries(this.#config.shares)) yield this.#view(name, config);
  }

  relays(): { name: string; config: RelayConfig; state: RelayState }[] {
    return Object.entries(this.#config.relays).map(([name, config]) => ({
      name,
      config,
      state: this.#links.get(name)?.state ?? { state: "off" },
    }));
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#config.shares, name);
  }

  /** What a share kept and counted, also where it is off. Undefined where it has never been on. */
  get(name: string): LiveShare | undefined {
    return this.#live.get(name) ?? this.#past.get(name);
  }

  /** Starts or stops one without the configuration's word, until that changes. Starting asks again for what was refused. */
  switch(name: string, on: boolean): void {
    this.#switched.set(name, on);
    this.#bringAbout();
    const live = this.#live.get(name);
    if (on && live !== undefined) this.#links.get(live.config.relay)?.retry(live);
  }

  close(): void {
    this.#closed = true;
    for (const link of this.#links.values()) link.close();
    for (const live of this.#live.values()) live.close();
  }

  #view(name: string, config: ShareConfig): ShareView {
    const link = this.#links.get(config.relay);
    return {
      name,
      config: { ...config, enabled: this.#isOn(name, config) },
      live: this.get(name),
      relay: link?.state ?? { state: "off" },
    };
  }

  #isOn(name: string, config: ShareConfig): boolean {
    return this.#switched.get(name) ?? config.enabled;
  }

  #bringAbout(): void {
    if (this.#closed) return;
    const { relays, shares } = this.#config;
    for (const [name, live] of this.#live) {
      const config = Object.hasOwn(shares, name) ? shares[name]! : undefined;
      const sameRelay = isDeepStrictEqual(relays[live.config.relay], this.#linkOf(live)?.config);
      if (config !== undefined && sameRelay && sameConfig(config, live.config) && this.#isOn(name, config))
        continue;
      this.#linkOf(live)?.remove(live);
      live.close();
      this.#live.delete(name);
      this.#past.set(name, live);
    }
    for (const [name, link] of this.#links) {
      if (isDeepStrictEqual(relays[name], link.config)) continue;
      link.close();
      this.#links.delete(name);
    }
    for (const [name, config] of Object.entries(shares)) {
      if (!this.#live.has(name) && this.#isOn(name, config)) this.#start(name, config);
    }
    for (const name of this.#past.keys()) if (!this.has(name)) this.#past.delete(name);
    this.#dropEmptyLinks();
  }

  #start(name: string, config: ShareConfig): void {
    const before = this.#past.get(name);
    this.#past.delete(name);
    const live = new LiveShare(name, config, {
      before: before?.config.kind === config.kind ? before : undefined,
      onTarget: (share, state) => {
        const about = { share: share.name, target: config.target };
        if (state.state === "down")
          this.#context.log.warn(about, `the local service is down: ${state.error}`);
        else this.#context.log.info(about, "the local service is there");
      },
    });
    this.#live.set(name, live);
    this.#open(config.relay).add(live);
  }

  #open(relay: string): RelayLink {
    const known = this.#links.get(relay);
    if (known !== undefined) return known;
    const { log, readSecret } = this.#context;
    const link = new RelayLink(this.#config.relays[relay]!, {
      readSecret,
      onState: (state) => {
        if (state.state === "live") log.info({ relay }, "relay connected");
        else if (state.state === "reconnecting") log.warn({ relay }, `relay not connected: ${state.reason}`);
        else if (state.state === "refused") log.warn({ relay }, `the relay refuses: ${state.reason}`);
      },
      onShare: ({ name, addresses, refusal }) => {
        if (refusal === undefined) log.info({ share: name, addresses }, "shared");
        else log.warn({ share: name }, `not shared: ${refusal.message}`);
      },
    });
    this.#links.set(relay, link);
    return link;
  }

  #dropEmptyLinks(): void {
    for (const [name, link] of this.#links) {
      if (!link.isEmpty) continue;
      link.close();
      this.#links.delete(name);
    }
  }

  #linkOf(live: LiveShare): RelayLink | undefined {
    return this.#links.get(live.config.relay);
  }
}

/** `enabled` apart, which may have been switched. */
function sameConfig(a: ShareConfig | undefined, b: ShareConfig): boolean {
  return a !== undefined && isDeepStrictEqual({ ...a, enabled: true }, { ...b, enabled: true });
}
