import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Limits } from "./config.ts";
import { defaultLimits } from "./defaults.ts";
import { parseConfig } from "./load.ts";
import { keysOf } from "./schema.ts";

const reference = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");

/** The keys in the first column of the reference's tables, those of the heading given, or all. */
function documentedKeys(heading?: string): Set<string> {
  const start = heading === undefined ? 0 : reference.indexOf(`\n${heading}`) + 1;
  assert.ok(heading === undefined || start > 0, `no heading ${heading ?? ""}`);
  const end = heading === undefined ? -1 : reference.indexOf("\n#", start);
  const section = reference.slice(start, end === -1 ? undefined : end);
  return new Set([...section.matchAll(/^\| `([a-z0-9_]+)` +\|/gm)].map(([, key]) => key!));
}

const blocks: [heading: string, keys: readonly string[]][] = [
  ["## `listen`", [...keysOf.listen, ...keysOf.listener, ...keysOf.auth]],
  ["## `routes`", keysOf.route],
  ["## `limits`", keysOf.limits],
  ["## `log`", keysOf.log],
  ["## `tun`", keysOf.tun],
  ["## `relays`", keysOf.relay],
  ["## `shares`", keysOf.share],
];

test("every key of the schema is in the reference, and the reference has no other", () => {
  for (const [heading, keys] of blocks) assert.deepEqual(documentedKeys(heading), new Set(keys), heading);
  const common = documentedKeys("## `upstreams`");
  for (const [type, keys] of Object.entries(keysOf.upstream)) {
    const documented = new Set([...common, ...documentedKeys(`### \`type: ${type}\``)]);
    assert.deepEqual([...documented].sort(), [...new Set(keys)].sort(), type);
  }
  for (const key of keysOf.file) assert.match(reference, new RegExp(`^## .*\`${key}\``, "m"));
});

test("the reference's defaults of the limits are the defaults", () => {
  for (const [key, value] of Object.entries(defaultLimits)) {
    const row = new RegExp(`^\\| \`${key}\` +\\|[^|]*\\| \`?(\\d+)s?\`? +\\|`, "m").exec(reference);
    assert.equal(Number(row?.[1]), value, key);
  }
  assert.deepEqual(keysOf.limits, Object.keys(defaultLimits satisfies Limits));
});

test("the reference's examples are right, without a warning of their own", () => {
  const examples = [...reference.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, example]) => example!);
  assert.ok(examples.length >= 9);
  for (const example of examples) {
    const env = { LEGACY_PASSWORD: "x", VPN_PASSWORD: "y" };
    const result = parseConfig(example, { env, home: "/home/u" });
    assert.ok("config" in result, "errors" in result ? `${example}\n${JSON.stringify(result.errors)}` : "");
    const warnings = result.warnings.filter(
      ({ message }) => !message.startsWith("no application can connect"),
    );
    assert.deepEqual(warnings, [], example);
  }
});
