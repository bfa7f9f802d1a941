import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { defaultLimits } from "./defaults.ts";
import { type ParseOptions, type ParseResult, MAX_FILE_BYTES, parseConfig } from "./load.ts";

const options: ParseOptions = {
  env: { HOST: "bastion.example.com", POOL: "3", PW: "s3cr:t#", EMPTY: "" },
  home: "/home/u",
  fileName: "/etc/sockeye/config.yaml",
};

/** Problems as `line:column sentence`. */
function lines(problems: readonly { line: number; column: number; message: string }[]): string[] {
  return problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

function configOf(result: ParseResult) {
  if ("errors" in result) assert.fail(lines(result.errors).join("\n"));
  return result.config;
}

function errorsOf(text: string): string[] {
  const result = parseConfig(text, options);
  return "errors" in result ? lines(result.errors) : [];
}

const warningsOf = (text: string) => lines(parseConfig(text, options).warnings);

test("a file of the usual shape becomes a configuration with every gap filled", () => {
  const text = `
listen:
  socks5: 127.0.0.1:1080
  http: { address: 127.0.0.1:8118, auth: { username: me, password_file: ~/pw } }
  metrics: 127.0.0.1:9464
upstreams:
  production:
    address: deploy@bastion.example.com:2222
    identity_file: ~/.ssh/id_ed25519
    pool_size: 3
    strategy: least-connections
    via: corp-proxy
  corp-proxy: { type: http, address: proxy.corp }
  tls-proxy: { type: http, address: proxy.corp, tls: true, auth: { username: u, password: { keychain: corp } } }
  external: { type: socks5, address: "[2001:db8::1]", auth: { username: user, password: pass } }
routes:
  - { match: "*.corp.internal", to: production }
  - { match: 10.0.0.0/8, to: block }
default: external
limits: { idle_timeout: 1h, dial_timeout: 500ms, connect_timeout: 2.5 }
`;
  const config = configOf(parseConfig(text, options));
  const common = { pool_size: 1, strategy: "round-robin" };
  assert.deepEqual(
    { ...config, upstreams: { ...config.upstreams } },
    {
      listen: {
        socks5: { address: "127.0.0.1:1080" },
        http: {
          address: "127.0.0.1:8118",
          auth: { username: "me", password: { file: "/home/u/pw" } },
        },
        metrics: { address: "127.0.0.1:9464" },
        control: { address: "127.0.0.1:0" },
      },
      upstreams: {
        production: {
          type: "ssh",
          address: "bastion.example.com:2222",
          user: "deploy",
          identity_file: ["/home/u/.ssh/id_ed25519"],
          ssh_config: true,
          ssh_config_file: "/home/u/.ssh/config",
          pool_size: 3,
          strategy: "least-connections",
          via: "corp-proxy",
        },
        "corp-proxy": { type: "http", address: "proxy.corp:8080", tls: false, ...common },
        "tls-proxy": {
          type: "http",
          address: "proxy.corp:443",
          tls: true,
          auth: { username: "u", password: { keychain: "corp" } },
          ...common,
        },
        external: {
          type: "socks5",
          address: "[2001:db8::1]:1080",
          udp: true,
          auth: { username: "user", password: { text: "pass" } },
          ...common,
        },
      },
      routes: [
        { match: "*.corp.internal", to: "production" },
        { match: "10.0.0.0/8", to: "block" },
      ],
      default: "external",
      tun: {
        enabled: false,
        cidrs: [],
        exclude: [],
        mtu: 1500,
        ping: false,
        block_when_disconnected: false,
        dns: "off",
      },
      relays: Object.create(null) as object,
      shares: Object.create(null) as object,
      limits: { ...defaultLimits, idle_timeout: 3600, dial_timeout: 0.5, connect_timeout: 2.5 },
      log: { level: "info", format: "auto" },
    },
  );
});

test("an empty file, one of comments alone, and empty blocks mean the defaults", () => {
  const nothing = configOf(parseConfig("", options));
  assert.deepEqual(nothing.limits, defaultLimits);
  assert.equal(nothing.default, "direct");
  for (const text of [
    "# nothing\n",
    "listen:\nupstreams:\nroutes:\n  # - { match: a, to: b }\n",
    "{}",
    "\uFEFF",
  ]) {
    assert.deepEqual(configOf(parseConfig(text, options)), nothing, text);
  }
});

test("the port of an ssh upstream is left to ~/.ssh/config unless the file gives it", () => {
  const addressOf = (address: string) => {
    const config = configOf(parseConfig(`upstreams: { a: { address: "${address}" } }`, options));
    const upstream = config.upstreams["a"]!;
    assert.ok(upstream.type === "ssh");
    return [upstream.address, upstream.user];
  };
  assert.deepEqual(addressOf("alias"), ["alias", undefined]);
  assert.deepEqual(addressOf("host:22"), ["host:22", undefined]);
  assert.deepEqual(addressOf("me@host"), ["host", "me"]);
  assert.deepEqual(addressOf("DOMAIN@me@host:2222"), ["host:2222", "DOMAIN@me"]);
  assert.deepEqual(addressOf("2001:db8::1"), ["2001:db8::1", undefined]);
  assert.deepEqual(addressOf("me@[2001:db8::1]:22"), ["[2001:db8::1]:22", "me"]);
});

test("variables are expanded in every text, and $${ is the text itself", () => {
  const text = `
upstreams:
  a:
    address: \${HOST}:22
    pool_size: \${POOL}
    password: \${PW}
    passphrase: "x$\${PW}\${EMPTY}$y"
`;
  const upstream = configOf(parseConfig(text, options)).upstreams["a"];
  assert.ok(upstream?.type === "ssh");
  assert.equal(upstream.address, "bastion.example.com:22");
  assert.equal(upstream.pool_size, 3);
  assert.deepEqual(upstream.password, { text: "s3cr:t#" });
  assert.deepEqual(upstream.passphrase, { text: "x${PW}$y" });
});

test("relative paths begin at the file's directory, and an agent's name stays as it is", () => {
  const text = `
upstreams:
  a:
    address: h
    identity_file: [keys/a, /abs/b, ~/c, ~/.d]
    password_file: pw
    agent: pageant
  b: { address: h, agent: false, known_hosts_file: ~/kh, ssh_config: false, ssh_config_file: ./sc }
`;
  const { a, b } = configOf(parseConfig(text, options)).upstreams;
  assert.ok(a?.type === "ssh" && b?.type === "ssh");
  assert.deepEqual(a.identity_file, ["/etc/sockeye/keys/a", "/abs/b", "/home/u/c", "/home/u/.d"]);
  assert.deepEqual(a.password, { file: "/etc/sockeye/pw" });
  assert.equal(a.agent, "pageant");
  assert.deepEqual(
    [b.agent, b.known_hosts_file, b.ssh_config_file],
    [false, ["/home/u/kh"], "/etc/sockeye/sc"],
  );
});

test("an alias stands for what its anchor holds", () => {
  const text = `
upstreams:
  a: &base { type: socks5, address: h }
  b: *base
`;
  const { a, b } = configOf(parseConfig(text, options)).upstreams;
  assert.deepEqual(a, b);
});

/** Text, then every error that it must give, and no other. `$` in a text begins a variable of the environment. */
const wrong: [text: string, ...errors: string[]][] = [
  // Names of keys
  ["lisen: {}", "1:1 lisen is not a key of the configuration; did you mean listen?"],
  [
    "colour: red",
    "1:1 colour is not a key of the configuration, whose keys are listen, upstreams, routes, default, tun, relays, shares, limits and log",
  ],
  [
    "upstreams:\n  a:\n    address: h\n    pool_sise: 3",
    "4:5 pool_sise is not a key of an upstream of type ssh; did you mean pool_size?",
  ],
  ["listen:\n  sock5: 127.0.0.1:1", "2:3 sock5 is not a key of listen; did you mean socks5?"],
  [
    "listen: { http: { address: 127.0.0.1:1, adress: x } }",
    "1:41 adress is not a key of a listener; did you mean address?",
  ],
  ["limits: { dial_timout: 3 }", "1:11 dial_timout is not a key of limits; did you mean dial_timeout?"],
  ["log: { levle: info }", "1:8 levle is not a key of log; did you mean level?"],
  ["tun: { cidr: [] }", "1:8 cidr is not a key of tun; did you mean cidrs?"],
  [
    "routes: [{ match: a, to: direct, port: 3 }]",
    "1:34 port is not a key of a rule, whose keys are match and to",
  ],
  [
    "upstreams: { a: { type: http, address: h, auth: { user: x, username: y, password: z } } }",
    "1:51 user is not a key of auth; did you mean username?",
  ],
  [
    "upstreams:\n  a: { type: socks5, address: h, identity_file: k }",
    "2:34 identity_file belongs to upstreams of type ssh; this one is socks5",
  ],
  [
    "upstreams:\n  a: { address: h, auth: { username: u, password: p } }",
    "2:20 auth belongs to upstreams of type socks5 or http; this one is ssh",
  ],
  [
    "upstreams: { a: { type: http, address: h, udp: true } }",
    "1:43 udp belongs to upstreams of type socks5; this one is http",
  ],
  ["log:\n  level: info\n  level: warn", "3:3 level is given twice; the first is on line 2"],
  ["? [a]\n: 1", "1:3 a key is one word followed by a colon, such as listen:"],
  // Missing and mistyped
  ["upstreams:\n  a:\n    user: me", "2:3 a has no address; write address: HOST:PORT"],
  ["upstreams:\n  a:", "2:3 a must be a mapping such as { type: ssh, address: HOST }, not nothing"],
  ["upstreams: [a]", "1:12 upstreams must be a mapping, not a list"],
  [
    "- a",
    "1:1 the configuration must be a mapping of listen, upstreams, routes, default, tun, relays, shares, limits and log, not a list",
  ],
  ["routes: { a: b }", "1:9 routes must be a list, not a mapping"],
  [
    "routes:\n  - 10.0.0.0/8",
    '2:5 rule 1 must be a mapping such as { match: 10.0.0.0/8, to: direct }, not "10.0.0.0/8"',
  ],
  ["routes:\n  - match: a", "2:5 rule 1 has no to; write to: UPSTREAM, direct or block"],
  ["routes:\n  - to: direct", "2:5 rule 1 has no match; write match: NETWORK_OR_NAME"],
  ["listen: { socks5: 1080 }", "1:19 socks5 must be host:port, such as 127.0.0.1:1080, not 1080"],
  [
    "listen: { http: { auth: { username: a, password: b } } }",
    "1:11 http has no address; write address: HOST:PORT",
  ],
  ["default: [direct]", "1:10 default must be the name of an upstream, direct or block, not a list"],
  [
    "upstreams: { a: { address: h, identity_file: [] } }",
    "1:46 identity_file must be a path or a list of paths, not a list",
  ],
  // Values
  [
    "upstreams: { a: { type: sock5, address: h } }",
    '1:25 type must be ssh, socks5 or http, not "sock5"; did you mean socks5?',
  ],
  [
    "upstreams: { a: { type: sock5, adress: h, pool_size: 0 } }",
    "1:14 a has no address; write address: HOST:PORT",
    '1:25 type must be ssh, socks5 or http, not "sock5"; did you mean socks5?',
    "1:32 adress is not a key of an upstream of any type; did you mean address?",
    "1:54 pool_size must be a whole number from 1 to 64, not 0",
  ],
  [
    "upstreams: { a: { address: h, pool_size: 0 } }",
    "1:42 pool_size must be a whole number from 1 to 64, not 0",
  ],
  [
    "upstreams: { a: { address: h, pool_size: 1.5 } }",
    "1:42 pool_size must be a whole number from 1 to 64, not 1.5",
  ],
  [
    "upstreams: { a: { address: h, strategy: random } }",
    '1:41 strategy must be round-robin or least-connections, not "random"',
  ],
  [
    "upstreams: { a: { address: h, host_key_check: no } }",
    '1:47 host_key_check must be one of strict, ask, accept-new, off, not "no"',
  ],
  ["upstreams: { a: { address: h, ssh_config: yes } }", '1:43 ssh_config must be true or false, not "yes"'],
  [
    "upstreams: { a: { address: h:99999 } }",
    '1:28 "99999" is not a port; a port is a number from 0 to 65535',
  ],
  [
    "upstreams: { a: { address: h:0 } }",
    "1:28 port 0 can't be connected to; a port is a number from 1 to 65535",
  ],
  ['upstreams: { a: { address: "h h" } }', '1:28 "h h" is neither a host name nor an address'],
  ['upstreams: { a: { address: "@h" } }', "1:28 there is no user before the @"],
  [
    "upstreams: { a: { type: http, address: http://h:80 } }",
    "1:40 an address is host:port, without a scheme such as http://",
  ],
  [
    "upstreams: { a: { type: http, address: u:p@h } }",
    "1:40 the address of a proxy holds no user; write auth: { username: …, password: … }",
  ],
  [
    "upstreams: { a: { type: http, address: 2001:db8::1:80:x } }",
    '1:40 "2001:db8::1:80:x": an IPv6 address with a port is written [ADDRESS]:PORT',
  ],
  [
    'listen: { socks5: ":1080" }',
    '1:19 ":1080" has no host; write 127.0.0.1:1080 for this machine, or 0.0.0.0:1080 for every interface',
  ],
  ["listen: { socks5: 127.0.0.1 }", '1:19 "127.0.0.1" has no port; write HOST:PORT'],
  [
    "routes: [{ match: 10.1.2.3/8, to: direct }]",
    '1:19 "10.1.2.3/8" has bits set beyond its prefix; the network is 10.0.0.0/8',
  ],
  [
    "tun: { cidrs: [10.0.0.0/8, 10.0.0.1/8] }",
    '1:28 "10.0.0.1/8" has bits set beyond its prefix; the network is 10.0.0.0/8',
  ],
  ["tun: { exclude: [3] }", "1:18 exclude[0] must be a network, such as 10.0.0.0/8, not 3"],
  [
    "tun:\n  enabled: true",
    "2:12 enabled needs cidrs that say what is captured, such as cidrs: [10.0.0.0/8], or dns: fake-ip",
  ],
  [
    `tun: { exclude: [${Array.from({ length: 1001 }, () => "10.0.0.0/24").join(", ")}] }`,
    "1:17 exclude has 1001 networks; there may be 1000: write larger ones in their place",
  ],
  ["tun: { mtu: 576 }", "1:13 mtu must be a whole number from 1280 to 65535, not 576"],
  ["tun: { dns: on }", '1:13 dns must be one of off, hijack, fake-ip, not "on"'],
  ["tun: { dns: false }", "1:13 dns must be one of off, hijack, fake-ip, not false"],
  ["tun: { enabled: 1 }", "1:17 enabled must be true or false, not 1"],
  [
    "limits: { dial_timeout: soon }",
    '1:25 dial_timeout must be seconds (above 0 to 2000000) or a duration such as 500ms, 10s or 2m, not "soon"',
  ],
  [
    "limits: { idle_timeout: -1 }",
    "1:25 idle_timeout must be seconds (from 0 to 2000000) or a duration such as 500ms, 10s or 2m, not -1",
  ],
  [
    "limits: { max_connections: many }",
    '1:28 max_connections must be a whole number from 1 to 1000000, not "many"',
  ],
  ["log: { level: loud }", '1:15 level must be one of trace, debug, info, warn, error, silent, not "loud"'],
  ["log: { format: xml }", '1:16 format must be one of auto, json, pretty, not "xml"'],
  [
    "routes: [{ match: h:0, to: direct }]",
    '1:19 "h:0": nothing connects to port 0, so this can never match; leave it out for all ports',
  ],
  [
    "upstreams: { a: { type: http, address: h, tls_ca_file: /a, tls_server_name: b } }",
    "1:43 tls_ca_file needs tls: true; without it the connection to the proxy is not encrypted",
    "1:60 tls_server_name needs tls: true; without it the connection to the proxy is not encrypted",
  ],
  // References
  [
    "upstreams: { prod: { address: h, via: prox }, proxy: { type: http, address: h } }",
    "1:39 via names prox, which is not among the upstreams; did you mean proxy?",
  ],
  [
    "upstreams: { a: { address: h, via: direct } }",
    "1:36 via names an upstream; leave it out to connect directly",
  ],
  ["upstreams: { a: { address: h, via: a } }", "1:36 via goes in a circle: a → a"],
  [
    "upstreams:\n  x: { address: h, via: a }\n  a: { address: h, via: b }\n  b: { address: h, via: a }",
    "3:25 via goes in a circle: a → b → a",
  ],
  [
    "routes: [{ match: a, to: dirct }]",
    "1:26 to names dirct, which is not among the upstreams; did you mean direct?",
  ],
  ["default: toString", "1:10 default names toString, which is not among the upstreams"],
  [
    "upstreams: { block: { address: h } }",
    "1:14 block has a meaning of its own; give the upstream another name",
  ],
  [
    'upstreams: { "a b": { address: h } }',
    "1:14 the name of an upstream is 1 to 64 letters, digits, dots, hyphens and underscores, and begins with a letter or digit",
  ],
  [
    "upstreams: { __proto__: { address: h } }",
    "1:14 the name of an upstream is 1 to 64 letters, digits, dots, hyphens and underscores, and begins with a letter or digit",
  ],
  [
    "upstreams: { a: { address: me@h, user: you } }",
    "1:40 the address names the user me, and user names you; give one of them",
  ],
  [
    "listen: { socks5: 127.0.0.1:1080, http: 0.0.0.0:1080, metrics: '[::1]:1080' }",
    "1:41 http and socks5 listen on the same address; give one of them another port",
  ],
  [
    "listen:\n  socks5: localhost:1080\n  metrics: 127.0.0.1:1080",
    "3:12 metrics and socks5 listen on the same address; give one of them another port",
  ],
  ["listen: { control: 0.0.0.0:9000 }", "1:20 control listens on this machine alone; write 127.0.0.1:9000"],
  // Secrets
  [
    "upstreams: { a: { address: u:p@h:22 } }",
    "1:28 a password does not belong in address; write password: or password_file:",
  ],
  [
    "listen: { socks5: u:p@127.0.0.1:1080 }",
    "1:19 a listener's address holds no user; write auth: { username: …, password: … }",
  ],
  [
    "upstreams: { a: { address: h, password: p, password_file: f } }",
    "1:44 give password or password_file, not both",
  ],
  [
    "upstreams: { a: { address: h, passphrase: p, passphrase_file: f } }",
    "1:46 give passphrase or passphrase_file, not both",
  ],
  [
    "listen: { socks5: { address: 127.0.0.1:1, auth: { username: u } } }",
    "1:43 auth has no password; write password or password_file",
  ],
  [
    "upstreams: { a: { address: h, password: 12345 } }",
    "1:41 a secret that looks like a number, true or false stands in quotes",
  ],
  [
    "upstreams: { a: { address: h, password: { file: x } } }",
    "1:41 password must be a text or { keychain: NAME }",
  ],
  [
    'upstreams: { a: { address: h, password: { keychain: "-x" } } }',
    "1:41 keychain is the name of an entry: up to 256 characters, the first not a hyphen",
  ],
  [
    'upstreams: { a: { type: http, address: h, auth: { username: "a:b", password: p } } }',
    "1:61 a username can hold no colon in HTTP, where a colon ends it",
  ],
  // Environment
  ["default: x${NOPE}", "1:11 the environment variable NOPE is not set"],
  ["default: $${NOPE} ${NOPE}", "1:11 the environment variable NOPE is not set"],
  [
    "default: ${1A}",
    '1:10 "${" begins a variable, written ${NAME}; write $${ where the text itself is meant',
  ],
  [
    "upstreams: { a: { address: ${HOST} } }",
    '1:28 inside [ ] and { } a variable stands in quotes: "${NAME}"',
  ],
  // YAML
  [
    "routes:\n  - match: *.corp.internal\n    to: nope",
    '2:12 a text that begins with * stands in quotes: "*.corp.internal"',
    "3:9 to names nope, which is not among the upstreams",
  ],
  ["routes:\n  - { match: *, to: direct }", '2:14 a text that begins with * stands in quotes: "*"'],
  ["routes:\n  - { match: *.a:22, to: direct }", '2:14 a text that begins with * stands in quotes: "*.a:22"'],
  [
    "upstreams: { a: { address: h, password: *hunter2 } }",
    '1:41 a text that begins with * stands in quotes, such as "*.example.com"',
  ],
  [
    "listen:\n  socks5: [::1]:1080",
    "2:16 this text does not belong here; a value that begins with [ or { and goes on after ] or } stands in quotes",
  ],
  ["listen:\n\tsocks5: 127.0.0.1:1", "2:1 a tab can't indent; use spaces"],
  // Brackets and quotes that are not closed
  ["default: 'direct", "1:10 the quote at 1:10 is not closed"],
  ["listen: [1,2", "1:9 the [ at 1:9 is not closed"],
  ["listen: [1,2\n", "1:9 the [ at 1:9 is not closed"],
  ["[", "1:1 the [ at 1:1 is not closed"],
  ["listen: {\n  socks5: [a\n}\n", "2:11 the [ at 2:11 is not closed"],
  ["listen: { socks5: [a }\ndefault: b", "1:19 the [ at 1:19 is not closed"],
  ["log: { level: info\ntun: { enabled: false }\n", "1:6 the { at 1:6 is not closed"],
  ['upstreams:\n  a:\n    address: "h}\n', "3:14 the quote at 3:14 is not closed"],
  ['upstreams:\n  a: { address: "h}\n  b: 1\n', "2:17 the quote at 2:17 is not closed"],
  [
    'routes:\n  - { match: "a, to: b }\n  - { match: "c", to: direct }\n',
    "2:14 the quote at 2:14 is not closed",
  ],
  [
    "listen:\n  socks5: [\n  1\n  ]",
    "2:11 the lines from the [ at 2:11 to its ] are indented with spaces, deeper than their key",
  ],
  ["default: a: b", '1:10 a value that holds ": " stands in quotes; a mapping begins on a line of its own'],
  ["default: @x", "1:10 a text that begins with @, %, ` or | stands in quotes"],
  ["default: direct\n---\ndefault: block", "2:1 the file holds one document; remove this ---"],
  [
    "default: !env X",
    "1:10 a text that begins with ! stands in quotes; tags have no use here",
    "1:15 default names X, which is not among the upstreams",
  ],
];

for (const [text, ...expected] of wrong) {
  test(`refused with place and remedy: ${JSON.stringify(text)}`, () => {
    assert.deepEqual(errorsOf(text), expected);
  });
}

test("every error of a file is told at once, in the order of the file", () => {
  const text = `listen: { socks5: 127.0.0.1:99999 }
upstreams:
  a: { address: h, pool_size: many, via: b, colour: red }
  b: { type: http, via: a }
routes:
  - { match: 10.0.0.1/8, to: c }
  - { match: *.x, to: "\${NOPE}" }
limits: { dial_timeout: 0 }
`;
  assert.deepEqual(
    errorsOf(text).map((error) => error.slice(0, error.indexOf(" "))),
    ["1:19", "3:31", "3:42", "3:45", "4:3", "6:14", "6:30", "7:14", "7:24", "8:25"],
  );
});

test("a problem names the path of its value", () => {
  const result = parseConfig("routes:\n  - { match: a, to: nope }\nlimits: { x: 1 }", options);
  assert.ok("errors" in result);
  assert.deepEqual(
    result.errors.map(({ path }) => path),
    ["routes[0].to", "limits.x"],
  );
});

test("what is doubtful is a warning, told with and without errors", () => {
  const text = `listen:
  socks5: 0.0.0.0:1080
  http: { address: "[::]:8118", auth: { username: u, password: p } }
upstreams: { a: { address: h, host_key_check: off } }
routes:
  - { match: 10.0.0.0/8, to: a }
  - { match: 10.1.0.0/16, to: direct }
  - { match: "*", to: a }
  - { match: x.com, to: a }
`;
  const expected = [
    "2:11 whoever reaches socks5 can use every upstream; add auth, or listen on 127.0.0.1",
    "4:47 with host_key_check off, anyone on the way can pose as a; accept-new is safer",
    "7:14 rule 2 can never match, because rule 1 (10.0.0.0/8) comes first and covers it",
    "9:14 rule 4 can never match, because rule 3 (*) comes first and covers it",
  ];
  assert.deepEqual(warningsOf(text), expected);
  assert.ok("config" in parseConfig(text, options));
  assert.deepEqual(warningsOf(`${text}colour: red\n`), expected);
  const sharing = "relays: { home: { address: 127.0.0.1:7000 } }\nshares: { shop: { target: 3000 } }";
  assert.deepEqual(warningsOf(sharing), [], "an engine that only shares needs no listener");
  assert.deepEqual(warningsOf("log: {}"), [
    "1:1 no application can connect; add listen: { socks5: 127.0.0.1:1080 }",
  ]);
});

test("a file that is no mapping is told of that alone", () => {
  for (const text of ["- a", "a text", "[1, 2]"]) {
    assert.equal(errorsOf(text).length, 1, text);
    assert.deepEqual(warningsOf(text), [], text);
  }
});

test("an authority that is named beside tls: false is told of in a warning", () => {
  const text = `listen: { socks5: 127.0.0.1:1080 }
upstreams: { a: { type: http, address: h, tls: false, tls_ca_file: /ca.pem } }`;
  assert.deepEqual(warningsOf(text), [
    "2:55 tls_ca_file is not used, because with tls: false the connection to the proxy is not encrypted",
  ]);
});

test("listeners given beside the file count like its own", () => {
  const check = (text: string, listen: ParseOptions["listen"]) => {
    const result = parseConfig(text, { ...options, listen: listen! });
    return lines([...("errors" in result ? result.errors : []), ...result.warnings]);
  };
  const open = "whoever reaches socks5 can use every upstream; add auth, or listen on 127.0.0.1";
  const same = "http and socks5 listen on the same address; give one of them another port";
  assert.deepEqual(check("", { socks5: "127.0.0.1:1080" }), []);
  assert.deepEqual(check("", { metrics: "127.0.0.1:1080" }), [
    "1:1 no application can connect; add listen: { socks5: 127.0.0.1:1080 }",
  ]);
  assert.deepEqual(check("", { socks5: "0.0.0.0:1080" }), [`0:0 ${open}`]);
  assert.deepEqual(check("listen: { socks5: 127.0.0.1:1 }", { socks5: "0.0.0.0:1080" }), [`0:0 ${open}`]);
  assert.deepEqual(check("listen: { socks5: 0.0.0.0:1 }", { socks5: "127.0.0.1:1080" }), []);
  const guarded = "listen: { socks5: { address: 127.0.0.1:1, auth: { username: u, password: p } } }";
  assert.deepEqual(check(guarded, { socks5: "0.0.0.0:1080" }), []);
  assert.deepEqual(check("listen: { socks5: 127.0.0.1:1 }", { http: "127.0.0.1:1" }), [`1:19 ${same}`]);
  assert.deepEqual(check("", { socks5: "127.0.0.1:1", http: "127.0.0.1:1" }), [`0:0 ${same}`]);
});

test("no error holds a secret", () => {
  const canary = "hunter2hunter2";
  const texts = [
    `upstreams: { a: { address: h, password: [${canary}] } }`,
    `upstreams: { a: { address: h, password: { keychain: { x: ${canary} } } } }`,
    `upstreams: { a: { address: h, password: *${canary} } }`,
    `upstreams: { a: { address: h, password: !${canary} x } }`,
    `upstreams: { a: { address: h, password: @${canary} } }`,
    `upstreams: { a: { address: h, password: "${canary} } }`,
    `upstreams: { a: { address: h, password: x: ${canary} } }`,
    `upstreams:\n  a: { address: h, password: [x]${canary} }`,
    `upstreams:\n  a:\n    address: h\n    password: |x ${canary}\n`,
    `upstreams: { a: { type: http, address: h, auth: { username: [x], password: ${canary} } } }`,
    `upstreams: { a: { type: http, address: h, auth: ${canary} } }`,
    `upstreams: { a: { type: http, address: "user:${canary}@h:80" } }`,
    `upstreams: { a: { address: "user:${canary}@h:22" } }`,
    `upstreams: { a: { address: "user:${canary}@h:22", user: other } }`,
    `upstreams: { a: { address: "user:${canary}@h@h:22" } }`,
    `upstreams: { a: { type: sock, address: "user:${canary}@h:22" } }`,
    `listen: { socks5: "user:${canary}@127.0.0.1:80" }`,
  ];
  for (const text of texts) {
    const errors = errorsOf(text);
    assert.ok(errors.length > 0, text);
    assert.ok(!errors.join("\n").includes(canary), errors.join("\n"));
  }
});

test("a file above the cap is refused before it is read", () => {
  assert.deepEqual(errorsOf(`# ${"x".repeat(MAX_FILE_BYTES)}`), [
    "1:1 the file is larger than 8 MiB, the most that is read",
  ]);
});

test("a few kilobytes can't stand for millions of values", () => {
  const repeated = (times: number) =>
    `upstreams: { a: { address: h, identity_file: &keys [${"k,".repeat(2_000)}k] }, ` +
    `${Array.from({ length: times }, (_, i) => `b${i}: { address: h, identity_file: *keys }`).join(", ")} }`;
  assert.deepEqual(errorsOf(repeated(8)), []);
  assert.ok(errorsOf(repeated(500)).some((error) => error.includes("repeats itself too often")));
});

test("in a file full of wrong names, the first few are told what was probably meant", () => {
  const upstreams = Array.from({ length: 2_000 }, (_, i) => `  gate${i}: { address: h, via: gaet${i} }\n`);
  const errors = errorsOf(`upstreams:\n${upstreams.join("")}`);
  assert.equal(errors.length, 1000);
  assert.match(errors[0]!, /did you mean gate0\?/);
  assert.equal(errors.filter((error) => error.includes("did you mean")).length, 20);
});

test("aliases that repeat each other, or themselves, end at a cap", () => {
  const bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"];
  for (let i = 1; i < 12; i++) bomb.push(`a${i}: &a${i} [${`*a${i - 1}, `.repeat(9)}]`);
  for (const text of [bomb.join("\n"), "upstreams: &a { b: *a }", "listen: &a [*a, *a]"]) {
    const started = process.cpuUsage();
    assert.ok(
      errorsOf(text).some((error) => error.includes("aliases")),
      text.slice(0, 40),
    );
    assert.ok(process.cpuUsage(started).user < 2_000_000, "microseconds of the processor");
  }
});

test("deep nesting is an error, not a crash", () => {
  for (const opening of ["[", "{a: ", "- "]) assert.ok(errorsOf(opening.repeat(20_000)).length > 0, opening);
  assert.ok(
    errorsOf(`listen: ${"[".repeat(100)}${"]".repeat(100)}`).some((error) =>
      error.includes("nested too deeply"),
    ),
  );
});

test("a file wrong in thousands of places tells the first thousand", () => {
  const text = `routes:\n${'  - { match: "a..b", to: nowhere }\n'.repeat(3000)}`;
  const started = process.cpuUsage();
  assert.equal(errorsOf(text).length, 1000);
  assert.ok(process.cpuUsage(started).user < 5_000_000, "microseconds of the processor");
});

test("mutated files never make the reader throw, hang or point outside the text", () => {
  const seed = `listen:
  socks5: 127.0.0.1:1080
  http: { address: 127.0.0.1:8118, auth: { username: u, password: "\${PW}" } }
upstreams:
  production: &p
    address: deploy@bastion:22 # a comment
    pool_size: 3
    via: corp-proxy
    passphrase: { keychain: k }
  corp-proxy: { type: http, address: proxy.corp:8080 }
  other: *p
routes:
  - { match: "*.corp.internal:80-90", to: production }
  - { match: 10.0.0.0/8, to: direct }
default: direct
tun: { enabled: false, cidrs: [10.0.0.0/8] }
limits: { dial_timeout: 30s }
`;
  const scraps = fc.constantFrom(
    ..."\n|  |\t|:|: |- |[|]|{|}|*|&|!|#|'|\"|${|$${|${PW}|~|null|0|-1|1e999|.nan|__proto__|<<|? |---|%|@|>|\0|\u2028|é|*p|&p".split(
      "|",
    ),
  );
  const mutation = fc.tuple(fc.nat(seed.length), fc.nat(12), fc.oneof(scraps, fc.string({ maxLength: 4 })));
  const deadline = performance.now() + 2000;
  let runs = 0;
  while (performance.now() < deadline) {
    for (const mutations of fc.sample(fc.array(mutation, { minLength: 1, maxLength: 5 }), 20)) {
      const text = mutations.reduce(
        (mutated, [at, cut, put]) => mutated.slice(0, at) + put + mutated.slice(at + cut),
        seed,
      );
      const result = parseConfig(text, options);
      const height = text.split("\n").length;
      for (const { line, column, message } of "errors" in result ? result.errors : []) {
        assert.ok(line >= 1 && line <= height && column >= 1 && message !== "", text);
      }
      runs++;
    }
  }
  assert.ok(runs > 50, `${runs} runs`);
});

test("no sentence holds what a variable stood for", () => {
  const secret = "Tr0ub4dor-and-3-more";
  const env = { S: secret, PORT: "99999999", HOST_OF: `${secret}.example.com`, SHORT: "x" };
  const texts = [
    "default: ${S}",
    "default: up-${S}",
    "default: ${SHORT}",
    "listen: { socks5: '${S}' }",
    "listen: { socks5: '127.0.0.1:${PORT}' }",
    "listen: { socks5: '${S}:1080:${S}' }",
    "listen: { http: { address: '${S}' } }",
    "listen: { control: '${HOST_OF}:443' }",
    "log: { level: '${S}' }",
    "limits: { idle_timeout: '${S}' }",
    "limits: { max_connections: '${PORT}' }",
    "upstreams: { a: { type: '${S}' } }",
    "upstreams: { a: '${S}' }",
    "upstreams: { a: { address: '${S}@h', user: root } }",
    "upstreams: { a: { address: 'root@h', user: '${S}' } }",
    "upstreams: { a: { address: '${S}:${S}' } }",
    "upstreams: { a: { address: h, via: '${S}' } }",
    "upstreams: { a: { address: h, pool_size: '${S}' } }",
    "upstreams: { a: { address: h, identity_file: '${S}' } }",
    "upstreams: { a: { address: h, host_key_check: '${S}' } }",
    "routes: [{ match: '${S}/${S}', to: direct }]",
    "routes: [{ match: '${S}.*.${S}:0', to: '${S}' }]",
    "routes: [{ match: '10.0.0.0/${PORT}', to: direct }]",
    "routes: [{ match: '*.${HOST_OF}', to: direct }, { match: 'a.${HOST_OF}', to: direct }]",
    "routes: '${S}'",
    "tun: { cidrs: ['${S}'] }",
    "x: &x ${S}\ndefault: *x",
    "${S}: 1",
  ];
  for (const text of texts) {
    const result = parseConfig(text, { ...options, env });
    const problems = [...("errors" in result ? result.errors : []), ...result.warnings];
    assert.ok(problems.length > 0, text);
    for (const { message } of problems) {
      for (const run of ["Tr0u", "b4do", "more", "tr0u", "9999", '"x"']) {
        assert.ok(!message.includes(run), `${text}\n${message}`);
      }
    }
  }
  const told = (text: string) => {
    const result = parseConfig(`listen: { socks5: 127.0.0.1:1 }\n${text}`, { ...options, env });
    return lines("errors" in result ? result.errors : result.warnings);
  };
  assert.deepEqual(told("default: ${S}"), ["2:10 default names ${S}, which is not among the upstreams"]);
  assert.deepEqual(told("log: { level: 'x${S}' }"), [
    '2:15 level must be one of trace, debug, info, warn, error, silent, not "x${S}"',
  ]);
});

test("no sentence holds the environment's value, whatever it is and wherever it stands", () => {
  const places: ((written: string) => string)[] = [
    (written) => `default: "${written}"`,
    (written) => `listen: { socks5: "${written}" }`,
    (written) => `log: { level: "a${written}" }`,
    (written) => `routes: [{ match: "${written}", to: "${written}" }]`,
    (written) => `upstreams: { a: { address: "${written}@h", user: "x${written}" } }`,
  ];
  const value = fc.string({
    minLength: 12,
    maxLength: 80,
    unit: fc.constantFrom(...Array.from('QZ07:/.*@[]\\"# $')),
  });
  fc.assert(
    fc.property(value, fc.constantFrom(...places), (secret, place) => {
      fc.pre(/[QZ07]{4}/.test(secret));
      const result = parseConfig(place("${S}"), { ...options, env: { S: secret } });
      const runs = secret.match(/[QZ07]{4,}/g)!;
      const problems = [...("errors" in result ? result.errors : []), ...result.warnings];
      for (const { message } of problems) {
        for (const run of runs) assert.ok(!message.toLowerCase().includes(run.toLowerCase()), message);
      }
    }),
    { numRuns: 500 },
  );
});
