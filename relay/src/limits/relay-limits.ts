import type { LimitsConfig } from "../config/schema.ts";
import type {
  Admission,
  Asker,
  ClientEntry,
  Clock,
  LimitCounts,
  Refusal,
  RelayLimits,
  Slot,
} from "./limits.ts";
import { sourceKey } from "./source-key.ts";
import { TokenBucket } from "./token-bucket.ts";
import { Tracked, type TrackedEntry } from "./tracked.ts";

/** What is full now may be free in a moment. */
const RETRY_WHEN_FULL_S = 1;
/** One source may fill this share of the places for clients that have not authenticated. */
const HANDSHAKE_SHARE = 4;

/** The limits of one relay, in memory. */
export function createLimits(config: LimitsConfig, clock: Clock): RelayLimits {
  return new Limits(config, clock);
}

class Limits implements RelayLimits {
  readonly #config: LimitsConfig;
  readonly #clock: Clock;
  readonly #allConnections: TokenBucket;
  readonly #allRequests: TokenBucket;
  readonly #sources: Tracked<SourceEntry>;
  readonly #clients: Tracked<ClientCount>;
  readonly #identities = new Map<string, number>();
  #connections = 0;
  #handshakes = 0;
  #clientCount = 0;
  #tunnels = 0;
  #pending = 0;

  constructor(config: LimitsConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
    const { burst } = config;
    this.#allConnections = new TokenBucket(config.connections_per_second, burst, clock());
    this.#allRequests = new TokenBucket(config.requests_per_second, burst, clock());
    const idle = (...rates: number[]) => Math.max(...rates.map((rate) => TokenBucket.msToFill(rate, burst)));
    const [perSource, askedPerSource] = [
      config.connections_per_second_per_source,
      config.requests_per_second_per_source,
    ];
    this.#sources = new Tracked(config.max_sources, idle(perSource, askedPerSource), (now) => ({
      active: 0,
      touched: now,
      connections: 0,
      handshakes: 0,
      connecting: new TokenBucket(perSource, burst, now),
      asking: new TokenBucket(askedPerSource, burst, now),
    }));
    const [perClient, askedPerClient] = [
      config.connections_per_second_per_client,
      config.requests_per_second_per_client,
    ];
    // Twice as many as may be connected: one that has just left is remembered until its rate says nothing more.
    this.#clients = new Tracked(2 * config.max_clients, idle(perClient, askedPerClient), (now) => ({
      active: 0,
      touched: now,
      tunnels: 0,
      pending: 0,
      maxTunnels: config.max_tunnels_per_client,
      connecting: new TokenBucket(perClient, burst, now),
      asking: new TokenBucket(askedPerClient, burst, now),
    }));
  }

  connection(source: string): Admission {
    const now = this.#clock();
    const from = this.#sources.get(sourceKey(source), now);
    const { max_connections, max_connections_per_source } = this.#config;
    if (this.#connections >= max_connections) return full("limits.max_connections");
    if (from.connections >= max_connections_per_source) return full("limits.max_connections_per_source");
    // The source first: what it is refused is not to cost the others.
    const refusal =
      taken(from.connecting, now, "limits.connections_per_second_per_source") ??
      taken(this.#allConnections, now, "limits.connections_per_second");
    if (refusal !== undefined) return { refusal };
    this.#connections++;
    from.connections++;
    from.active++;
    return slot(() => {
      this.#connections--;
      from.connections--;
      from.active--;
    });
  }

  handshake(source: string): Admission {
    const now = this.#clock();
    const from = this.#sources.get(sourceKey(source), now);
    const max = this.#config.max_handshakes;
    const share = Math.max(1, Math.floor(max / HANDSHAKE_SHARE));
    if (this.#handshakes >= max || from.handshakes >= share) return full("limits.max_handshakes");
    const refusal = taken(from.connecting, now, "limits.connections_per_second_per_source");
    if (refusal !== undefined) return { refusal };
    this.#handshakes++;
    from.handshakes++;
    from.active++;
    return slot(() => {
      this.#handshakes--;
      from.handshakes--;
      from.active--;
    });
  }

  client(identity: string, entry?: ClientEntry): Admission {
    const { max_clients, max_clients_per_identity } = this.#config;
    const same = this.#identities.get(identity) ?? 0;
    if (this.#clientCount >= max_clients) return full("limits.max_clients");
    if (same >= max_clients_per_identity) return full("limits.max_clients_per_identity");
    this.#clientCount++;
    this.#identities.set(identity, same + 1);
    const client = entry && this.#enter(entry);
    return slot(() => {
      this.#clientCount--;
      const left = this.#identities.get(identity)! - 1;
      if (left === 0) this.#identities.delete(identity);
      else this.#identities.set(identity, left);
      if (client) client.active--;
    });
  }

  request({ source, client, kind = "http" }: Asker): Refusal | undefined {
    const now = this.#clock();
    if (source !== "") {
      const from = this.#sources.get(sourceKey(source), now);
      const refusal =
        taken(from.asking, now, "limits.requests_per_second_per_source") ??
        taken(this.#allRequests, now, "limits.requests_per_second");
      if (refusal !== undefined) return refusal;
    }
    if (client === undefined) return undefined;
    const { connecting, asking } = this.#clients.get(client, now);
    return kind === "tcp"
      ? taken(connecting, now, "limits.connections_per_second_per_client")
      : taken(asking, now, "limits.requests_per_second_per_client");
  }

  tunnel(client: string): Admission {
    const to = this.#clients.get(client, this.#clock());
    if (this.#tunnels >= this.#config.max_tunnels) return full("limits.max_tunnels");
    if (to.tunnels >= to.maxTunnels) return full("limits.max_tunnels_per_client");
    this.#tunnels++;
    to.tunnels++;
    to.active++;
    return slot(() => {
      this.#tunnels--;
      to.tunnels--;
      to.active--;
    });
  }

  pending(client: string): Admission {
    const to = this.#clients.get(client, this.#clock());
    if (to.pending >= this.#config.max_pending_per_client) return full("limits.max_pending_per_client");
    this.#pending++;
    to.pending++;
    to.active++;
    return slot(() => {
      this.#pending--;
      to.pending--;
      to.active--;
    });
  }

  counts(): LimitCounts {
    return {
      connections: this.#connections,
      handshakes: this.#handshakes,
      clients: this.#clientCount,
      tunnels: this.#tunnels,
      pending: this.#pending,
      sources: this.#sources.size,
    };
  }

  /** An entry that is in use from now on, with what the grant says where that is tighter. */
  #enter({ client, maxTunnels, requestsPerSecond }: ClientEntry): ClientCount {
    const now = this.#clock();
    const count = this.#clients.get(client, now);
    count.active++;
    if (maxTunnels !== undefined) count.maxTunnels = Math.min(maxTunnels, count.maxTunnels);
    const rate = this.#config.requests_per_second_per_client;
    if (requestsPerSecond !== undefined && (rate === 0 || requestsPerSecond < rate))
      count.asking = new TokenBucket(requestsPerSecond, this.#config.burst, now);
    return count;
  }
}

interface SourceEntry extends TrackedEntry {
  connections: number;
  handshakes: number;
  readonly connecting: TokenBucket;
  readonly asking: TokenBucket;
}

interface ClientCount extends TrackedEntry {
  tunnels: number;
  pending: number;
  maxTunnels: number;
  readonly connecting: TokenBucket;
  asking: TokenBucket;
}

function taken(bucket: TokenBucket, now: number, limit: string): Refusal | undefined {
  const wait = bucket.take(now);
  return wait === 0 ? undefined : { code: "too-often", limit, retryAfter: Math.max(0.001, wait / 1000) };
}

function full(limit: string): Admission {
  return { refusal: { code: "too-many", limit, retryAfter: RETRY_WHEN_FULL_S } };
}

function slot(leave: () => void): Admission {
  return { slot: new HeldSlot(leave) };
}

class HeldSlot implements Slot {
  #leave: (() => void) | undefined;

  constructor(leave: () => void) {
    this.#leave = leave;
  }

  release(): void {
    const leave = this.#leave;
    this.#leave = undefined;
    leave?.();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
