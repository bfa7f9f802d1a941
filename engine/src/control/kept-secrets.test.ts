import assert from "node:assert/strict";
import { test } from "node:test";
import type { UpstreamConfig } from "../config/config.ts";
import { parseConfig } from "../config/load.ts";
import { withKeptSecrets } from "./kept-secrets.ts";

function upstream(text: string): UpstreamConfig {
  const parsed = parseConfig(`upstreams: { a: ${text} }`, { env: {}, home: "/home/me" });
  assert.ok("config" in parsed);
  return parsed.config.upstreams["a"]!;
}

test("a masked secret is the saved one's, and a new one is itself", () => {
  const saved = upstream("{ address: h, password: hunter2, passphrase: other }");
  const unsaved = upstream('{ address: elsewhere, password: "•••", passphrase: new }');
  assert.deepEqual(withKeptSecrets(unsaved, saved), {
    ...upstream("{ address: elsewhere, password: hunter2, passphrase: new }"),
  });
});

test("so it is with the login of a proxy", () => {
  const saved = upstream("{ type: socks5, address: h, auth: { username: u, password: hunter2 } }");
  const unsaved = upstream('{ type: socks5, address: h, auth: { username: v, password: "•••" } }');
  assert.deepEqual(
    withKeptSecrets(unsaved, saved),
    upstream("{ type: socks5, address: h, auth: { username: v, password: hunter2 } }"),
  );
});

test("what was never saved, or was of another type, has nothing to keep", () => {
  const unsaved = upstream('{ address: h, password: "•••" }');
  assert.deepEqual(withKeptSecrets(unsaved, undefined), unsaved);
  const proxy = upstream("{ type: http, address: h, auth: { username: u, password: hunter2 } }");
  assert.deepEqual(withKeptSecrets(unsaved, proxy), unsaved);
  const open = upstream("{ type: http, address: h }");
  assert.deepEqual(withKeptSecrets(open, proxy), open);
});
