import { parseEndpoint } from "@sockeye/config-kit/endpoint";
import { WatchedFile } from "../auth/watched-file.ts";
import type { RelayConfig } from "../config/schema.ts";
import type { RelayObserver } from "../observer.ts";
import { joined, observing } from "../observers.ts";
import type { TlsContexts } from "../tls/contexts.ts";
import { VERSION } from "../version.ts";
import { AdminCredentials } from "./credentials.ts";
import { Overview } from "./dashboard/overview.ts";
import { dashboardPages } from "./dashboard/page.ts";
import { RelayMetrics, type RelayGauges } from "./metrics.ts";
import { type AdminServer, type AdminState, startAdmin } from "./server.ts";

/** What only the relay itself knows. */
export interface RelayState extends Pick<AdminState, "unhealthy" | "notReady"> {
  counts(): {
    readonly clients: number;
    readonly pending: number;
    readonly tunnels: number;
    readonly publicConnections: number;
  };
}

const NOTHING: RelayGauges = { clients: 0, pending: 0, tunnels: 0, connections: 0 };

/** All that the admin listener shows: it hears of everything as an observer, and asks the relay for what there is now. */
export class AdminSide implements Disposable {
  readonly observer: RelayObserver;
  readonly #config: RelayConfig;
  readonly #credentials: WatchedFile<AdminCredentials> | undefined;
  readonly #metrics: RelayMetrics;
  readonly #overview = new Overview();
  #state: RelayState | undefined;

  /**
   * @param onProblem told when the file of credentials becomes wrong; what it said stays in force.
   * @throws {Error} when it is wrong now, or can't be read.
   */
  static async open(config: RelayConfig, onProblem: (sentence: string) => void): Promise<AdminSide> {
    const file = config.admin.credentials_file;
    const credentials =
      file === undefined
        ? undefined
        : await WatchedFile.open(file, {
            parse: (text) => new AdminCredentials(file, text),
            onChange: () => {},
            onProblem,
          });
    return new AdminSide(config, credentials);
  }

  private constructor(config: RelayConfig, credentials: WatchedFile<AdminCredentials> | undefined) {
    this.#config = config;
    this.#credentials = credentials;
    this.#metrics = new RelayMetrics(VERSION, () => this.#gauges());
    this.observer = joined([observing(metricsOf(this.#metrics)), this.#overview.observer]);
  }

  /** @throws the system's error (`EADDRINUSE`, …) when `admin.address` can't be bound. */
  async listen(tls: TlsContexts | undefined, state: RelayState): Promise<AdminServer> {
    const { admin, profiling, domains } = this.#config;
    this.#state = state;
    const credentials = this.#credentials;
    return startAdmin({
      address: parseEndpoint(admin.address),
      get credentials() {
        return credentials?.value;
      },
      profiling,
      tls,
      state: {
        unhealthy: state.unhealthy,
        notReady: state.notReady,
        version: { version: VERSION, node: process.versions.node },
        metrics: () => this.#metrics.text(),
      },
      pages: dashboardPages(() => ({
        overview: this.#overview,
        gauges: this.#gauges(),
        notReady: state.notReady(),
        domain: domains[0]!,
        now: Date.now(),
      })),
    });
  }

  [Symbol.dispose](): void {
    this.#credentials?.close();
  }

  #gauges(): RelayGauges {
    if (this.#state === undefined) return NOTHING;
    const { publicConnections, ...counts } = this.#state.counts();
    return { ...counts, connections: publicConnections };
  }
}

function metricsOf(metrics: RelayMetrics): Partial<RelayObserver> {
  return {
    clientConnected: (client, identity) => metrics.clientConnected(client, identity),
    clientDisconnected: (client) => metrics.clientDisconnected(client),
    connectionRefused: (_listener, _source, why) => metrics.connectionRefused(why),
    clientRefused: (_source, { code }) => metrics.clientRefused(code),
    shareRefused: (_client, { code }) => metrics.shareRefused(code),
    carried: (carried) => metrics.carried(carried),
    requestEnded: (end) => metrics.requestEnded(end),
  };
}
