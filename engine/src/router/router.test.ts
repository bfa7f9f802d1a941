import assert from "node:assert/strict";
import { BlockList, isIP, isIPv6 } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import type { RouteConfig } from "../config/config.ts";
import { parsePattern } from "./pattern.ts";
import { createRouter } from "./router.ts";
import { findShadowedRules } from "./shadow.ts";

test("the first rule that matches decides, and the default when none does", () => {
  const router = createRouter(
    [
      { match: "10.1.0.0/16:22", to: "a" },
      { match: "10.0.0.0/8", to: "b" },
      { match: "git.corp.internal", to: "c" },
      { match: "*.corp.internal", to: "d" },
      { match: "*.internal:80-90", to: "block" },
      { match: "fd00::/8", to: "e" },
    ],
    "direct",
  );
  const cases: [string, number, string, number | undefined][] = [
    ["10.1.2.3", 22, "a", 0],
    ["10.1.2.3", 23, "b", 1],
    ["::ffff:10.1.2.3", 22, "a", 0],
    ["::ffff:a01:203", 22, "a", 0],
    ["git.corp.internal", 1, "c", 2],
    ["GIT.Corp.Internal.", 1, "c", 2],
    ["a.b.corp.internal", 1, "d", 3],
    ["corp.internal", 1, "direct", undefined],
    ["corp.internal", 80, "block", 4],
    ["xcorp.internal", 90, "block", 4],
    ["fd12::1", 1, "e", 5],
    ["fe12::1", 1, "direct", undefined],
    ["11.0.0.1", 1, "direct", undefined],
  ];
  for (const [host, port, to, rule] of cases) {
    assert.deepEqual(router.route({ host, port }), { to, rule }, host);
  }
});

test("a rule for a network also catches loose spellings of its addresses", () => {
  const router = createRouter([{ match: "127.0.0.0/8", to: "block" }], "direct");
  for (const host of ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "017700000001", "::ffff:127.0.0.1"]) {
    assert.equal(router.route({ host, port: 80 }).to, "block", host);
  }
});

test("an internationalised name matches in both its forms", () => {
  const router = createRouter([{ match: "*.bücher.example", to: "a" }], "direct");
  assert.equal(router.route({ host: "www.BÜCHER.example", port: 1 }).to, "a");
  assert.equal(router.route({ host: "www.xn--bcher-kva.example", port: 1 }).to, "a");
});

test("explain gives the rule as written and one reason", () => {
  const router = createRouter(
    [
      { match: "*.corp.internal", to: "a" },
      { match: "10.0.0.0/8", to: "b" },
      { match: "Git.example.com:22", to: "c" },
      { match: "[2001:db8::1]:1-1023", to: "d" },
      { match: "*:25", to: "block" },
    ],
    "direct",
  );
  const reasons: [string, number, string, string][] = [
    ["x.corp.internal", 22, "*.corp.internal", "x.corp.internal:22 is below corp.internal (rule 1)"],
    ["10.1.2.3", 443, "10.0.0.0/8", "10.1.2.3:443 is in 10.0.0.0/8 (rule 2); earlier rules do not match"],
    [
      "git.example.com",
      22,
      "Git.example.com:22",
      "git.example.com:22 is the name git.example.com with port 22 (rule 3); earlier rules do not match; a name is not resolved here, so it matches no network",
    ],
    [
      "2001:DB8::1",
      80,
      "[2001:db8::1]:1-1023",
      "[2001:DB8::1]:80 is the address 2001:db8::1 with a port from 1 to 1023 (rule 4); earlier rules do not match",
    ],
    ["8.8.8.8", 25, "*:25", "8.8.8.8:25 matches * with port 25 (rule 5); earlier rules do not match"],
    ["8.8.8.8", 53, "default", "8.8.8.8:53 matches none of the rules, so the default applies"],
    [
      "0x0a.1",
      1,
      "10.0.0.0/8",
      "0x0a.1:1, read as 10.0.0.1, is in 10.0.0.0/8 (rule 2); earlier rules do not match",
    ],
    [
      "a.com",
      80,
      "default",
      "a.com:80 matches none of the rules, so the default applies; a name is not resolved here, so it matches no network",
    ],
  ];
  for (const [host, port, matched, reason] of reasons) {
    const target = { host, port };
    assert.deepEqual(router.explain(target), { ...router.route(target), target, matched, reason });
  }
});

test("the default without rules is told without mention of rules for networks", () => {
  const explanation = createRouter([], "block").explain({ host: "a.com", port: 80 });
  assert.deepEqual(explanation, {
    to: "block",
    rule: undefined,
    target: { host: "a.com", port: 80 },
    matched: "default",
    reason: "a.com:80 matches none of the rules, so the default applies",
  });
});

// A few labels, octets and ports, so that rules and targets meet often.
const label = fc.constantFrom("a", "b", "corp", "x");
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
const octet = fc.constantFrom(0, 1, 10, 127, 128, 255);
const ipv4 = fc.tuple(octet, octet, octet, octet).map((octets) => octets.join("."));
const group = fc.constantFrom("0", "1", "fd00", "8000", "ffff");
const ipv6 = fc.array(group, { minLength: 8, maxLength: 8 }).map((groups) => groups.join(":"));
const portNumber = fc.oneof(fc.constantFrom(0, 22, 80, 443, 65_535), fc.nat(100));
const portText = fc.oneof(
  { weight: 2, arbitrary: fc.constant("") },
  portNumber.filter((port) => port !== 0).map((port) => `:${port}`),
  fc
    .tuple(portNumber, portNumber)
    .filter(([a, b]) => a + b > 0)
    .map(([a, b]) => `:${Math.min(a, b)}-${Math.max(a, b)}`),
);

/** The right network of an address and a length, taken from the refusal of the wrong one; the address, where there is none. */
function networkOf(address: string, bits: number): string {
  try {
    parsePattern(`${address}/${bits}`);
    return `${address}/${bits}`;
  } catch (error) {
    return /the network is (\S+)$/.exec((error as Error).message)?.[1] ?? address;
  }
}

const match = fc
  .tuple(
    fc.oneof(
      fc.constant("*"),
      name,
      name.map((suffix) => `*.${suffix}`),
      ipv4,
      fc.tuple(ipv4, fc.nat(32)).map(([address, bits]) => networkOf(address, bits)),
      fc.tuple(ipv6, fc.nat(128)).map(([address, bits]) => networkOf(address, bits)),
    ),
    portText,
  )
  .map(([host, port]) => (host.includes(":") && port !== "" ? `[${host}]${port}` : host + port));

const target = fc.record({ host: fc.oneof(name, ipv4, ipv6), port: portNumber });

/** The same rules without an index: strings and Node's own BlockList. */
function naiveMatches(text: string, host: string, port: number): boolean {
  const parts =
    /^\[(.*)\]:(.*)$/.exec(text) ?? (text.split(":").length > 2 ? null : /^(.*):(.*)$/.exec(text));
  const [pattern, ports] = parts ? [parts[1]!, parts[2]!] : [text, "0-65535"];
  const [low, high = low] = ports.split("-").map(Number);
  if (port < low! || port > high!) return false;
  if (pattern === "*") return true;
  if (pattern.startsWith("*.")) return isIP(host) === 0 && host.endsWith(pattern.slice(1));
  const [address, bits] = pattern.split("/") as [string, string?];
  const family = isIPv6(address) ? "ipv6" : "ipv4";
  if (isIP(address) === 0) return host === pattern;
  if (isIP(host) !== isIP(address)) return false;
  const list = new BlockList();
  list.addSubnet(address, Number(bits ?? (family === "ipv6" ? 128 : 32)), family);
  return list.check(host, family);
}

test("the index decides as a walk over all rules does", () => {
  fc.assert(
    fc.property(
      fc.array(match, { maxLength: 30 }),
      fc.array(target, { maxLength: 20 }),
      (matches, targets) => {
        const router = createRouter(
          matches.map((text, rule) => ({ match: text, to: `u${rule}` })),
          "direct",
        );
        for (const { host, port } of targets) {
          const rule = matches.findIndex((text) => naiveMatches(text, host, port));
          const expected = rule === -1 ? { to: "direct", rule: undefined } : { to: `u${rule}`, rule };
          assert.deepEqual(router.route({ host, port }), expected, `${host} ${port}`);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test("many rules for one host that differ in ports are kept apart", () => {
  const ranges = fc.array(
    fc.tuple(fc.nat(300), fc.nat(40)).filter(([low, width]) => low + width > 0),
    { minLength: 1, maxLength: 60 },
  );
  fc.assert(
    fc.property(ranges, (pairs) => {
      const routes = pairs.map(([low, width], i) => ({ match: `h:${low}-${low + width}`, to: `u${i}` }));
      const router = createRouter(routes, "direct");
      for (let port = 0; port <= 345; port++) {
        const rule = pairs.findIndex(([low, width]) => port >= low && port <= low + width);
        assert.equal(router.route({ host: "h", port }).rule, rule === -1 ? undefined : rule);
      }
    }),
    { numRuns: 100 },
  );
});

test("a shadowed rule never decides, and its coverer comes before it", () => {
  fc.assert(
    fc.property(
      fc.array(match, { maxLength: 30 }),
      fc.array(target, { maxLength: 30 }),
      (matches, targets) => {
        const shadowed = new Map(
          findShadowedRules(matches.map(parsePattern)).map(({ rule, by }) => [rule, by]),
        );
        const router = createRouter(
          matches.map((text) => ({ match: text, to: "a" })),
          "direct",
        );
        for (const { host, port } of targets) {
          assert.ok(!shadowed.has(router.route({ host, port }).rule ?? -1));
          for (const [rule, by] of shadowed) {
            assert.ok(by < rule);
            if (naiveMatches(matches[rule]!, host, port)) assert.ok(naiveMatches(matches[by]!, host, port));
          }
        }
      },
    ),
    { numRuns: 500 },
  );
});

test("shadowed rules are found in each kind of match", () => {
  const cases: [string[], [number, number][]][] = [
    [
      ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3:80"],
      [
        [1, 0],
        [2, 0],
      ],
    ],
    [["10.1.0.0/16", "10.0.0.0/8"], []],
    [["10.0.0.0/8:80", "10.1.0.0/16"], []],
    [["a.com:1-10", "a.com:5-15", "a.com:6-9", "a.com:1-15"], [[2, 1]]],
    [
      ["*.com", "a.com", "*.b.com", "com"],
      [
        [1, 0],
        [2, 0],
      ],
    ],
    [["a.com", "A.com."], [[1, 0]]],
    [
      ["*", "a.com", "fd00::/8", "*"],
      [
        [1, 0],
        [2, 0],
        [3, 0],
      ],
    ],
    [["0.0.0.0/0", "::/0", "*"], []],
    [["10.0.0.0/8", "::ffff:10.0.0.0/104"], [[1, 0]]],
  ];
  for (const [matches, expected] of cases) {
    const found = findShadowedRules(matches.map(parsePattern)).map(({ rule, by }) => [rule, by]);
    assert.deepEqual(found, expected, matches.join(" "));
  }
});

/** As many rules of every kind, and targets of which some match late and some not at all. */
function manyRules(count: number): RouteConfig[] {
  return Array.from({ length: count }, (_, i): RouteConfig => {
    const [a, b, c] = [i & 255, (i >> 8) & 255, (i >> 16) & 255];
    switch (i % 5) {
      case 0:
        return { match: `10.${c}.${b}.${a}`, to: "a" };
      case 1:
        return { match: `172.${b}.${a}.0/24`, to: "b" };
      case 2:
        return { match: `host${i}.example.com:443`, to: "c" };
      case 3:
        return { match: `*.zone${i}.internal`, to: "d" };
      default:
        return { match: `fd${c.toString(16).padStart(2, "0")}:${b}:${a}::/48`, to: "e" };
    }
  });
}

/** Nanoseconds a look-up, the best of several rounds. */
function lookupCost(count: number): number {
  const router = createRouter(manyRules(count), "direct");
  const targets = Array.from({ length: 256 }, (_, i) => {
    const n = Math.floor((i * count) / 256);
    const hosts = [`10.0.${(n >> 8) & 255}.${n & 255}`, `172.${(n >> 8) & 255}.${n & 255}.9`];
    hosts.push(`host${n}.example.com`, `a.b.zone${n}.internal`, `fd00:${(n >> 8) & 255}:${n & 255}::1`);
    hosts.push("www.example.org", "192.168.1.1");
    return { host: hosts[i % hosts.length]!, port: 443 };
  });
  let best = Infinity;
  for (let round = 0; round < 25; round++) {
    const started = performance.now();
    for (let i = 0; i < 40; i++) for (const target of targets) router.route(target);
    best = Math.min(best, ((performance.now() - started) * 1e6) / (40 * targets.length));
  }
  return best;
}

test("a look-up among 100,000 rules costs less than 20 times one among 10", (t) => {
  const few = lookupCost(10);
  const many = lookupCost(100_000);
  t.diagnostic(`${few.toFixed(0)} ns among 10 rules, ${many.toFixed(0)} ns among 100,000`);
  assert.ok(many < 20 * few, `${many.toFixed(0)} ns against ${few.toFixed(0)} ns`);
});

test("100,000 rules that differ in ports alone are looked up as fast", (t) => {
  const routes = Array.from({ length: 100_000 }, (_, i) => ({ match: `*:${i % 65_536}-65535`, to: `u${i}` }));
  const router = createRouter(routes, "direct");
  const started = performance.now();
  for (let i = 0; i < 100_000; i++) router.route({ host: "a.b", port: i & 0xffff });
  const ns = ((performance.now() - started) * 1e6) / 100_000;
  t.diagnostic(`${ns.toFixed(0)} ns a look-up`);
  assert.ok(ns < 20_000, `${ns.toFixed(0)} ns`);
});
