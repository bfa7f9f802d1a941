import { value } from "@sockeye/config-kit/value";
import { z } from "zod";
import { isHost, parseEndpoint } from "../endpoint.ts";
import { parseNetwork, parsePattern } from "../router/pattern.ts";
import { defaultPorts } from "./defaults.ts";
import {
  auth,
  boolean,
  connectTo,
  oneOf,
  optional,
  path,
  readNumber,
  rejectUrl,
  secret,
  text,
  whole,
} from "./schema-values.ts";
import { relaySchema, shareSchema } from "./share-schema.ts";

/**
 * The file's schema: its keys, and what each value may be. Its output is a FileConfig, whose values are checked and
 * converted (durations in seconds, lists where one value stood) and whose gaps are still gaps; build.ts fills them.
 *
 * An issue's message is one of two kinds: what the value must be ("a whole number from 1 to 64"), completed by
 * sentences.ts; or, with `params.sentence`, a sentence of its own.
 */

/** Longer ones do not fit the timers of Node, which count milliseconds in 31 bits. */
const MAX_SECONDS = 2_000_000;
const secondsIn = { ms: 0.001, s: 1, m: 60, h: 3600 } as const;

/** Seconds, from a number of them or from `500ms`, `10s`, `2m`, `1h`. */
function duration(options: { zero?: boolean } = {}) {
  const limit = `${options.zero === true ? "from 0" : "above 0"} to ${MAX_SECONDS}`;
  return value(`seconds (${limit}) or a duration such as 500ms, 10s or 2m`, (input) => {
    const match = typeof input === "string" ? /^(\d+(?:\.\d+)?) ?(ms|s|m|h)$/.exec(input) : null;
    const unit = match?.[2] as keyof typeof secondsIn | undefined;
    const seconds = unit === undefined ? readNumber(input) : Number(match?.[1]) * secondsIn[unit];
    if (seconds === undefined || seconds > MAX_SECONDS) return undefined;
    return seconds > 0 || (options.zero === true && seconds === 0) ? seconds : undefined;
  });
}

const paths = value("a path or a list of paths", (input) => {
  const list: unknown[] = Array.isArray(input) ? input : [input];
  const isPath = (item: unknown) => typeof item === "string" && item !== "" && !item.includes("\0");
  return list.length > 0 && list.every(isPath) ? (list as string[]) : undefined;
});

const listenAddress = value("host:port, such as 127.0.0.1:1080", (input) => {
  if (typeof input !== "string") return undefined;
  if (/^:\d+$/.test(input)) {
    throw new SyntaxError(
      `"${input}" has no host; write 127.0.0.1${input} for this machine, or 0.0.0.0${input} for every interface`,
    );
  }
  rejectUrl(input);
  if (input.includes("@")) {
    throw new SyntaxError("a listener's address holds no user; write auth: { username: …, password: … }");
  }
  parseEndpoint(input);
  return input;
});

/** `host`, `host:port`, `user@host:port`; the host may be an alias of ~/.ssh/config. */
const sshAddress = value("host, host:port or user@host:port", (input) => {
  if (typeof input !== "string" || input === "") return undefined;
  rejectUrl(input);
  const at = input.lastIndexOf("@");
  if (at === 0) throw new SyntaxError("there is no user before the @");
  if (at > 0 && input.slice(0, at).includes(":")) {
    throw new SyntaxError("a password does not belong in address; write password: or password_file:");
  }
  if (parseEndpoint(input.slice(at + 1), 22).port === 0) {
    throw new SyntaxError("port 0 can't be connected to; a port is a number from 1 to 65535");
  }
  return input;
});

const common = {
  pool_size: optional(whole(1, 64)),
  strategy: optional(oneOf("round-robin", "least-connections")),
  via: optional(text("the name of an upstream")),
};

const ssh = z.strictObject({
  type: z.literal("ssh"),
  address: sshAddress,
  user: optional(text("a user name")),
  identity_file: optional(paths),
  passphrase: optional(secret),
  passphrase_file: optional(path),
  password: optional(secret),
  password_file: optional(path),
  agent: optional(
    value("the path of a socket, or false", (input) =>
      typeof input === "string" && input !== ""
        ? input === "false"
          ? false
          : input
        : input === false
          ? input
          : undefined,
    ),
  ),
  known_hosts_file: optional(paths),
  host_key_check: optional(oneOf("strict", "ask", "accept-new", "off")),
  ssh_config: optional(boolean),
  ssh_config_file: optional(path),
  keepalive_interval: optional(duration()),
  keepalive_count_max: optional(whole(1, 100)),
  ...common,
});

const socks5 = z.strictObject({
  type: z.literal("socks5"),
  address: connectTo(defaultPorts.socks5),
  auth: optional(auth),
  udp: optional(boolean),
  ...common,
});

const http = z.strictObject({
  type: z.literal("http"),
  address: connectTo(defaultPorts.http),
  auth: optional(auth),
  tls: optional(boolean),
  tls_ca_file: optional(path),
  tls_server_name: optional(text("a host name", isHost)),
  ...common,
});

const upstream = z.preprocess(
  (input) =>
    typeof input === "object" && input !== null && !Array.isArray(input) && !("type" in input)
      ? { type: "ssh", ...input }
      : input,
  z.discriminatedUnion("type", [ssh, socks5, http]),
);

/** For an upstream whose type is none: what is wrong in it whatever type was meant. */
export const upstreamOfNoType = z.strictObject({
  ...http.shape,
  ...socks5.shape,
  ...ssh.shape,
  type: z.unknown(),
});

const listenerMapping = z.strictObject({ address: listenAddress, auth: optional(auth) });

/** `127.0.0.1:1080`, or a mapping. */
const listener = z.preprocess(
  (input) => (typeof input === "object" && input !== null ? input : { address: input }),
  listenerMapping,
);

const listen = z.strictObject({
  socks5: optional(listener),
  http: optional(listener),
  metrics: optional(listenAddress),
  control: optional(listenAddress),
});

const route = z.strictObject({
  match: value('a network, an address or a name, such as 10.0.0.0/8 or "*.example.com"', (input) => {
    if (typeof input !== "string" || input === "") return undefined;
    parsePattern(input);
    return input;
  }),
  to: text("the name of an upstream, direct or block"),
});

const networks = z.array(
  value("a network, such as 10.0.0.0/8", (input) => {
    if (typeof input !== "string" || input === "") return undefined;
    parseNetwork(input);
    return input;
  }),
);

const tun = z.strictObject({
  enabled: optional(boolean),
  cidrs: optional(networks),
  exclude: optional(networks),
  mtu: optional(whole(1280, 65_535)),
  block_when_disconnected: optional(boolean),
  ping: optional(boolean),
  dns: optional(oneOf("off", "hijack", "fake-ip")),
});

const limits = z.strictObject({
  max_connections: optional(whole(1, 1_000_000)),
  handshake_timeout: optional(duration()),
  handshake_bytes: optional(whole(1024, 1_048_576)),
  connect_timeout: optional(duration()),
  dial_timeout: optional(duration()),
  idle_timeout: optional(duration({ zero: true })),
  half_close_timeout: optional(duration()),
  udp_idle_timeout: optional(duration()),
  drain_timeout: optional(duration({ zero: true })),
  ssh_receive_budget: optional(whole(1, 65_536)),
});

const log = z.strictObject({
  level: optional(oneOf("trace", "debug", "info", "warn", "error", "silent")),
  format: optional(oneOf("auto", "json", "pretty")),
});

export const fileSchema = z.strictObject({
  listen: optional(listen),
  upstreams: optional(z.record(z.string(), upstream)),
  routes: optional(z.array(route)),
  default: optional(text("the name of an upstream, direct or block")),
  tun: optional(tun),
  relays: optional(z.record(z.string(), relaySchema)),
  shares: optional(z.record(z.string(), shareSchema)),
  limits: optional(limits),
  log: optional(log),
});

export type FileConfig = z.output<typeof fileSchema>;
export type FileUpstream = z.output<typeof upstream>;
export type FileAuth = z.output<typeof auth>;

/** The keys of each mapping of the file, for suggestions and for the test of the reference. */
export const keysOf = {
  file: Object.keys(fileSchema.shape),
  listen: Object.keys(listen.shape),
  listener: Object.keys(listenerMapping.shape),
  auth: Object.keys(auth.shape),
  upstream: {
    ssh: Object.keys(ssh.shape),
    socks5: Object.keys(socks5.shape),
    http: Object.keys(http.shape),
  },
  route: Object.keys(route.shape),
  tun: Object.keys(tun.shape),
  relay: Object.keys(relaySchema.shape),
  share: Object.keys(shareSchema.shape),
  limits: Object.keys(limits.shape),
  log: Object.keys(log.shape),
} as const;
