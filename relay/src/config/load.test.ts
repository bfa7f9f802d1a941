import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Command } from "commander";
import { valueAt } from "@sockeye/config-kit/tree";
import { relayOptions } from "./flags.ts";
import { configKeys } from "./keys.ts";
import { type RelayConfigResult, loadRelayConfig, parseRelayConfig } from "./load.ts";
import type { RelayConfig } from "./schema.ts";

/** What a relay needs at least; by variables, so that flags and files of a test may set anything. */
const enough = { SHOWOFF_DOMAINS: "relay.example.com", SHOWOFF_AUTH_TOKENS_FILE: "/etc/tokens" };

function parse(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  text?: string,
): RelayConfigResult {
  const flags = parseFlags(args);
  const file = text === undefined ? undefined : { name: "/etc/showoff/relay.yaml", text };
  return parseRelayConfig({ flags, env: { ...enough, ...env }, file, directory: "/here" });
}

/** As the command itself reads its arguments. */
function parseFlags(args: readonly string[]): Record<string, unknown> {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  for (const option of relayOptions()) command.addOption(option);
  return command.parse(args, { from: "user" }).opts();
}

function configOf(result: RelayConfigResult): RelayConfig {
  assert.ok("config" in result, "errors" in result ? JSON.stringify(result.errors, undefined, 1) : "");
  return result.config;
}

function errorsOf(result: RelayConfigResult): string[] {
  assert.ok("errors" in result, "there are no errors");
  return result.errors.map(({ place, message }) => `${place}: ${message}`);
}

/**
 * For each key a value that is not its default: as a text for flag and variable, as YAML, and what the configuration holds
 * then. `beside` is what else must be given for it to be right.
 */
interface Sample {
  readonly text: string;
  /** Default: the text. */
  readonly yaml?: string;
  /** Default: the text. */
  readonly value?: unknown;
  readonly beside?: Readonly<Record<string, string>>;
  /** Where paths of a file begin elsewhere than those of flags. */
  readonly inFile?: unknown;
}

const seconds = (text: string, value: number): Sample => ({ text, value });
const whole = (value: number): Sample => ({ text: String(value), value });
const file = (name: string, beside: Sample["beside"] = {}): Sample => ({
  text: name,
  value: `/here/${name}`,
  inFile: `/etc/showoff/${name}`,
  beside,
});
const files = (beside: Sample["beside"] = {}): Sample => ({
  text: "a.pem,b.pem",
  yaml: "[a.pem, b.pem]",
  value: ["/here/a.pem", "/here/b.pem"],
  inFile: ["/etc/showoff/a.pem", "/etc/showoff/b.pem"],
  beside,
});
const trusting = { SHOWOFF_TRUSTED_PROXIES: "10.0.0.0/8" };
const proxy: Sample = { text: "any", beside: trusting };
const ports: Sample = {
  text: "2000-2100,3000",
  yaml: "[2000-2100, 3000]",
  value: [
    { low: 2000, high: 2100 },
    { low: 3000, high: 3000 },
  ],
};
const tls = (listener: string): Readonly<Record<string, string>> => ({
  [`SHOWOFF_${listener}_TLS_CERT`]: "a.pem,b.pem",
  [`SHOWOFF_${listener}_TLS_KEY`]: "a.pem,b.pem",
});
const certificates = { ...tls("CONTROL"), SHOWOFF_CONTROL_CLIENT_CA: "ca.pem" };
const noTokens = { SHOWOFF_AUTH_TOKENS_FILE: "" };

const samples: Readonly<Record<string, Sample>> = {
  domains: {
    text: "a.example,B.example.",
    yaml: "[a.example, B.example.]",
    value: ["a.example", "b.example"],
  },
  "control.address": { text: "127.0.0.1:7100" },
  "control.tls_cert": files({ SHOWOFF_CONTROL_TLS_KEY: "x,y" }),
  "control.tls_key": files({ SHOWOFF_CONTROL_TLS_CERT: "x,y" }),
  "control.client_ca": file("ca.pem", tls("CONTROL")),
  "control.proxy_protocol": proxy,
  "data.address": { text: "[::1]:7101", yaml: '"[::1]:7101"' },
  "data.tls_cert": files({ SHOWOFF_DATA_TLS_KEY: "x,y" }),
  "data.tls_key": files({ SHOWOFF_DATA_TLS_CERT: "x,y" }),
  "data.client_ca": file("ca.pem", tls("DATA")),
  "data.proxy_protocol": { text: "v2", beside: trusting },
  "public_http.address": { text: "off" },
  "public_http.proxy_protocol": { text: "v1", beside: trusting },
  "public_https.address": { text: "0.0.0.0:443", beside: tls("PUBLIC_HTTPS") },
  "public_https.tls_cert": files({ SHOWOFF_PUBLIC_HTTPS_TLS_KEY: "x,y" }),
  "public_https.tls_key": files({ SHOWOFF_PUBLIC_HTTPS_TLS_CERT: "x,y" }),
  "public_https.proxy_protocol": proxy,
  public_urls: {
    text: "https://{name}.{domain}:443,HTTP://{name}.Relay.example.com:8000/",
    yaml: '["https://{name}.{domain}", "http://{name}.relay.example.com:8000"]',
    value: [
      { scheme: "https", domain: undefined, port: undefined },
      { scheme: "http", domain: "relay.example.com", port: 8000 },
    ],
  },
  "tcp.host": { text: "127.0.0.1" },
  "tcp.ports": ports,
  "tcp.public_host": { text: "ports.example.com" },
  "tcp.proxy_protocol": proxy,
  "admin.address": { text: "127.0.0.1:9999" },
  "admin.tls_cert": files({ SHOWOFF_ADMIN_TLS_KEY: "x,y" }),
  "admin.tls_key": files({ SHOWOFF_ADMIN_TLS_CERT: "x,y" }),
  "admin.credentials_file": file("admin"),
  "auth.tokens_file": file("tokens.yaml", noTokens),
  "auth.jwt.secret_file": file("secret"),
  "auth.jwt.issuer": { text: "https://issuer.example", beside: { SHOWOFF_AUTH_JWT_SECRET_FILE: "s" } },
  "auth.jwt.audience": { text: "showoff", beside: { SHOWOFF_AUTH_JWT_SECRET_FILE: "s" } },
  "auth.external.url": { text: "https://auth.example/ask" },
  "auth.external.token_file": file("bearer", { SHOWOFF_AUTH_EXTERNAL_URL: "https://auth.example/" }),
  "auth.external.timeout": seconds("1500ms", 1.5),
  "auth.external.cache_ttl": seconds("1m", 60),
  "auth.external.cache_entries": whole(77),
  "auth.certificate_names": {
    text: "{identity},{identity}-*",
    yaml: '["{identity}", "{identity}-*"]',
    value: ["{identity}", "{identity}-*"],
    beside: certificates,
  },
  "auth.certificate_ports": { ...ports, beside: certificates },
  insecure_no_auth: { text: "true", value: true, beside: noTokens },
  trusted_proxies: {
    text: "10.0.0.0/8,::1",
    yaml: '[10.0.0.0/8, "::1"]',
    value: [
      { address: "10.0.0.0", bits: 8, family: "ipv4" },
      { address: "::1", bits: 128, family: "ipv6" },
    ],
  },
  proxy_protocol_out: { text: "v2" },
  host_rewrite: { text: "localhost:3000" },
  "names.policy": { text: "balance" },
  "names.allow": { text: "demo-*,www", yaml: '["demo-*", www]', value: ["demo-*", "www"] },
  "names.reserved": { text: "root,Admin", yaml: "[root, Admin]", value: ["root", "admin"] },
  "names.lease": seconds("1m", 60),
  "names.hold": seconds("500ms", 0.5),
  heartbeat_interval: seconds("2s", 2),
  "limits.max_clients": whole(11),
  "limits.max_clients_per_identity": whole(12),
  "limits.max_handshakes": whole(13),
  "limits.max_names_per_identity": whole(14),
  "limits.max_ports_per_identity": whole(15),
  "limits.max_connections": whole(17),
  "limits.max_connections_per_source": whole(18),
  "limits.max_tunnels": whole(19),
  "limits.max_tunnels_per_client": whole(20),
  "limits.max_pending_per_client": whole(21),
  "limits.max_waiting": whole(22),
  "limits.max_sources": whole(1000),
  "limits.head_bytes": whole(2048),
  "limits.head_timeout": seconds("3s", 3),
  "limits.handshake_timeout": seconds("4s", 4),
  "limits.pending_timeout": seconds("5s", 5),
  "limits.response_timeout": seconds("6s", 6),
  "limits.keep_alive_timeout": seconds("7s", 7),
  "limits.idle_timeout": seconds("0", 0),
  "limits.half_close_timeout": seconds("9s", 9),
  "limits.total_timeout": seconds("1h", 3600),
  "limits.connections_per_second": whole(31),
  "limits.connections_per_second_per_client": whole(32),
  "limits.connections_per_second_per_source": whole(33),
  "limits.requests_per_second": whole(0),
  "limits.requests_per_second_per_client": { text: "0.5", value: 0.5 },
  "limits.requests_per_second_per_source": whole(36),
  "limits.burst": seconds("5s", 5),
  "log.level": { text: "debug" },
  "log.format": { text: "pretty" },
  otel_endpoint: { text: "http://127.0.0.1:4318/" },
  profiling: { text: "true", value: true, beside: { SHOWOFF_ADMIN_CREDENTIALS_FILE: "x" } },
  drain_timeout: seconds("0", 0),
};

test("every key of the schema has a sample here, and no other has", () => {
  assert.deepEqual(
    Object.keys(samples),
    configKeys.map((key) => key.path.join(".")),
  );
});

test("no two keys share a flag or a variable, and no limit or default is missing", () => {
  assert.equal(new Set(configKeys.map((key) => key.flag)).size, configKeys.length);
  assert.equal(new Set(configKeys.map((key) => key.variable)).size, configKeys.length);
  for (const key of configKeys.filter((key) => key.path[0] === "limits"))
    assert.equal(typeof key.default, "number", key.flag);
});

/** `{ limits: { burst: … } }` as YAML. */
function yamlOf(path: readonly string[], value: string): string {
  return path.map((part, depth) => `${"  ".repeat(depth)}${part}:`).join("\n") + ` ${value}\n`;
}

for (const key of configKeys) {
  const sample = samples[key.path.join(".")]!;
  const { text, yaml = text, value = text, inFile = value, beside = {} } = sample;

  test(`${key.flag} sets ${key.path.join(".")}, and so do ${key.variable} and the file`, () => {
    const env = { ...beside };
    const withoutBeside = { ...env };
    const byDefault = valueAt(configOf(parse([], { ...enough, SHOWOFF_TRUSTED_PROXIES: "" })), key.path);
    if (key.path.join(".") !== "auth.tokens_file" && key.path[0] !== "domains")
      assert.deepEqual(byDefault, key.default, "the default");
    assert.notDeepEqual(value, key.default, "a sample is no default");

    const byFlag = configOf(parse([key.flag, text], env));
    assert.deepEqual(valueAt(byFlag, key.path), value, "by flag");
    const byVariable = configOf(parse([], { ...withoutBeside, [key.variable]: text }));
    assert.deepEqual(valueAt(byVariable, key.path), value, "by variable");
    const own = key.variable in enough ? { [key.variable]: "" } : {};
    const byFile = configOf(parse([], { ...env, ...own }, yamlOf(key.path, yaml)));
    assert.deepEqual(valueAt(byFile, key.path), inFile, "by file");
  });

  test(`a wrong ${key.path.join(".")} is refused by flag, by variable and in the file, each in its own words`, () => {
    const wrong = "\0";
    const [flag] = errorsOf(parse([key.flag, wrong]));
    assert.ok(flag?.startsWith(`${key.flag}: `), flag);
    const [variable] = errorsOf(parse([], { [key.variable]: wrong }));
    assert.ok(variable?.startsWith(`${key.variable}: `), variable);
    const [inFile] = errorsOf(parse([], {}, yamlOf(key.path, '{ no: "such thing" }')));
    const column = 2 * (key.path.length - 1) + key.path.at(-1)!.length + 3;
    assert.ok(inFile?.startsWith(`/etc/showoff/relay.yaml:${key.path.length}:${column}: `), inFile);
  });
}

test("flags win over variables, and variables over the file", () => {
  const text = "limits: { head_bytes: 1111, max_tunnels: 2222, max_clients: 3333 }\n";
  const env = { SHOWOFF_LIMITS_HEAD_BYTES: "4444", SHOWOFF_LIMITS_MAX_TUNNELS: "5555" };
  const { limits } = configOf(parse(["--limits-head-bytes", "6666"], env, text));
  assert.deepEqual([limits.head_bytes, limits.max_tunnels, limits.max_clients], [6666, 5555, 3333]);
});

test("a list is replaced as a whole by whoever wins", () => {
  const { domains } = configOf(parse(["--domains", "b.example"], {}, "domains: [a.example, c.example]\n"));
  assert.deepEqual(domains, ["b.example"]);
});

test("an empty variable counts as none", () => {
  assert.equal(configOf(parse([], { SHOWOFF_LIMITS_MAX_CLIENTS: "" })).limits.max_clients, 1_000);
});

test("a switch needs no value as a flag", () => {
  assert.equal(configOf(parse(["--insecure-no-auth"], noTokens)).insecure_no_auth, true);
});

test("a mapping whose keys are all commented out is as good as none", () => {
  assert.equal(
    configOf(parse([], {}, "limits:\n  # head_bytes: 1\nauth:\n  jwt:\n")).limits.head_bytes,
    32_768,
  );
});

test("an empty file is right", () => {
  configOf(parse([], {}, ""));
});

test("nothing starts without authentication, by default or by a misspelt key", () => {
  const env = { SHOWOFF_DOMAINS: "relay.example.com" };
  const sources = { flags: {}, env, directory: "/" };
  assert.match(errorsOf(parseRelayConfig(sources)).join(), /nobody would be asked who they are/);
  const misspelt = { ...env, SHOWOFF_AUTH_TOKEN_FILE: "/etc/tokens" };
  assert.match(
    errorsOf(parseRelayConfig({ ...sources, env: misspelt })).join(),
    /SHOWOFF_AUTH_TOKEN_FILE: nothing reads this variable; did you mean SHOWOFF_AUTH_TOKENS_FILE\?/,
  );
  const text = "auth: { token_file: /etc/tokens }\n";
  assert.deepEqual(errorsOf(parseRelayConfig({ ...sources, file: { name: "r.yaml", text } })), [
    "r.yaml:1:9: token_file is not a key of auth; there is auth.external.token_file",
  ]);
});

test("insecure_no_auth beside a tokens file is a contradiction, not a choice", () => {
  assert.match(
    errorsOf(parse(["--insecure-no-auth"])).join(),
    /^--insecure-no-auth: insecure_no_auth contradicts auth.tokens_file/,
  );
});

test("every error is told at once: of the file, the variables and the flags, and between keys", () => {
  const text = [
    "control: { address: nonsense:port, tsl_cert: x }",
    "limits:",
    "  head_bytes: many",
    "  max_client: 3",
    "names: { lease: 3s }",
    "logs: {}",
    "",
  ].join("\n");
  const env = { SHOWOFF_DRAIN_TIMEOUT: "soon", SHOWOFF_LOG_LEVLE: "info" };
  assert.deepEqual(errorsOf(parse(["--tcp-ports", "9-1"], env, text)), [
    "SHOWOFF_LOG_LEVLE: nothing reads this variable; did you mean SHOWOFF_LOG_LEVEL?",
    '--tcp-ports: "9-1": the range runs backwards; write 1-9',
    'SHOWOFF_DRAIN_TIMEOUT: drain_timeout must be seconds (from 0 to 2000000) or a duration such as 500ms, 10s or 2m, not "soon"',
    '/etc/showoff/relay.yaml:1:21: "port" is not a port; a port is a number from 0 to 65535',
    "/etc/showoff/relay.yaml:1:36: tsl_cert is not a key of control; did you mean tls_cert?",
    '/etc/showoff/relay.yaml:3:15: limits.head_bytes must be a whole number from 1024 to 1048576, not "many"',
    "/etc/showoff/relay.yaml:4:3: max_client is not a key of limits; did you mean max_clients?",
    "/etc/showoff/relay.yaml:5:17: names.lease (3 s) must be at least three heartbeat intervals (15 s), or clients that are well lose their names",
    "/etc/showoff/relay.yaml:6:1: logs is not a key of the configuration; did you mean log?",
  ]);
});

test("a wrong value in the file is told also where a flag wins", () => {
  const errors = errorsOf(parse(["--limits-head-bytes", "2048"], {}, "limits: { head_bytes: x }\n"));
  assert.match(errors.join(), /^\/etc\/showoff\/relay.yaml:1:23: limits.head_bytes must be/);
});

test("the variables that Kubernetes makes for a service called showoff are nobody's mistake; a mistake like them is", () => {
  const links = {
    SHOWOFF_SERVICE_HOST: "10.96.0.17",
    SHOWOFF_SERVICE_PORT: "7000",
    SHOWOFF_SERVICE_PORT_HTTP: "8080",
    SHOWOFF_PORT: "tcp://10.96.0.17:7000",
    SHOWOFF_PORT_7000_TCP: "tcp://10.96.0.17:7000",
    SHOWOFF_PORT_7000_TCP_PROTO: "tcp",
    SHOWOFF_PORT_7000_TCP_PORT: "7000",
    SHOWOFF_PORT_7000_TCP_ADDR: "10.96.0.17",
    SHOWOFF_ADMIN_SERVICE_HOST: "10.96.0.18",
  };
  configOf(parse([], links));
  assert.match(
    errorsOf(parse([], { SHOWOFF_TCP_PORT: "2000-2100" })).join(),
    /did you mean SHOWOFF_TCP_PORTS\?/,
  );
});

const contradictions: [name: string, text: string, expected: RegExp][] = [
  ["no domain", "domains: []", /domains must name a domain/],
  [
    "a certificate without its key",
    "control: { tls_cert: a }",
    /control: each certificate has its key; there are 1 in tls_cert and 0/,
  ],
  [
    "HTTPS without a certificate",
    "public_https: { address: 0.0.0.0:443 }",
    /public_https has no certificate/,
  ],
  [
    "client certificates without TLS",
    "data: { client_ca: ca.pem }",
    /data.client_ca asks for certificates, and there is no TLS/,
  ],
  [
    "names for certificates that nobody asks for",
    'auth: { certificate_names: ["*"] }',
    /control.client_ca, and it is not given/,
  ],
  ["an issuer without a key", "auth: { jwt: { issuer: i } }", /auth.jwt has no secret_file/],
  ["a token for nobody", "auth: { external: { token_file: t } }", /auth.external has no url/],
  ["PROXY protocol from anyone", "public_http: { proxy_protocol: v2 }", /believed from anyone/],
  [
    "two listeners at one address",
    "data: { address: 0.0.0.0:7000 }",
    /data and control both listen on 0.0.0.0:7000/,
  ],
  [
    "a published port that is a listener's",
    "tcp: { ports: 6900-7000 }",
    /tcp.ports holds port 7000, on which control listens/,
  ],
  [
    "a lease shorter than three heartbeats",
    "heartbeat_interval: 11",
    /at least three heartbeat intervals \(33 s\)/,
  ],
  ["profiling for everyone", "profiling: true", /profiling shows the relay from within/],
  [
    "a public URL under no domain of the relay",
    "public_urls: 'https://{name}.example.org'",
    /example\.org is not among the domains, so nothing would be found there/,
  ],
  [
    "a public URL without a place for the name",
    "public_urls: https://relay.example.com",
    /a list of URLs with \{name\} before the domain, such as https:/,
  ],
  [
    "a password in a URL",
    "auth: { external: { url: 'https://u:p@auth.example/' } }",
    /holds no user and no password/,
  ],
];

for (const [name, text, expected] of contradictions) {
  test(`refused: ${name}`, () => {
    const own = text.startsWith("domains") ? { SHOWOFF_DOMAINS: "" } : {};
    const [error, ...more] = errorsOf(parse([], own, `${text}\n`));
    assert.match(error ?? "", expected);
    assert.match(error ?? "", /^\/etc\/showoff\/relay.yaml:1:/);
    assert.deepEqual(more, []);
  });
}

test("what crosses the network in clear is told, and starts", () => {
  const result = parse(["--control-address", "0.0.0.0:1"], {}, "data: { address: 127.0.0.1:7001 }\n");
  assert.ok("config" in result);
  assert.deepEqual(result.warnings, [
    {
      place: "--control-address",
      message: "control: tokens cross the network in clear without tls_cert and tls_key",
    },
  ]);
});

test("a value from the environment that stands in the file is quoted as the file has it", () => {
  const [error] = errorsOf(parse([], { WHAT: "s3cret-value" }, "limits: { head_bytes: '${WHAT}' }\n"));
  assert.match(error ?? "", /not "\$\{WHAT\}"$/);
  assert.match(errorsOf(parse([], {}, "host_rewrite: ${NOT_SET}\n")).join(), /NOT_SET is not set/);
});

test("a file that is no YAML is told of once, with its place, and without guesses about what it lacks", () => {
  const result = parseRelayConfig({
    flags: {},
    env: {},
    directory: "/",
    file: { name: "r.yaml", text: "domains: [a\nauth: x\n" },
  });
  const errors = errorsOf(result);
  assert.equal(errors.length, 1, errors.join("\n"));
  assert.match(errors[0]!, /^r.yaml:1:10: the \[ at 1:10 is not closed/);
});

test("the file is named by flag or by variable; what it names must be there to be read", async () => {
  const folder = await mkdtemp(join(tmpdir(), "showoff-config-"));
  try {
    await writeFile(join(folder, "tokens"), "");
    await mkdir(join(folder, "etc"));
    const path = join(folder, "etc", "relay.yaml");
    await writeFile(path, "domains: relay.example.com\nauth: { tokens_file: ../tokens }\n");
    const sources = { flags: {}, env: {}, directory: folder };
    const byFlag = await loadRelayConfig({ ...sources, flags: parseFlags(["--config", "etc/relay.yaml"]) });
    assert.equal(configOf(byFlag).auth.tokens_file, join(folder, "tokens"));
    const byVariable = await loadRelayConfig({ ...sources, env: { SHOWOFF_CONFIG: path } });
    assert.equal(configOf(byVariable).auth.tokens_file, join(folder, "tokens"));

    const gone = await loadRelayConfig({ ...sources, env: { SHOWOFF_CONFIG: join(folder, "none.yaml") } });
    assert.match(errorsOf(gone).join(), /^SHOWOFF_CONFIG: .*none.yaml can't be read: it does not exist$/);

    const env = { SHOWOFF_CONFIG: path, SHOWOFF_CONTROL_TLS_CERT: "no.pem", SHOWOFF_CONTROL_TLS_KEY: "etc" };
    assert.deepEqual(errorsOf(await loadRelayConfig({ ...sources, env })), [
      `control.tls_cert: ${join(folder, "no.pem")} can't be read: it does not exist`,
      `control.tls_key: ${join(folder, "etc")} can't be read: it is a directory`,
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("an unknown flag is refused", () => {
  assert.throws(() => parseFlags(["--control-adress", "x"]), { code: "commander.unknownOption" });
});
