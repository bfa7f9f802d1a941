import { BlockList } from "node:net";
import type { Path } from "@sockeye/config-kit/problem";
import { parseEndpoint } from "@sockeye/config-kit/endpoint";
import type { RelayConfig } from "./schema.ts";

/** Something that does not fit together, between keys that are each right. */
export interface Contradiction {
  /** The keys that it is about, the one to point at first. */
  readonly paths: readonly [Path, ...Path[]];
  readonly message: string;
}

/** A dead peer is one that has missed so many heartbeats. */
export const HEARTBEATS_MISSED = 3;

/** What stands in the way of starting. */
export function contradictionsIn(config: RelayConfig): Contradiction[] {
  return [
    ...checkDomains(config),
    ...checkPublicUrls(config),
    ...checkAuthentication(config),
    ...checkTls(config),
    ...checkProxies(config),
    ...checkListeners(config),
    ...checkTimes(config),
    ...checkAdmin(config),
  ];
}

/** What works, and is perhaps not meant. */
export function doubtsAbout(config: RelayConfig): Contradiction[] {
  const doubts: Contradiction[] = [];
  for (const name of ["control", "data"] as const) {
    const { address } = config[name];
    // Without certificates of its own the data listener has those of control.
    const secure = [config[name], config.control].some(({ tls_cert }) => tls_cert.length > 0);
    if (secure || address === "off" || isLoopback(address)) continue;
    const what = name === "control" ? "tokens" : "tunnels";
    const message = `${name}: ${what} cross the network in clear without tls_cert and tls_key`;
    doubts.push({ paths: [[name, "address"]], message });
  }
  const { address, credentials_file, tls_cert } = config.admin;
  if (credentials_file !== undefined && address !== "off" && tls_cert.length === 0 && !isLoopback(address)) {
    const message = "admin: its password crosses the network in clear without tls_cert and tls_key";
    doubts.push({ paths: [["admin", "address"]], message });
  }
  const { url } = config.auth.external;
  if (url?.startsWith("http:") === true && !isLoopbackHost(new URL(url).hostname)) {
    const message = "auth.external.url: tokens are sent to the authoriser in clear; write https://";
    doubts.push({ paths: [["auth", "external", "url"]], message });
  }
  if (config.insecure_no_auth) {
    const message = "insecure_no_auth: every client that reaches this relay may publish any name";
    doubts.push({ paths: [["insecure_no_auth"]], message });
  }
  return doubts;
}

function checkDomains({ domains }: RelayConfig): Contradiction[] {
  if (domains.length > 0) return [];
  return [{ paths: [["domains"]], message: "domains must name a domain, such as relay.example.com" }];
}

function checkPublicUrls({ domains, public_urls }: RelayConfig): Contradiction[] {
  return public_urls
    .filter(({ domain }) => domain !== undefined && !domains.includes(domain))
    .map(({ domain }) => ({
      paths: [["public_urls"], ["domains"]],
      message: `public_urls: ${domain} is not among the domains, so nothing would be found there`,
    }));
}

function checkAuthentication({ auth, control, insecure_no_auth }: RelayConfig): Contradiction[] {
  const wrong: Contradiction[] = [];
  const byCertificate = auth.certificate_names.length > 0 || auth.certificate_ports.length > 0;
  const ways = [
    ["auth", "tokens_file"],
    ["auth", "jwt", "secret_file"],
    ["auth", "external", "url"],
    ["auth", "certificate_names"],
    ["auth", "certificate_ports"],
  ];
  const given = [
    auth.tokens_file !== undefined,
    auth.jwt.secret_file !== undefined,
    auth.external.url !== undefined,
    auth.certificate_names.length > 0,
    auth.certificate_ports.length > 0,
  ];
  const first = ways[given.indexOf(true)];
  if (first === undefined && !insecure_no_auth) {
    const message =
      "nobody would be asked who they are; give auth.tokens_file, auth.jwt.secret_file, auth.external.url or auth.certificate_names, or say insecure_no_auth";
    wrong.push({ paths: [["auth"], ["insecure_no_auth"], ...ways], message });
  }
  if (first !== undefined && insecure_no_auth) {
    const message = `insecure_no_auth contradicts ${first.join(".")}; leave one of them out`;
    wrong.push({ paths: [["insecure_no_auth"], first], message });
  }
  if (byCertificate && control.client_ca === undefined) {
    const message = "certificates are asked for with control.client_ca, and it is not given";
    wrong.push({
      paths: [
        ["auth", "certificate_names"],
        ["control", "client_ca"],
      ],
      message,
    });
  }
  if (auth.jwt.secret_file === undefined && (auth.jwt.issuer ?? auth.jwt.audience) !== undefined) {
    const message = "auth.jwt has no secret_file, so no token is ever read";
    wrong.push({
      paths: [
        ["auth", "jwt"],
        ["auth", "jwt", "secret_file"],
      ],
      message,
    });
  }
  if (auth.external.token_file !== undefined && auth.external.url === undefined) {
    const message = "auth.external has no url, so nobody is ever asked";
    wrong.push({
      paths: [
        ["auth", "external"],
        ["auth", "external", "url"],
      ],
      message,
    });
  }
  return wrong;
}

function checkTls(config: RelayConfig): Contradiction[] {
  const wrong: Contradiction[] = [];
  for (const name of ["control", "data", "public_https", "admin"] as const) {
    const { tls_cert, tls_key } = config[name];
    if (tls_cert.length !== tls_key.length) {
      const message = `${name}: each certificate has its key; there are ${tls_cert.length} in tls_cert and ${tls_key.length} in tls_key`;
      wrong.push({
        paths: [
          [name, "tls_cert"],
          [name, "tls_key"],
        ],
        message,
      });
    }
  }
  for (const name of ["control", "data"] as const) {
    if (config[name].client_ca === undefined || config[name].tls_cert.length > 0) continue;
    const message = `${name}.client_ca asks for certificates, and there is no TLS without tls_cert and tls_key`;
    wrong.push({
      paths: [
        [name, "client_ca"],
        [name, "tls_cert"],
      ],
      message,
    });
  }
  const { address, tls_cert } = config.public_https;
  if (address !== "off" && tls_cert.length === 0) {
    const message = "public_https has no certificate; give tls_cert and tls_key";
    wrong.push({
      paths: [
        ["public_https", "address"],
        ["public_https", "tls_cert"],
      ],
      message,
    });
  }
  return wrong;
}

function checkProxies(config: RelayConfig): Contradiction[] {
  if (config.trusted_proxies.length > 0) return [];
  return (["control", "data", "public_http", "public_https", "tcp"] as const)
    .filter((name) => config[name].proxy_protocol !== "off")
    .map((name) => ({
      paths: [[name, "proxy_protocol"], ["trusted_proxies"]],
      message: `${name}.proxy_protocol would be believed from anyone; name the proxies in trusted_proxies`,
    }));
}

const listeners = ["control", "data", "public_http", "public_https", "admin"] as const;

function checkListeners(config: RelayConfig): Contradiction[] {
  const wrong: Contradiction[] = [];
  const taken = new Map<string, string>();
  for (const name of listeners) {
    const { address } = config[name];
    if (address === "off") continue;
    const { host, port } = parseEndpoint(address);
    if (port === 0) continue;
    const other = taken.get(`${host} ${port}`);
    taken.set(`${host} ${port}`, name);
    if (other !== undefined) {
      const message = `${name} and ${other} both listen on ${address}`;
      wrong.push({
        paths: [
          [name, "address"],
          [other, "address"],
        ],
        message,
      });
    }
    const range = config.tcp.ports.find(({ low, high }) => port >= low && port <= high);
    if (range !== undefined) {
      const message = `tcp.ports holds port ${port}, on which ${name} listens`;
      wrong.push({
        paths: [
          ["tcp", "ports"],
          [name, "address"],
        ],
        message,
      });
    }
  }
  return wrong;
}

function checkTimes({ names, heartbeat_interval }: RelayConfig): Contradiction[] {
  const least = HEARTBEATS_MISSED * heartbeat_interval;
  if (names.lease >= least) return [];
  const message = `names.lease (${names.lease} s) must be at least three heartbeat intervals (${least} s), or clients that are well lose their names`;
  return [{ paths: [["names", "lease"], ["heartbeat_interval"]], message }];
}

function checkAdmin({ admin, profiling }: RelayConfig): Contradiction[] {
  if (!profiling || admin.credentials_file !== undefined) return [];
  const message = "profiling shows the relay from within; it needs admin.credentials_file";
  return [{ paths: [["profiling"], ["admin", "credentials_file"]], message }];
}

function isLoopback(address: string): boolean {
  return isLoopbackHost(parseEndpoint(address).host);
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "");
  return bare === "localhost" || loopback.check(bare, bare.includes(":") ? "ipv6" : "ipv4");
}
