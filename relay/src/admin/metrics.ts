import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Carried, CarriedBytes, ConnectionRefusal } from "../observer.ts";

/** Upper bounds in seconds: an answer from the next room to a stream of an hour. */
const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600];

/** Identities with series of their own; what more there are count together. */
const MAX_IDENTITIES = 500;
const OTHERS = "(others)";

/** What there is at this moment, asked for when somebody scrapes. */
export interface RelayGauges {
  readonly clients: number;
  /** Asked for and not open yet. */
  readonly pending: number;
  readonly tunnels: number;
  readonly connections: number;
}

/** A request or a connection of the public that has been served, or not. */
export interface Served {
  /** Of the client that served it; undefined where it came to none. */
  readonly identity: string | undefined;
  readonly ms: number;
  /** From the public. */
  readonly bytesIn: number;
  /** To the public. */
  readonly bytesOut: number;
  /** Of these those that `carried` has counted. */
  readonly told?: CarriedBytes | undefined;
  /** Of a closed list. */
  readonly error: string | undefined;
  /** The limit that refused it, by its key: of a closed list, too. */
  readonly limit?: string | undefined;
}

/** The numbers of a relay. A call costs additions; they become Prometheus series when somebody scrapes. */
export class RelayMetrics {
  readonly #registry = new Registry();
  readonly #identities = new Map<string, Counts>();
  readonly #others = new Counts();
  /** By session. */
  readonly #sessions = new Map<string, Counts>();
  readonly #errors = new Map<string, number>();
  readonly #limits = new Map<string, number>();
  readonly #refusedClients = new Map<string, number>();
  readonly #refusedShares = new Map<string, number>();
  readonly #duration: Histogram;
  #connectedTotal = 0;

  constructor(version: string, gauges: () => RelayGauges) {
    const registers = [this.#registry];
    new Gauge({
      name: "showoff_build_info",
      help: "Always 1; the version is the label.",
      labelNames: ["version"],
      registers,
    }).set({ version }, 1);
    this.#duration = new Histogram({
      name: "showoff_tunnel_duration_seconds",
      help: "From a request or TCP connection of the public to its end.",
      buckets: DURATION_BUCKETS,
      registers,
    });
    this.#registerGauges(gauges);
    this.#registerCounters();
    this.#registerClients();
  }

  clientConnected(client: string, identity: string): void {
    this.#connectedTotal++;
    const counts = this.#countsOf(identity);
    counts.connected++;
    this.#sessions.set(client, counts);
  }

  clientDisconnected(client: string): void {
    const counts = this.#sessions.get(client);
    if (counts !== undefined) counts.connected--;
    this.#sessions.delete(client);
  }

  /** @param code of a closed list. */
  clientRefused(code: string): void {
    add(this.#refusedClients, code);
  }

  /** @param code of a closed list. */
  shareRefused(code: string): void {
    add(this.#refusedShares, code);
  }

  /** Where it was a limit's doing, it counts as that limit's. */
  connectionRefused(why: ConnectionRefusal): void {
    if ("limit" in why) add(this.#limits, why.limit);
  }

  carried({ identity, bytesIn, bytesOut }: Pick<Carried, "identity" | keyof CarriedBytes>): void {
    const counts = this.#countsOf(identity);
    counts.bytesIn += bytesIn;
    counts.bytesOut += bytesOut;
  }

  requestEnded({ identity, ms, bytesIn, bytesOut, told, error, limit }: Served): void {
    this.#duration.observe(ms / 1000);
    if (limit !== undefined) add(this.#limits, limit);
    if (error !== undefined) add(this.#errors, error);
    if (identity === undefined) return;
    const counts = this.#countsOf(identity);
    counts.served++;
    counts.bytesIn += bytesIn - (told?.bytesIn ?? 0);
    counts.bytesOut += bytesOut - (told?.bytesOut ?? 0);
    if (error !== undefined) counts.failed++;
  }

  /** The answer to /metrics (Prometheus exposition format 0.0.4). */
  async text(): Promise<{ readonly contentType: string; readonly text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  /** Who has no series yet gets one, in the place of somebody who is not connected, or counts among the others. */
  #countsOf(identity: string): Counts {
    const known = this.#identities.get(identity);
    if (known !== undefined) return known;
    if (this.#identities.size >= MAX_IDENTITIES && !this.#forgetOne()) return this.#others;
    const counts = new Counts();
    this.#identities.set(identity, counts);
    return counts;
  }

  #forgetOne(): boolean {
    for (const [identity, { connected }] of this.#identities)
      if (connected === 0) return this.#identities.delete(identity);
    return false;
  }

  #registerGauges(gauges: () => RelayGauges): void {
    const register = (name: string, help: string, read: () => number) =>
      new Gauge({
        name,
        help,
        registers: [this.#registry],
        collect() {
          this.set(read());
        },
      });
    register("showoff_clients", "Clients that are connected.", () => gauges().clients);
    register(
      "showoff_pending_tunnels",
      "Tunnels that a client has not taken up yet.",
      () => gauges().pending,
    );
    register("showoff_tunnels", "Requests and TCP connections under way.", () => gauges().tunnels);
    register("showoff_public_connections", "Connections of the public.", () => gauges().connections);
    register("process_resident_memory_bytes", "Memory of this process that is in RAM.", () =>
      process.memoryUsage.rss(),
    );
    register("nodejs_heap_size_used_bytes", "JavaScript heap in use.", () => process.memoryUsage().heapUsed);
    register("process_start_time_seconds", "When this process started, in seconds since 1970.", () =>
      Math.round(performance.timeOrigin / 1000),
    );
  }

  #registerCounters(): void {
    const registers = [this.#registry];
    const counted = (name: string, help: string, label: string, counts: ReadonlyMap<string, number>) =>
      new Counter({
        name,
        help,
        labelNames: [label],
        registers,
        collect() {
          this.reset();
          for (const [key, count] of counts) this.inc({ [label]: key }, count);
        },
      });
    const connected = () => this.#connectedTotal;
    new Counter({
      name: "showoff_client_connections_total",
      help: "Clients that have connected.",
      registers,
      collect() {
        this.reset();
        this.inc(connected());
      },
    });
    counted(
      "showoff_clients_refused_total",
      "Clients that were refused, by reason.",
      "code",
      this.#refusedClients,
    );
    counted(
      "showoff_shares_refused_total",
      "Names and ports that clients asked for and did not get, by reason.",
      "code",
      this.#refusedShares,
    );
    counted(
      "showoff_errors_total",
      "Requests and connections that were not served as asked, by kind.",
      "kind",
      this.#errors,
    );
    counted(
      "showoff_limit_refusals_total",
      "Requests and connections that were refused by a limit, by its key in the configuration.",
      "limit",
      this.#limits,
    );
    new Counter({
      name: "process_cpu_seconds_total",
      help: "CPU time used, user and system.",
      registers,
      collect() {
        const { user, system } = process.cpuUsage();
        this.reset();
        this.inc((user + system) / 1e6);
      },
    });
  }

  #registerClients(): void {
    const all = () => [...this.#identities, [OTHERS, this.#others] as const];
    const register = (name: string, help: string, read: (counts: Counts) => number) =>
      new Counter({
        name,
        help,
        labelNames: ["identity"],
        registers: [this.#registry],
        collect() {
          this.reset();
          for (const [identity, counts] of all()) this.inc({ identity }, read(counts));
        },
      });
    register("showoff_client_requests_total", "Requests and connections by client.", ({ served }) => served);
    register("showoff_client_failures_total", "Of these, those that failed.", ({ failed }) => failed);
    register(
      "showoff_client_received_bytes_total",
      "Bytes from the public to a client.",
      ({ bytesIn }) => bytesIn,
    );
    register(
      "showoff_client_sent_bytes_total",
      "Bytes from a client to the public.",
      ({ bytesOut }) => bytesOut,
    );
  }
}

/** What is counted for one identity. */
class Counts {
  connected = 0;
  served = 0;
  failed = 0;
  bytesIn = 0;
  bytesOut = 0;
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
