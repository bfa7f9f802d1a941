import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Browser, Page } from "playwright-core";
import { launchChromium, skipWithoutChromium, violationsOf } from "../peers/browser.ts";
import {
  type LocalService,
  raw,
  startLocalHttp,
  startLocalTcp,
  startShare,
  startTestRelay,
  type TestRelay,
  type TestShare,
  until,
} from "../peers/relay.ts";

/** Pictures for people; kept out of the repository. */
const SCREENSHOTS = join(import.meta.dirname, "..", "..", ".cache", "screenshots");

/** Files of tests run side by side, each in a process of its own. */
const TCP_PORT = 20_000 + (process.pid % 10_000);

const basic = (password: string) => `Basic ${Buffer.from(`root:${password}`).toString("base64")}`;

describe("the dashboard of a relay", { skip: skipWithoutChromium() }, () => {
  const all = new AsyncDisposableStack();
  const failures: string[] = [];
  let relay: TestRelay;
  let local: LocalService;
  let browser: Browser;
  let address: string;

  before(async () => {
    await mkdir(SCREENSHOTS, { recursive: true });
    const folder = await mkdtemp(join(tmpdir(), "showoff-dashboard-"));
    all.defer(() => rm(folder, { recursive: true }));
    const credentials = join(folder, "credentials");
    await writeFile(credentials, "root:correct horse\n");
    relay = all.use(
      await startTestRelay({
        admin: { address: "127.0.0.1:0", credentials_file: credentials },
        names: { hold: 0 },
      }),
    );
    local = all.use(
      await startLocalHttp((request, response) => {
        response.statusCode = Number(/^\/status\/(\d+)/.exec(request.url!)?.[1] ?? 200);
        response.end("x".repeat(Number(/^\/bytes\/(\d+)/.exec(request.url!)?.[1] ?? 40)));
      }),
    );
    const tcp = all.use(await startLocalTcp((socket) => socket.end()));
    const share = (name: string, identity: string) =>
      startShare(relay, { kind: "http", name, target: local.target }, { token: `token-${identity}` });
    for (const [name, identity] of [
      ["demo", "ada"],
      ["staging", "grace"],
      ["webhooks", "grace"],
    ] as const)
      all.use(await share(name, identity));
    all.use(
      await startShare(relay, { kind: "tcp", port: TCP_PORT, target: tcp.target }, { token: "token-linus" }),
    );
    await serveSome(relay);
    browser = await launchChromium();
    all.defer(() => browser.close());
    address = `http://127.0.0.1:${relay.admin!.port}/`;
  });
  after(() => all.disposeAsync());

  async function open(options: { bypassCsp?: boolean } = {}): Promise<Page> {
    const context = await browser.newContext({
      viewport: { width: 1180, height: 900 },
      locale: "en-GB",
      httpCredentials: { username: "root", password: "correct horse" },
      bypassCSP: options.bypassCsp ?? false,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on("pageerror", (error) => failures.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") failures.push(message.text());
    });
    await page.goto(address);
    await page.locator("#live[data-kind=live]").waitFor();
    return page;
  }

  it("answers nobody without the credentials, and shows nothing of itself then", async () => {
    for (const path of ["", "live"]) {
      for (const headers of [{}, { authorization: basic("wrong horse!") }] as Record<string, string>[]) {
        const response = await fetch(address + path, { headers });
        assert.equal(response.status, 401);
        assert.doesNotMatch(await response.text(), /demo|ada|Showoff/);
      }
    }
    const post = await fetch(address, { method: "POST", headers: { authorization: basic("correct horse") } });
    assert.equal(post.status, 405);
  });

  it("runs no script and no style but its own: the policy says so, with a new nonce each time", async () => {
    const headers = { authorization: basic("correct horse") };
    const nonces = new Set<string>();
    for (let i = 0; i < 2; i++) {
      const response = await fetch(address, { headers });
      const policy = response.headers.get("content-security-policy") ?? "";
      assert.match(policy, /^default-src 'none'; script-src 'nonce-[^']+'; style-src 'nonce-[^']+'; /);
      assert.match(policy, /frame-ancestors 'none'/);
      assert.doesNotMatch(policy, /unsafe/);
      nonces.add(/nonce-([^']+)/.exec(policy)![1]!);
      assert.equal(response.headers.get("cache-control"), "no-store");
    }
    assert.equal(nonces.size, 2);
  });

  it("shows who is connected, what they share and what was asked for, all as text, and keeps up by itself", async () => {
    const page = await open();
    const shares = await page.locator("#shares").innerText();
    for (const text of [
      "demo.localhost",
      "staging.localhost",
      `localhost:${TCP_PORT}`,
      "ada",
      "grace",
      "linus",
    ])
      assert.ok(shares.includes(text), `${text} in ${shares}`);
    const requests = await page.locator("#requests").innerText();
    assert.match(requests, /GET\s+\/orders/);
    assert.match(requests, /unknown-name/);
    assert.doesNotMatch(requests, /secret/);
    assert.match(await page.locator("#tiles").innerText(), /Clients\s+4\s/);
    const path = '/<img/src=x/onerror="document.title=1">&lt;b&gt;';
    await raw(relay.http!.port, `GET ${path} HTTP/1.1\r\nHost: demo.localhost\r\nConnection: close\r\n\r\n`);
    await page.locator("#requests .path", { hasText: path }).first().waitFor();
    assert.equal(await page.locator("#requests img").count(), 0);
    assert.match(await page.title(), /^Showoff/);
    const share: TestShare = await startShare(
      relay,
      { kind: "http", name: "newcomer", target: local.target },
      { token: "token-hedy" },
    );
    await lookAgain(page);
    await page.locator("#shares", { hasText: "newcomer" }).waitFor();
    share.close();
    await until(() => relay.counts().clients === 4, "the newcomer has gone");
    await lookAgain(page);
    await page.locator("#shares:not(:has-text('newcomer'))").waitFor();
    await page.context().close();
    assert.deepEqual(failures, []);
  });

  it("has no barrier that axe finds, light and dark, and fits its window", async () => {
    const page = await open({ bypassCsp: true });
    for (const theme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme: theme });
      await page.setViewportSize({ width: 1180, height: 900 });
      await page.screenshot({ path: join(SCREENSHOTS, `relay-dashboard-${theme}.png`), fullPage: true });
      assert.deepEqual(await violationsOf(page), [], theme);
      await page.setViewportSize({ width: 420, height: 800 });
      assert.ok(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), theme);
    }
    await page.screenshot({ path: join(SCREENSHOTS, "relay-dashboard-narrow.png") });
    await page.context().close();
  });

  it("says so when the relay is gone", async () => {
    const page = await open();
    await relay.stop(0);
    await lookAgain(page);
    await page.locator("#live", { hasText: "does not answer" }).waitFor();
    await page.context().close();
  });
});

/** What it does by itself every two seconds, now. */
async function lookAgain(page: Page): Promise<void> {
  await page.evaluate("void document.dispatchEvent(new Event('visibilitychange'))");
}

/** A little of everything. */
async function serveSome(relay: TestRelay): Promise<void> {
  const asked: [host: string, method: string, target: string][] = [
    ["demo", "GET", "/"],
    ["demo", "GET", "/assets/app.js"],
    ["demo", "GET", "/bytes/48000"],
    ["demo", "GET", "/orders?token=secret"],
    ["staging", "POST", "/orders"],
    ["staging", "GET", "/status/500"],
    ["staging", "GET", "/status/404"],
    ["webhooks", "POST", "/stripe/events"],
    ["nobody", "GET", "/wp-login.php"],
    ["demo", "GET", "/a/rather/long/path/that/goes/on/and/on/for/a/while/index.html"],
  ];
  for (const [host, method, target] of asked) {
    const body = method === "POST" ? "Content-Length: 2\r\n" : "";
    await raw(
      relay.http!.port,
      `${method} ${target} HTTP/1.1\r\nHost: ${host}.localhost\r\nConnection: close\r\n${body}\r\n${method === "POST" ? "{}" : ""}`,
    );
  }
  await raw(TCP_PORT, "");
  await until(() => relay.ended.length === asked.length + 1, "all were served");
}
