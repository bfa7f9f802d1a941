import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRelayConfig } from "./config/load.ts";
import type { RelayConfig } from "./config/schema.ts";
import { startConfiguredRelay } from "./configured.ts";
import { notYet } from "./not-yet.ts";

function configured(yaml: string): RelayConfig {
  const result = parseRelayConfig({
    flags: {},
    env: {},
    file: { name: "relay.yaml", text: yaml },
    directory: "/",
  });
  assert.ok("config" in result, JSON.stringify(result));
  return result.config;
}

test("the defaults ask for nothing that is not there", () => {
  assert.deepEqual(notYet(configured("domains: [relay.example.com]\ninsecure_no_auth: true\n")), []);
});

test("a relay does not start with a setting that it would ignore, and names it", async () => {
  const config = configured(
    "domains: [relay.example.com]\ninsecure_no_auth: true\nproxy_protocol_out: v2\ntrusted_proxies: 127.0.0.1\ncontrol: { proxy_protocol: any }\n",
  );
  await assert.rejects(
    startConfiguredRelay(config, {} as never),
    /control\.proxy_protocol is not carried out by this version yet; proxy_protocol_out is not/,
  );
});
