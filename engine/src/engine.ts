import type { ConfigProblem } from "@sockeye/config-kit/problem";
import type { Config, LogLevel } from "./config/config.ts";
import { accepted, ConfigSource } from "./config/running.ts";
import type {
  ControlExplanation,
  EngineStatus,
  FlowInfo,
  HelperStatus,
  UpstreamInfo,
  UpstreamNumbers,
} from "./control/contract.ts";
import { ControlError } from "./control/control-error.ts";
import { describeExplanation, describeUpstream } from "./control/describe.ts";
import type { ConfigCheck, ControlHost, DemoUpstreams, Engine, EngineOptions } from "./control/host.ts";
import type { Port } from "./control/message-port.ts";
import type { PromptDesk } from "./control/prompts.ts";
import type { Endpoint } from "./endpoint.ts";
import { describeEngine } from "./engine-status.ts";
import { systemHelper } from "./helper/source.ts";
import { describeHelper } from "./helper/status.ts";
import { Life } from "./life.ts";
import type { NetworkEvent } from "./network-watch.ts";
import type { HistoryAnswer, HistoryQuery } from "./observe/history-rows.ts";
import type { Logger } from "./observe/log.ts";
import type { RouteHits } from "./router/hits.ts";
import { tryRelay } from "./relay-trial.ts";
import { tryUpstream } from "./upstream-trial.ts";
import type { TestOptions, UpstreamTestResult } from "./upstream/upstream.ts";

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

/** An engine as its interfaces see it. */
class RunningEngine implements Engine {
  readonly #options: EngineOptions;
  readonly #life: Life;

  constructor(options: EngineOptions, source: ConfigSource, config: Config) {
    this.#options = options;
    this.#life = new Life(options, source, config, this);
  }

  start(warnings: readonly ConfigProblem[]): Promise<void> {
    return this.#life.start(warnings);
  }

  get stopped(): Promise<void> {
    return this.#life.stopped;
  }

  stop(options: { readonly now?: boolean } = {}): Promise<void> {
    return this.#life.stop(options);
  }

  connect(): Promise<void> {
    return this.#life.connect();
  }

  disconnect(): Promise<void> {
    return this.#life.disconnect();
  }

  reload(): Promise<{ readonly warnings: readonly ConfigProblem[] }> {
    return this.#life.reload();
  }

  networkChanged(event: NetworkEvent): void {
    this.#life.networkChanged(event);
  }

  serve(port: Port): () => void {
    return this.#life.faces.serve(port);
  }

  get warnings(): readonly string[] {
    return this.#life.warnings.all;
  }

  get prompts(): PromptDesk {
    return this.#life.prompts;
  }

  get secrets(): ControlHost["secrets"] {
    return this.#life.secrets;
  }

  get shares(): ControlHost["shares"] {
    return this.#life.shares;
  }

  get log(): Logger {
    return this.#life.log;
  }

  setLogLevel(level: LogLevel): void {
    this.#life.log.setLevel(level);
  }

  get configFile(): string | undefined {
    return this.#life.source.file;
  }

  config(): Config {
    return this.#life.config;
  }

  get configText(): string {
    return this.#life.source.lastRead ?? "";
  }

  checkConfig(text: string): ConfigCheck {
    const parsed = this.#life.source.check(text);
    if ("errors" in parsed) return { problems: parsed.errors, warnings: parsed.warnings };
    return { problems: [], warnings: parsed.warnings, config: parsed.config };
  }

  status(): EngineStatus {
    return describeEngine(this.#options.version, this.#life);
  }

  upstreams(): UpstreamInfo[] {
    return [...this.#life.upstreams].map((upstream) =>
      describeUpstream(upstream, this.#life.config.upstreams[upstream.name]),
    );
  }

  testUpstream(
    which: Parameters<ControlHost["testUpstream"]>[0],
    options: TestOptions,
  ): Promise<UpstreamTestResult> {
    return tryUpstream(this.#life, which, options);
  }

  testRelay(
    which: Parameters<ControlHost["testRelay"]>[0],
    options: TestOptions,
  ): Promise<UpstreamTestResult> {
    return tryRelay(this.#life, which, options);
  }

  explain(target: Endpoint): ControlExplanation {
    return describeExplanation(target, this.#life.traffic.router, this.#life.config);
  }

  get routeHits(): RouteHits {
    return this.#life.traffic.hits;
  }

  flows(): Iterable<FlowInfo> {
    return this.#life.traffic.live();
  }

  endedFlows(): Iterable<FlowInfo> {
    return this.#life.traffic.ended();
  }

  closeFlows(ids: "all" | readonly number[]): number {
    return this.#life.traffic.cut(ids);
  }

  numbers(): UpstreamNumbers[] {
    return this.#life.metrics.snapshot();
  }

  history(query: HistoryQuery): Promise<HistoryAnswer> {
    if (this.#life.history !== undefined) return this.#life.history.query(query);
    return Promise.reject(new ControlError("unavailable", "this engine was started without a history"));
  }

  helper(): Promise<HelperStatus> {
    return describeHelper({
      source: this.#options.helper ?? systemHelper,
      expected: this.#options.version,
      inUse: this.#life.tun.state.state === "on",
      platform: process.platform,
    });
  }

  demo(): Promise<DemoUpstreams> {
    return this.#life.demo.get();
  }
}
