import { readdirSync } from "node:fs";
import {
  Counter,
  Gauge,
  Histogram,
  Registry,
  type MetricObjectWithValues,
  type MetricValueWithName,
} from "prom-client";
import type { UpstreamNumbers } from "../control/contract.ts";
import type { DialErrorCode } from "../errors.ts";
import type { Observer } from "./observer.ts";
import { registerTun, type TunNumbers } from "./tun-metrics.ts";

/** Upper bounds of the dial histogram, in seconds: a loopback proxy to a bastion behind two others. */
export const DIAL_BUCKETS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

/**
 * Counts what the data plane does. An upstream is counted once it is declared, so that the labels are those of the
 * configuration and no others; `direct` and `block` always are. A call costs an addition: the numbers become Prometheus
 * series when somebody scrapes.
 */
export class Metrics implements Observer {
  readonly #series = new Map<string, Series>();
  readonly #inbounds = { socks5: 0, http: 0, tun: 0 };
  readonly #registry: Registry;

  /**
   * @param version of Sockeye, for `sockeye_build_info`.
   * @param tun TUN mode's numbers at a scrape; nothing while it is off.
   */
  constructor(version: string, tun: () => TunNumbers | undefined = () => undefined) {
    this.declare("direct");
    this.declare("block");
    this.#registry = this.#register(version);
    registerTun(this.#registry, tun);
  }

  /** Starts an upstream's series at zero, so that its first event is an increase. Does nothing to one that is there. */
  declare(upstream: string): void {
    if (!this.#series.has(upstream)) this.#series.set(upstream, new Series());
  }

  forget(upstream: string): void {
    if (upstream !== "direct" && upstream !== "block") this.#series.delete(upstream);
  }

  flowOpened(upstream: string): void {
    const series = this.#series.get(upstream);
    if (series === undefined) return;
    series.connections++;
    series.active++;
  }

  flowClosed(upstream: string): void {
    const series = this.#series.get(upstream);
    // A flow that outlived its upstream's series, which has since been declared anew, was not counted in it.
    if (series !== undefined && series.active > 0) series.active--;
  }

  bytes(upstream: string, up: number, down: number): void {
    const series = this.#series.get(upstream);
    if (series === undefined) return;
    series.up += up;
    series.down += down;
  }

  dialed(upstream: string, durationMs: number, outcome: "ok" | DialErrorCode): void {
    const series = this.#series.get(upstream);
    if (series === undefined) return;
    if (outcome === "ok") series.observeDial(durationMs / 1000);
    else series.dialErrors.set(outcome, (series.dialErrors.get(outcome) ?? 0) + 1);
  }

  reconnected(upstream: string): void {
    const series = this.#series.get(upstream);
    if (series !== undefined) series.reconnects++;
  }

  connectionStatus(upstream: string, connected: boolean): void {
    const series = this.#series.get(upstream);
    if (series !== undefined) series.connected = connected;
  }

  inboundConnection(inbound: "socks5" | "http" | "tun"): void {
    this.#inbounds[inbound]++;
  }

  /** The same numbers for the interface, an entry per upstream. */
  snapshot(): UpstreamNumbers[] {
    return Array.from(this.#series, ([upstream, series]) => ({
      upstream,
      connections: series.connections,
      active: series.active,
      up: series.up,
      down: series.down,
      dials: series.dials,
      dialSeconds: series.dialSeconds,
      dialErrors: Object.fromEntries(series.dialErrors),
      reconnects: series.reconnects,
      connected: series.connected,
    }));
  }

  /** The text of /metrics (Prometheus exposition format 0.0.4). */
  async text(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #register(version: string): Registry {
    const registry = new Registry();
    const perUpstream = { labelNames: ["upstream"], registers: [registry] };
    const all = this.#series;
    const inbounds = this.#inbounds;

    new Counter({
      name: "socks5_connections_total",
      help: "Connections sent to this upstream.",
      ...perUpstream,
      collect() {
        this.reset();
        for (const [upstream, series] of all) this.inc({ upstream }, series.connections);
      },
    });
    new Gauge({
      name: "socks5_active_connections",
      help: "Connections open through this upstream now.",
      ...perUpstream,
      collect() {
        this.reset();
        for (const [upstream, series] of all) this.set({ upstream }, series.active);
      },
    });
    registry.registerMetric(new DialHistogram(all));
    new Counter({
      name: "upstream_reconnect_total",
      help: "Times a connection to this upstream was made again after it had been lost.",
      ...perUpstream,
      collect() {
        this.reset();
        for (const [upstream, series] of all) this.inc({ upstream }, series.reconnects);
      },
    });
    new Gauge({
      name: "upstream_connection_status",
      help: "1 while this upstream is connected, 0 while it is not.",
      ...perUpstream,
      collect() {
        this.reset();
        for (const [upstream, series] of all) this.set({ upstream }, series.connected ? 1 : 0);
      },
    });
    new Counter({
      name: "sockeye_bytes_total",
      help: "Payload bytes carried: up from the application, down to it.",
      labelNames: ["upstream", "direction"],
      registers: [registry],
      collect() {
        this.reset();
        for (const [upstream, series] of all) {
          this.inc({ upstream, direction: "up" }, series.up);
          this.inc({ upstream, direction: "down" }, series.down);
        }
      },
    });
    new Counter({
      name: "sockeye_dial_errors_total",
      help: "Dials that failed, by error code.",
      labelNames: ["upstream", "code"],
      registers: [registry],
      collect() {
        this.reset();
        for (const [upstream, series] of all)
          for (const [code, count] of series.dialErrors) this.inc({ upstream, code }, count);
      },
    });
    new Counter({
      name: "sockeye_inbound_connections_total",
      help: "TCP connections that the listener accepted.",
      labelNames: ["inbound"],
      registers: [registry],
      collect() {
        this.reset();
        this.inc({ inbound: "socks5" }, inbounds.socks5);
        this.inc({ inbound: "http" }, inbounds.http);
        this.inc({ inbound: "tun" }, inbounds.tun);
      },
    });
    new Gauge({
      name: "sockeye_build_info",
      help: "Always 1; the version is the label.",
      labelNames: ["version"],
      registers: [registry],
    }).set({ version }, 1);
    registerProcess(registry);
    return registry;
  }
}

/** What is counted for one upstream. */
class Series {
  connections = 0;
  active = 0;
  up = 0;
  down = 0;
  reconnects = 0;
  connected = false;
  dials = 0;
  dialSeconds = 0;
  /** Not cumulative; one more than there are bounds, for what is above them all. */
  readonly dialBuckets = new Float64Array(DIAL_BUCKETS.length + 1);
  readonly dialErrors = new Map<DialErrorCode, number>();

  observeDial(seconds: number): void {
    this.dials++;
    this.dialSeconds += seconds;
    let bucket = 0;
    while (bucket < DIAL_BUCKETS.length && seconds > DIAL_BUCKETS[bucket]!) bucket++;
    this.dialBuckets[bucket]!++;
  }
}

const DIAL_HISTOGRAM = "upstream_dial_duration_seconds";
const DIAL_HELP = "Time from asking this upstream for a connection to having it, for dials that succeeded.";

/** A histogram whose counting was done by Series: prom-client's own observe() hashes the labels at each call. */
class DialHistogram extends Histogram<"upstream"> {
  readonly #all: ReadonlyMap<string, Series>;

  constructor(all: ReadonlyMap<string, Series>) {
    super({
      name: DIAL_HISTOGRAM,
      help: DIAL_HELP,
      labelNames: ["upstream"],
      buckets: [...DIAL_BUCKETS],
      registers: [],
    });
    this.#all = all;
  }

  /** The registry's own way to a histogram, in place of get() where it exists. */
  getForPromString(): ReturnType<DialHistogram["get"]> {
    return this.get();
  }

  override async get(): Promise<MetricObjectWithValues<MetricValueWithName<"upstream">>> {
    const values: MetricValueWithName<"upstream">[] = [];
    for (const [upstream, series] of this.#all) {
      let cumulative = 0;
      for (let i = 0; i <= DIAL_BUCKETS.length; i++) {
        cumulative += series.dialBuckets[i]!;
        const labels = { le: DIAL_BUCKETS[i] ?? "+Inf", upstream };
        values.push({ metricName: `${DIAL_HISTOGRAM}_bucket`, labels, value: cumulative });
      }
      values.push({ metricName: `${DIAL_HISTOGRAM}_sum`, labels: { upstream }, value: series.dialSeconds });
      values.push({ metricName: `${DIAL_HISTOGRAM}_count`, labels: { upstream }, value: series.dials });
    }
    const described = { name: DIAL_HISTOGRAM, help: DIAL_HELP, type: "histogram", aggregator: "sum", values };
    // prom-client declares the type as a number and asks for fields that it does not read; this is what it makes itself.
    return described as unknown as MetricObjectWithValues<MetricValueWithName<"upstream">>;
  }
}

/** What Prometheus expects of any process, measured at the scrape and at no other time. */
function registerProcess(registry: Registry): void {
  const registers = [registry];
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
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Memory of this process that is in RAM.",
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: "process_start_time_seconds",
    help: "When this process started, in seconds since 1970.",
    registers,
  }).set(Math.round(performance.timeOrigin / 1000));
  new Gauge({
    name: "nodejs_heap_size_used_bytes",
    help: "JavaScript heap in use.",
    registers,
    collect() {
      this.set(process.memoryUsage().heapUsed);
    },
  });
  let since = performance.eventLoopUtilization();
  new Gauge({
    name: "nodejs_eventloop_utilization_ratio",
    help: "Share of the time since the last scrape that the event loop was busy.",
    registers,
    collect() {
      const now = performance.eventLoopUtilization();
      this.set(performance.eventLoopUtilization(now, since).utilization);
      since = now;
    },
  });
  if (process.platform !== "linux") return;
  new Gauge({
    name: "process_open_fds",
    help: "Open file descriptors.",
    registers,
    collect() {
      // Reading the folder opens one more.
      this.set(readdirSync("/proc/self/fd").length - 1);
    },
  });
}
