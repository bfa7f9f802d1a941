import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import type { Config } from "../config/config.ts";
import { parseConfig } from "../config/load.ts";
import { calls, type ImportedUpstream } from "../control/contract.ts";
import { exportUpstreams } from "./export.ts";
import { previewSshConfig, previewText } from "./import.ts";

const folder = mkdtempSync(join(tmpdir(), "sockeye-import-"));
after(() => rmSync(folder, { recursive: true }));

function configOf(text: string): Config {
  const parsed = parseConfig(text, { env: {}, home: "/home/jane" });
  if ("errors" in parsed) return assert.fail(parsed.errors[0]!.message);
  return parsed.config;
}

const empty = configOf("");

async function upstreamsIn(text: string, config = empty): Promise<ImportedUpstream[]> {
  const { upstreams, skipped } = await previewText(text, config);
  assert.deepEqual(skipped, []);
  return upstreams;
}

async function only(text: string, config = empty): Promise<ImportedUpstream> {
  const upstreams = await upstreamsIn(text, config);
  assert.equal(upstreams.length, 1, JSON.stringify(upstreams));
  return upstreams[0]!;
}

async function whyNot(text: string): Promise<string> {
  const { upstreams, skipped } = await previewText(text, empty);
  assert.deepEqual(upstreams, []);
  assert.equal(skipped.length, 1, JSON.stringify(skipped));
  return skipped[0]!.why;
}

test("URLs of each kind, with ports, credentials and IPv6", async () => {
  for (const [url, upstream] of [
    ["ssh://deploy@bastion.example.com", { type: "ssh", address: "bastion.example.com:22", user: "deploy" }],
    ["ssh://[2001:db8::1]:2222", { type: "ssh", address: "[2001:db8::1]:2222" }],
    ["ssh://a:p%40ss@h", { type: "ssh", address: "h:22", user: "a", password: "p@ss" }],
    ["socks5://proxy", { type: "socks5", address: "proxy:1080" }],
    ["socks5h://u:p@proxy:9", { type: "socks5", address: "proxy:9", auth: { username: "u", password: "p" } }],
    ["http://proxy.corp:8080/", { type: "http", address: "proxy.corp:8080" }],
    ["https://proxy.corp", { type: "http", address: "proxy.corp:443", tls: true }],
    ["HTTP://PROXY:80", { type: "http", address: "proxy:80" }],
  ] as const) {
    assert.deepEqual((await only(url)).upstream, upstream, url);
  }
  const several = await upstreamsIn("ssh://bastion.a\n\n# a comment\nssh://bastion.b\r\nsocks5://x");
  assert.deepEqual(
    several.map(({ name }) => name),
    ["bastion", "bastion-2", "x"],
  );
});

test("a password is shown in no place but its own, and a variable in a URL is text", async () => {
  const { from, upstream, warnings } = await only("ssh://jane:hunter2@bastion");
  assert.equal(from, "ssh://jane@bastion");
  assert.equal(upstream["password"], "hunter2");
  assert.ok(!JSON.stringify([from, warnings]).includes("hunter2"));
  for (const broken of [
    "ssh://jane:hunter2@bastion:99999",
    "gopher://jane:hunter2@h",
    "ssh://jane:hunter2@[::x]",
  ]) {
    const { skipped } = await previewText(broken, empty);
    assert.ok(skipped.length === 1 && !JSON.stringify(skipped).includes("hunter2"), broken);
  }
  process.env["IMPORT_TEST_SECRET"] = "from-the-environment";
  const trick = await only("ssh://a:${IMPORT_TEST_SECRET}@h");
  assert.equal(trick.upstream["password"], "$${IMPORT_TEST_SECRET}");
  delete process.env["IMPORT_TEST_SECRET"];
  const half = await only("http://user@proxy:1");
  assert.match(half.warnings[0]!, /username without a password/);
});

test("an ssh command line, with its options, its jumps and what can't be taken over", async () => {
  const { upstream, warnings, name } = await only(
    "$ ssh -A -Np2222 -i ~/.ssh/id_x -l deploy -o 'User=other' -L 80:a:80 bastion uptime -a",
  );
  assert.equal(name, "bastion");
  assert.deepEqual(upstream, {
    type: "ssh",
    address: "bastion:2222",
    user: "deploy",
    identity_file: ["~/.ssh/id_x"],
  });
  assert.equal(warnings.length, 2);
  const chain = await upstreamsIn("ssh -J me@one:23,two \\\n  -oPort=24 ssh://you@three");
  assert.deepEqual(
    chain.map(({ name: called, upstream: found }) => [called, found["address"], found["user"], found["via"]]),
    [
      ["one", "one:23", "me", undefined],
      ["two", "two", undefined, "one"],
      ["three", "three:24", "you", "two"],
    ],
  );
  assert.match(await whyNot("ssh -p"), /-p has no value/);
  assert.match(await whyNot("ssh -Z x"), /no option -Z/);
  assert.match(await whyNot("ssh 'x"), /quote/);
  assert.match(await whyNot("ssh x; rm -rf /"), /means something to a shell/);
  assert.match(await whyNot("ssh $(id)"), /means something to a shell/);
  assert.match(await whyNot("ssh -v -N"), /names no host/);
});

const SSH_CONFIG = `
HOST bastion  other-name
  hostname bastion.example.com
  uSeR deploy
  PORT 2222
  IdentityFile /keys/one
Host inner
  ProxyJump bastion,admin@second
  HostName 10.0.0.5
Host *.corp !x.corp web-?
  User nobody
Host commanded
  ProxyCommand nc %h %p
Host *
  User everybody
Match host inner exec "touch ${folder}/ran"
  Port 99
`;

test("an ssh_config: patterns are no hosts, keywords are in any case, a jump is an upstream of its own", async () => {
  const upstreams = await upstreamsIn(SSH_CONFIG);
  const rows = upstreams.map(({ name, upstream }) => [
    name,
    upstream["address"],
    upstream["user"],
    upstream["via"],
  ]);
  assert.deepEqual(rows, [
    ["bastion", "bastion.example.com:2222", "deploy", undefined],
    ["other-name", "bastion.example.com:2222", "deploy", undefined],
    ["second", "second", "admin", "bastion"],
    ["inner", "10.0.0.5", "everybody", "second"],
    ["commanded", "commanded", "everybody", undefined],
  ]);
  assert.deepEqual(upstreams[0]!.upstream["identity_file"], ["/keys/one"]);
  assert.match(upstreams[4]!.warnings[0]!, /ProxyCommand can't be taken from a text/);
  assert.throws(() => rmSync(join(folder, "ran")), /ENOENT/, "nothing was run");
});

test("the user's own file: Include is followed, and what has no key of ours stays there", async () => {
  const path = join(folder, "config");
  mkdirSync(join(folder, "more"));
  writeFileSync(path, `include ${folder}/more/*.conf\n${SSH_CONFIG}`);
  writeFileSync(join(folder, "more", "a.conf"), "Host included\n  HostName included.example.com\n");
  const { upstreams, skipped } = await previewSshConfig(path, empty);
  assert.deepEqual(skipped, []);
  assert.equal(upstreams[0]!.name, "included");
  assert.deepEqual(upstreams.find(({ name }) => name === "commanded")!.upstream, {
    type: "ssh",
    address: "commanded",
    ssh_config: true,
  });
  writeFileSync(join(folder, "loop"), `Include ${folder}/loop\nHost a\n`);
  const loop = await previewSshConfig(join(folder, "loop"), empty);
  assert.match(loop.skipped[0]!.why, /included by itself, or too deeply/);
  const absent = await previewSshConfig(join(folder, "absent"), empty);
  assert.match(absent.skipped[0]!.why, /not there, or names no host/);
});

test("a text includes nothing of the disk, and a jump in a circle is said", async () => {
  const { upstreams, skipped } = await previewText(
    `Include ${folder}/more/*\nHost a\n  ProxyJump b\nHost b\n  ProxyJump a\nHost c`,
    empty,
  );
  assert.deepEqual(
    upstreams.map(({ name }) => name),
    ["c"],
  );
  assert.match(JSON.stringify(skipped), /leads in a circle/);
  assert.match(JSON.stringify(skipped), /files that a text includes are not read/);
});

test("a configuration of ours, with what a stranger's might do said beside it", async () => {
  const text = `
listen: { socks5: 127.0.0.1:1 }
upstreams:
  a: { address: a.example, password: "\${PATH}", via: b }
  b: { type: http, address: b.example:1 }
  c: { type: ftp, address: x }
  d: 7
  e: { address: e, ssh_config_file: /tmp/x, host_key_check: "off", via: nowhere }
`;
  const { upstreams, skipped } = await previewText(text, empty);
  assert.deepEqual(
    upstreams.map(({ name, upstream }) => [name, upstream["via"]]),
    [
      ["a", "b"],
      ["b", undefined],
      ["e", undefined],
    ],
  );
  assert.match(upstreams[0]!.warnings.join(), /reads PATH from the environment/);
  assert.equal(upstreams[2]!.warnings.length, 3);
  assert.equal(skipped.length, 2);
});

test("names are made free, and what is there already is said and used in chains", async () => {
  const config = configOf(`
upstreams:
  bastion: { address: bastion.example.com, user: deploy }
  work: { address: inner.example.com, via: bastion }
`);
  const upstreams = await upstreamsIn("ssh -J deploy@bastion.example.com inner.example.com", config);
  assert.deepEqual(
    upstreams.map(({ name, sameAs, upstream }) => [name, sameAs, upstream["via"]]),
    [
      ["bastion-2", "bastion", undefined],
      ["inner", "work", "bastion"],
    ],
  );
  assert.equal((await only("ssh://direct")).name, "direct-2");
  assert.equal((await only("ssh://--x@[::1]")).name, "1");
});

test("a link sets no secret, no file and no check, whatever stands in it", async () => {
  const { upstream, warnings } = await only(
    "sockeye://import?type=ssh&name=bastion&address=h:22&user=u&password=x&ssh_config_file=/tmp/x&host_key_check=off&identity_file=/etc/shadow",
  );
  assert.deepEqual(upstream, { type: "ssh", address: "h:22", user: "u" });
  assert.match(
    warnings[0]!,
    /password, ssh_config_file, host_key_check, identity_file can't come with a link/,
  );
  for (const link of [
    "sockeye://import?name=a",
    "sockeye://run?x",
    "sockeye://import?type=exec&address=a",
    "sockeye://import?address=a%0Ab",
    "sockeye://import?address=a&name=%E2%80%AEx",
    "sockeye://import?address=h:22&user=%07",
  ]) {
    await whyNot(link);
  }
});

test("what is exported comes back the same, without secrets, and with what it is reached through", async () => {
  const text = `
upstreams:
  corp: { type: http, address: proxy.corp:8080, tls: true, auth: { username: jane, password: hunter2 } }
  work: { address: inner, user: deploy, via: corp, password_file: /run/hunter2, pool_size: 3 }
  other: { type: socks5, address: "o:1" }
`;
  const exported = exportUpstreams(text, ["work"]);
  calls.export.result.parse(exported);
  assert.ok(!JSON.stringify(exported).includes("hunter2"));
  assert.match(exported.text, /# password_file: was here and was left out/);
  assert.match(exported.text, /# auth: \{ username: "jane" \} was here, with a password/);
  const back = await upstreamsIn(exported.text);
  assert.deepEqual(
    back.map(({ name, upstream }) => [name, upstream["address"], upstream["via"]]),
    [
      ["corp", "proxy.corp:8080", undefined],
      ["work", "inner", "corp"],
    ],
  );
  const byLinks = await upstreamsIn(exported.links.map(({ link }) => link).join("\n"));
  assert.deepEqual(
    byLinks.map(({ name, upstream }) => [name, upstream["address"], upstream["via"], upstream["pool_size"]]),
    [
      ["corp", "proxy.corp:8080", undefined, undefined],
      ["work", "inner", "corp", "3"],
    ],
  );
  assert.throws(
    () => exportUpstreams(text, ["nothing"]),
    /no upstream of the configuration is called "nothing"/,
  );
  assert.throws(() => exportUpstreams("a: [", undefined), /can't be read/);
});

test("hostile text is answered with a sentence", async () => {
  assert.match(await whyNot("x".repeat(10_000_000)), /longer than 1000000 characters/);
  assert.match(await whyNot(`ssh://${"x".repeat(20_000)}`), /longer than 8192/);
  assert.match(await whyNot("ssh://a\u202Eb"), /line 1 holds the character U\+202E/);
  assert.match(await whyNot("ok\n\x1b[31mssh x"), /line 2 holds the character U\+001B/);
  assert.match(await whyNot(""), /nothing in it/);
  assert.match(await whyNot("hello there"), /neither URLs, nor an ssh command/);
  assert.match(await whyNot(`a: &a [1,1]\nb: &b [*a,*a,*a]\nupstreams: [${"[".repeat(5000)}`), /./);
  const many = await previewText(Array.from({ length: 700 }, (_, i) => `ssh://host-${i}`).join("\n"), empty);
  assert.equal(many.upstreams.length, 500);
  assert.ok(many.skipped.length <= 101);
});

test("any text gives a preview of the contract's form, whose upstreams the configuration takes", async () => {
  const piece = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.constantFrom(
      "ssh ",
      "ssh://",
      "socks5://a:b@",
      "sockeye://import?",
      "Host ",
      "ProxyJump ",
      "\n",
      "upstreams:\n",
      "  a: {",
      "}",
      "-J ",
      "@",
      ":22",
      "${HOME}",
      "'",
    ),
    fc.webUrl(),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
      const preview = await previewText(pieces.join(""), empty);
      calls["import.preview"].result.parse(preview);
      const text = JSON.stringify({
        upstreams: Object.fromEntries(preview.upstreams.map(({ name, upstream }) => [name, upstream])),
      });
      const parsed = parseConfig(text, { env: process.env, home: "/" });
      assert.deepEqual("errors" in parsed ? parsed.errors : [], []);
    }),
    { numRuns: 300 },
  );
});
