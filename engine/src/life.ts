import type { ConfigProblem } from "@sockeye/config-kit/problem";
import { homedir } from "node:os";
import { type Condition, judge } from "./condition.ts";
import type { Config, Limits, Secret } from "./config/config.ts";
import { type ConfigDiff, diffConfig } from "./config/diff.ts";
import { defaultPaths } from "./config/paths.ts";
import { Reloader } from "./config/reload.ts";
import { type ConfigSource, emptyLike } from "./config/running.ts";
import { systemKeychain } from "./config/secret-store.ts";
import { readSecret } from "./config/secrets.ts";
import { Connection } from "./connection.ts";
import type { EngineStatus } from "./control/contract.ts";
import { ControlError } from "./control/control-error.ts";
import type { ControlHost, EngineOptions } from "./control/host.ts";
import { ControlPrompter } from "./control/prompts.ts";
import { SecretKeeper } from "./control/secret-keeper.ts";
import { DemoServers } from "./demo-servers.ts";
import { formatEndpoint, parseEndpoint } from "./endpoint.ts";
import { Faces } from "./faces.ts";
import { HelperError } from "./helper/client.ts";
import { systemHelper } from "./helper/source.ts";
import { IdleMemory } from "./idle-memory.ts";
import type { ListenEvents } from "./inbound/request.ts";
import { Intake } from "./intake.ts";
import { type ListenerKind, Listeners } from "./listeners.ts";
import { type NetworkEvent, watchNetwork } from "./network-watch.ts";
import { type Health, startObserveEndpoint } from "./observe/endpoint.ts";
import { History } from "./observe/history.ts";
import { createLogger, type Logger } from "./observe/log.ts";
import { Metrics } from "./observe/metrics.ts";
import { createRouter } from "./router/router.ts";
import { Shares } from "./share/shares.ts";
import { Traffic } from "./traffic.ts";
import { TunMode } from "./tun/mode.ts";
import { Turns } from "./turns.ts";
import { upstreamEnvironment } from "./upstream-environment.ts";
import { systemResolver } from "./upstream/resolver.ts";
import { UpstreamSet } from "./upstream/set.ts";
import { sshCrypto } from "./upstream/ssh/crypto.ts";
import type { UpstreamEvents } from "./upstream/upstream.ts";
import { Warnings } from "./warnings.ts";

/**
 * An engine's parts, and what becomes of them: how they begin, what a reload and the switch change, and the order in which
 * they end. What interfaces ask is answered elsewhere, from these parts.
 */
export class Life {
  readonly source: ConfigSource;
  readonly log: Logger;
  readonly warnings: Warnings;
  readonly metrics: Metrics;
  readonly history: History | undefined;
  readonly prompts: ControlPrompter;
  readonly secrets: SecretKeeper;
  readonly shares: Shares;
  readonly upstreams: UpstreamSet;
  readonly traffic: Traffic;
  readonly tun: TunMode;
  readonly listeners: Listeners;
  readonly connection: Connection;
  readonly reloader: Reloader;
  readonly demo: DemoServers;
  readonly faces: Faces;
  readonly startedAt = Date.now();
  readonly readSecret: (secret: Secret) => Promise<string>;
  readonly #options: EngineOptions;
  readonly #host: ControlHost;
  /** One object for the engine's life: a reload changes its values, and every part that was given it sees them. */
  readonly #limits: { -readonly [Key in keyof Limits]: Limits[Key] };
  readonly #idleMemory: IdleMemory;
  readonly #intake: Intake;
  readonly #stopping = Promise.withResolvers<undefined>();
  /** The configuration to start with. */
  readonly #first: Config;
  #config: Config;
  #phase: EngineStatus["phase"] = "starting";
  #hasRun = false;
  /** By a person's wish to be connected; an engine that was only started waits for traffic. */
  #keepsWarm = false;
  #unwatchNetwork = (): void => {};
  #stop: Promise<void> | undefined;

  /** @param host answers the interfaces. */
  constructor(options: EngineOptions, source: ConfigSource, config: Config, host: ControlHost) {
    this.#host = host;
    this.faces = new Faces(host);
    this.#options = options;
    this.source = source;
    this.#first = config;
    this.#config = emptyLike(config);
    this.#limits = { ...config.limits };
    const { logDestination: destination } = options;
    const log = createLogger({ ...config.log, ...(destination && { destination }) });
    this.log = log;
    this.warnings = new Warnings(log);
    this.metrics = new Metrics(options.version, () => this.tun.numbers);
    const numbers = () => this.metrics.snapshot();
    this.history = options.history && new History({ ...options.history, numbers, log });
    const paths = defaultPaths({ env: process.env, home: homedir(), platform: process.platform });
    this.secrets = new SecretKeeper(options.secretStore ?? systemKeychain, paths.secretsDirectory);
    this.prompts = new ControlPrompter({ terminal: options.prompter });
    const readThis = (secret: Secret) =>
      readSecret(secret, { onWarning: (message) => this.warnings.say(message), store: options.secretStore });
    this.readSecret = readThis;
    this.shares = new Shares({ readSecret: readThis, log });

    const withPrompts = { ...options, prompter: this.prompts };
    const upstreams = new UpstreamSet(
      upstreamEnvironment(this.#limits, this.#upstreamEvents(), log, withPrompts),
    );
    this.upstreams = upstreams;
    this.traffic = new Traffic({ limits: this.#limits, upstreams, observer: this.metrics, log }, config);
    this.#idleMemory = new IdleMemory({ work: () => this.traffic.totals });
    this.tun = new TunMode({
      handler: this.traffic.capturedHandler(),
      helper: options.helper ?? systemHelper,
      egress: upstreams.egress,
      resolver: systemResolver,
      upstream: (name) => upstreams.get(name),
      log,
      onAccept: () => this.metrics.inboundConnection("tun"),
      onWarning: (sentence) => this.warnings.say(sentence),
    });
    this.listeners = new Listeners({
      handler: this.traffic.handler,
      readSecret: readThis,
      events: (kind) => this.#listenEvents(kind),
      openMetrics: (address) => startObserveEndpoint(address, this.metrics, this.#health()),
    });
    this.#intake = new Intake(this.listeners, this.tun);

    const turns = new Turns();
    const busyWith = () => (this.#phase === "running" ? undefined : this.#phase);
    this.connection = new Connection({
      turns,
      busyWith,
      open: () => unlessBusy(this.#intake.open({ config: this.#config, router: this.traffic.router })),
      shut: () => this.#endTraffic(),
      condition: () => this.#condition(),
    });
    this.reloader = new Reloader({
      source,
      log,
      turns,
      busyWith,
      change: (next) => this.#change(next),
      warn: (warning) => this.warnings.sayOf(warning),
    });
    const warn = (sentence: string): void => this.warnings.say(sentence);
    this.demo = new DemoServers({ start: options.demo, busyWith, log, warn });
  }

  async start(warnings: readonly ConfigProblem[]): Promise<void> {
    this.#adopt(this.#first, diffConfig(this.#config, this.#first));
    if (this.#options.connected ?? true) await this.connection.open();
    else await unlessBusy(this.#intake.shut(this.#config));
    for (const warning of warnings) this.warnings.sayOf(warning);
    const cipher = sshCrypto();
    if (cipher.kind === "javascript" && hasSsh(this.#config)) {
      const why = cipher.reason ?? "it is not built";
      this.warnings.say(`SSH encrypts without our native code, at about half its speed: ${why}`);
    }
    await unlessBusy(
      this.faces.open({
        address: parseEndpoint(this.#config.listen.control.address),
        version: this.#options.version,
        name: this.#options.controlName,
        ui: this.#options.ui,
      }),
    );
    this.reloader.watch();
    this.#unwatchNetwork = watchNetwork((event) => this.networkChanged(event));
    this.#phase = "running";
    this.#hasRun = true;
    this.demo.restoreIn(this.#config, this.#host);
    this.log.info({ listening: this.#addresses(), ssh_crypto: cipher.kind }, "running");
  }

  /** The configuration that runs. */
  get config(): Config {
    return this.#config;
  }

  get phase(): EngineStatus["phase"] {
    return this.#phase;
  }

  get stopped(): Promise<void> {
    return this.#stopping.promise.then(() => {});
  }

  stop(options: { readonly now?: boolean } = {}): Promise<void> {
    const drainMs = options.now === true ? 0 : this.#limits.drain_timeout * 1000;
    if (this.#stop && drainMs === 0) this.traffic.endNow();
    this.#stop ??= this.#shutDown(drainMs);
    return this.#stop;
  }

  async #shutDown(drainMs: number): Promise<void> {
    this.#phase = "draining";
    // A reload that is under way may still open listeners; the next one sees the phase and does nothing.
    await this.reloader.close();
    this.#unwatchNetwork();
    this.prompts.close();
    this.shares.close();
    // What the device captured ends here: nothing of it could outlive the device.
    await this.tun.close();
    await this.listeners.closeInbounds();
    const { active } = this.traffic;
    if (active > 0 && drainMs > 0) {
      this.log.info({ flows: active }, `draining for at most ${drainMs / 1000} s`);
    }
    const cut = await this.traffic.end(drainMs);
    await this.upstreams.close();
    await this.traffic.close();
    await this.demo.close();
    this.#idleMemory.close();
    await this.listeners.close();
    await this.faces.close();
    await this.history?.close();
    if (this.#hasRun) this.log.info({ cut }, "stopped");
    this.#phase = "stopped";
    this.#stopping.resolve(undefined);
  }

  async connect(): Promise<void> {
    await this.connection.connect();
    this.#keepsWarm = true;
    this.#warmDefault();
    this.log.info({ listening: this.#addresses() }, "connected: traffic is taken in");
  }

  async disconnect(): Promise<void> {
    await this.connection.disconnect();
    this.log.info("disconnected: no traffic is taken in");
  }

  /** A disconnect. What applications have open ends at once, and nothing is left open to any upstream. */
  async #endTraffic(): Promise<void> {
    await this.#intake.shut(this.#config);
    await this.traffic.end(0, "sockeye was disconnected");
    await this.upstreams.renew(this.#config);
    for (const name of Object.keys(this.#config.upstreams)) this.metrics.connectionStatus(name, false);
  }

  reload(): Promise<{ readonly warnings: readonly ConfigProblem[] }> {
    return this.reloader.reload();
  }

  /** A reload. What can fail comes first, and is as it was then. */
  async #change(next: Config): Promise<void> {
    const diff = diffConfig(this.#config, next);
    const concernsTun = diff.tunChanged || diff.routesChanged || diff.limitsChanged;
    const after = { config: next, router: createRouter(next.routes, next.default) };
    const before = { config: this.#config, router: this.traffic.router };
    const listeners = await unlessBusy(this.#intake.change(after, before, concernsTun));
    this.#adopt(next, diff);
    if (this.#keepsWarm && !this.connection.isOff) this.#warmDefault();
    if (diff.logChanged) this.log.setLevel(next.log.level);
    if (diff.listen.control === "changed") this.log.warn("listen.control changes at the next start");
    if (diff.isEmpty && listeners.length === 0) return;
    const { upstreams, routesChanged: routes, limitsChanged: limits, sharesChanged: shares } = diff;
    this.log.info(
      { upstreams, routes, limits, shares, listeners: this.#addresses(listeners) },
      "configuration reloaded",
    );
  }

  /** Everything but the listeners becomes that of `next`. */
  #adopt(next: Config, diff: ConfigDiff): void {
    Object.assign(this.#limits, next.limits);
    for (const name of diff.upstreams.added) this.metrics.declare(name);
    this.upstreams.apply(next, diff, next.limits.drain_timeout * 1000);
    this.shares.apply(next);
    for (const name of diff.upstreams.removed) this.metrics.forget(name);
    this.traffic.adopt(next, diff);
    this.#config = next;
  }

  /** Whoever has pressed the switch wants to know whether the way that most traffic takes is open, before some of it has failed. */
  #warmDefault(): void {
    for (const upstream of this.upstreams) upstream.keepWarm(upstream.name === this.#config.default);
  }

  /** Connections may be dead without anybody having said so: each upstream looks. */
  networkChanged(event: NetworkEvent): void {
    this.log.info(event === "woke-up" ? "the machine was asleep" : "the network has changed");
    for (const upstream of this.upstreams) upstream.refresh();
    this.tun.networkChanged();
  }

  #condition(): Condition {
    const { default: fallback, listen, upstreams } = this.#config;
    const inUse = Object.keys(upstreams).filter((name) => name === fallback || this.traffic.used(name));
    return judge({
      tun: this.tun.state,
      missing: this.#intake.missing(this.#config),
      listen,
      upstreams: inUse.flatMap((name) => {
        // While the engine stops its upstreams go first.
        const upstream = this.upstreams.get(name);
        return upstream === undefined ? [] : [[name, upstream.status()] as const];
      }),
      configProblems: this.reloader.problems,
      configFile: this.source.file,
    });
  }

  #health(): Health {
    return {
      unhealthy: () => this.#intake.missing(this.#config).map((kind) => `the ${kind} listener is gone`),
      notReady: () => {
        if (this.#phase !== "running") return [this.#phase];
        return this.connection.isOff ? ["disconnected"] : [];
      },
    };
  }

  #listenEvents(kind: "socks5" | "http"): ListenEvents {
    return {
      onAccept: () => this.metrics.inboundConnection(kind),
      onRefused: (source, why) => {
        this.log.info({ inbound: kind, source: formatEndpoint(source) }, `client refused: ${why}`);
      },
      onError: (error) => this.log.error(error.message),
    };
  }

  #upstreamEvents(): UpstreamEvents {
    return {
      onStateChange: (upstream, connected) => {
        this.metrics.connectionStatus(upstream, connected);
        this.log[connected ? "info" : "warn"](
          { upstream },
          connected ? "upstream connected" : "upstream not connected",
        );
        this.connection.look();
      },
      onReconnect: (upstream) => {
        this.metrics.reconnected(upstream);
        this.log.info({ upstream }, "upstream connected again");
      },
    };
  }

  /** `socks5 127.0.0.1:1080`, of those kinds that listen. */
  #addresses(kinds?: readonly ListenerKind[]): string[] {
    return [...this.listeners]
      .filter(({ kind }) => kinds?.includes(kind) ?? true)
      .map(({ kind, address }) => `${kind} ${formatEndpoint(address)}`);
  }
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
