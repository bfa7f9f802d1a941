import { resolve } from "node:path";
import { formatEndpoint, parseEndpoint } from "../endpoint.ts";
import type {
  Config,
  Credentials,
  ListenerConfig,
  RelayConfig,
  Secret,
  ShareConfig,
  SshUpstreamConfig,
  UpstreamConfig,
} from "./config.ts";
import {
  defaultControlAddress,
  defaultLimits,
  defaultTun,
  defaultPorts,
  defaultSshConfigFile,
} from "./defaults.ts";
import { isLoopback } from "./listeners.ts";
import type { FileRelay, FileShare } from "./share-schema.ts";
import type { FileAuth, FileConfig, FileUpstream } from "./schema.ts";

/** Where paths in the file begin. */
export interface Places {
  /** `~`. */
  readonly home: string;
  /** The directory of relative paths; without it they stay relative. */
  readonly directory: string | undefined;
}

/** A checked file as the engine uses it: defaults, ports and paths filled in. */
export function buildConfig(file: FileConfig, places: Places): Config {
  const build = new Builder(places);
  const { socks5, http, metrics, control = defaultControlAddress } = file.listen ?? {};
  // Without a prototype, so that no name of a route means anything that the file does not say.
  const upstreams = Object.create(null) as Record<string, UpstreamConfig>;
  for (const [name, upstream] of Object.entries(file.upstreams ?? {}))
    upstreams[name] = build.upstream(upstream);
  const relays = Object.create(null) as Record<string, RelayConfig>;
  for (const [name, relay] of Object.entries(file.relays ?? {})) relays[name] = build.relay(relay);
  const shares = Object.create(null) as Record<string, ShareConfig>;
  // Where there is more than one relay, references.ts sees to it that each share names its own.
  const [onlyRelay = ""] = Object.keys(relays);
  for (const [name, share] of Object.entries(file.shares ?? {})) shares[name] = build.share(share, onlyRelay);
  return {
    listen: {
      ...(socks5 && { socks5: build.listener(socks5) }),
      ...(http && { http: build.listener(http) }),
      ...(metrics !== undefined && { metrics: { address: metrics } }),
      control: { address: control },
    },
    upstreams,
    routes: file.routes ?? [],
    default: file.default ?? "direct",
    tun: { ...defaultTun, ...file.tun },
    relays,
    shares,
    limits: { ...defaultLimits, ...file.limits },
    log: { level: file.log?.level ?? "info", format: file.log?.format ?? "auto" },
  };
}

type FileSsh = Extract<FileUpstream, { type: "ssh" }>;

class Builder {
  readonly #places: Places;

  constructor(places: Places) {
    this.#places = places;
  }

  listener({ address, auth }: { address: string; auth?: FileAuth }): ListenerConfig {
    return { address, ...(auth && { auth: this.#credentials(auth) }) };
  }

  upstream(file: FileUpstream): UpstreamConfig {
    switch (file.type) {
      case "ssh":
        return this.#ssh(file);
      case "socks5": {
        const { auth, ...rest } = file;
        return {
          udp: true,
          ...commonDefaults,
          ...rest,
          address: formatEndpoint(parseEndpoint(file.address, defaultPorts.socks5)),
          ...(auth && { auth: this.#credentials(auth) }),
        };
      }
      case "http": {
        const { auth, tls_ca_file, tls = false, ...rest } = file;
        const port = tls ? defaultPorts.httpWithTls : defaultPorts.http;
        return {
          ...commonDefaults,
          ...rest,
          tls,
          address: formatEndpoint(parseEndpoint(file.address, port)),
          ...(auth && { auth: this.#credentials(auth) }),
          ...(tls_ca_file !== undefined && { tls_ca_file: this.#path(tls_ca_file) }),
        };
      }
    }
  }

  #ssh(file: FileSsh): SshUpstreamConfig {
    const { password, password_file, passphrase, passphrase_file, identity_file, agent, ...others } = file;
    const { known_hosts_file, ...rest } = others;
    const at = file.address.lastIndexOf("@");
    return {
      ssh_config: true,
      ...commonDefaults,
      ...rest,
      address: file.address.slice(at + 1),
      ...(at > 0 && { user: file.address.slice(0, at) }),
      ...(identity_file && { identity_file: identity_file.map((path) => this.#path(path)) }),
      ...(agent !== undefined && { agent: agent === false ? false : this.#inHome(agent) }),
      ...((password ?? password_file) && { password: this.#secret(password, password_file) }),
      ...((passphrase ?? passphrase_file) && { passphrase: this.#secret(passphrase, passphrase_file) }),
      ...(known_hosts_file && { known_hosts_file: known_hosts_file.map((path) => this.#path(path)) }),
      ssh_config_file: this.#path(file.ssh_config_file ?? defaultSshConfigFile),
    };
  }

  relay(file: FileRelay): RelayConfig {
    const { token, token_file, tls_ca_file, tls_cert_file, tls_key_file, ...rest } = file;
    const { host, port } = parseEndpoint(file.address, defaultPorts.relay);
    return {
      tls: tls_ca_file !== undefined || tls_cert_file !== undefined || !isLoopback(host),
      links: 1,
      one_connection_per_tunnel: false,
      ...rest,
      address: formatEndpoint({ host, port }),
      ...((token ?? token_file) && { token: this.#secret(token, token_file) }),
      ...(tls_ca_file !== undefined && { tls_ca_file: this.#path(tls_ca_file) }),
      ...(tls_cert_file !== undefined && { tls_cert_file: this.#path(tls_cert_file) }),
      ...(tls_key_file !== undefined && { tls_key_file: this.#path(tls_key_file) }),
    };
  }

  share(file: FileShare, onlyRelay: string): ShareConfig {
    const { basic_auth, offline_page, ...rest } = file;
    return {
      kind: "http",
      relay: onlyRelay,
      inspect: true,
      enabled: true,
      ...rest,
      ...(basic_auth && { basic_auth: this.#credentials(basic_auth) }),
      ...(offline_page !== undefined && { offline_page: this.#path(offline_page) }),
    };
  }

  #credentials({ username, password, password_file }: FileAuth): Credentials {
    return { username, password: this.#secret(password, password_file) };
  }

  /** One of the two is given; references.ts sees to it. */
  #secret(inline: Secret | undefined, file: string | undefined): Secret {
    return inline ?? { file: this.#path(file!) };
  }

  #path(path: string): string {
    return placePath(path, this.#places);
  }

  /** `~` alone is expanded: an agent may be the name of a pipe. */
  #inHome(path: string): string {
    return inHome(path, this.#places);
  }
}

/** A path as the file has it, at its place in the file system. */
export function placePath(path: string, places: Places): string {
  const absolute = inHome(path, places);
  return places.directory === undefined ? absolute : resolve(places.directory, absolute);
}

function inHome(path: string, { home }: Places): string {
  return path === "~" || /^~[/\\]/.test(path) ? resolve(home, path.slice(2)) : path;
}

const commonDefaults = { pool_size: 1, strategy: "round-robin" } as const;
