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
    hosts: [
      ...hostsOf(config),
      ...hostsOfShares(config),
      ...[...host.shares.list()].flatMap(({ live }) => (live?.addresses ?? []).flatMap(hostsOfAddress)),
      ...records.flatMap(hostsOfRecord),
      hostname(),
    ],
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

function secretsOf({ upstreams, listen, relays, shares }: Config): string[] {
  const secrets = Object.values(upstreams).flatMap((upstream) =>
    upstream.type === "ssh" ? [upstream.password, upstream.passphrase] : [upstream.auth?.password],
  );
  const others = [
    listen.socks5?.auth?.password,
    listen.http?.auth?.password,
    ...Object.values(relays).map(({ token }) => token),
    ...Object.values(shares).map(({ basic_auth }) => basic_auth?.password),
  ];
  return [...secrets, ...others].flatMap((secret: Secret | undefined) =>
    secret !== undefined && "text" in secret ? [secret.text] : [],
  );
}

function usersOf({ upstreams, listen, shares }: Config): string[] {
  const user = (upstream: UpstreamConfig) =>
    upstream.type === "ssh" ? upstream.user : upstream.auth?.username;
  const users = [
    ...Object.values(upstreams).map(user),
    listen.socks5?.auth?.username,
    listen.http?.auth?.username,
    ...Object.values(shares).map(({ basic_auth }) => basic_auth?.username),
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

/** Relays, what is shared through them, and under which names. */
function hostsOfShares({ relays, shares }: Config): string[] {
  return [
    ...Object.values(relays).flatMap(({ address, tls_server_name = "" }) => [
      hostOf(address),
      tls_server_name,
    ]),
    ...Object.entries(shares).flatMap(([label, { target, name = "", host_header = "", allow = [] }]) => [
      label,
      name,
      hostOf(target),
      hostOf(host_header),
      ...allow.map((network) => network.replace(/\/\d+$/, "")),
    ]),
  ];
}

/** A name without a dot is known by the field that it stands in. */
function hostsOfRecord({ fields }: LogRecord): string[] {
  const hosts = ["target", "source", "address", "host"].flatMap((key) => {
    const value = fields[key];
    return typeof value === "string" ? [hostOf(value)] : [];
  });
  const { share, addresses } = fields;
  const published: unknown[] = Array.isArray(addresses) ? addresses : [];
  return [
    ...hosts,
    ...(typeof share === "string" ? [share] : []),
    ...published.flatMap((address) => (typeof address === "string" ? hostsOfAddress(address) : [])),
  ];
}

/** Of a URL under which a share is public the host, and the name before the relay's domain; of host:port the host. */
function hostsOfAddress(address: string): string[] {
  const [, rest, name] = /^https?:\/\/(([^./:]+).*)$/.exec(address) ?? [];
  return rest === undefined || name === undefined ? [hostOf(address)] : [hostOf(rest), name];
}

function hostOf(address: string): string {
  try {
    return parseEndpoint(address, 0).host;
  } catch {
    return address;
  }
}
