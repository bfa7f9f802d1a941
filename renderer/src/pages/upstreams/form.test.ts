import assert from "node:assert/strict";
import { test } from "node:test";
import { maskSecrets } from "../../../../engine/src/control/mask.ts";
import { editConfig } from "../../../../engine/src/config/edit.ts";
import { parseConfig } from "../../../../engine/src/config/load.ts";
import { keysOf } from "../../../../engine/src/config/schema.ts";
import { duplicateOf, emptyForm, formOf, freeName, type UpstreamForm } from "./form.ts";
import { changesOf, clearReferences, placeholderReferences, sameForm, toFile } from "./form-file.ts";
import { editsOf } from "./save.ts";
import { referenceOf } from "./secret-input.ts";

const options = { env: {}, home: "/home/me", fileName: "/home/me/config.yaml" };

/** What `config.read` shows of a text. */
function shown(text: string): Record<string, unknown> {
  const parsed = parseConfig(text, options);
  assert.ok("config" in parsed, "errors" in parsed ? JSON.stringify(parsed.errors) : "");
  return maskSecrets(parsed.config);
}

function formFrom(text: string, name: string): UpstreamForm {
  const upstreams = shown(text)["upstreams"] as Record<string, Record<string, unknown>>;
  return formOf(name, upstreams[name]!);
}

const everything = `
upstreams:
  ssh-all:
    address: bastion.example.com:2222
    user: deploy
    identity_file: [/keys/a, /keys/b]
    passphrase_file: /run/passphrase
    password: { keychain: bastion }
    agent: /run/agent.sock
    known_hosts_file: /etc/known
    host_key_check: strict
    ssh_config: false
    ssh_config_file: /etc/ssh/other
    keepalive_interval: 10s
    keepalive_count_max: 7
    pool_size: 3
    strategy: least-connections
    via: web
  socks: { type: socks5, address: "socks.example.com:1080", auth: { username: me, password_file: /run/p }, udp: false }
  web:
    type: http
    address: proxy.example.com:443
    tls: true
    tls_ca_file: /etc/ca.pem
    tls_server_name: proxy.corp
    auth: { username: me, password: { keychain: web } }
`;

test("a form gives back just what the file says, for every key of every type", () => {
  const all = formFrom(everything, "ssh-all");
  assert.deepEqual(toFile(all), {
    type: "ssh",
    address: "bastion.example.com:2222",
    user: "deploy",
    identity_file: ["/keys/a", "/keys/b"],
    passphrase_file: "/run/passphrase",
    password: { keychain: "bastion" },
    agent: "/run/agent.sock",
    known_hosts_file: "/etc/known",
    host_key_check: "strict",
    ssh_config: false,
    ssh_config_file: "/etc/ssh/other",
    keepalive_interval: "10s",
    keepalive_count_max: 7,
    pool_size: 3,
    strategy: "least-connections",
    via: "web",
  });
  assert.deepEqual(toFile(formFrom(everything, "socks")), {
    type: "socks5",
    address: "socks.example.com:1080",
    auth: { username: "me", password_file: "/run/p" },
    udp: false,
  });
  assert.deepEqual(toFile(formFrom(everything, "web")), {
    type: "http",
    address: "proxy.example.com:443",
    tls: true,
    tls_ca_file: "/etc/ca.pem",
    tls_server_name: "proxy.corp",
    auth: { username: "me", password: { keychain: "web" } },
  });
});

test("no key of the schema is missing from the form", () => {
  const full = Object.fromEntries(
    [...new Set(Object.values(keysOf.upstream).flat())].map((key) => [key, key === "auth" ? {} : "2"]),
  );
  for (const [type, keys] of Object.entries(keysOf.upstream)) {
    const secret = { keychain: "x" };
    const upstream = {
      ...full,
      type,
      auth: { username: "u", password: secret },
      passphrase: secret,
      password: secret,
    };
    const written = Object.keys(toFile(formOf("a", upstream)));
    // A secret stands in one of two keys.
    const wanted = keys.filter((key) => !key.endsWith("word_file") && !key.endsWith("phrase_file"));
    assert.deepEqual(written.toSorted(), wanted.toSorted(), type);
  }
});

test("saving an untouched form changes nothing", () => {
  for (const name of ["ssh-all", "socks", "web"]) {
    const form = formFrom(everything, name);
    assert.deepEqual(editsOf(form, form, {}), []);
  }
});

test("only what was touched is written, so comments, variables and relative paths stay", () => {
  const text = `upstreams:
  # the way in
  bastion:
    address: bastion # ours
    identity_file: ~/.ssh/id # mine
    password: hunter2
    pool_size: 2
`;
  const before = formFrom(text, "bastion");
  assert.deepEqual(before.secrets.password, { kind: "kept", place: "text", label: "" });
  const after = { ...before, values: { ...before.values, pool_size: "4", via: "" } };
  const edits = editsOf(before, after, {});
  assert.deepEqual(edits, [{ kind: "set-upstream", name: "bastion", upstream: { pool_size: 4 } }]);
  const written = editConfig(text, edits);
  assert.equal(written, text.replace("pool_size: 2", "pool_size: 4"));
});

test("an emptied field is taken out of the file", () => {
  const before = formFrom(everything, "ssh-all");
  const after = { ...before, values: { ...before.values, pool_size: "", via: " " } };
  assert.deepEqual(changesOf(toFile(before), toFile(after)), { pool_size: null, via: null });
});

test("the user of user@host goes with the address, which would contradict it otherwise", () => {
  const text = "upstreams: { a: { address: old@host, pool_size: 2 } }";
  const before = formFrom(text, "a");
  assert.equal(before.values.user, "old");
  const changed = { ...before, values: { ...before.values, user: "new" } };
  const written = editConfig(text, editsOf(before, changed, {}));
  assert.equal(formFrom(written, "a").values.user, "new");
  const emptied = { ...before, values: { ...before.values, user: "" } };
  const without = editConfig(text, editsOf(before, emptied, {}));
  assert.equal(formFrom(without, "a").values.user, undefined);
});

test("another type takes the keys of the old one out", () => {
  const before = formFrom(everything, "web");
  const after: UpstreamForm = { ...before, type: "ssh", secrets: emptyForm.secrets };
  const text = editConfig(everything, editsOf(before, after, {}));
  assert.deepEqual(toFile(formFrom(text, "web")), { type: "ssh", address: "proxy.example.com:443" });
});

test("a username changes without its password, which stays where it is", () => {
  const before = formFrom(everything, "web");
  const after = { ...before, values: { ...before.values, username: "you" } };
  assert.deepEqual(changesOf(toFile(before), toFile(after)), { auth: { username: "you" } });
});

test("a secret typed in place of a file takes the file's key out", () => {
  const before = formFrom(everything, "socks");
  const after: UpstreamForm = {
    ...before,
    secrets: { ...before.secrets, password: { kind: "typed", text: "new" } },
  };
  const references = { password: referenceOf({ password: { keychain: "socks" }, password_file: null }) };
  assert.deepEqual(changesOf(toFile(before), toFile(after, references)), {
    auth: { password: { keychain: "socks" }, password_file: null },
  });
});

test("a secret to be asked for each time is written nowhere", () => {
  const form: UpstreamForm = {
    ...emptyForm,
    name: "a",
    values: { address: "host" },
    secrets: { ...emptyForm.secrets, password: { kind: "typed", text: "secret" } },
  };
  assert.deepEqual(editsOf(undefined, form, {}), [
    { kind: "set-upstream", name: "a", upstream: { type: "ssh", address: "host" } },
  ]);
});

test("what is checked before storing holds no secret; what is tested holds it as the file would write it", () => {
  const form: UpstreamForm = {
    ...emptyForm,
    name: "a",
    values: { address: "host" },
    secrets: { password: { kind: "typed", text: "a${b}" }, passphrase: { kind: "none" } },
  };
  assert.doesNotMatch(JSON.stringify(toFile(form, placeholderReferences(form))), /a\$\{b\}/);
  const tested = JSON.stringify({ upstreams: { a: toFile(form, clearReferences(form)) } });
  const parsed = parseConfig(tested, options);
  assert.ok("config" in parsed);
  const upstream = parsed.config.upstreams["a"]!;
  assert.ok(upstream.type === "ssh");
  assert.deepEqual(upstream.password, { text: "a${b}" });
});

test("a stored secret is never part of the form, and a copy does not pretend to have one that it can't have", () => {
  const text = "upstreams: { a: { type: socks5, address: h, auth: { username: u, password: hunter2 } } }";
  const form = formFrom(text, "a");
  assert.doesNotMatch(JSON.stringify(form), /hunter2/);
  assert.deepEqual(duplicateOf(form, "b").secrets.password, { kind: "none" });
  assert.deepEqual(duplicateOf(formFrom(everything, "web"), "b").secrets.password, {
    kind: "kept",
    place: "keychain",
    label: "web",
  });
});

test("a copy's name is free", () => {
  assert.equal(freeName("a", ["a"]), "a-2");
  assert.equal(freeName("a-2", ["a", "a-2", "a-3"]), "a-4");
  assert.equal(freeName("x".repeat(64), []).length, 64);
});

test("a form is the same whatever spaces and emptied fields it has", () => {
  const form: UpstreamForm = { ...emptyForm, name: "a", values: { address: "h" } };
  assert.ok(sameForm(form, { ...form, name: " a ", values: { address: "h ", via: "" } }));
  const typed = { ...emptyForm.secrets, password: { kind: "typed", text: "" } } as const;
  assert.ok(sameForm(form, { ...form, secrets: typed }));
  assert.ok(!sameForm(form, { ...form, secrets: { ...typed, password: { kind: "typed", text: "p" } } }));
});

test("a new name is a renaming, and what else changed is written under it", () => {
  const before = formFrom(everything, "socks");
  const after = { ...before, name: "vpn", values: { ...before.values, udp: "" } };
  assert.deepEqual(editsOf(before, after, {}), [
    { kind: "rename-upstream", name: "socks", to: "vpn" },
    { kind: "set-upstream", name: "vpn", upstream: { udp: null } },
  ]);
});
