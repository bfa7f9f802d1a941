import type {
  HttpUpstreamConfig,
  Limits,
  Secret,
  Socks5UpstreamConfig,
} from "../../engine/src/config/config.ts";
import type { Dialer } from "../../engine/src/upstream/dialer.ts";
import { createDirectUpstream } from "../../engine/src/upstream/direct-upstream.ts";
import { createHttpUpstream } from "../../engine/src/upstream/http.ts";
import { createSocks5Upstream } from "../../engine/src/upstream/socks5.ts";
import type { Upstream, UpstreamEvents, UpstreamLog } from "../../engine/src/upstream/upstream.ts";

/** Where a proxy listens, and the credentials it wants, as the peers' start functions return them. */
export interface ProxyPeer {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
}

/** What happened to an upstream, as lines. */
export interface RecordedEvents extends UpstreamEvents {
  readonly lines: string[];
}

export function recordEvents(): RecordedEvents {
  const lines: string[] = [];
  return {
    lines,
    onStateChange: (_name, connected) => lines.push(connected ? "connected" : "failing"),
    onReconnect: () => lines.push("reconnect"),
  };
}

export interface RecordedLog extends UpstreamLog {
  /** The level and the sentence. */
  readonly lines: string[];
  readonly fields: Readonly<Record<string, unknown>>[];
  /** The lines of one level. */
  of(level: "info" | "warn"): string[];
}

/** Keeps what an upstream logs. */
export function recordLog(): RecordedLog {
  const lines: string[] = [];
  const fields: Readonly<Record<string, unknown>>[] = [];
  const take = (level: string) => (given: Readonly<Record<string, unknown>>, message: string) => {
    lines.push(`${level} ${message}`);
    fields.push(given);
  };
  const of = (level: string) => lines.filter((line) => line.startsWith(level));
  return { lines, fields, of, debug: take("debug"), info: take("info"), warn: take("warn") };
}

const limits: Limits = {
  max_connections: 1000,
  handshake_timeout: 5,
  handshake_bytes: 32_768,
  connect_timeout: 5,
  dial_timeout: 5,
  idle_timeout: 0,
  half_close_timeout: 60,
  udp_idle_timeout: 60,
  drain_timeout: 5,
  ssh_receive_budget: 64,
};

interface TestUpstreamOptions<Config> {
  readonly name?: string;
  readonly log?: UpstreamLog;
  readonly via?: Dialer;
  readonly events?: UpstreamEvents;
  readonly limits?: Partial<Limits>;
  readonly config?: Partial<Config>;
  readonly readSecret?: (secret: Secret) => Promise<string>;
}

function common<Config>(options: TestUpstreamOptions<Config>) {
  return {
    limits: { ...limits, ...options.limits },
    via: options.via ?? createDirectUpstream(),
    events: options.events ?? recordEvents(),
    readSecret: options.readSecret ?? (async (secret: Secret) => ("text" in secret ? secret.text : "")),
    log: options.log ?? { debug() {}, info() {}, warn() {} },
  };
}

function configOf(peer: ProxyPeer) {
  return {
    address: `${peer.host}:${peer.port}`,
    pool_size: 1,
    strategy: "round-robin",
    ...(peer.username !== undefined && {
      auth: { username: peer.username, password: { text: peer.password ?? "" } },
    }),
  } as const;
}

/** The engine's SOCKS5 upstream for a proxy that a test started. */
export function socks5To(peer: ProxyPeer, options: TestUpstreamOptions<Socks5UpstreamConfig> = {}): Upstream {
  const config = { type: "socks5", udp: true, ...configOf(peer), ...options.config } as const;
  return createSocks5Upstream({ name: options.name ?? "socks", config, ...common(options) });
}

/** The engine's HTTP upstream for a proxy that a test started. */
export function httpTo(peer: ProxyPeer, options: TestUpstreamOptions<HttpUpstreamConfig> = {}): Upstream {
  const config = { type: "http", tls: false, ...configOf(peer), ...options.config } as const;
  return createHttpUpstream({ name: options.name ?? "web", config, ...common(options) });
}
