import type { Config, Limits, Secret, UpstreamConfig } from "../config/config.ts";
import type { ConfigDiff } from "../config/diff.ts";
import type { Dialer } from "./dialer.ts";
import { createDirectUpstream } from "./direct-upstream.ts";
import { createHttpUpstream } from "./http.ts";
import { Egress } from "./egress.ts";
import type { Prompter } from "./prompter.ts";
import { createSocks5Upstream } from "./socks5.ts";
import { createSshUpstream } from "./ssh/upstream.ts";
import type { Upstream, UpstreamEvents, UpstreamLog } from "./upstream.ts";

/** What every upstream is given, whatever its kind. */
export interface UpstreamEnvironment {
  readonly limits: Limits;
  readonly events: UpstreamEvents;
  readonly log: UpstreamLog;
  readonly prompter: Prompter | undefined;
  /** Where host keys that were trusted on first use are remembered. */
  readonly trustStorePath: string;
  readSecret(secret: Secret): Promise<string>;
}

/** The configured upstreams, each built on the one that it is reached through. */
export class UpstreamSet {
  readonly direct: Upstream;
  /** Which sockets everything here connects with. */
  readonly egress = new Egress();
  readonly #environment: UpstreamEnvironment;
  #upstreams = new Map<string, Upstream>();
  /** Those that a reload replaced, until their last stream has ended. */
  readonly #draining = new Set<Promise<void>>();

  constructor(environment: UpstreamEnvironment) {
    this.#environment = environment;
    this.direct = createDirectUpstream(this.egress);
  }

  /** A configured upstream, or `direct`. */
  get(name: string): Upstream | undefined {
    return name === "direct" ? this.direct : this.#upstreams.get(name);
  }

  /** `direct` first, then in the order of the configuration. */
  *[Symbol.iterator](): IterableIterator<Upstream> {
    yield this.direct;
    yield* this.#upstreams.values();
  }

  /**
   * Makes the set that of `config`. Upstreams that the difference does not name stay as they are, with all that runs
   * through them; the others take no new dials and have `drainMs` to end.
   */
  apply(config: Config, diff: ConfigDiff, drainMs: number): void {
    const replaced = new Set([...diff.upstreams.removed, ...diff.upstreams.changed]);
    const next = this.#build(config, (name) => (replaced.has(name) ? undefined : this.#upstreams.get(name)));
    const old = [...replaced].flatMap((name) => this.#upstreams.get(name) ?? []);
    this.#upstreams = next;
    for (const upstream of old) {
      const closed = upstream.close(drainMs).finally(() => this.#draining.delete(closed));
      this.#draining.add(closed);
    }
  }

  /** Cuts whatever runs through an upstream, and has each begin anew, without a connection. */
  async renew(config: Config): Promise<void> {
    const old = [...this.#upstreams.values()];
    this.#upstreams = this.#build(config, () => undefined);
    await Promise.allSettled(old.map((upstream) => upstream.close(0)));
  }

  /** In the order of the configuration, each on the one that it is reached through. */
  #build(config: Config, kept: (name: string) => Upstream | undefined): Map<string, Upstream> {
    const built = new Map<string, Upstream>();
    const build = (name: string): Upstream => {
      if (name === "direct") return this.direct;
      const known = built.get(name) ?? kept(name);
      if (known) return known;
      const upstreamConfig = config.upstreams[name]!;
      const upstream = this.create(name, upstreamConfig, build(upstreamConfig.via ?? "direct"));
      built.set(name, upstream);
      return upstream;
    };
    return new Map(Object.keys(config.upstreams).map((name) => [name, build(name)]));
  }

  /** One upstream that is in no set: a test of a configuration that is not saved. The caller closes it. */
  create(name: string, config: UpstreamConfig, via: Dialer): Upstream {
    const { prompter, trustStorePath, ...shared } = this.#environment;
    const common = { ...shared, name, via };
    switch (config.type) {
      case "ssh":
        return createSshUpstream({ ...common, config, trustStorePath, ...(prompter && { prompter }) });
      case "socks5":
        return createSocks5Upstream({ ...common, config });
      case "http":
        return createHttpUpstream({ ...common, config });
    }
  }

  /** Cuts what is left and closes every upstream. */
  async close(): Promise<void> {
    const closing = [...this].map((upstream) => upstream.close(0));
    this.#upstreams.clear();
    await Promise.allSettled([...closing, ...this.#draining]);
  }
}
