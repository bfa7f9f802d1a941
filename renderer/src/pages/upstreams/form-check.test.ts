import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseConfig } from "../../../../engine/src/config/load.ts";
import { emptyForm, type UpstreamForm } from "./form.ts";
import { checkForm, placeProblems } from "./form-check.ts";
import { toFile } from "./form-file.ts";

const options = { env: {}, home: "/home/me", fileName: "/home/me/config.yaml" };

test("errors that need no engine are found while typing", () => {
  const form: UpstreamForm = { ...emptyForm, name: "b", values: { address: "h" } };
  assert.deepEqual(checkForm(form, ["a"]), {});
  const errorsOf = (change: Partial<UpstreamForm>) => checkForm({ ...form, ...change }, ["a"]);
  assert.deepEqual(errorsOf({ name: "" }), { name: "nameMissing" });
  assert.deepEqual(errorsOf({ name: "a" }), { name: "nameTaken" });
  assert.deepEqual(errorsOf({ name: "direct" }), { name: "nameReserved" });
  assert.deepEqual(errorsOf({ name: "-x" }), { name: "nameShape" });
  assert.deepEqual(errorsOf({ values: {} }), { address: "addressMissing" });
  assert.deepEqual(errorsOf({ values: { address: "h", pool_size: "65" } }), { pool_size: "wholePool" });
  assert.deepEqual(errorsOf({ values: { address: "h", keepalive_interval: "soon" } }), {
    keepalive_interval: "duration",
  });
  assert.deepEqual(errorsOf({ values: { address: "h", keepalive_count_max: "0" } }), {
    keepalive_count_max: "wholeCount",
  });
  assert.deepEqual(errorsOf({ type: "socks5", values: { address: "h", username: "u" } }), {
    password: "passwordMissing",
  });
  const typed = { ...emptyForm.secrets, password: { kind: "typed", text: "p" } } as const;
  assert.deepEqual(errorsOf({ type: "http", secrets: typed }), { username: "usernameMissing" });
  assert.deepEqual(errorsOf({ type: "http", secrets: typed, values: { address: "h", username: "a:b" } }), {
    username: "usernameColon",
  });
});

test("what passes here and is not about other upstreams passes the engine too", () => {
  const values = fc.record({
    pool_size: fc.oneof(fc.constant(""), fc.integer({ min: -2, max: 70 }).map(String)),
    keepalive_count_max: fc.oneof(fc.constant(""), fc.integer({ min: -2, max: 110 }).map(String)),
    keepalive_interval: fc.constantFrom("", "5", "0.5s", "10 m", "0", "x", "1d", "500ms"),
  });
  fc.assert(
    fc.property(values, fc.string({ maxLength: 66 }), (given, name) => {
      const form: UpstreamForm = { ...emptyForm, name, values: { address: "host", ...given } };
      const trimmed = name.trim();
      const ours = Object.keys(checkForm(form, [])).length === 0;
      const text = JSON.stringify({ upstreams: Object.fromEntries([[trimmed, toFile(form)]]) });
      const engines = "config" in parseConfig(text.replaceAll("${", "$${"), options);
      // JSON.stringify writes no __proto__ of an object literal, and the engine's check of that name is its own.
      if (trimmed !== "__proto__") assert.equal(ours, engines, JSON.stringify(form));
    }),
    { numRuns: 200 },
  );
});

test("the engine's problems stand beside their fields", () => {
  const problem = (path: string) => ({ line: 3, column: 1, path, message: path });
  const { fields, others } = placeProblems(
    [
      problem("upstreams.a.b.address"),
      problem("upstreams.a.b.identity_file[1]"),
      problem("upstreams.a.b.auth"),
      problem("upstreams.a.b.auth.username"),
      problem("upstreams.a.b.passphrase_file"),
      problem("upstreams.a.b"),
      problem("upstreams.a.address"),
      problem("routes[2].to"),
    ],
    "a.b",
  );
  assert.deepEqual(Object.keys(fields).toSorted(), [
    "address",
    "identity_file",
    "name",
    "passphrase",
    "password",
    "username",
  ]);
  assert.deepEqual(
    others.map(({ path }) => path),
    ["upstreams.a.address", "routes[2].to"],
  );
});
