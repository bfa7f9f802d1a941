import { parseConfig } from "../../engine/src/config/load.ts";
import type {
  ConfigProblem,
  ConnectionState,
  FlowInfo,
  LogRecord,
  UpstreamInfo,
} from "../../engine/src/control/contract.ts";
import { CONTRACT_VERSION } from "../../engine/src/control/contract.ts";
import { ControlError } from "../../engine/src/control/control-error.ts";
import type { ControlHost } from "../../engine/src/control/host.ts";
import { ControlPrompter } from "../../engine/src/control/prompts.ts";
import { RouteHits } from "../../engine/src/router/hits.ts";
import { createLogger, type Logger } from "../../engine/src/observe/log.ts";
import { Shares } from "../../engine/src/share/shares.ts";
import { Metrics } from "../../engine/src/observe/metrics.ts";

/** An engine's control side without its data plane: what the control server sees, set by a test. */
export interface TestHost extends ControlHost {
  readonly prompts: ControlPrompter;
  readonly routeHits: RouteHits;
  readonly logger: Logger;
  readonly metrics: Metrics;
  live: FlowInfo[];
  ended: FlowInfo[];
  known: UpstreamInfo[];
  logLevel: LogRecord["level"] | "silent";
  configFile: string | undefined;
  /** The configuration that runs, as text. */
  running: string;
  reloads: number;
  failReload: ControlError | undefined;
  connection: ConnectionState;
  failConnect: ControlError | undefined;
  /** Called by testUpstream, so that a test can see its signal. */
  onTest: (signal: AbortSignal) => void;
}

/** A text is wrong here where it says so: `wrong` anywhere makes one problem. */
function problemsOf(text: string): ConfigProblem[] {
  const lines = text.split("\n");
  const line = lines.findIndex((candidate) => candidate.includes("wrong"));
  if (line === -1) return [];
  const column = lines[line]!.indexOf("wrong") + 1;
  return [{ line: line + 1, column, path: "upstreams", message: "this is wrong", hint: "write right" }];
}

export function testFlow(id: number, changes: Partial<FlowInfo> = {}): FlowInfo {
  return {
    id,
    kind: "tcp",
    inbound: "socks5",
    source: `127.0.0.1:${40_000 + (id % 20_000)}`,
    target: `host-${id}.example:443`,
    upstream: "production",
    rule: 0,
    state: "open",
    startedAt: 1_700_000_000_000 + id,
    up: 100,
    down: 2_000,
    ...changes,
  };
}

export function createTestHost(): TestHost {
  const logger = createLogger({ level: "debug", format: "json", destination: { write: () => {} } });
  const metrics = new Metrics("1.2.3");
  metrics.declare("production");
  const host: TestHost = {
    prompts: new ControlPrompter(),
    secrets: {
      support: async () => ({ keychain: false, reason: "a test has no keychain" }),
      keep: async ({ upstream, kind }) => ({
        reference: { [kind]: null, [`${kind}_file`]: `/secrets/${upstream}-${kind}` },
      }),
    },
    routeHits: new RouteHits(),
    shares: new Shares({ readSecret: async () => "", log: logger }),
    demo: () => Promise.reject(new ControlError("unavailable", "this engine has no demo")),
    logger,
    metrics,
    log: logger,
    live: [],
    ended: [],
    known: [
      {
        name: "production",
        type: "ssh",
        address: "bastion.example.com",
        state: "connected",
        latencyMs: 12,
        pool: { size: 3, ready: 3, connecting: 0, active: 1 },
      },
    ],
    logLevel: "info",
    configFile: undefined,
    running: "upstreams: { production: { address: bastion.example.com, user: deploy } }",
    get configText() {
      return host.running;
    },
    config: () => {
      const parsed = parseConfig(host.running, { env: {}, home: "/home/jane" });
      if ("errors" in parsed) throw new Error(parsed.errors[0]!.message);
      return parsed.config;
    },
    reloads: 0,
    failReload: undefined,
    connection: { state: "connected", since: 1_700_000_000_000 },
    failConnect: undefined,
    onTest: () => {},
    status: () => ({
      version: "1.2.3",
      contract: CONTRACT_VERSION,
      pid: process.pid,
      startedAt: 1_700_000_000_000,
      phase: "running",
      connection: host.connection,
      default: "direct",
      tunEnabled: false,
      listeners: [{ kind: "socks5", address: "127.0.0.1:1080", pending: 0 }],
      tun: { state: "off" },
      flows: { active: host.live.length, total: host.live.length, failed: 0 },
      bytes: { up: 1, down: 2 },
      rssBytes: 50_000_000,
      logLevel: host.logLevel,
      ...(host.configFile === undefined ? {} : { configFile: host.configFile }),
    }),
    upstreams: () => host.known,
    flows: () => host.live,
    endedFlows: () => host.ended,
    closeFlows: (ids) => {
      const before = host.live.length;
      host.live = ids === "all" ? [] : host.live.filter((flow) => !ids.includes(flow.id));
      return before - host.live.length;
    },
    explain: (target) => ({
      target,
      to: "production",
      rule: 0,
      matched: "*.example",
      reason: `${target.host} ends in .example`,
      tun: { enabled: false, captured: "no", reason: "no network of tun.cidrs holds it" },
      chain: ["corp-proxy", "production"],
    }),
    testRelay: async ({ name }) => {
      throw new ControlError("bad-request", `there is no relay "${name}"`);
    },
    testUpstream: async ({ name, config }, { signal, onStep }) => {
      host.onTest(signal);
      if (config !== undefined && "wrong" in config) {
        throw new ControlError("invalid-config", "the upstream has problems", {
          problems: problemsOf("wrong"),
        });
      }
      switch (name) {
        case "production":
          onStep?.("tcp");
          onStep?.("auth");
          return {
            ok: true,
            steps: [
              { step: "tcp", ms: 1.5 },
              { step: "auth", ms: 20 },
            ],
          };
        case "broken":
          onStep?.("tcp");
          onStep?.("host-key");
          return {
            ok: false,
            steps: [{ step: "tcp", ms: 1.5 }],
            failure: { step: "host-key", code: "host-key", message: "the host key has changed" },
          };
        case "slow":
          onStep?.("tcp");
          return new Promise((resolve) => {
            signal.addEventListener("abort", () =>
              resolve({
                ok: false,
                steps: [],
                failure: { step: "tcp", code: "timeout", message: "too slow" },
              }),
            );
          });
        default:
          throw new ControlError("unknown-upstream", `no upstream is called "${name}"`);
      }
    },
    checkConfig: (text) => {
      const problems = problemsOf(text);
      if (problems.length > 0) return { problems, warnings: [] };
      return {
        problems: [],
        warnings: [],
        config: {
          upstreams: {
            production: {
              password: { text: "hunter2" },
              passphrase: { file: "/run/pw" },
              known_hosts_file: ["/a"],
            },
          },
          log: { level: "info" },
        },
      };
    },
    reload: async () => {
      if (host.failReload !== undefined) throw host.failReload;
      host.reloads++;
      return { warnings: [] };
    },
    connect: async () => {
      if (host.failConnect !== undefined) {
        const { code, message } = host.failConnect;
        host.connection = { state: "off", error: { code, message } };
        throw host.failConnect;
      }
      host.connection = { state: "connected", since: 1_700_000_000_000 };
    },
    disconnect: async () => {
      host.connection = { state: "off" };
    },
    setLogLevel: (level) => {
      host.logLevel = level;
      logger.setLevel(level);
    },
    numbers: () => metrics.snapshot(),
    helper: async () => ({ state: "absent", expected: "1.2.3", message: "there is none" }),
    history: async () => ({ stepMs: 10_000, series: [] }),
  };
  return host;
}
