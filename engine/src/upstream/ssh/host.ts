/** Where an SSH server is and how to get in: Sockeye's own configuration first, then ~/.ssh/config, then defaults. */
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import type { Secret, SshUpstreamConfig } from "../../config/config.ts";
import { parseEndpoint, type Endpoint } from "../../endpoint.ts";
import { DialError } from "../../errors.ts";
import type { HostKeyMode } from "./host-keys.ts";
import { noSettings, readSshConfig, type HostSettings } from "./ssh-config.ts";

/** One SSH server, with every value decided. */
export interface SshHost {
  /** As the person wrote it: an alias, or the host itself. */
  readonly alias: string;
  readonly server: Endpoint;
  readonly user: string;
  readonly identityFiles: readonly string[];
  /** False where `identityFiles` are but the usual names, of which none need exist. */
  readonly identitiesChosen: boolean;
  readonly identitiesOnly: boolean;
  readonly agent: string | undefined;
  readonly password: Secret | undefined;
  readonly passphrase: Secret | undefined;
  readonly proxy: HostSettings["proxy"];
  readonly knownHostsFiles: readonly string[];
  readonly hostKeyAlias: string | undefined;
  /** Absent where nobody has chosen one. */
  readonly hostKeyMode: HostKeyMode | undefined;
  readonly keepaliveIntervalMs: number;
  readonly keepaliveCountMax: number;
  readonly connectTimeoutMs: number;
}

const globalKnownHosts = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];
const usualIdentities = ["id_ed25519", "id_ecdsa", "id_rsa"];

/**
 * The server that an upstream names. A `via` in the configuration says how to reach it, so ProxyJump and
 * ProxyCommand do not.
 * @param connectTimeout seconds, from the limits; ssh_config's ConnectTimeout can only shorten it.
 * @throws {DialError} where ~/.ssh/config is broken.
 */
export async function resolveHost(config: SshUpstreamConfig, connectTimeout: number): Promise<SshHost> {
  const address = parseEndpoint(config.address, 0);
  const settings = await settingsOf(config, address, config.user);
  const proxy = config.via === undefined ? settings.proxy : undefined;
  return {
    ...decide({ config, settings, address, connectTimeout }),
    user: config.user ?? settings.user ?? userInfo().username,
    ...identities(config.identity_file ?? [], settings.identityFiles),
    password: config.password,
    passphrase: config.passphrase,
    proxy,
  };
}

/**
 * A hop of ProxyJump, `[user@]host[:port]` or an ssh:// URI: its own section of ~/.ssh/config counts, and what
 * the upstream's configuration says of agent, host keys and keepalives. The upstream's user, keys and passwords are not
 * shown to it.
 */
export async function resolveHop(
  hop: string,
  config: SshUpstreamConfig,
  connectTimeout: number,
): Promise<SshHost> {
  const text = hop.replace(/^ssh:\/\//i, "").replace(/\/$/, "");
  const at = text.lastIndexOf("@");
  const user = at === -1 ? undefined : text.slice(0, at);
  let address: Endpoint;
  try {
    address = parseEndpoint(text.slice(at + 1), 0);
  } catch (error) {
    const reason = (error as Error).message;
    throw new DialError("unsupported", `ProxyJump ${hop}: ${reason}`, { scope: "upstream", cause: error });
  }
  const settings = await settingsOf(config, address, user);
  return {
    ...decide({ config, settings, address, connectTimeout }),
    user: user ?? settings.user ?? userInfo().username,
    ...identities([], settings.identityFiles),
    password: undefined,
    passphrase: undefined,
    proxy: settings.proxy,
  };
}

async function settingsOf(
  config: SshUpstreamConfig,
  address: Endpoint,
  user?: string,
): Promise<HostSettings> {
  if (!config.ssh_config) return noSettings;
  const decided = { user, port: address.port === 0 ? undefined : address.port };
  return await readSshConfig(config.ssh_config_file, address.host, decided);
}

interface Sources {
  readonly config: SshUpstreamConfig;
  readonly settings: HostSettings;
  /** Port 0 where none was given. */
  readonly address: Endpoint;
  readonly connectTimeout: number;
}

/** What is decided alike for an upstream's server and for the hops before it. */
function decide({ config, settings, address, connectTimeout }: Sources) {
  const agent = config.agent ?? settings.identityAgent ?? process.env["SSH_AUTH_SOCK"];
  const userFiles = config.known_hosts_file ?? settings.userKnownHostsFiles ?? defaultKnownHosts();
  const seconds = Math.min(settings.connectTimeout || connectTimeout, connectTimeout);
  return {
    alias: address.host,
    server: {
      host: settings.hostName ?? address.host,
      port: address.port || (settings.port ?? 22),
    },
    identitiesOnly: settings.identitiesOnly,
    agent: agent === false || agent === "" ? undefined : agent,
    knownHostsFiles: [...userFiles, ...(settings.globalKnownHostsFiles ?? globalKnownHosts)],
    hostKeyAlias: settings.hostKeyAlias,
    hostKeyMode: config.host_key_check ?? settings.strictHostKeyChecking,
    // ssh_config's 0 turns keepalives off; ours stay on, for a dead peer must be noticed.
    keepaliveIntervalMs: 1000 * (config.keepalive_interval ?? (settings.serverAliveInterval || 5)),
    keepaliveCountMax: config.keepalive_count_max ?? settings.serverAliveCountMax ?? 3,
    connectTimeoutMs: 1000 * seconds,
  };
}

function identities(own: readonly string[], fromSshConfig: readonly string[]) {
  const chosen = [...new Set([...own, ...fromSshConfig])];
  const usual = usualIdentities.map((name) => join(homedir(), ".ssh", name));
  return { identityFiles: chosen.length > 0 ? chosen : usual, identitiesChosen: chosen.length > 0 };
}

function defaultKnownHosts(): string[] {
  return ["known_hosts", "known_hosts2"].map((name) => join(homedir(), ".ssh", name));
}
