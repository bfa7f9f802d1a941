import assert from "node:assert/strict";
import { test } from "node:test";
import type { ImportedUpstream } from "@sockeye/engine/control/contract";
import { additionOf, canAsk, firstChoice, neededBy, secretsIn } from "./import-plan.ts";

function found(
  name: string,
  upstream: Record<string, unknown>,
  more: Partial<ImportedUpstream> = {},
): ImportedUpstream {
  return { name, upstream, from: `Host ${name}`, warnings: [], ...more };
}

test("what leads where something leads already is not chosen at first", () => {
  const list = [found("a", {}), found("b", {}, { sameAs: "c" })];
  assert.deepEqual([...firstChoice(list)], ["a"]);
});

test("what a chosen one is reached through comes with it", () => {
  const list = [
    found("inner", { via: "middle" }),
    found("middle", { via: "outer" }),
    found("outer", {}),
    found("alone", { via: "not-found" }),
  ];
  assert.deepEqual(
    [...neededBy(list, new Set(["inner"]))],
    [
      ["middle", "inner"],
      ["outer", "middle"],
    ],
  );
  assert.equal(neededBy(list, new Set(["outer", "alone"])).size, 0);
});

test("a circle of upstreams ends", () => {
  const list = [found("a", { via: "b" }), found("b", { via: "a" })];
  assert.deepEqual([...neededBy(list, new Set(["a"])).keys()].toSorted(), ["a", "b"]);
});

test("secrets in clear are found wherever a type has them; variables and references are none", () => {
  assert.deepEqual(secretsIn(found("a", { password: "p", passphrase: "q" })), [
    { kind: "password", value: "p" },
    { kind: "passphrase", value: "q" },
  ]);
  assert.deepEqual(secretsIn(found("a", { type: "http", auth: { username: "u", password: "p" } })), [
    { kind: "password", value: "p" },
  ]);
  assert.deepEqual(secretsIn(found("a", { password: "${PW}", passphrase: { keychain: "k" } })), []);
});

test("what is written holds the reference in the secret's place", () => {
  const ssh = found("a", { type: "ssh", address: "h", password: "p" });
  assert.deepEqual(additionOf(ssh, { password: { password: { keychain: "a" } } }), {
    kind: "set-upstream",
    name: "a",
    upstream: { type: "ssh", address: "h", password: { keychain: "a" } },
  });
  const proxy = found("b", { type: "socks5", address: "h", auth: { username: "u", password: "p" } });
  assert.deepEqual(additionOf(proxy, { password: { password_file: "/x" } }), {
    kind: "set-upstream",
    name: "b",
    upstream: { type: "socks5", address: "h", auth: { username: "u", password_file: "/x" } },
  });
});

test("without a place to keep it, a secret is left out, and a proxy comes without its login", () => {
  const ssh = found("a", { type: "ssh", address: "h", password: "p", passphrase: "q" });
  assert.deepEqual(additionOf(ssh, {}), {
    kind: "set-upstream",
    name: "a",
    upstream: { type: "ssh", address: "h" },
  });
  const proxy = found("b", { type: "http", address: "h", auth: { username: "u", password: "p" } });
  assert.deepEqual(additionOf(proxy, {}), {
    kind: "set-upstream",
    name: "b",
    upstream: { type: "http", address: "h" },
  });
  assert.ok(canAsk(ssh) && !canAsk(proxy));
});

test("the source is left as it was", () => {
  const proxy = found("b", { type: "http", auth: { username: "u", password: "p" } });
  additionOf(proxy, {});
  assert.deepEqual(proxy.upstream, { type: "http", auth: { username: "u", password: "p" } });
});
