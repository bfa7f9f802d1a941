import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { defaultTun } from "../config/defaults.ts";
import type { RouteConfig } from "../config/config.ts";
import { parseNetwork } from "../router/pattern.ts";
import { createRouter } from "../router/router.ts";
import { addressOfReverse, planDns, reverseDomains } from "./plan.ts";
import { MAX_DOMAINS, RoutedNames } from "./routed-names.ts";

interface Given {
  readonly routes?: readonly RouteConfig[];
  readonly default?: string;
  readonly cidrs?: readonly string[];
  readonly dns?: "off" | "hijack" | "fake-ip";
}

function configOf(given: Given) {
  const { routes = [], cidrs = ["10.0.0.0/8"], dns = "fake-ip" } = given;
  const config = {
    routes,
    default: given.default ?? "direct",
    tun: { ...defaultTun, cidrs, dns },
  } as const;
  return [config, createRouter(config.routes, config.default)] as const;
}

const REVERSE = [
  "18.198.in-addr.arpa",
  "19.198.in-addr.arpa",
  ...[0, 1, 2, 3].map((n) => `${n}.0.0.c.f.ip6.arpa`),
];

test("only fake-ip changes the system's DNS", () => {
  assert.equal(planDns(...configOf({ dns: "off" })), undefined);
  assert.equal(planDns(...configOf({ dns: "hijack" })), undefined);
  assert.deepEqual(planDns(...configOf({})), {
    servers: ["198.18.0.2", "fc00::2"],
    capture: ["198.18.0.0/15", "fc00::/18"],
    domains: REVERSE,
  });
  const [config, router] = configOf({});
  const narrow = planDns(config, router, false)!;
  assert.deepEqual(narrow.servers, ["198.18.0.2"]);
  assert.deepEqual(narrow.capture, ["198.18.0.0/15"]);
});

test("the domains are those that rules mention, to anything but direct, the widest only", () => {
  const routes = [
    { match: "public.corp.internal", to: "direct" },
    { match: "git.corp.internal:443", to: "production" },
    { match: "*.corp.internal", to: "production" },
    { match: "*.ads.example", to: "block" },
    { match: "nas.home", to: "direct" },
    { match: "bastion", to: "production" },
    { match: "10.0.0.0/8", to: "production" },
  ];
  const { domains } = planDns(...configOf({ routes }))!;
  assert.deepEqual(domains, ["ads.example", "bastion", "corp.internal", ...REVERSE]);
});

test("every name comes to us where the default leads upstream for all that is captured, or rules are too many", () => {
  const wide: Given = { default: "production", cidrs: ["0.0.0.0/1", "128.0.0.0/1"] };
  assert.deepEqual(planDns(...configOf(wide))!.domains, []);
  const star = { routes: [{ match: "*", to: "production" }], cidrs: ["0.0.0.0/0"] };
  assert.deepEqual(planDns(...configOf(star))!.domains, []);
  const routes = Array.from({ length: MAX_DOMAINS + 1 }, (_, i) => ({
    match: `*.d${i}.example`,
    to: "production",
  }));
  assert.deepEqual(planDns(...configOf({ routes }))!.domains, []);
  assert.notDeepEqual(planDns(...configOf({ routes: routes.slice(1) }))!.domains, []);
  const odd = [{ match: "*.a.-odd.example", to: "production" }];
  assert.deepEqual(planDns(...configOf({ routes: odd }))!.domains, []);
});

test("whatever the routes, the helper takes the servers and domains", () => {
  const many = Array.from({ length: MAX_DOMAINS }, (_, i) => ({
    match: `*.${"d".repeat(63)}.d${i}.example`,
    to: "production",
  }));
  for (const given of [{}, { routes: many }, { default: "production", cidrs: ["0.0.0.0/0"] }]) {
    const { servers, domains } = planDns(...configOf(given))!;
    assert.ok(domains.length <= 64);
    assert.ok(servers.length <= 4);
    for (const domain of domains) assert.match(domain, /^[a-z0-9_][a-z0-9_.-]{0,252}$/);
  }
});

test("a name is routed if any of its ports is", () => {
  const routes = [
    { match: "a.example:22", to: "production" },
    { match: "b.example:1-1023", to: "direct" },
    { match: "b.example", to: "production" },
    { match: "c.example", to: "direct" },
    { match: "*.example", to: "block" },
  ];
  const names = new RoutedNames(...configOf({ routes }));
  for (const name of ["a.example", "b.example", "d.e.example"]) assert.ok(names.has(name), name);
  for (const name of ["c.example", "example", "other", "0x7f.1", "a\\032.example", ""])
    assert.ok(!names.has(name), name);
});

test("what is routed is always in the domains that come to us", () => {
  const label = fc.constantFrom("a", "b", "c");
  const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join("."));
  const port = fc.constantFrom("", ":80", ":1-100");
  const match = fc.oneof(
    fc.tuple(name, port).map((parts) => parts.join("")),
    fc.tuple(name, port).map(([suffix, ports]) => `*.${suffix}${ports}`),
    fc.constant("*"),
  );
  const route = fc.record({ match, to: fc.constantFrom("direct", "block", "up") });
  const cidrs = fc.constantFrom(["10.0.0.0/8"], ["0.0.0.0/0"]);
  const given = fc.record({
    routes: fc.array(route, { maxLength: 6 }),
    default: fc.constantFrom("direct", "up"),
    cidrs,
  });
  fc.assert(
    fc.property(given, name, (config, asked) => {
      const names = new RoutedNames(...configOf(config));
      const { domains } = names;
      if (domains === undefined || !names.has(asked)) return;
      assert.ok(domains.some((domain) => asked === domain || asked.endsWith(`.${domain}`)));
    }),
  );
});

test("a network's reverse domains hold the names of its addresses and of no other", () => {
  assert.deepEqual(reverseDomains(parseNetwork("10.0.0.0/8")), ["10.in-addr.arpa"]);
  assert.deepEqual(reverseDomains(parseNetwork("10.1.2.252/30")).length, 4);
  assert.equal(addressOfReverse("4.3.2.1.in-addr.arpa"), "1.2.3.4");
  assert.equal(addressOfReverse("256.3.2.1.in-addr.arpa"), undefined);
  assert.equal(addressOfReverse("3.2.1.in-addr.arpa"), undefined);
  assert.equal(
    addressOfReverse(`1.${"0.".repeat(27)}0.0.c.f.ip6.arpa`),
    "fc00:0000:0000:0000:0000:0000:0000:0001",
  );
});
