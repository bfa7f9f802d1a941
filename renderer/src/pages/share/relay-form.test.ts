import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkRelay,
  emptyRelay,
  relayEditsOf,
  relayFieldOf,
  relayFormOf,
  unsavedRelay,
} from "./relay-form.ts";

const read = {
  address: "relay.example.com:7000",
  tls: true,
  links: 2,
  one_connection_per_tunnel: false,
  token: { keychain: "home-token" },
};

test("of a relay that is changed only what differs is written, and what is gone is taken out", () => {
  const before = relayFormOf("home", { ...read, tls_ca_file: "/ca.pem" });
  assert.deepEqual(relayEditsOf(before, before, undefined), []);
  const after = { ...before, address: "other.example.com", tls_ca_file: "" };
  assert.deepEqual(relayEditsOf(before, after, undefined), [
    { kind: "set-relay", name: "home", relay: { address: "other.example.com", tls_ca_file: null } },
  ]);
});

test("a new name is a renaming, and what else changed is written under it", () => {
  const before = relayFormOf("home", read);
  assert.deepEqual(relayEditsOf(before, { ...before, name: " office " }, undefined), [
    { kind: "rename-relay", name: "home", to: "office" },
  ]);
  assert.deepEqual(relayEditsOf(before, { ...before, name: "office", address: "other" }, undefined), [
    { kind: "rename-relay", name: "home", to: "office" },
    { kind: "set-relay", name: "office", relay: { address: "other" } },
  ]);
});

test("what is tested is what would be saved: with the token that was typed, and TLS where the address asks for it", () => {
  const form = relayFormOf("home", read);
  assert.deepEqual(unsavedRelay(read, { ...form, token: { kind: "typed", text: "a${HOME}" } }), {
    ...{ address: "relay.example.com:7000", links: 2, one_connection_per_tunnel: false },
    token: "a$${HOME}",
  });
  assert.equal(unsavedRelay({ ...read, tls: false }, form)["tls"], false);
  const local = { ...read, address: "127.0.0.1:7000", tls: false };
  const moved = { ...relayFormOf("home", local), address: "relay.example.com" };
  assert.ok(!("tls" in unsavedRelay(local, moved)), "in clear by default on loopback, and there alone");
});

test("what can't be right is told while it is typed, each at its field", () => {
  assert.deepEqual(checkRelay(emptyRelay, []), { name: "nameMissing", address: "address" });
  const form = { ...emptyRelay, name: "home", address: "relay.example.com" };
  assert.deepEqual(checkRelay(form, []), {});
  assert.deepEqual(checkRelay(form, ["home"]), { name: "nameTaken" });
  assert.deepEqual(checkRelay({ ...form, tls_cert_file: "a.pem" }, []), { tls_key_file: "keyMissing" });
  assert.deepEqual(checkRelay({ ...form, tls_key_file: "a.key" }, []), {
    tls_cert_file: "certificateMissing",
  });
  assert.equal(relayFieldOf("relays.home.token_file"), "token");
  assert.equal(relayFieldOf("relays.home.tls_ca_file"), "tls_ca_file");
  assert.equal(relayFieldOf("relays.home.links"), undefined);
});
