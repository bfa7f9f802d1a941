import { arch, homedir, hostname, platform, release, userInfo } from "node:os";
import { stringify } from "yaml";
import type { Config, Secret, UpstreamConfig } from "../config/config.ts";
import { parseEndpoint } from "../endpoint.ts";
import type { LogRecord } from "./contract.ts";
import { Disguise } from "./disguise.ts";
import type { ControlHost } from "./host.ts";
import { maskSecrets } from "./mask.ts";

const MAX_RECORDS = 500;

/**
 * What helps whoever looks into a problem: versions, state, configuration and log, without secrets and with other words for
 * users, hosts and addresses. It goes nowhere by itself: a person reads it, and sends it or does not.
 */
export async function writeReport(host: ControlHost): Promise<string> {
  const records = host.log.recent("trace").slice(-MAX_RECORDS);
  const status = host.status();
  const upstreams = host.upstreams();
  const config = host.config();
  const disguise = new Disguise({
    secrets: secretsOf(config),
    users: [...usersOf(config), userInfo().username],
    servers: Object.values(config.upstreams).map(({ address }) => hostOf(address)),
    hosts: [...hostsOf(config), ...records.flatMap(hostsOfRecord), hostname()],
    home: homedir(),
  });
  const section = (title: string, value: unknown): string =>
    `## ${title}\n\n${stringify(disguise.value(value), { lineWidth: 0 })}`;
  const helper = await host.helper().catch((error: unknown) => ({ message: String(error) }));
  return [
    `# Sockeye ${status.version}: report of a problem\n\nNames of users, hosts and addresses have been replaced, each by the same word wherever it stood; secrets are masked.\n`,
    section("Versions", {
      sockeye: status.version,
      node: process.versions.node,
      openssl: process.versions.openssl,
      electron: process.versions.electron,
      system: `${platform()} ${release()} ${arch()}`,
    }),
    section("Status", status),
    section("Helper", helper),
    section("Upstreams", upstreams),
    section("Configuration", maskSecrets(config)),
    `## Log, the last ${records.length} records\n\n${records.map((record) => `${lineOf(record, disguise)}\n`).join("")}`,
  ].join("\n");
}

function lineOf({ time, level, message, fields }: LogRecord, disguise: Disguise): string {
  const rest = JSON.stringify(disguise.value(fields));
  return `${new Date(time).toISOString()} ${level} ${disguise.text(message)}${rest === "{}" ? "" : ` ${rest}`}`;
}

function secretsOf({ upstreams, listen }: Config): string[] {
  const secrets = Object.values(upstreams).flatMap((upstream) =>
    upstream.type === "ssh" ? [upstream.password, upstream.passphrase] : [upstream.auth?.password],
  );
  return [...secrets, listen.socks5?.auth?.password, listen.http?.auth?.password].flatMap(
    (secret: Secret | undefined) => (secret !== undefined && "text" in secret ? [secret.text] : []),
  );
}

function usersOf({ upstreams, listen }: Config): string[] {
  const user = (upstream: UpstreamConfig) =>
    upstream.type === "ssh" ? upstream.user : upstream.auth?.username;
  const users = [
    ...Object.values(upstreams).map(user),
    listen.socks5?.auth?.username,
    listen.http?.auth?.username,
  ];
  return users.filter((name) => name !== undefined);
}

/** Names that rules are about, names of certificates, and listeners' addresses. */
function hostsOf({ routes, upstreams, listen }: Config): string[] {
  const matches = routes.map(({ match }) =>
    match
      .replace(/^\*\.?/, "")
      .replace(/:[\d-]+$/, "")
      .replace(/\/\d+$/, ""),
  );
  const certificates = Object.values(upstreams).map((upstream) =>
    upstream.type === "http" ? (upstream.tls_server_name ?? "") : "",
  );
  const listeners = [listen.socks5?.address, listen.http?.address, listen.metrics?.address];
  return [...matches, ...certificates, ...listeners.map((address) => hostOf(address ?? ""))];
}

/** A name without a dot is known by the field that it stands in. */
function hostsOfRecord({ fields }: LogRecord): string[] {
  return ["target", "source", "address", "host"].flatMap((key) => {
    const value = fields[key];
    return typeof value === "string" ? [hostOf(value)] : [];
  });
}

function hostOf(address: string): string {
  try {
    return parseEndpoint(address, 0).host;
  } catch {
    return address;
  }
}
