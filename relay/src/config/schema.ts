import { z } from "zod";
import {
  boolean,
  duration,
  host,
  hostNames,
  identityPatterns,
  labels,
  listenAddress,
  listenAddressOrOff,
  namePatterns,
  networks,
  oneOf,
  path,
  paths,
  portRanges,
  publicUrls,
  rate,
  text,
  url,
  whole,
} from "./values.ts";

/**
 * Every key of the relay, once: what it may be, its default, and what it is for. Flags (`--control-address`), variables
 * (`SHOWOFF_CONTROL_ADDRESS`) and the file (`control: { address: … }`) all derive from this; keys.ts walks over it.
 */

const help = (sentence: string) => ({ help: sentence });

const proxyProtocol = oneOf("off", "v1", "v2", "any")
  .default("off")
  .meta(help("PROXY protocol that connections begin with: off, v1, v2 or any"));

const tlsFiles = {
  tls_cert: paths
    .default([])
    .meta(help("PEM files of certificates, with their chains; several are chosen by name")),
  tls_key: paths.default([]).meta(help("PEM files of their keys, in the same order")),
};

const forClients = {
  ...tlsFiles,
  client_ca: path
    .optional()
    .meta(help("PEM file of the authorities of client certificates, which are then required")),
  proxy_protocol: proxyProtocol,
};

const jwt = z
  .strictObject({
    secret_file: path.optional().meta(help("file of the key that signs tokens (JWT with HMAC)")),
    issuer: text("a text").optional().meta(help("issuer that tokens must name (iss)")),
    audience: text("a text").optional().meta(help("audience that tokens must name (aud)")),
  })
  .prefault({});

const external = z
  .strictObject({
    url: url.optional().meta(help("authoriser that is asked by HTTP POST")),
    token_file: path.optional().meta(help("file of the bearer token that it is asked with")),
    timeout: duration().default(5).meta(help("how long it has for an answer")),
    cache_ttl: duration({ zero: true })
      .default(10)
      .meta(help("how long an answer holds before it is asked again")),
    cache_entries: whole(1, 1_000_000).default(10_000).meta(help("answers that are remembered")),
  })
  .prefault({});

const auth = z
  .strictObject({
    tokens_file: path.optional().meta(help("file of hashed tokens, read again when it changes")),
    jwt,
    external,
    certificate_names: identityPatterns
      .default([])
      .meta(
        help(
          "names for clients that show a certificate and no token; {identity} stands for the name in it. Empty: a certificate alone is not enough",
        ),
      ),
    certificate_ports: portRanges
      .default([])
      .meta(help("TCP ports for clients that show a certificate and no token")),
  })
  .prefault({});

const names = z
  .strictObject({
    policy: oneOf("reject", "replace", "balance")
      .default("reject")
      .meta(
        help("what happens when another identity asks for a name that is held: reject, replace or balance"),
      ),
    allow: namePatterns.default(["*"]).meta(help("names that may be registered at all, as patterns")),
    reserved: labels
      .default(["www", "admin", "api", "mail", "relay", "showoff"])
      .meta(help("names that nobody gets")),
    lease: duration().default(30).meta(help("how long a name is held without a heartbeat")),
    hold: duration({ zero: true }).default(5).meta(help("how long requests wait for a client that is away")),
  })
  .prefault({});

const limits = z
  .strictObject({
    max_clients: whole(1, 1_000_000).default(1_000).meta(help("clients that are connected")),
    max_clients_per_identity: whole(1, 10_000).default(16).meta(help("clients of one identity")),
    max_handshakes: whole(1, 100_000)
      .default(256)
      .meta(help("connections of clients that have not authenticated yet")),
    max_names_per_identity: whole(0, 10_000).default(32).meta(help("names of one identity")),
    max_ports_per_identity: whole(0, 10_000).default(16).meta(help("TCP ports of one identity")),
    max_connections: whole(1, 1_000_000).default(20_000).meta(help("connections on the public listeners")),
    max_connections_per_source: whole(1, 1_000_000)
      .default(1_000)
      .meta(help("public connections from one address, or from one /64 of IPv6")),
    max_tunnels: whole(1, 1_000_000).default(20_000).meta(help("requests and TCP connections under way")),
    max_tunnels_per_client: whole(1, 1_000_000).default(10_000).meta(help("those of one client")),
    max_pending_per_client: whole(1, 100_000)
      .default(1_024)
      .meta(help("of these, not yet taken up by the client")),
    max_waiting: whole(0, 100_000).default(1_024).meta(help("requests that wait for a client that is away")),
    max_sources: whole(64, 10_000_000)
      .default(65_536)
      .meta(help("source addresses whose rates are remembered")),
    head_bytes: whole(1_024, 1_048_576).default(32_768).meta(help("bytes of a request's head")),
    head_timeout: duration().default(10).meta(help("how long a request's head may take")),
    handshake_timeout: duration().default(10).meta(help("how long a client has to authenticate")),
    pending_timeout: duration().default(15).meta(help("how long a client has to take a request up")),
    response_timeout: duration({ zero: true })
      .default(120)
      .meta(help("how long a client has until the head of its answer; 0: for ever")),
    keep_alive_timeout: duration()
      .default(60)
      .meta(help("how long a public connection may wait for its next request")),
    idle_timeout: duration({ zero: true })
      .default(600)
      .meta(help("a tunnel without a byte either way; 0: for ever")),
    half_close_timeout: duration()
      .default(60)
      .meta(help("a tunnel with one side ended and the other without a byte")),
    total_timeout: duration({ zero: true }).default(0).meta(help("a tunnel in all; 0: for ever")),
    connections_per_second: rate.default(5_000).meta(help("public connections; 0: no limit")),
    connections_per_second_per_client: rate
      .default(2_000)
      .meta(help("TCP connections to one client; 0: no limit")),
    connections_per_second_per_source: rate
      .default(500)
      .meta(help("public connections from one source; 0: no limit")),
    requests_per_second: rate.default(50_000).meta(help("requests; 0: no limit")),
    requests_per_second_per_client: rate.default(20_000).meta(help("requests to one client; 0: no limit")),
    requests_per_second_per_source: rate.default(5_000).meta(help("requests from one source; 0: no limit")),
    burst: duration().default(2).meta(help("how much of a rate may come at once, as the time it stands for")),
  })
  .prefault({});

export const relaySchema = z.strictObject({
  domains: hostNames
    .default([])
    .meta(help("domains under which names are published, such as relay.example.com")),
  control: z
    .strictObject({
      address: listenAddress.default("0.0.0.0:7000").meta(help("where clients register, as HOST:PORT")),
      ...forClients,
    })
    .prefault({}),
  data: z
    .strictObject({
      address: listenAddressOrOff
        .default("0.0.0.0:7001")
        .meta(help("where clients carry tunnels on connections of their own, as HOST:PORT or off")),
      ...forClients,
    })
    .prefault({}),
  public_http: z
    .strictObject({
      address: listenAddressOrOff
        .default("0.0.0.0:8080")
        .meta(help("where the public asks by HTTP, as HOST:PORT or off")),
      proxy_protocol: proxyProtocol,
    })
    .prefault({}),
  public_https: z
    .strictObject({
      address: listenAddressOrOff
        .default("off")
        .meta(help("where the public asks by HTTPS, as HOST:PORT or off")),
      ...tlsFiles,
      proxy_protocol: proxyProtocol,
    })
    .prefault({}),
  public_urls: publicUrls
    .default([])
    .meta(
      help(
        "URLs that clients are told, where a load balancer has other ports or the TLS: https://{name}.{domain}; empty: those of the listeners",
      ),
    ),
  tcp: z
    .strictObject({
      host: host.default("0.0.0.0").meta(help("address on which TCP ports are opened")),
      ports: portRanges.default([]).meta(help("TCP ports that may be published, such as 2000-2100")),
      public_host: host
        .optional()
        .meta(help("host of TCP ports that clients are told; without it the first domain")),
      proxy_protocol: proxyProtocol,
    })
    .prefault({}),
  admin: z
    .strictObject({
      address: listenAddressOrOff
        .default("127.0.0.1:9470")
        .meta(help("health, metrics and the dashboard, as HOST:PORT or off")),
      ...tlsFiles,
      credentials_file: path.optional().meta(help("file of user:password for all of it but health")),
    })
    .prefault({}),
  auth,
  insecure_no_auth: boolean.default(false).meta(help("let every client in, under any name")),
  trusted_proxies: networks
    .default([])
    .meta(help("networks of proxies whose X-Forwarded-* and PROXY protocol are believed")),
  proxy_protocol_out: oneOf("off", "v1", "v2")
    .default("off")
    .meta(help("PROXY protocol that TCP tunnels begin with")),
  host_rewrite: text("a host, or off")
    .default("off")
    .meta(help("Host that tunnelled requests get instead of their own")),
  names,
  heartbeat_interval: duration()
    .default(5)
    .meta(help("time between heartbeats, both ways; three missed are a dead peer")),
  limits,
  log: z
    .strictObject({
      level: oneOf("trace", "debug", "info", "warn", "error", "silent")
        .default("info")
        .meta(help("how much is logged")),
      format: oneOf("json", "pretty", "auto")
        .default("json")
        .meta(help("JSON for programs, pretty for people, auto by where it goes")),
    })
    .prefault({}),
  otel_endpoint: url.optional().meta(help("OpenTelemetry collector (OTLP over HTTP) for traces")),
  profiling: boolean.default(false).meta(help("CPU and heap profiles on the admin listener")),
  drain_timeout: duration({ zero: true })
    .default(30)
    .meta(help("from SIGTERM to the end of what still runs")),
});

/** The relay's configuration, checked and complete. Durations are in seconds. */
export type RelayConfig = z.output<typeof relaySchema>;
export type LimitsConfig = RelayConfig["limits"];
