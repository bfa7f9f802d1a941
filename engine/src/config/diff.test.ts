import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Config } from "./config.ts";
import { diffConfig } from "./diff.ts";
import { parseConfig } from "./load.ts";

function configOf(text: string): Config {
  const result = parseConfig(text, { env: {}, home: "/h" });
  if ("errors" in result) assert.fail(result.errors.map(({ message }) => message).join("\n"));
  return result.config;
}

const base = `
listen: { socks5: 127.0.0.1:1, http: 127.0.0.1:2 }
upstreams:
  a: { address: h, via: b }
  b: { type: socks5, address: p, via: c }
  c: { type: http, address: q }
  d: { address: z }
routes: [{ match: x, to: a }]
`;

test("nothing changed is nothing to do", () => {
  assert.equal(diffConfig(configOf(base), configOf(`# new comment\n${base}`)).isEmpty, true);
});

test("an upstream counts as changed with every upstream on its way", () => {
  const { upstreams, isEmpty, ...rest } = diffConfig(
    configOf(base),
    configOf(base.replace("address: q", "address: r")),
  );
  assert.deepEqual(upstreams, { added: [], removed: [], changed: ["a", "b", "c"] });
  assert.equal(isEmpty, false);
  assert.equal(rest.routesChanged || rest.limitsChanged || rest.logChanged || rest.tunChanged, false);
});

test("added, removed and renamed upstreams are told apart", () => {
  const next = base.replace("  d: { address: z }", "  e: { address: z }");
  const { upstreams } = diffConfig(configOf(base), configOf(next));
  assert.deepEqual(upstreams, { added: ["e"], removed: ["d"], changed: [] });
});

test("each listener and each block is told of itself", () => {
  const next = base
    .replace("socks5: 127.0.0.1:1, http: 127.0.0.1:2", "socks5: 127.0.0.1:9, metrics: 127.0.0.1:3")
    .concat(
      "default: block\nlimits: { dial_timeout: 9 }\nlog: { level: debug }\ntun: { cidrs: [10.0.0.0/8] }\n" +
        "relays: { home: { address: relay.example.com } }\n",
    );
  const { upstreams, ...rest } = diffConfig(configOf(base), configOf(next));
  assert.deepEqual(upstreams, { added: [], removed: [], changed: [] });
  assert.deepEqual(rest, {
    listen: { socks5: "changed", http: "removed", metrics: "added", control: "same" },
    routesChanged: true,
    limitsChanged: true,
    logChanged: true,
    tunChanged: true,
    sharesChanged: true,
    isEmpty: false,
  });
});

/** Configurations over four names, each upstream reached through a later one or none, so that no way is a circle. */
const upstreamNames = ["a", "b", "c", "d"];
const config = fc
  .array(fc.option(fc.tuple(fc.nat(1), fc.nat(4)), { nil: undefined }), { minLength: 4, maxLength: 4 })
  .map((entries) => {
    const lines = entries.map((entry, i) => {
      if (entry === undefined) return "";
      const [host, step] = entry;
      const via = upstreamNames.slice(i + 1).filter((_, j) => entries[i + 1 + j] !== undefined)[step];
      return `  ${upstreamNames[i]!}: { address: h${host}${via === undefined ? "" : `, via: ${via}`} }\n`;
    });
    return configOf(`upstreams:\n${lines.join("")}`);
  });

test("what is not told as changed has the same way as before, and what is, has not", () => {
  const wayOf = (name: string, { upstreams }: Config): unknown[] => {
    const upstream = upstreams[name]!;
    return [upstream, ...(upstream.via === undefined ? [] : wayOf(upstream.via, { upstreams } as Config))];
  };
  fc.assert(
    fc.property(config, config, (old, next) => {
      const { upstreams } = diffConfig(old, next);
      for (const name of upstreamNames) {
        const [before, after] = [name in old.upstreams, name in next.upstreams];
        assert.equal(upstreams.added.includes(name), !before && after);
        assert.equal(upstreams.removed.includes(name), before && !after);
        const same =
          before && after && JSON.stringify(wayOf(name, old)) === JSON.stringify(wayOf(name, next));
        assert.equal(upstreams.changed.includes(name), before && after && !same, name);
      }
      assert.equal(diffConfig(old, old).isEmpty, true);
    }),
    { numRuns: 100 },
  );
});
