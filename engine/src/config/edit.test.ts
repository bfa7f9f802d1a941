import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type EditMapping, editConfig } from "./edit.ts";
import { parseConfig } from "./load.ts";

function configOf(text: string) {
  const result = parseConfig(text, { env: {}, home: "/h" });
  if ("errors" in result) assert.fail(`${text}\n${result.errors.map(({ message }) => message).join("\n")}`);
  return result.config;
}

const file = `# How we reach the office
listen:
  socks5: 127.0.0.1:1080 # for the browser
upstreams:
  # the bastion
  production:
    address: bastion:22 # port as agreed
    password: clear
    pool_size: 3
  proxy: { type: http, address: proxy:8080 }
routes:
  # names of the office
  - { match: "*.corp.internal", to: production }
  # its network
  - match: 10.0.0.0/8
    to: production
default: direct # the rest
`;

test("an edit changes what it names and keeps comments and all else", () => {
  const edited = editConfig(file, [
    {
      kind: "set-upstream",
      name: "production",
      upstream: { pool_size: 5, via: "proxy", strategy: "least-connections" },
    },
    { kind: "set-listen", listener: "http", value: { address: "127.0.0.1:8118" } },
    { kind: "set-default", to: "proxy" },
  ]);
  assert.equal(
    edited,
    file
      .replace("pool_size: 3", "pool_size: 5\n    via: proxy\n    strategy: least-connections")
      .replace("# for the browser\n", "# for the browser\n  http:\n    address: 127.0.0.1:8118\n")
      .replace("default: direct", "default: proxy"),
  );
});

test("rules keep their comments when they move", () => {
  const edited = editConfig(file, [
    {
      kind: "set-routes",
      routes: [
        { match: "10.0.0.0/8", to: "proxy" },
        { match: "*", to: "block" },
        { match: "*.corp.internal", to: "production" },
      ],
    },
  ]);
  assert.match(
    edited,
    /routes:\n {2}# its network\n {2}- match: 10.0.0.0\/8\n {4}to: proxy\n {2}- \{ match: "\*", to: block \}\n {2}# names of the office\n {2}- \{ match: "\*.corp.internal", to: production \}\ndefault/,
  );
});

test("an upstream and a listener can be removed, and a key by null", () => {
  const edited = editConfig(file, [
    { kind: "delete-upstream", name: "proxy" },
    { kind: "delete-upstream", name: "never-there" },
    { kind: "set-listen", listener: "socks5", value: null },
    { kind: "set-listen", listener: "http", value: "127.0.0.1:8118" },
    { kind: "set-upstream", name: "production", upstream: { password: null, password_file: "~/pw" } },
  ]);
  const config = configOf(edited);
  assert.deepEqual(Object.keys(config.upstreams), ["production"]);
  assert.deepEqual(config.listen.socks5, undefined);
  assert.deepEqual(config.listen.http, { address: "127.0.0.1:8118" });
  const { production } = config.upstreams;
  assert.ok(production?.type === "ssh");
  assert.deepEqual(production.password, { file: "/h/pw" });
});

test("an empty file, empty blocks and Windows line ends can be edited", () => {
  for (const text of ["", "# mine\n", "upstreams:\nroutes:\n", "upstreams: {}\r\nroutes: []\r\n"]) {
    const edited = editConfig(text, [
      { kind: "set-upstream", name: "a", upstream: { address: "h", identity_file: ["x", "y"] } },
      { kind: "set-routes", routes: [{ match: "*", to: "a" }] },
    ]);
    const config = configOf(edited);
    assert.equal(config.upstreams["a"]?.address, "h", edited);
    assert.deepEqual(config.routes, [{ match: "*", to: "a" }]);
    assert.equal(edited.includes("\r\n"), text.includes("\r\n"));
    assert.equal(/(?<!\r)\n/.test(edited), !text.includes("\r\n"));
    assert.ok(!text.includes("# mine") || edited.includes("# mine"));
  }
});

test("an edit of an alias leaves its anchor as it was", () => {
  const text = "upstreams:\n  a: &x { address: h, pool_size: 2 }\n  b: *x\n";
  const { a, b } = configOf(
    editConfig(text, [{ kind: "set-upstream", name: "b", upstream: { pool_size: 4 } }]),
  ).upstreams;
  assert.deepEqual([a?.pool_size, b?.pool_size, b?.address], [2, 4, "h"]);
});

test("a secret is never written in clear", () => {
  const set = (upstream: EditMapping) =>
    editConfig(file, [{ kind: "set-upstream", name: "n", upstream: { address: "h", ...upstream } }]);
  assert.throws(() => set({ password: "x" }), {
    name: "SyntaxError",
    message: "password would stand in clear in the file; use password_file, a keychain or ${NAME}",
  });
  assert.throws(() => set({ passphrase: 5 }), { name: "SyntaxError" });
  assert.throws(() => set({ type: "http", auth: { username: "u", password: "pre${PW}" } }), {
    name: "SyntaxError",
  });
  assert.match(set({ password: "${PW}", passphrase: { keychain: "k" } }), /password: \$\{PW\}\n/);
});

test("an upstream that is renamed is followed wherever it is named, and comments stay", () => {
  const text = file
    .replace("default: direct", "default: production")
    .replace("address: proxy:8080 }", "address: proxy:8080, via: production }");
  const edited = editConfig(text, [{ kind: "rename-upstream", name: "production", to: "office" }]);
  const expected = text
    .replace("  production:\n", "  office:\n")
    .replace("via: production", "via: office")
    .replaceAll("to: production", "to: office")
    .replace("default: production", "default: office");
  assert.equal(edited, expected);
  const rename = (name: string, to: string) => () =>
    editConfig(text, [{ kind: "rename-upstream", name, to }]);
  assert.throws(rename("nobody", "x"), { name: "SyntaxError", message: 'no upstream is called "nobody"' });
  assert.throws(rename("production", "proxy"), { name: "SyntaxError", message: /is called "proxy" already/ });
  assert.equal(rename("production", "production")(), text);
});

test("a relay that is renamed takes the shares that go through it along, and comments stay", () => {
  const text = `relays:
  # ours
  home: { address: relay.example.com, token_file: /t } # since May
  other: { address: other.example.com }
shares:
  shop: { target: 3000, relay: home } # the shop
  docs: { target: 3001, relay: other }
`;
  const rename = (name: string, to: string) => editConfig(text, [{ kind: "rename-relay", name, to }]);
  const expected = text.replace("  home:", "  office:").replace("relay: home", "relay: office");
  assert.equal(rename("home", "office"), expected);
  assert.equal(rename("home", "home"), text);
  assert.throws(() => rename("home", "other"), {
    name: "SyntaxError",
    message: 'a relay is called "other" already',
  });
  assert.throws(() => rename("nobody", "x"), {
    name: "SyntaxError",
    message: 'no relay is called "nobody"',
  });
  // A share that names none goes through the only one, whatever that is called.
  const only = "relays: { home: { address: h } }\nshares:\n  shop: { target: 3000 }\n";
  const renamed = editConfig(only, [{ kind: "rename-relay", name: "home", to: "office" }]);
  assert.equal(renamed, only.replace("home", "office"));
});

test("upstreams keep their comments when they change places, and none may be left out", () => {
  const order = (names: readonly string[]) =>
    editConfig(file, [{ kind: "order-upstreams", names: [...names] }]);
  const edited = order(["proxy", "production"]);
  assert.deepEqual(Object.keys(configOf(edited).upstreams), ["proxy", "production"]);
  assert.match(
    edited,
    /proxy: .*\n {2}# the bastion\n {2}production:\n {4}address: bastion:22 # port as agreed/,
  );
  for (const wrong of [["proxy"], ["proxy", "proxy"], ["proxy", "other"], ["proxy", "production", "proxy"]]) {
    assert.throws(() => order(wrong), { name: "SyntaxError", message: /every upstream once/ });
  }
});

test("a section's keys are set and taken out, and items of its lists keep their comments", () => {
  const text = `tun:
  # what we capture
  cidrs:
    - 10.0.0.0/8 # the office
    - 192.0.2.0/24 # the lab
  mtu: 1500 # as the link has it
`;
  const edited = editConfig(text, [
    {
      kind: "set-section",
      section: "tun",
      values: { enabled: true, mtu: null, cidrs: ["192.0.2.0/24", "198.51.100.0/24", "10.0.0.0/8"] },
    },
    { kind: "set-section", section: "limits", values: { dial_timeout: "5s" } },
  ]);
  assert.equal(
    edited,
    `tun:
  # what we capture
  cidrs:
    - 192.0.2.0/24 # the lab
    - 198.51.100.0/24
    - 10.0.0.0/8 # the office
  enabled: true
limits:
  dial_timeout: 5s
`,
  );
});

test("an order that an alias does not allow is refused with a sentence", () => {
  const text = "upstreams:\n  a: &x { address: h }\n  b: *x\n";
  assert.throws(() => editConfig(text, [{ kind: "order-upstreams", names: ["b", "a"] }]), {
    name: "SyntaxError",
    message: /alias/,
  });
});

test("a text that is not YAML is not edited", () => {
  for (const text of ["listen: [", "- a", "a: b: c"]) {
    assert.throws(() => editConfig(text, []), { name: "SyntaxError", message: /can't be edited/ });
  }
});

test("any edits give a file that says what they said", () => {
  const word = fc.constantFrom(
    "a",
    "b",
    "h-1",
    "x.y",
    "h1",
    "true",
    "10.0.0.0/8",
    "*",
    "*.a",
    "fd00::/8",
    "null",
  );
  const routes = fc.array(
    fc.tuple(word, fc.constantFrom("direct", "block")).map(([match, to]) => ({ match, to })),
    {
      maxLength: 5,
    },
  );
  const name = fc.constantFrom("production", "proxy", "u1", "true");
  const upstream = fc.integer({ min: 1, max: 9 }).map((pool_size) => ({ address: "h", pool_size }));
  fc.assert(
    fc.property(name, upstream, routes, (name, upstream, routes) => {
      const edited = editConfig(file, [
        { kind: "set-upstream", name, upstream },
        { kind: "set-routes", routes },
      ]);
      const config = configOf(edited);
      assert.equal(config.upstreams[name]?.pool_size, upstream.pool_size);
      assert.deepEqual(config.routes, routes);
      assert.equal(editConfig(edited, []), edited);
      for (const comment of ["# How we", "# the bastion", "# port as agreed", "# the rest"]) {
        assert.ok(edited.includes(comment), edited);
      }
    }),
    { numRuns: 100 },
  );
});
