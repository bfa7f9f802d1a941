import { randomBytes } from "node:crypto";
import { homedir } from "node:os";
import type { Config, Limits, LogLevel, RelayConfig } from "./config/config.ts";
import { type ConfigDiff, diffConfig } from "./config/diff.ts";
import type { ConfigProblem } from "@sockeye/config-kit/problem";
import { Reloader } from "./config/reload.ts";
import { accepted, ConfigSource, emptyLike } from "./config/running.ts";
import { defaultPaths } from "./config/paths.ts";
import { systemKeychain } from "./config/secret-store.ts";
import { readSecret } from "./config/secrets.ts";
import {
  CONTRACT_VERSION,
  type ControlExplanation,
  type EngineStatus,
  type FlowInfo,
  type HelperStatus,
  type UpstreamInfo,
  type UpstreamNumbers,
} from "./control/contract.ts";
import { ControlError } from "./control/control-error.ts";
import { demoUpstreamsIn, restoreDemo } from "./control/demo.ts";
import type { ConfigCheck, ControlHost, DemoUpstreams, Engine, EngineOptions } from "./control/host.ts";
import { ControlPrompter } from "./control/prompts.ts";
import { withKeptSecrets, withKeptToken } from "./control/kept-secrets.ts";
import { describeExplanation, describeUpstream, unknownUpstream } from "./control/describe.ts";
import { type Port, PortServer } from "./control/message-port.ts";
import type { Service } from "./control/protocol.ts";
import { type ControlServer, startControlServer } from "./control/server.ts";
import { SecretKeeper } from "./control/secret-keeper.ts";
import { createService } from "./control/service.ts";
import { type Endpoint, formatEndpoint, parseEndpoint } from "./endpoint.ts";
import { judge } from "./condition.ts";
import { Connection } from "./connection.ts";
import { connect, DialDeadlines } from "./flow/connect.ts";
import { associate, type DatagramContext } from "./flow/datagrams.ts";
import { DnsCarrier } from "./flow/dns-carrier.ts";
import { FlowProcesses } from "./flow/processes.ts";
import { FlowTable } from "./flow/table.ts";
import { UdpSupport } from "./flow/udp-support.ts";
import { type ListenerKind, Listeners } from "./listeners.ts";
import { HelperError } from "./helper/client.ts";
import { systemHelper } from "./helper/source.ts";
import { describeHelper } from "./helper/status.ts";
import { Intake } from "./intake.ts";
import { IdleMemory } from "./idle-memory.ts";
import { TunMode } from "./tun/mode.ts";
import { Shares } from "./share/shares.ts";
import { testRelay } from "./share/test-relay.ts";
import { Turns } from "./turns.ts";
import { type NetworkEvent, watchNetwork } from "./network-watch.ts";
import type { InboundHandler, ListenEvents } from "./inbound/request.ts";
import { type Health, startObserveEndpoint } from "./observe/endpoint.ts";
import { History } from "./observe/history.ts";
import type { HistoryAnswer, HistoryQuery } from "./observe/history-rows.ts";
import { createLogger, type Logger } from "./observe/log.ts";
import { Metrics } from "./observe/metrics.ts";
import { RouteHits } from "./router/hits.ts";
import type { Router } from "./router/route.ts";
import { createRouter } from "./router/router.ts";
import { proxyCommandGroups } from "./upstream/ssh/proxy-command.ts";
import { isOwnProgram } from "./tun/own-programs.ts";
import { RecentUse } from "./upstream/recent-use.ts";
import { systemResolver } from "./upstream/resolver.ts";
import { UpstreamSet } from "./upstream/set.ts";
import { upstreamEnvironment } from "./upstream-environment.ts";
import { sshCrypto } from "./upstream/ssh/crypto.ts";
import type { TestOptions, UpstreamEvents, UpstreamTestResult } from "./upstream/upstream.ts";

export type { Engine, EngineOptions } from "./control/host.ts";
export { testUpstream } from "./test-upstream.ts";

/**
 * Starts an engine and resolves once every listener is bound; with `connected` false, those for applications are not.
 * @throws {ControlError} `invalid-config` with the problems; `unavailable` when an address can't be bound or the file can't
 * be read. Whatever was opened is closed again then.
 */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const source = new ConfigSource(options);
  const { config, warnings } = accepted(await source.read());
  const engine = new RunningEngine(options, source, config);
  try {
    await engine.start(warnings);
  } catch (error) {
    await engine.stop({ now: true });
    throw error;
  }
  return engine;
}

class RunningEngine implements Engine {
  readonly prompts: ControlPrompter;
  readonly secrets: SecretKeeper;
  readonly #options: EngineOptions;
  readonly #source: ConfigSource;
  /** One object for the engine's life: a reload changes its values, and every part that was given it sees them. */
  readonly #limits: { -readonly [Key in keyof Limits]: Limits[Key] };
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #table: FlowTable;
  /** Only a client that looks at flows makes it work. */
  readonly #processes: FlowProcesses;
  readonly #idleMemory: IdleMemory;
  readonly #upstreams: UpstreamSet;
  readonly #udpSupport = new UdpSupport();
  /** Closed before the upstreams that it goes through. */
  readonly #dns = new DnsCarrier(this.#udpSupport);
  readonly #listeners: Listeners;
  readonly #tun: TunMode;
  readonly #intake: Intake;
  readonly #connection: Connection;
  readonly #hits = new RouteHits();
  readonly #recentUse = new RecentUse();
  readonly shares: Shares;
  readonly #reloader: Reloader;
  readonly #instance = randomBytes(4).toString("hex");
  readonly #startedAt = Date.now();
  readonly #stopping = Promise.withResolvers<undefined>();
  #config: Config;
  #router: Router;
  #phase: EngineStatus["phase"] = "starting";
  #hasRun = false;
  /** By a person's wish to be connected; an engine that was only started waits for traffic. */
  #keepsWarm = false;
  /** One for every client: it lets one write at a time. */
  readonly #service: Service = createService(this);
  readonly #ports = new PortServer(this.#service);
  #demo: Promise<DemoUpstreams> | undefined;
  #restoring: Promise<void> | undefined;
  #control: ControlServer | undefined;
  #unwatchNetwork = (): void => {};
  readonly #history: History | undefined;
  #warnings: string[] = [];
  #stop: Promise<void> | undefined;

  constructor(options: EngineOptions, source: ConfigSource, config: Config) {
    this.#options = options;
    this.#source = source;
    this.#config = emptyLike(config);
    this.#limits = { ...config.limits };
    const { logDestination: destination } = options;
    this.#log = createLogger({ ...config.log, ...(destination && { destination }) });
    this.#metrics = new Metrics(options.version, () => this.#tun.numbers);
    this.#table = new FlowTable(config.limits, this.#metrics);
    this.#processes = new FlowProcesses(this.#table);
    const paths = defaultPaths({ env: process.env, home: homedir(), platform: process.platform });
    this.secrets = new SecretKeeper(options.secretStore ?? systemKeychain, paths.secretsDirectory);
    this.prompts = new ControlPrompter({ terminal: options.prompter });
    const numbers = () => this.#metrics.snapshot();
    this.#history = options.history && new History({ ...options.history, numbers, log: this.#log });
    this.#idleMemory = new IdleMemory({ work: () => this.#table.totals });
    this.#upstreams = new UpstreamSet(
      upstreamEnvironment(this.#limits, this.#upstreamEvents(), this.#log, {
        ...options,
        prompter: this.prompts,
      }),
    );
    this.#tun = new TunMode({
      handler: this.#tunHandler(),
      helper: options.helper ?? systemHelper,
      egress: this.#upstreams.egress,
      resolver: systemResolver,
      upstream: (name) => this.#upstreams.get(name),
      log: this.#log,
      onAccept: () => this.#metrics.inboundConnection("tun"),
      onWarning: (sentence) => this.#warn(sentence),
    });
    this.#listeners = new Listeners({
      handler: this.#handlerIn(this.#flowContext()),
      readSecret: (secret) => this.#readSecret(secret),
      events: (kind) => this.#listenEvents(kind),
      openMetrics: (address) => startObserveEndpoint(address, this.#metrics, this.#health()),
    });
    this.shares = new Shares({ readSecret: (secret) => this.#readSecret(secret), log: this.#log });
    this.#intake = new Intake(this.#listeners, this.#tun);
    const turns = new Turns();
    const busyWith = () => (this.#phase === "running" ? undefined : this.#phase);
    this.#connection = new Connection({
      turns,
      busyWith,
      open: () => unlessBusy(this.#intake.open({ config: this.#config, router: this.#router })),
      shut: () => this.#endTraffic(),
      condition: () => this.#condition(),
    });
    this.#reloader = new Reloader({
      source,
      log: this.#log,
      turns,
      busyWith,
      change: (next) => this.#change(next),
      warn: (warning) => this.#warn(sentenceOf(warning)),
    });
    this.#router = routerOf(config);
    this.#hits.adopt(config.routes, config.default);
    this.#next = config;
  }

  /** The configuration to start with. */
  readonly #next: Config;

  async start(warnings: readonly ConfigProblem[]): Promise<void> {
    this.#adopt(this.#next, diffConfig(this.#config, this.#next));
    if (this.#options.connected ?? true) await this.#connection.open();
    else await unlessBusy(this.#intake.shut(this.#config));
    for (const warning of warnings) this.#warn(sentenceOf(warning));
    const cipher = sshCrypto();
    if (cipher.kind === "javascript" && hasSsh(this.#config)) {
      const why = cipher.reason ?? "it is not built";
      this.#warn(`SSH encrypts without our native code, at about half its speed: ${why}`);
    }
    this.#control = await unlessBusy(
      startControlServer(this, {
        address: parseEndpoint(this.#config.listen.control.address),
        version: this.#options.version,
        name: this.#options.controlName,
        ui: this.#options.ui,
        service: this.#service,
      }),
    );
    this.#reloader.watch();
    this.#unwatchNetwork = watchNetwork((event) => this.networkChanged(event));
    this.#phase = "running";
    this.#hasRun = true;
    this.#restoring = this.#restoreDemo();
    this.#log.info({ listening: this.#addresses(), ssh_crypto: cipher.kind }, "running");
  }

  get stopped(): Promise<void> {
    return this.#stopping.promise.then(() => {});
  }

  serve(port: Port): () => void {
    return this.#ports.serve(port);
  }

  get warnings(): readonly string[] {
    return this.#warnings;
  }

  get configFile(): string | undefined {
    return this.#source.file;
  }

  config(): Config {
    return this.#config;
  }

  get configText(): string {
    return this.#source.lastRead ?? "";
  }

  get log(): Logger {
    return this.#log;
  }

  stop(options: { readonly now?: boolean } = {}): Promise<void> {
    const drainMs = options.now === true ? 0 : this.#limits.drain_timeout * 1000;
    if (this.#stop && drainMs === 0) void this.#table.drain(0);
    this.#stop ??= this.#shutDown(drainMs);
    return this.#stop;
  }

  async #shutDown(drainMs: number): Promise<void> {
    this.#phase = "draining";
    // A reload that is under way may still open listeners; the next one sees the phase and does nothing.
    await this.#reloader.close();
    this.#unwatchNetwork();
    this.prompts.close();
    this.shares.close();
    // What the device captured ends here: nothing of it could outlive the device.
    await this.#tun.close();
    await this.#listeners.closeInbounds();
    if (this.#table.size > 0 && drainMs > 0) {
      this.#log.info({ flows: this.#table.size }, `draining for at most ${drainMs / 1000} s`);
    }
    const cut = await this.#table.drain(drainMs);
    this.#dns.close();
    await this.#upstreams.close();
    this.#table.close();
    await this.#processes.close();
    await this.#restoring;
    const demo = await this.#demo?.catch(() => undefined);
    await demo?.close();
    this.#idleMemory.close();
    await this.#listeners.close();
    await this.#control?.close();
    this.#ports.close();
    await this.#history?.close();
    if (this.#hasRun) this.#log.info({ cut }, "stopped");
    this.#phase = "stopped";
    this.#stopping.resolve(undefined);
  }

  status(): EngineStatus {
    const { total, failed, up, down } = this.#table.totals;
    const listeners: EngineStatus["listeners"] = [...this.#listeners].map(({ kind, address, pending }) => ({
      kind,
      address: formatEndpoint(address),
      pending,
    }));
    if (this.#control) {
      listeners.push({ kind: "control", address: formatEndpoint(this.#control.address), pending: 0 });
    }
    const crypto = sshCrypto();
    return {
      version: this.#options.version,
      contract: CONTRACT_VERSION,
      pid: process.pid,
      startedAt: this.#startedAt,
      phase: this.#phase,
      connection: this.#connection.state,
      default: this.#config.default,
      tunEnabled: this.#config.tun.enabled,
      listeners,
      tun: this.#tun.state,
      flows: { active: this.#table.size, total, failed },
      bytes: { up, down },
      rssBytes: process.memoryUsage.rss(),
      logLevel: this.#log.level,
      ...(this.#source.file !== undefined && { configFile: this.#source.file }),
      ...(this.#reloader.problems && { configProblems: [...this.#reloader.problems] }),
      sshCrypto: crypto.reason === undefined ? crypto.kind : `${crypto.kind}: ${crypto.reason}`,
    };
  }

  upstreams(): UpstreamInfo[] {
    return [...this.#upstreams].map((upstream) =>
      describeUpstream(upstream, this.#config.upstreams[upstream.name]),
    );
  }

  *flows(): Iterable<FlowInfo> {
    this.#processes.look();
    for (const flow of this.#table) yield flow.describe();
  }

  *endedFlows(): Iterable<FlowInfo> {
    for (const flow of this.#table.ended()) yield flow.describe();
  }

  closeFlows(ids: "all" | readonly number[]): number {
    const wanted = new Set(ids === "all" ? [] : ids);
    const flows = [...this.#table].filter((flow) => ids === "all" || wanted.has(flow.id));
    for (const flow of flows) flow.close();
    return flows.length;
  }

  explain(target: Endpoint): ControlExplanation {
    return describeExplanation(target, this.#router, this.#config);
  }

  async testUpstream(
    which: Parameters<ControlHost["testUpstream"]>[0],
    options: TestOptions,
  ): Promise<UpstreamTestResult> {
    if (!which.config) {
      const upstream = this.#upstreams.get(which.name);
      if (!upstream) throw unknownUpstream(which.name, this.#config);
      return upstream.test(options);
    }
    const config = this.#withUnsaved(which.name, which.config);
    const upstreamConfig = withKeptSecrets(config.upstreams[which.name]!, this.#config.upstreams[which.name]);
    const via = this.#upstreams.get(upstreamConfig.via ?? "direct") ?? this.#upstreams.direct;
    const upstream = this.#upstreams.create(which.name, upstreamConfig, via);
    try {
      return await upstream.test(options);
    } finally {
      await upstream.close(0);
    }
  }

  async testRelay(
    which: Parameters<ControlHost["testRelay"]>[0],
    options: TestOptions,
  ): Promise<UpstreamTestResult> {
    const saved = this.#config.relays[which.name];
    const config = which.config ? this.#unsavedRelay(which.name, which.config) : saved;
    if (config === undefined) throw new ControlError("bad-request", `there is no relay "${which.name}"`);
    return testRelay(withKeptToken(config, saved), (secret) => this.#readSecret(secret), options);
  }

  checkConfig(text: string): ConfigCheck {
    const parsed = this.#source.check(text);
    if ("errors" in parsed) return { problems: parsed.errors, warnings: parsed.warnings };
    return { problems: [], warnings: parsed.warnings, config: parsed.config };
  }

  reload(): Promise<{ readonly warnings: readonly ConfigProblem[] }> {
    return this.#reloader.reload();
  }

  async connect(): Promise<void> {
    await this.#connection.connect();
    this.#keepsWarm = true;
    this.#warmDefault();
    this.#log.info({ listening: this.#addresses() }, "connected: traffic is taken in");
  }

  async disconnect(): Promise<void> {
    await this.#connection.disconnect();
    this.#log.info("disconnected: no traffic is taken in");
  }

  setLogLevel(level: LogLevel): void {
    this.#log.setLevel(level);
  }

  get routeHits(): RouteHits {
    return this.#hits;
  }

  numbers(): UpstreamNumbers[] {
    return this.#metrics.snapshot();
  }

  helper(): Promise<HelperStatus> {
    return describeHelper({
      source: this.#options.helper ?? systemHelper,
      expected: this.#options.version,
      inUse: this.#tun.state.state === "on",
      platform: process.platform,
    });
  }

  history(query: HistoryQuery): Promise<HistoryAnswer> {
    if (this.#history !== undefined) return this.#history.query(query);
    return Promise.reject(new ControlError("unavailable", "this engine was started without a history"));
  }

  /** A disconnect. What applications have open ends at once, and nothing is left open to any upstream. */
  async #endTraffic(): Promise<void> {
    await this.#intake.shut(this.#config);
    await this.#table.drain(0, "sockeye was disconnected");
    this.#dns.close();
    await this.#upstreams.renew(this.#config);
    for (const name of Object.keys(this.#config.upstreams)) this.#metrics.connectionStatus(name, false);
  }

  #condition() {
    const { default: fallback, listen, upstreams } = this.#config;
    const inUse = Object.keys(upstreams).filter((name) => name === fallback || this.#recentUse.has(name));
    return judge({
      tun: this.#tun.state,
      missing: this.#intake.missing(this.#config),
      listen,
      upstreams: inUse.flatMap((name) => {
        // While the engine stops its upstreams go first.
        const upstream = this.#upstreams.get(name);
        return upstream === undefined ? [] : [[name, upstream.status()] as const];
      }),
      configProblems: this.#reloader.problems,
      configFile: this.#source.file,
    });
  }

  demo(): Promise<DemoUpstreams> {
    const { demo } = this.#options;
    if (demo === undefined || this.#phase !== "running") {
      const why = demo === undefined ? "this engine has no demo" : `the engine is ${this.#phase}`;
      return Promise.reject(new ControlError("unavailable", why));
    }
    const starting = (this.#demo ??= demo());
    // What could not be started is tried again when it is asked for again.
    starting.catch(() => (this.#demo = undefined));
    return starting;
  }

  /** Demo upstreams are servers of the process that added them: whoever kept them in the file finds them working. */
  async #restoreDemo(): Promise<void> {
    const names = demoUpstreamsIn(this.#config.upstreams);
    if (names.length === 0 || !this.#options.demo || this.#source.file === undefined) return;
    try {
      const upstreams = await restoreDemo(this, names);
      this.#log.info({ upstreams }, "demo upstreams started again");
    } catch (error) {
      // Whoever stops the engine meanwhile does not miss them.
      if (this.#phase !== "running") return;
      const why = error instanceof Error ? error.message : String(error);
      this.#warn(`the demo upstreams could not be started again: ${why}`);
    }
  }

  /** A reload. What can fail comes first, and is as it was then. */
  async #change(next: Config): Promise<void> {
    const diff = diffConfig(this.#config, next);
    const concernsTun = diff.tunChanged || diff.routesChanged || diff.limitsChanged;
    const after = { config: next, router: routerOf(next) };
    const before = { config: this.#config, router: this.#router };
    const listeners = await unlessBusy(this.#intake.change(after, before, concernsTun));
    this.#adopt(next, diff);
    if (this.#keepsWarm && !this.#connection.isOff) this.#warmDefault();
    if (diff.logChanged) this.#log.setLevel(next.log.level);
    if (diff.listen.control === "changed") this.#log.warn("listen.control changes at the next start");
    if (diff.isEmpty && listeners.length === 0) return;
    const { upstreams, routesChanged: routes, limitsChanged: limits, sharesChanged: shares } = diff;
    this.#log.info(
      { upstreams, routes, limits, shares, listeners: this.#addresses(listeners) },
      "configuration reloaded",
    );
  }

  /** Whoever has pressed the switch wants to know whether the way that most traffic takes is open, before some of it has failed. */
  #warmDefault(): void {
    for (const upstream of this.#upstreams) upstream.keepWarm(upstream.name === this.#config.default);
  }

  /** Everything but the listeners becomes that of `next`. */
  #adopt(next: Config, diff: ConfigDiff): void {
    Object.assign(this.#limits, next.limits);
    this.#table.setTimeouts(next.limits);
    for (const name of diff.upstreams.added) this.#metrics.declare(name);
    this.#upstreams.apply(next, diff, next.limits.drain_timeout * 1000);
    this.shares.apply(next);
    for (const name of diff.upstreams.removed) this.#metrics.forget(name);
    this.#router = routerOf(next);
    if (diff.routesChanged) this.#hits.adopt(next.routes, next.default);
    this.#config = next;
  }

  /** `socks5 127.0.0.1:1080`, of those kinds that listen. */
  #addresses(kinds?: readonly ListenerKind[]): string[] {
    return [...this.#listeners]
      .filter(({ kind }) => kinds?.includes(kind) ?? true)
      .map(({ kind, address }) => `${kind} ${formatEndpoint(address)}`);
  }

  #health(): Health {
    return {
      unhealthy: () => this.#intake.missing(this.#config).map((kind) => `the ${kind} listener is gone`),
      notReady: () => {
        if (this.#phase !== "running") return [this.#phase];
        return this.#connection.isOff ? ["disconnected"] : [];
      },
    };
  }

  #listenEvents(kind: "socks5" | "http"): ListenEvents {
    return {
      onAccept: () => this.#metrics.inboundConnection(kind),
      onRefused: (source, why) => {
        this.#log.info({ inbound: kind, source: formatEndpoint(source) }, `client refused: ${why}`);
      },
      onError: (error) => this.#log.error(error.message),
    };
  }

  #flowContext(): DatagramContext {
    return {
      table: this.#table,
      observer: this.#metrics,
      log: this.#log,
      router: () => this.#router,
      hits: this.#hits,
      dialer: (name) => {
        this.#recentUse.note(name);
        return this.#upstreams.get(name);
      },
      dialTimeoutMs: () => this.#limits.dial_timeout * 1000,
      dialDeadlines: new DialDeadlines(),
      requestId: (flow) => `${this.#instance}-${flow}`,
      dns: this.#dns,
      udp: this.#udpSupport,
    };
  }

  /** For what the device captures. A program that is a way to an upstream goes its own way, and never through an upstream. */
  #tunHandler(): InboundHandler {
    const context = this.#flowContext();
    const router = createRouter([], "direct");
    const [any, own] = [
      this.#handlerIn(context),
      this.#handlerIn({ ...context, router: () => router, hits: new RouteHits() }),
    ];
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
      udpAvailable: () => [...this.#upstreams].some((upstream) => upstream.udp !== undefined),
    };
  }

  #upstreamEvents(): UpstreamEvents {
    return {
      onStateChange: (upstream, connected) => {
        this.#metrics.connectionStatus(upstream, connected);
        this.#log[connected ? "info" : "warn"](
          { upstream },
          connected ? "upstream connected" : "upstream not connected",
        );
        this.#connection.look();
      },
      onReconnect: (upstream) => {
        this.#metrics.reconnected(upstream);
        this.#log.info({ upstream }, "upstream connected again");
      },
    };
  }

  /** Connections may be dead without anybody having said so: each upstream looks. */
  networkChanged(event: NetworkEvent): void {
    this.#log.info(event === "woke-up" ? "the machine was asleep" : "the network has changed");
    for (const upstream of this.#upstreams) upstream.refresh();
    this.#tun.networkChanged();
  }

  #readSecret(secret: Parameters<typeof readSecret>[0]): Promise<string> {
    const store = this.#options.secretStore;
    return readSecret(secret, { onWarning: (message) => this.#warn(message), store });
  }

  #withUnsaved(name: string, unsaved: Readonly<Record<string, unknown>>): Config {
    // JSON is YAML, so that an upstream that is not saved goes through the very checks of the file.
    const others = Object.fromEntries(
      Object.keys(this.#config.upstreams)
        .filter((other) => other !== name)
        .map((other) => [other, { type: "socks5", address: "placeholder.invalid" }]),
    );
    return accepted(this.#source.check(JSON.stringify({ upstreams: { ...others, [name]: unsaved } }))).config;
  }

  #unsavedRelay(name: string, unsaved: Readonly<Record<string, unknown>>): RelayConfig {
    return accepted(this.#source.check(JSON.stringify({ relays: { [name]: unsaved } }))).config.relays[name]!;
  }

  #warn(sentence: string): void {
    if (this.#warnings.includes(sentence)) return;
    this.#warnings.push(sentence);
    this.#log.warn(sentence);
  }
}

function sentenceOf({ message, line }: ConfigProblem): string {
  return line === 0 ? message : `${message} (line ${line})`;
}

/** True when an upstream of the configuration is an SSH server. */
function hasSsh(config: Config): boolean {
  return Object.values(config.upstreams).some((upstream) => upstream.type === "ssh");
}

/** An address that can't be bound, or a helper that is not there, is the caller's to hear about, in the words of whoever tried. */
async function unlessBusy<T>(opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (error) {
    const code = error instanceof HelperError ? "helper" : "unavailable";
    throw new ControlError(code, error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function routerOf(config: Config): Router {
  return createRouter(config.routes, config.default);
}
