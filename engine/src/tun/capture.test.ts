import assert from "node:assert/strict";
import { test } from "node:test";
import type { Config } from "../config/config.ts";
import { createRouter } from "../router/router.ts";
import { explainCapture } from "./capture.ts";

const TUN = {
  enabled: true,
  cidrs: ["10.0.0.0/8", "10.9.9.9/32", "fd00::/8"],
  exclude: ["10.9.0.0/16", "10.1.0.0/16"],
  mtu: 1500,
  ping: false,
  block_when_disconnected: false,
  dns: "off",
} satisfies Config["tun"];

function explain(host: string, tun: Partial<Config["tun"]> = {}, port = 443): string {
  const routes = [
    { match: "*.corp.internal:443", to: "bastion" },
    { match: "*.home", to: "direct" },
  ];
  const config = { routes, default: "direct", tun: { ...TUN, ...tun } };
  const { captured, reason } = explainCapture({ host, port }, config, createRouter(routes, "direct"));
  return `${captured}: ${reason}`;
}

test("an address is captured by the network of tun.cidrs that holds it", () => {
  assert.equal(explain("10.2.3.4"), "yes: tun.cidrs has 10.0.0.0/8");
  assert.equal(explain("fd12::1"), "yes: tun.cidrs has fd00::/8");
  assert.equal(explain("192.0.2.1"), "no: no network of tun.cidrs holds it");
  assert.equal(explain("::ffff:10.2.3.4"), "yes: tun.cidrs has 10.0.0.0/8");
});

test("of captured and excluded networks the longer prefix counts, as in the kernel's table", () => {
  assert.equal(explain("10.9.1.1"), "no: tun.exclude leaves 10.9.0.0/16 out");
  assert.equal(explain("10.9.9.9"), "yes: tun.cidrs has 10.9.9.9/32");
  assert.equal(explain("10.2.3.4", { exclude: ["10.0.0.0/8"] }), "no: tun.exclude leaves 10.0.0.0/8 out");
});

test("loopback is never captured, whatever tun.cidrs has", () => {
  const all = { cidrs: ["0.0.0.0/0", "::/0"], exclude: [] };
  for (const [host, what] of [
    ["127.0.0.1", "127.0.0.0/8"],
    ["::1", "::1/128"],
    ["localhost", "localhost"],
  ] as const)
    assert.equal(explain(host, all), `no: ${what} never leaves this machine`);
});

test("a name is captured where routes mention it and it gets a fake address, whatever the port", () => {
  const fake = { dns: "fake-ip" } as const;
  const mentioned =
    "yes: routes mention the name, so tun.dns: fake-ip answers it with an address that is captured";
  assert.equal(explain("wiki.corp.internal", fake), mentioned);
  assert.equal(explain("WIKI.corp.internal.", fake, 80), mentioned);
  assert.match(explain("printer.home", fake), /^unknown: no route mentions the name, so its own name server/);
  assert.match(explain("wiki.corp.internal"), /^unknown: tun\.dns is off, so its own name server answers/);
  assert.match(
    explain("x.example", { ...fake, cidrs: [] }),
    /^no: no route mentions .* tun\.cidrs is empty$/,
  );
  assert.equal(explain("198.18.0.9", fake), "yes: fake addresses for names are of 198.18.0.0/15");
  assert.equal(explain("198.18.0.9"), "no: no network of tun.cidrs holds it");
});

test("a captured name server is answered for where tun.dns says so", () => {
  assert.match(explain("10.0.0.53", { dns: "hijack" }, 53), /; tun\.dns is hijack, so Sockeye answers/);
  assert.doesNotMatch(explain("10.0.0.53", {}, 53), /Sockeye answers/);
  assert.doesNotMatch(explain("192.0.2.53", { dns: "hijack" }, 53), /Sockeye answers/);
});
