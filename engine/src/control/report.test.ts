import assert from "node:assert/strict";
import { hostname, userInfo } from "node:os";
import { test } from "node:test";
import fc from "fast-check";
import { readLocalNetworks } from "../tun/local-networks.ts";
import { findOverlaps } from "../tun/preflight.ts";
import { createTestHost } from "../../../test/peers/control-host.ts";
import { ControlError } from "./control-error.ts";
import { Disguise } from "./disguise.ts";
import { writeReport } from "./report.ts";
import { createService } from "./service.ts";

/** None of these may be in a report, in any case. */
const PLANTED = {
  secrets: [
    "hunter2-planted",
    'pass phrase "quoted" \\ planted',
    "proxy-password-planted",
    "relay-token-planted",
    "edge-password-planted",
  ],
  users: ["janeplanted", "proxyuserplanted", "edgeuserplanted"],
  hosts: [
    "bastion.planted.example.com",
    "alias-planted",
    "proxy.planted.corp",
    "192.0.2.77",
    "2001:db8::77",
    "wiki.planted.internal",
    "planted.wildcard",
    "target.planted.net",
    "barehost-planted",
    "unheard.planted.org",
    "198.51.100.9",
    "10.77.0.0",
    "relay.planted.example.net",
    "relaycert-planted",
    "label-planted",
    "public-planted",
    "service-planted",
    "vhost-planted",
    "203.0.113.9",
  ],
};

const CONFIG = `
listen:
  socks5: { address: "192.0.2.77:1080", auth: { username: proxyuserplanted, password: proxy-password-planted } }
upstreams:
  work: { address: bastion.planted.example.com, user: janeplanted, password: hunter2-planted, identity_file: /home/janeplanted/.ssh/id }
  other: { address: alias-planted, user: janeplanted, passphrase: ${JSON.stringify(PLANTED.secrets[1])} }
  proxy: { type: http, address: "proxy.planted.corp:8080", auth: { username: proxyuserplanted, password: proxy-password-planted } }
  six: { type: socks5, address: "[2001:db8::77]:1080" }
routes:
  - { match: wiki.planted.internal, to: work }
  - { match: "*.planted.wildcard", to: work }
  - { match: 10.77.0.0/16, to: work }
relays:
  home: { address: "relay.planted.example.net:7000", token: relay-token-planted, tls_server_name: relaycert-planted }
shares:
  label-planted:
    target: "service-planted:3000"
    name: public-planted
    host_header: vhost-planted
    allow: [203.0.113.9/32]
    basic_auth: { username: edgeuserplanted, password: edge-password-planted }
`;

test("a report tells of everything and names nobody", async () => {
  const host = createTestHost();
  host.running = CONFIG;
  const words = [...PLANTED.secrets, ...PLANTED.users, ...PLANTED.hosts];
  for (const word of words) {
    host.logger.warn(
      { upstream: "work", target: `${word}:443`, error: `can't reach ${word}: refused` },
      `dial to ${word} failed`,
    );
    host.logger.info(`something of ${word.toUpperCase()}, at (${word})`);
  }
  host.logger.info({ target: "barehost-planted:22" }, "connected");
  const text = await writeReport(host);
  for (const word of [...words, "janeplanted", hostname(), userInfo().username].filter(
    (one) => one !== "root",
  )) {
    const escaped = JSON.stringify(word).slice(1, -1);
    for (const form of [word, escaped]) {
      assert.ok(!text.toLowerCase().includes(form.toLowerCase()), `${form} is in the report`);
    }
  }
  assert.ok(
    !text.toLowerCase().includes("planted"),
    text.split("\n").find((line) => /planted/i.test(line)) ?? "",
  );
  for (const kept of [
    "1.2.3",
    `node: ${process.versions.node}`,
    "upstream-1.example",
    "user-1",
    "•••",
    "work",
    "there is none",
  ]) {
    assert.ok(text.includes(kept), `${kept} is missing`);
  }
  assert.match(text, /dial to upstream-1\.example failed/, "the same word wherever the host stood");
});

test("names that a relay chose are replaced, and the words of its domain stay", async () => {
  const host = createTestHost();
  const addresses = ["https://chosenplanted.relay.test", "http://chosenplanted.relay.test:8080"];
  host.logger.info({ share: "bare-share-planted", addresses }, "shared");
  host.logger.info({ share: "raw", addresses: ["relay.test:2000"] }, "shared");
  host.logger.warn({ relay: "home" }, "the relay refuses: chosenplanted and bare-share-planted are taken");
  const text = await writeReport(host);
  assert.doesNotMatch(text, /planted|relay\.test/i);
  assert.match(text, /the relay refuses: host-\d+\.example and host-\d+\.example are taken/);
  assert.match(text, /"relay":"home"/);
});

test("of a long log the last 500 records are in it", async () => {
  const host = createTestHost();
  for (let i = 0; i < 700; i++) host.logger.info({ seq: i }, "record");
  const text = await writeReport(host);
  assert.ok(!text.includes('"seq":199}') && text.includes('"seq":200}') && text.includes('"seq":699}'));
});

test("what makes sense without names stays as it is", () => {
  const disguise = new Disguise({ secrets: [], users: [], servers: [], hosts: [], home: "/home/u" });
  for (const text of [
    "tun.cidrs: 0.0.0.0:1080 and 127.0.0.1:80, localhost, ::1",
    "limits.drain_timeout, version 1.2.3, 24.21.0, index.ts and ~/config.yaml",
    "2026-01-02T03:04:05.678Z at 12:34:56",
  ]) {
    assert.equal(disguise.text(text), text);
  }
  assert.equal(disguise.text("/home/u/x and /home/other/x"), "~/x and /home/user/x");
});

test("no name or address that was known is left, wherever it stands between other words", () => {
  const word = fc.stringMatching(/^[a-z][a-z\d-]{3,12}[a-z]$/);
  const hosts = fc.array(
    fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      word.map((name) => `${name}.test.invalid`),
      word,
    ),
    { minLength: 1, maxLength: 5 },
  );
  const around = fc.constantFrom(" ", "(", ")", '"', ":443 ", ", ", "@", "=", "[", "]", "\n", "://", "/");
  fc.assert(
    fc.property(hosts, fc.array(around, { minLength: 12, maxLength: 12 }), (names, seams) => {
      const given = names.filter((name) => !/^(::1?|0\.0\.0\.0|127\.|direct$|block$|localhost$)/.test(name));
      const disguise = new Disguise({ secrets: [], users: [], servers: [], hosts: given, home: "/h" });
      const text = given.map((name, i) => `${seams[i]!}${name}${seams[i + 6]!}`).join("");
      const shown = ` ${disguise.text(text)} `;
      for (const name of given) {
        const standing = new RegExp(`(?<![\\w.:-])${name.replace(/[.[\]]/g, "\\$&")}(?![\\w.:-])`, "i");
        assert.doesNotMatch(shown, standing);
      }
    }),
    { numRuns: 300 },
  );
});

test("preflight tells of a network that is no network in a sentence", async () => {
  const service = createService(createTestHost());
  const everywhere = { cidrs: ["0.0.0.0/1", "128.0.0.0/1"], exclude: [] };
  const overlaps = findOverlaps(everywhere, readLocalNetworks(undefined));
  assert.deepEqual(await service.call("tun.preflight", everywhere), { overlaps });
  await assert.rejects(
    service.call("tun.preflight", { cidrs: ["10.0.0.1/8"], exclude: [] }),
    (error: unknown) =>
      error instanceof ControlError && error.code === "bad-request" && error.message.includes("10.0.0.0/8"),
  );
});
