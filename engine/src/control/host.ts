import type { Endpoint } from "../endpoint.ts";
import type { Config, LogLevel, RouteConfig } from "../config/config.ts";
import type { EditMapping } from "../config/edit.ts";
import type { TestOptions, UpstreamTestResult } from "../upstream/upstream.ts";
import type { NetworkEvent } from "../network-watch.ts";
import type { HistoryAnswer, HistoryQuery } from "../observe/history-rows.ts";
import type { LogDestination, LogSource } from "../observe/log.ts";
import type { HelperSource } from "../helper/source.ts";
import type { Port } from "./message-port.ts";
import type { Prompter } from "../upstream/prompter.ts";
import type { RouteHits } from "../router/hits.ts";
import type { Shares } from "../share/shares.ts";
import type { SecretStore } from "../config/secret-store.ts";
import type { SecretKeeper } from "./secret-keeper.ts";
import type { PromptDesk } from "./prompts.ts";
import type {
  ConfigProblem,
  ControlExplanation,
  EngineStatus,
  FlowInfo,
  HelperStatus,
  UpstreamInfo,
  UpstreamNumbers,
} from "./contract.ts";

/**
 * What the control server needs of the engine. The server pulls: it looks at these when a client is ready for more, and
 * sends what differs from what that client has. So the engine announces nothing, and an engine that nobody watches pays
 * nothing. Each getter is synchronous, gives a new plain value, and is called a few times a second at most.
 */
export interface ControlHost {
  status(): EngineStatus;
  /** In the order of the configuration; `direct` first. */
  upstreams(): readonly UpstreamInfo[];

  /** The live flows, in the order in which they began. Made lazily: the server stops at its limit. */
  flows(): Iterable<FlowInfo>;
  /** The last flows that ended (some hundreds), oldest first; failed dials among them. */
  endedFlows(): Iterable<FlowInfo>;
  /** @returns how many were there to close. */
  closeFlows(ids: "all" | readonly number[]): number;

  explain(target: Endpoint): ControlExplanation;

  /**
   * Tests a configured upstream or, with `config`, one that is not saved, under that name.
   * @throws {ControlError} unknown-upstream; invalid-config with the problems of `config`.
   */
  testUpstream(
    which: { readonly name: string; readonly config?: Readonly<Record<string, unknown>> | undefined },
    options: TestOptions,
  ): Promise<UpstreamTestResult>;

  /**
   * Tests a configured relay or, with `config`, one that is not saved, under that name.
   * @throws {ControlError} bad-request where there is none; invalid-config with the problems of `config`.
   */
  testRelay(
    which: { readonly name: string; readonly config?: Readonly<Record<string, unknown>> | undefined },
    options: TestOptions,
  ): Promise<UpstreamTestResult>;

  /** Where the configuration is read from; undefined when the engine was given its configuration otherwise. */
  readonly configFile: string | undefined;
  /** The configuration that runs. */
  config(): Config;
  /** Its text, as it was last read. */
  readonly configText: string;
  /** Checks a text as if it were the file. */
  checkConfig(text: string): ConfigCheck;
  /**
   * Reads the file again and applies it. Flows whose upstream did not change go on.
   * @throws {ControlError} invalid-config with problems, no-config-file; then nothing has changed.
   */
  reload(): Promise<{ readonly warnings: readonly ConfigProblem[] }>;

  /**
   * Takes traffic in: opens the listeners for applications and, where configured, TUN mode.
   * @throws {ControlError} and is off then: `helper`, where TUN mode's helper is not there or refuses; `unavailable`.
   */
  connect(): Promise<void>;
  /** Ends every flow, TUN mode with its kill switch, the listeners for applications and every connection to an upstream. */
  disconnect(): Promise<void>;

  /**
   * The demo's upstreams, started when they are first asked for.
   * @throws {ControlError} unavailable where the host has none.
   */
  demo(): Promise<DemoUpstreams>;
  /** Keeps passwords and passphrases outside the configuration. */
  readonly secrets: Pick<SecretKeeper, "support" | "keep">;
  /** What is being asked of a person. */
  readonly prompts: PromptDesk;

  /** Local services that are public through relays. */
  readonly shares: Pick<Shares, "list" | "relays" | "has" | "get" | "switch">;

  setLogLevel(level: LogLevel): void;
  readonly log: LogSource;
  readonly routeHits: Pick<RouteHits, "version" | "size" | "numbers">;
  /** Per configured upstream, direct and block. */
  numbers(): UpstreamNumbers[];
  /** Whether TUN mode can have its privileges. */
  helper(): Promise<HelperStatus>;
  /** What they were, kept across restarts. @throws {ControlError} unavailable: none is kept, and why. */
  history(query: HistoryQuery): Promise<HistoryAnswer>;
}

export interface ConfigCheck {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
  /** The checked configuration, for showing: the server masks its secrets. Absent where there are problems. */
  readonly config?: object | undefined;
}

/** An upstream of each kind that a host started, with its secrets in files for their owner alone. */
export interface DemoUpstreams {
  /** As a configuration has them; each name begins with `demo-`. */
  readonly upstreams: Readonly<Record<string, EditMapping>>;
  readonly routes: readonly RouteConfig[];
  /** Ends them. */
  close(): Promise<void>;
}

/** What `sockeye run` gives startEngine() in engine.ts. */
export interface EngineOptions {
  /** The file to read, watch and write. */
  readonly configFile?: string | undefined;
  /** Configuration text in place of a file: the demo, or no file at all (then ""). */
  readonly configText?: string | undefined;
  /** From flags and SOCKEYE_*: they win over the file, at each reload too. Addresses as `host:port`, already checked. */
  readonly overrides?: {
    readonly socks5?: string | undefined;
    readonly http?: string | undefined;
    readonly metrics?: string | undefined;
    readonly logLevel?: LogLevel | undefined;
    readonly logFormat?: "json" | "pretty" | "auto" | undefined;
  };
  readonly version: string;
  /** Where lines of the log go; interfaces see it in any case. Default: standard error. */
  readonly logDestination?: LogDestination | undefined;
  /** The name under which the control endpoint is found; default: the process id. */
  readonly controlName?: string | undefined;
  /** False: traffic is taken in only once connect() is called. Default true. */
  readonly connected?: boolean | undefined;
  /** Asks beside the clients of the control interface. Absent where nobody is at a terminal. */
  readonly prompter?: Prompter | undefined;
  /** Where secrets are kept by name, and looked for before the system's keychain. Default: the system's keychain. */
  readonly secretStore?: SecretStore | undefined;
  /** Starts upstreams to try things out with. Default: there are none. */
  readonly demo?: (() => Promise<DemoUpstreams>) | undefined;
  /** Who gives TUN mode its privileges. Default: the helper that the system runs. */
  readonly helper?: HelperSource | undefined;
  /** The folder of the built interface, to be served to browsers on the control server's port. Default: none is served. */
  readonly ui?: { readonly directory: string } | undefined;
  /** The file in which the upstreams' numbers are kept across restarts. Default: none are kept. */
  readonly history?: { readonly file: string } | undefined;
}

/**
 * A running engine, from startEngine(options): Promise<Engine>, which resolves once every listener is bound.
 * startEngine @throws {ControlError} invalid-config with problems; unavailable with a sentence when an address can't be
 * bound. Whatever was opened is closed again then.
 */
export interface Engine extends ControlHost {
  /** Resolves when the engine has stopped, by stop() or by itself; rejects when it can't go on. */
  readonly stopped: Promise<void>;
  readonly log: LogSource & {
    /** True where records are written for people: `sockeye run` then says in lines of its own where it listens. */
    readonly forPeople: boolean;
  };
  /** What people should know at once: secrets that others can read, a slower cipher code in use. One sentence each. */
  readonly warnings: readonly string[];
  /**
   * Serves the control contract at a MessagePort, as the control server does on its own.
   * @returns the way to end it; the engine's stop does as well.
   */
  serve(port: Port): () => void;
  /** Who knows of a sleep or another network before the engine notices says so: connections may be dead. */
  networkChanged(event: NetworkEvent): void;
  /**
   * Stops accepting, lets flows end for `limits.drain_timeout`, cuts the rest, closes every upstream and listener.
   * A second call with `now` cuts at once.
   */
  stop(options?: { readonly now?: boolean }): Promise<void>;
}

/** What engine.ts exports to the command line. */
export interface EngineApi {
  startEngine(options: EngineOptions): Promise<Engine>;
  /**
   * Tests one upstream of a configuration without starting listeners, and closes all that it opened. For `sockeye test`.
   * @throws {ControlError} invalid-config; unknown-upstream.
   */
  testUpstream(options: EngineOptions, upstream: string, test: TestOptions): Promise<UpstreamTestResult>;
}
