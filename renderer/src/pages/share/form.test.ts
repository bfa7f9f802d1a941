import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkShare,
  editsOf,
  emptyShare,
  fieldOf,
  publicNameOf,
  type ShareForm,
  shareFormOf,
} from "./form.ts";

const none = { shares: [], relays: [] };
const good: ShareForm = { ...emptyShare, name: "shop", target: "3000", relay: "home", publicName: "shop" };

test("a new share and its new relay are written with what was typed, and nothing else", () => {
  const form: ShareForm = {
    ...good,
    relay: "",
    relayName: "work",
    relayAddress: "relay.example.com",
    token: { kind: "typed", text: "secret" },
    allow: "192.0.2.0/24\n 2001:db8::/32 ",
    username: "team",
    password: { kind: "path", path: "~/pw" },
  };
  assert.deepEqual(checkShare(form, none), {});
  assert.deepEqual(editsOf(undefined, form, { token: { token: { keychain: "work-token" } } }), [
    {
      kind: "set-relay",
      name: "work",
      relay: { address: "relay.example.com", token: { keychain: "work-token" } },
    },
    {
      kind: "set-share",
      name: "shop",
      share: {
        target: 3000,
        relay: "work",
        allow: ["192.0.2.0/24", "2001:db8::/32"],
        name: "shop",
        basic_auth: { username: "team", password_file: "~/pw" },
      },
    },
  ]);
});

test("of a share that is changed only what differs is written, and what is gone is taken out", () => {
  const before = shareFormOf("shop", {
    kind: "http",
    target: "localhost:3000",
    relay: "home",
    name: "shop",
    basic_auth: { username: "team", password: "•••" },
    allow: ["10.0.0.0/8"],
    inspect: true,
    enabled: true,
  });
  assert.equal(before.target, "3000");
  assert.deepEqual(editsOf(before, before, {}), []);
  const after: ShareForm = { ...before, name: "store", allow: "", inspect: false };
  assert.deepEqual(editsOf(before, after, {}), [
    { kind: "rename-share", name: "shop", to: "store" },
    { kind: "set-share", name: "store", share: { allow: null, inspect: false } },
  ]);
});

test("what can't be right is told while it is typed", () => {
  const check = (changes: Partial<ShareForm>) =>
    checkShare({ ...good, ...changes }, { shares: ["taken"], relays: ["home"] });
  assert.deepEqual(check({}), {});
  assert.deepEqual(check({ name: "" }), { name: "nameMissing" });
  assert.deepEqual(check({ name: "taken" }), { name: "nameTaken" });
  assert.deepEqual(check({ target: "http://localhost:3000" }), { target: "targetScheme" });
  assert.deepEqual(check({ target: "localhost" }), { target: "targetShape" });
  assert.deepEqual(check({ target: "70000" }), { target: "targetShape" });
  assert.deepEqual(check({ publicName: "No_Name" }), { publicName: "publicName" });
  assert.deepEqual(check({ allow: "10.0.0.0/8\nnonsense" }), { allow: "allow" });
  assert.deepEqual(check({ username: "a" }), { password: "passwordMissing" });
  assert.deepEqual(check({ password: { kind: "typed", text: "x" } }), { username: "usernameMissing" });
  assert.deepEqual(check({ kind: "tcp", port: "0" }), { port: "port" });
  assert.deepEqual(check({ relay: "", relayName: "home", relayAddress: "" }), {
    relayName: "relayNameTaken",
    relayAddress: "relayAddress",
  });
});

test("a public name is made of a name, and problems of the engine find their field", () => {
  assert.equal(publicNameOf("My Shop (2)!"), "my-shop-2");
  assert.equal(fieldOf("shares.shop.name"), "publicName");
  assert.equal(fieldOf("shares.shop.allow[1]"), "allow");
  assert.equal(fieldOf("shares.shop.basic_auth.username"), "username");
  assert.equal(fieldOf("relays.home.address"), "relayAddress");
  assert.equal(fieldOf("shares.shop"), "name");
});
