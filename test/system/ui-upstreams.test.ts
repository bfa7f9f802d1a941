import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Locator, Page } from "playwright-core";
import { parse } from "yaml";
import { type DemoSshServer, startDemoSshServer } from "@sockeye/demo/ssh-server";
import { DemoWorld } from "@sockeye/demo/world";
import {
  type InterfaceUnderTest,
  serveInterface,
  skipWithoutChromium,
  startBrowser,
  type TestBrowser,
  violationsOf,
} from "../peers/browser.ts";

const USER = "demo";
const PASSWORD = "right horse";

interface File {
  readonly upstreams?: Record<string, Record<string, unknown>>;
  readonly routes?: unknown[];
  readonly default?: string;
}

/** The page of upstreams in a browser, against a real engine and an SSH server. */
describe("upstreams in the interface", { skip: skipWithoutChromium() }, () => {
  let browser: TestBrowser;
  let world: DemoWorld;
  let ssh: DemoSshServer;
  before(async () => {
    browser = await startBrowser();
    world = new DemoWorld();
    await world.start();
    ssh = await startDemoSshServer(world, USER, PASSWORD);
  });
  after(async () => {
    await browser[Symbol.asyncDispose]();
    await ssh.close();
    world.close();
  });

  const fileOf = async ({ sut }: InterfaceUnderTest) =>
    (parse(await readFile(sut.configFile, "utf8")) ?? {}) as File;
  const bastion = () => ({ address: `127.0.0.1:${ssh.port}`, user: USER, agent: false, ssh_config: false });
  const nowhere = (port: number) => ({ type: "socks5", address: `127.0.0.1:${port}` });

  it("an SSH upstream is tested, fails with a wrong password, passes with the right one, and is saved", async () => {
    await using on = await serveInterface({ upstreams: { other: nowhere(9) } });
    const page = await browser.open(on);
    await goTo(page, "#/upstreams/new");
    const editor = page.getByRole("dialog", { name: "New upstream" });
    await editor.getByLabel("Name", { exact: true }).fill("bastion");
    await editor.getByLabel("Address").fill(`127.0.0.1:${ssh.port}`);
    await editor.getByLabel("User", { exact: true }).fill(USER);
    await editor.getByText("More", { exact: true }).click();
    await editor.getByLabel("SSH agent").selectOption("None");
    await editor.getByLabel("Known hosts files").fill(join(dirname(on.sut.configFile), "known"));
    await editor.getByRole("button", { name: "Test" }).click();

    const hostKey = page.getByRole("dialog", { name: "Do you trust this host?" });
    await hostKey.waitFor();
    assert.match(await hostKey.innerText(), /SHA256:[\w+/]{43}/);
    assert.match(await hostKey.innerText(), /ssh-ed25519/);
    await hostKey.getByRole("button", { name: "Trust and remember" }).click();
    await answer(page, "Password", "wrong");
    await answerUntil(page, editor.getByText("It failed at: Log in"), "wrong");
    assert.deepEqual(await stepsOf(editor), [
      "Connect",
      "Agree on the protocol",
      "Check the host key",
      "Log in",
    ]);
    await editor.getByText("Look at the user, the password and the keys.").waitFor();

    await editor.getByLabel("Password", { exact: true }).fill(PASSWORD);
    await editor.getByRole("button", { name: "Test" }).click();
    await editor.getByText("Connected and logged in.").waitFor();
    assert.equal((await fileOf(on)).upstreams?.["bastion"], undefined, "a test writes nothing");

    await editor.getByLabel("Password", { exact: true }).fill("");
    await editor.getByRole("button", { name: "Save" }).click();
    await editor.waitFor({ state: "detached" });
    const row = page.getByRole("listitem").filter({ hasText: "bastion" });
    await row.getByRole("link", { name: "bastion" }).waitFor();
    const saved = (await fileOf(on)).upstreams?.["bastion"];
    assert.deepEqual(saved, {
      type: "ssh",
      address: `127.0.0.1:${ssh.port}`,
      user: USER,
      agent: false,
      known_hosts_file: join(dirname(on.sut.configFile), "known"),
    });

    await row.getByRole("button", { name: "Test bastion" }).click();
    await answer(page, "Password", PASSWORD);
    await row.getByText("Connected and logged in.").waitFor();
    assert.deepEqual(on.failures, []);
  });

  it("a host that is not trusted is not connected to, and a cancelled test asks nothing more", async () => {
    await using on = await serveInterface({ upstreams: { bastion: bastion() } });
    const page = await browser.open(on);
    await goTo(page, "#/upstreams");
    const row = page.getByRole("listitem").filter({ hasText: "bastion" });
    await row.getByRole("button", { name: "Test bastion" }).click();
    const hostKey = page.getByRole("dialog", { name: "Do you trust this host?" });
    await hostKey.getByRole("button", { name: "Do not connect" }).click();
    await row.getByText("It failed at: Check the host key").waitFor();

    await row.getByRole("button", { name: "Test bastion" }).click();
    await hostKey.waitFor();
    // Withdrawn by whoever asked: here by the page that goes.
    await page.reload();
    await page.locator("main h1").first().waitFor({ state: "attached" });
    await hostKey.waitFor({ state: "detached" });
  });

  it("the engine's own words stand beside the field while one types, and nothing is saved", async () => {
    await using on = await serveInterface({ upstreams: { other: nowhere(9) } });
    const page = await browser.open(on);
    await goTo(page, "#/upstreams/new");
    const editor = page.getByRole("dialog", { name: "New upstream" });
    await editor.getByLabel("Name", { exact: true }).fill("other");
    await editor.getByText("Another upstream has this name.").waitFor();
    await editor.getByLabel("Address").fill("http://example.com");
    await editor.getByText("an address is host:port, without a scheme such as http://").waitFor();
    assert.equal(await editor.getByLabel("Address").getAttribute("aria-invalid"), "true");
    // What was wrong is no longer there: it is not said of what is typed now.
    await editor.getByLabel("Address").fill("example.com");
    assert.equal(await editor.getByLabel("Address").getAttribute("aria-invalid"), null);
    await editor.getByRole("button", { name: "Save" }).click();
    await until(() => isFocused(editor.getByLabel("Name", { exact: true })));
    assert.deepEqual(Object.keys((await fileOf(on)).upstreams ?? {}), ["other"]);
  });

  it("changes are not lost by accident: closing asks, and going back keeps them", async () => {
    await using on = await serveInterface({ upstreams: { other: nowhere(9) } });
    const page = await browser.open(on);
    await goTo(page, "#/upstreams");
    await page.getByRole("link", { name: "other" }).click();
    const editor = page.getByRole("dialog", { name: "other" });
    await editor.getByLabel("Address").fill("127.0.0.1:10");
    await page.keyboard.press("Escape");
    const asked = page.getByRole("dialog", { name: "Discard your changes?" });
    await asked.getByRole("button", { name: "Go on editing" }).click();
    assert.equal(await editor.getByLabel("Address").inputValue(), "127.0.0.1:10");
    await page.goBack();
    await editor.waitFor({ state: "detached" });
    await page.getByRole("status").getByRole("button", { name: "Go on" }).click();
    assert.equal(await editor.getByLabel("Address").inputValue(), "127.0.0.1:10");
    await editor.getByRole("button", { name: "Save" }).click();
    await editor.waitFor({ state: "detached" });
    assert.equal((await fileOf(on)).upstreams?.["other"]?.["address"], "127.0.0.1:10");
  });

  it("what leads to a deleted upstream is asked about, and deleting is undone", async () => {
    const config = {
      upstreams: { first: nowhere(9), second: nowhere(10) },
      routes: [{ match: "*.example.com", to: "first" }],
    };
    await using on = await serveInterface(config);
    const page = await browser.open(on);
    await goTo(page, "#/upstreams");
    await choose(page, "second", "Delete");
    await page.getByText("second is deleted").waitFor();
    assert.deepEqual(Object.keys((await fileOf(on)).upstreams ?? {}), ["first"]);
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByRole("link", { name: "second" }).waitFor();
    assert.deepEqual(Object.keys((await fileOf(on)).upstreams ?? {}), ["first", "second"]);

    await choose(page, "first", "Delete");
    const asked = page.getByRole("dialog", { name: "Delete first?" });
    await asked.getByText("One rule leads to it.").waitFor();
    await asked.getByRole("button", { name: "Delete" }).click();
    await page.getByText("first is deleted").waitFor();
    assert.deepEqual((await fileOf(on)).routes, [{ match: "*.example.com", to: "block" }]);
  });

  it("by keyboard alone: reorder, make default, duplicate and rename", async () => {
    const upstreams = { one: nowhere(9), two: nowhere(10), three: nowhere(11) };
    await using on = await serveInterface({ upstreams });
    const page = await browser.open(on);
    await goTo(page, "#/upstreams");
    await page.getByRole("link", { name: "three" }).focus();
    await page.keyboard.press("Alt+ArrowUp");
    await page.getByText("three is number 2 of 3 now").waitFor({ state: "attached" });
    await page.keyboard.press("Alt+ArrowUp");
    await page.getByText("three is number 1 of 3 now").waitFor({ state: "attached" });
    await until(() => isFocused(page.getByRole("link", { name: "three" })));
    await until(async () => Object.keys((await fileOf(on)).upstreams ?? {}).join() === "three,one,two");

    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("menuitem", { name: "Edit" }).waitFor();
    await page.keyboard.press("m");
    await page.keyboard.press("Enter");
    await page.getByText("three is the default now").waitFor();
    assert.equal((await fileOf(on)).default, "three");

    await page.getByRole("link", { name: "one" }).focus();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("menuitem", { name: "Edit" }).waitFor();
    await page.keyboard.press("d");
    await page.keyboard.press("Enter");
    const editor = page.getByRole("dialog", { name: "New upstream" });
    const name = editor.getByLabel("Name", { exact: true });
    await name.waitFor();
    await until(() => isFocused(name));
    assert.equal(await name.inputValue(), "one-2");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("copy");
    await page.keyboard.press("Enter");
    await editor.waitFor({ state: "detached" });
    const { upstreams: written } = await fileOf(on);
    assert.deepEqual(written?.["copy"], { type: "socks5", address: "127.0.0.1:9" });
  });

  it("upstreams are imported from text once the person says so, and a link is shown first too", async () => {
    await using on = await serveInterface({ upstreams: { other: nowhere(9) } });
    const page = await browser.open(on);
    await goTo(page, "#/upstreams/import");
    const dialog = page.getByRole("dialog", { name: "Import upstreams" });
    await dialog.getByText("Text or link").click();
    await dialog
      .getByLabel("Links, an SSH configuration or a configuration of Sockeye")
      .fill("ssh://deploy@bastion.example.com\nsocks5://127.0.0.1:9\nhttp://proxy.example.com:3128");
    await dialog.getByText("Leads to the same place as other").waitFor();
    assert.deepEqual(Object.keys((await fileOf(on)).upstreams ?? {}), ["other"], "looking changes nothing");
    await dialog.getByRole("button", { name: "Import 2 upstreams" }).click();
    await page.getByText("2 upstreams are imported").waitFor();
    const { upstreams } = await fileOf(on);
    assert.equal(Object.keys(upstreams ?? {}).length, 3);
    assert.ok(Object.values(upstreams ?? {}).some(({ user }) => user === "deploy"));
  });

  it("an empty configuration begins with three steps, which can be left", async () => {
    await using on = await serveInterface({});
    const page = await browser.open(on);
    await page.getByRole("heading", { name: "Welcome to Sockeye" }).waitFor();
    await page.getByRole("button", { name: /^Add one/ }).click();
    const editor = page.getByRole("dialog", { name: "New upstream" });
    await editor.getByText("SOCKS5", { exact: true }).click();
    await editor.getByLabel("Name", { exact: true }).fill("mine");
    await editor.getByLabel("Address").fill(`127.0.0.1:${on.sut.socks5.port}`);
    await editor.getByRole("button", { name: "Save" }).click();
    await editor.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Test", exact: true }).click();
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByRole("button", { name: /^(Use it|Connect)$/ }).click();
    await page.getByRole("switch", { name: "Connect" }).waitFor();
    assert.equal((await fileOf(on)).default, "mine");
  });

  it("the steps can be skipped, and Home and the empty list lead back to them", async () => {
    await using on = await serveInterface({});
    const page = await browser.open(on);
    await page.getByRole("button", { name: "Skip for now" }).click();
    await page.getByRole("switch", { name: "Connect" }).waitFor();
    await page.getByRole("link", { name: "Take the first steps" }).click();
    await page.getByRole("heading", { name: "Welcome to Sockeye" }).waitFor();
    await goTo(page, "#/upstreams");
    await page.getByRole("button", { name: "Take the first steps" }).click();
    await page.getByRole("heading", { name: "Welcome to Sockeye" }).waitFor();
  });

  it("the page is served with a policy that allows nothing inline, and keeps to it", async () => {
    await using on = await serveInterface({ upstreams: { bastion: bastion() } });
    const policy = (await fetch(on.address)).headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
    const page = await browser.open(on);
    for (const hash of ["#/upstreams", "#/upstreams/bastion", "#/upstreams/import", "#/home/first-run"]) {
      await goTo(page, hash);
      await page.locator("main [class*=skeleton]").first().waitFor({ state: "detached" });
    }
    assert.deepEqual(on.failures, []);
  });

  for (const theme of ["light", "dark"] as const) {
    it(`axe finds nothing in any state, ${theme}`, { timeout: 120_000 }, async () => {
      await using on = await serveInterface({
        upstreams: {
          bastion: bastion(),
          web: { type: "http", address: "127.0.0.1:9", tls: true, via: "bastion" },
        },
      });
      const page = await browser.open(on, { theme, bypassCsp: true });
      // What a theme can't change is looked at in one.
      const about = theme === "light" ? "everything" : "colours";
      const clean = async (state: string, within?: string) =>
        assert.deepEqual(await violationsOf(page, within, about), [], state);
      await goTo(page, "#/upstreams");
      const row = page.getByRole("listitem").filter({ hasText: "bastion" }).first();
      await row.waitFor();
      await page.getByRole("button", { name: "More about bastion" }).click();
      await page.getByRole("menuitem", { name: "Edit" }).waitFor();
      await clean("list with a menu");
      await page.keyboard.press("Escape");
      await row.getByRole("button", { name: "Test bastion" }).click();
      const hostKey = page.getByRole("dialog", { name: "Do you trust this host?" });
      await hostKey.waitFor();
      await clean("host key", "dialog");
      await hostKey.getByRole("button", { name: "Do not connect" }).click();
      await row.getByText("It failed at").waitFor();
      await clean("failed test");
      await goTo(page, "#/upstreams/web");
      const editor = page.getByRole("dialog", { name: "web" });
      await editor.getByLabel("Address").fill("");
      await editor.getByText("More", { exact: true }).click();
      await editor.getByLabel("Username").fill("me");
      await editor.getByLabel("Password", { exact: true }).fill("secret");
      await editor.getByRole("button", { name: "Save" }).click();
      await clean("editor with errors", "dialog");
      await editor.getByRole("button", { name: "Cancel" }).click();
      await page.getByRole("dialog", { name: "Discard your changes?" }).waitFor();
      await clean("question before leaving", "dialog");
      await page.getByRole("button", { name: "Discard" }).click();
      await goTo(page, "#/upstreams/import");
      const dialog = page.getByRole("dialog", { name: "Import upstreams" });
      await dialog.getByText("Text or link").click();
      await dialog.getByRole("textbox").fill("ssh://a:b@example.com\nsocks5://127.0.0.1:9");
      await dialog.getByRole("table").waitFor();
      await clean("import", "dialog");
      await goTo(page, "#/home/first-run");
      await page.getByRole("heading", { name: "Welcome to Sockeye" }).waitFor();
      await clean("first steps");
    });
  }
});

async function goTo(page: Page, hash: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
}

async function choose(page: Page, upstream: string, item: string): Promise<void> {
  await page.getByRole("button", { name: `More about ${upstream}` }).click();
  await page.getByRole("menuitem", { name: item }).click();
}

async function answer(page: Page, title: string, text: string): Promise<void> {
  const dialog = page.getByRole("dialog", { name: title, exact: true });
  await dialog.getByRole("textbox").fill(text);
  await page.keyboard.press("Enter");
}

/** A server may let one try more than once. */
async function answerUntil(page: Page, done: Locator, text: string): Promise<void> {
  const dialog = page.getByRole("dialog", { name: "Password", exact: true });
  await until(async () => {
    if (await done.isVisible()) return true;
    if (await dialog.isVisible()) await answer(page, "Password", text).catch(() => {});
    return false;
  });
}

async function stepsOf(within: Locator): Promise<string[]> {
  const items = within.getByRole("list", { name: "Steps of the test" }).getByRole("listitem");
  return (await items.locator("span:nth-of-type(1)").allInnerTexts()).map((text) => text.trim());
}

async function isFocused(element: Locator): Promise<boolean> {
  return (await element.and(element.page().locator(":focus")).count()) === 1;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, "it did not come to that");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
