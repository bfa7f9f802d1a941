import { randomBytes } from "node:crypto";
import type { Config, Limits } from "./config/config.ts";
import type { ConfigDiff } from "./config/diff.ts";
import type { FlowInfo } from "./control/contract.ts";
import type { Endpoint } from "./endpoint.ts";
import { connect, DialDeadlines } from "./flow/connect.ts";
import { associate, type DatagramContext } from "./flow/datagrams.ts";
import { DnsCarrier } from "./flow/dns-carrier.ts";
import { FlowProcesses } from "./flow/processes.ts";
import { FlowTable } from "./flow/table.ts";
import { UdpSupport } from "./flow/udp-support.ts";
import type { InboundHandler } from "./inbound/request.ts";
import type { Logger } from "./observe/log.ts";
import type { Observer } from "./observe/observer.ts";
import { RouteHits } from "./router/hits.ts";
import type { Router } from "./router/route.ts";
import { createRouter } from "./router/router.ts";
import { isOwnProgram } from "./tun/own-programs.ts";
import { RecentUse } from "./upstream/recent-use.ts";
import type { UpstreamSet } from "./upstream/set.ts";
import { proxyCommandGroups } from "./upstream/ssh/proxy-command.ts";

export interface TrafficOptions {
  /** Its values may change; they are read afresh for each request. */
  readonly limits: Limits;
  readonly upstreams: UpstreamSet;
  readonly observer: Observer;
  readonly log: Logger;
}

/** What applications send: how their requests become flows, by the routes of the moment, and the flows that live. */
export class Traffic {
  readonly hits = new RouteHits();
  /** What the listeners hand their requests to. */
  readonly handler: InboundHandler;
  readonly #options: TrafficOptions;
  readonly #table: FlowTable;
  /** Only a client that looks at flows makes it work. */
  readonly #processes: FlowProcesses;
  readonly #udpSupport = new UdpSupport();
  /** Closed before the upstreams that it goes through. */
  readonly #dns = new DnsCarrier(this.#udpSupport);
  readonly #recentUse = new RecentUse();
  readonly #instance = randomBytes(4).toString("hex");
  #router: Router;

  constructor(options: TrafficOptions, config: Config) {
    this.#options = options;
    this.#table = new FlowTable(config.limits, options.observer);
    this.#processes = new FlowProcesses(this.#table);
    this.handler = this.#handlerIn(this.#context());
    this.#router = routerOf(config);
    this.hits.adopt(config.routes, config.default);
  }

  get router(): Router {
    return this.#router;
  }

  get active(): number {
    return this.#table.size;
  }

  get totals(): FlowTable["totals"] {
    return this.#table.totals;
  }

  /** Requests from now on go by `config`; those that are flows already stay what they are. */
  adopt(config: Config, { routesChanged }: ConfigDiff): void {
    this.#table.setTimeouts(config.limits);
    this.#router = routerOf(config);
    if (routesChanged) this.hits.adopt(config.routes, config.default);
  }

  /** True where some of it went there lately. */
  used(upstream: string): boolean {
    return this.#recentUse.has(upstream);
  }

  *live(): Iterable<FlowInfo> {
    this.#processes.look();
    for (const flow of this.#table) yield flow.describe();
  }

  *ended(): Iterable<FlowInfo> {
    for (const flow of this.#table.ended()) yield flow.describe();
  }

  /** @returns how many were there to cut. */
  cut(ids: "all" | readonly number[]): number {
    const wanted = new Set(ids === "all" ? [] : ids);
    const flows = [...this.#table].filter((flow) => ids === "all" || wanted.has(flow.id));
    for (const flow of flows) flow.close();
    return flows.length;
  }

  /**
   * Waits for the flows to end, cuts those that have not within `drainMs`, and ends what they had in common.
   * @param why what a flow that is cut is told.
   * @returns how many were cut.
   */
  async end(drainMs: number, why?: string): Promise<number> {
    const cut = await this.#table.drain(drainMs, why);
    this.#dns.close();
    return cut;
  }

  /** Cuts what end() still waits for. */
  endNow(): void {
    void this.#table.drain(0);
  }

  async close(): Promise<void> {
    this.#table.close();
    await this.#processes.close();
  }

  /**
   * For what the TUN device captures. A program that is a way to an upstream goes its own way, and never through an upstream.
   */
  capturedHandler(): InboundHandler {
    const context = this.#context();
    const router = createRouter([], "direct");
    const any = this.#handlerIn(context);
    const own = this.#handlerIn({ ...context, router: () => router, hits: new RouteHits() });
    const handlerOf = ({ source }: { readonly source: Endpoint }, protocol: "tcp" | "udp") =>
      isOwnProgram(source, protocol, proxyCommandGroups) ? own : any;
    return {
      connect: (request) => handlerOf(request, "tcp").connect(request),
      associate: (port) => handlerOf(port, "udp").associate(port),
      udpAvailable: () => any.udpAvailable(),
    };
  }

  #handlerIn(context: DatagramContext): InboundHandler {
    return {
      connect: (request) => connect(context, request),
      associate: (port) => associate(context, port),
      udpAvailable: () => [...this.#options.upstreams].some((upstream) => upstream.udp !== undefined),
    };
  }

  #context(): DatagramContext {
    const { limits, upstreams, observer, log } = this.#options;
    return {
      table: this.#table,
      observer,
      log,
      router: () => this.#router,
      hits: this.hits,
      dialer: (name) => {
        this.#recentUse.note(name);
        return upstreams.get(name);
      },
      dialTimeoutMs: () => limits.dial_timeout * 1000,
      dialDeadlines: new DialDeadlines(),
      requestId: (flow) => `${this.#instance}-${flow}`,
      dns: this.#dns,
      udp: this.#udpSupport,
    };
  }
}

function routerOf(config: Config): Router {
  return createRouter(config.routes, config.default);
}
