/**
 * The configuration as the engine uses it: checked, defaults filled in, `~` and `${ENV}` expanded. Keys are those of the
 * file (snake_case), so that one name runs from the file to the code. The schema in schema.ts produces this type.
 */
export interface Config {
  readonly listen: ListenConfig;
  readonly upstreams: Readonly<Record<string, UpstreamConfig>>;
  readonly routes: readonly RouteConfig[];
  /** An upstream's name, `direct` or `block`. Default: direct. */
  readonly default: string;
  readonly tun: TunConfig;
  readonly relays: Readonly<Record<string, RelayConfig>>;
  readonly shares: Readonly<Record<string, ShareConfig>>;
  readonly limits: Limits;
  readonly log: { readonly level: LogLevel; readonly format: "json" | "pretty" | "auto" };
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "silent";

export interface ListenConfig {
  readonly socks5?: ListenerConfig;
  readonly http?: ListenerConfig;
  /** Prometheus metrics, /healthz and /readyz. */
  readonly metrics?: { readonly address: string };
  /** The control WebSocket; loopback only. Default 127.0.0.1:0 (a free port, written beside the token). */
  readonly control: { readonly address: string };
}

/** In the file either `127.0.0.1:1080` or a mapping. */
export interface ListenerConfig {
  readonly address: string;
  readonly auth?: Credentials;
}

export interface Credentials {
  readonly username: string;
  readonly password: Secret;
}

/**
 * A secret as it stands in the file: literal text (after `${ENV}` expansion), a file's first line, or an entry of the
 * operating system's keychain. It is read when it is needed (secrets.ts), never logged, never sent over the control contract.
 */
export type Secret = { readonly text: string } | { readonly file: string } | { readonly keychain: string };

export type UpstreamType = "ssh" | "socks5" | "http";
export type UpstreamConfig = SshUpstreamConfig | Socks5UpstreamConfig | HttpUpstreamConfig;

interface UpstreamCommon {
  /**
   * socks5 and http: always `host:port` (the default port filled in). ssh: `host` or `host:port`; the port is absent unless
   * the file gives it, and `host` may be an alias of ~/.ssh/config. `user@` has been moved to `user`.
   */
  readonly address: string;
  /** ssh: connections. socks5 and http: warm connections kept ready. Default 1. */
  readonly pool_size: number;
  readonly strategy: "round-robin" | "least-connections";
  /** The upstream that this one is reached through. */
  readonly via?: string;
}

export interface SshUpstreamConfig extends UpstreamCommon {
  readonly type: "ssh";
  readonly user?: string;
  readonly identity_file?: readonly string[];
  readonly passphrase?: Secret;
  readonly password?: Secret;
  /** A socket path, or false for no agent. Default: $SSH_AUTH_SOCK, or IdentityAgent of ~/.ssh/config. */
  readonly agent?: string | false;
  /** Default: UserKnownHostsFile of ~/.ssh/config, else ~/.ssh/known_hosts. */
  readonly known_hosts_file?: readonly string[];
  /**
   * strict: only known keys. ask: a person is asked about a host never seen, which is refused where nobody is there.
   * accept-new: it is trusted and remembered. off: any key.
   * Default: StrictHostKeyChecking of ~/.ssh/config, else ask where somebody is there, and accept-new otherwise.
   */
  readonly host_key_check?: "strict" | "ask" | "accept-new" | "off";
  /** Take values not given here from ~/.ssh/config. Default true. */
  readonly ssh_config: boolean;
  readonly ssh_config_file: string;
  /**
   * Seconds between keepalives; the peer is dead after keepalive_count_max without an answer.
   * Defaults: ServerAliveInterval and ServerAliveCountMax of ~/.ssh/config, else 5 and 3.
   */
  readonly keepalive_interval?: number;
  readonly keepalive_count_max?: number;
}

export interface Socks5UpstreamConfig extends UpstreamCommon {
  readonly type: "socks5";
  readonly auth?: Credentials;
  /** Use UDP ASSOCIATE. Default true. */
  readonly udp: boolean;
}

export interface HttpUpstreamConfig extends UpstreamCommon {
  readonly type: "http";
  readonly auth?: Credentials;
  /** TLS to the proxy. Default false. */
  readonly tls: boolean;
  /** PEM file of further authorities to trust. */
  readonly tls_ca_file?: string;
  /** Name to verify in the proxy's certificate. Default: the host of `address`. */
  readonly tls_server_name?: string;
}

export interface RouteConfig {
  /** A CIDR, an address, a name, `*.suffix`, each with an optional `:port` or `:low-high`; `*` matches all. */
  readonly match: string;
  readonly to: string;
}

/** The device that captures this machine's own traffic. */
export interface TunConfig {
  readonly enabled: boolean;
  /** What the device captures; not empty where it is enabled, unless for fake addresses alone. */
  readonly cidrs: readonly string[];
  /** Taken out of `cidrs`. */
  readonly exclude: readonly string[];
  /** Largest packet on the device, in bytes. */
  readonly mtu: number;
  /** Answer echo requests (ICMP) for hosts that are there at the far end of their route. */
  readonly ping: boolean;
  /** The kill switch: what is captured reaches nothing unless through an upstream, also when the engine is gone. */
  readonly block_when_disconnected: boolean;
  /**
   * off: DNS is traffic like any other. hijack: questions to captured addresses are answered by asking that server the way
   * it is routed. fake-ip: names that routes mention get addresses that stand for them, and are resolved at the far end.
   * Default off.
   */
  readonly dns: TunDnsMode;
}

export type TunDnsMode = "off" | "hijack" | "fake-ip";

/** A Showoff relay that shares go through. */
export interface RelayConfig {
  /** Always `host:port`. */
  readonly address: string;
  readonly token?: Secret;
  /** Default: true, but for a relay on loopback. */
  readonly tls: boolean;
  /** PEM file of the authorities to trust in place of the usual ones. */
  readonly tls_ca_file?: string;
  /** Name to verify in the relay's certificate. Default: the host of `address`. */
  readonly tls_server_name?: string;
  /** PEM files of a certificate that says who we are, and of its key. */
  readonly tls_cert_file?: string;
  readonly tls_key_file?: string;
  /** Connections side by side. Default 1. */
  readonly links: number;
  /** Each request and TCP connection has one of its own, where the relay has a data listener. Default false. */
  readonly one_connection_per_tunnel: boolean;
}

/** A local service that is public under a name or port of a relay. */
export interface ShareConfig {
  readonly kind: "http" | "tcp";
  /** The local service, always `host:port`. */
  readonly target: string;
  /** A name among `relays`; the only one, where the file gives none. */
  readonly relay: string;
  /** http: the public name wanted; without it the relay chooses one. */
  readonly name?: string;
  /** tcp: the public port wanted; without it the relay chooses one. */
  readonly port?: number;
  /** http: what the local service sees as Host, instead of the public name. */
  readonly host_header?: string;
  /** http: what the relay asks of whoever comes. */
  readonly basic_auth?: Credentials;
  /** Networks from which the relay lets people in. Without it, all. */
  readonly allow?: readonly string[];
  /** http: an HTML file that the relay shows while nobody is there to answer. */
  readonly offline_page?: string;
  /** http: keep the latest requests to look at and to send again. Default true. */
  readonly inspect: boolean;
  /** Default true. */
  readonly enabled: boolean;
}

/** Everything a peer can make grow or wait has a limit here. Durations are in seconds in the file (fractions allowed). */
export interface Limits {
  /** Connections per listener, flows included. */
  readonly max_connections: number;
  /** Accept to the end of the application's request. */
  readonly handshake_timeout: number;
  /** What an application may send of its request's head. A SOCKS handshake has a smaller cap by its nature. */
  readonly handshake_bytes: number;
  /** Connecting to an upstream: TCP, TLS, SSH handshake and authentication together. */
  readonly connect_timeout: number;
  /** Request to "connected", everything included. */
  readonly dial_timeout: number;
  /** A flow without a byte in either direction. 0: for ever. */
  readonly idle_timeout: number;
  /** One direction has ended and the other has been without a byte for this long. */
  readonly half_close_timeout: number;
  /** A UDP association without a datagram. */
  readonly udp_idle_timeout: number;
  /** From the signal to the end of what still runs. */
  readonly drain_timeout: number;
  /** Received and not yet read by the application, in all SSH channels of one upstream connection, in MiB. */
  readonly ssh_receive_budget: number;
}
