import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { blockListOf, hashBasicAuth, isBasicAuthRight, isInside, isNetwork } from "./guard.ts";

const header = (username: string, password: string) =>
  `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;

test("the password that was hashed is right, whatever it is, and no other", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (username, password, other) => {
      const hash = hashBasicAuth(username, password);
      assert.equal(isBasicAuthRight(hash, header(username, password)), true);
      assert.equal(isBasicAuthRight(hash, header(username, other)), other === password);
    }),
    { numRuns: 50 },
  );
});

test("a header that is missing, of another scheme or no base64 is not right", () => {
  const hash = hashBasicAuth("ada", "secret");
  for (const value of [undefined, "", "Basic", "Basic  ", "Bearer abc", "Basic %%%", "Basic YWRh"])
    assert.equal(isBasicAuthRight(hash, value), false);
  assert.equal(isBasicAuthRight(hash, header("ada", "secret").replace("Basic", "bAsIc")), true);
});

test("two hashes of one password have nothing in common", () => {
  const [one, two] = [hashBasicAuth("ada", "secret"), hashBasicAuth("ada", "secret")];
  assert.notEqual(one.salt, two.salt);
  assert.notEqual(one.sha256, two.sha256);
});

test("networks of both families, and single addresses", () => {
  const list = blockListOf(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);
  for (const inside of ["10.1.2.3", "192.0.2.7", "2001:db8::1"]) assert.equal(isInside(list, inside), true);
  for (const outside of ["11.0.0.1", "192.0.2.8", "2001:db9::1", "", "nonsense"])
    assert.equal(isInside(list, outside), false);
});

test("what is no network is told", () => {
  for (const text of ["", "10.0.0.0/33", "10.0.0/8", "fe80::1%eth0", "10.0.0.0/8/8", "2001:db8::/129", "x"])
    assert.equal(isNetwork(text), false, text);
  assert.throws(() => blockListOf(["10.0.0.0/40"]), RangeError);
});
