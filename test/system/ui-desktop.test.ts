import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "playwright-core";
import {
  serveInterface,
  skipWithoutChromium,
  startBrowser,
  type TestBrowser,
  violationsOf,
} from "../peers/browser.ts";
import { HelperError, type HelperClient } from "../../engine/src/helper/client.ts";
import { standInForShell } from "../peers/desktop-page.ts";
import { eventually, goTo } from "../peers/interface-page.ts";

/** Pictures for people; kept out of the repository. */
const SCREENSHOTS = join(import.meta.dirname, "..", "..", ".cache", "screenshots");
const upstreams = { first: { type: "socks5", address: "127.0.0.1:9" } };

/** Of the engines of these tests. */
const VERSION = "0.0.0-test";

/** A helper of some version, or none, that opens no device. */
class StandInHelper {
  build: string | undefined;
  opened = 0;

  async session(): Promise<HelperClient> {
    if (this.build === undefined) throw new HelperError("missing", "TUN mode needs a privileged helper");
    const client = {
      build: this.build,
      onClose: () => {},
      close: () => {},
      open: () => {
        this.opened += 1;
        return Promise.reject(new Error("no device in this test"));
      },
    };
    return client as unknown as HelperClient;
  }
  done(): void {}
}

/** The interface as the desktop app has it: a stand-in for the shell around it, and a real engine at the other end of its port. */
describe("the interface in the desktop app", { skip: skipWithoutChromium() }, () => {
  let browser: TestBrowser;
  before(async () => {
    browser = await startBrowser();
  });
  after(() => browser[Symbol.asyncDispose]());

  /** Loaded again, with the shell around it. */
  async function enter(page: Page): Promise<void> {
    await page.evaluate("sessionStorage.clear()");
    await page.reload();
    await page.locator("main h1").first().waitFor({ state: "attached" });
  }

  it("works over the shell's port, and a sockeye:// link is a preview that does nothing by itself", async () => {
    await using on = await serveInterface({ upstreams });
    const page = await browser.open(on);
    const shell = await standInForShell(page, on.address);
    await enter(page);
    await page.getByRole("switch", { name: "Connect" }).waitFor();
    const before = await readFile(on.sut.configFile, "utf8");
    await shell.tell("link", {
      text: "sockeye://import?type=ssh&address=bastion.example:2222&user=deploy",
    });
    const dialog = page.getByRole("dialog", { name: "Import upstreams" });
    await dialog.getByText("bastion.example").first().waitFor();
    assert.equal(await readFile(on.sut.configFile, "utf8"), before);
    await shell.tell("link", { text: "sockeye://import?type=socks5&address=proxy.example:1080" });
    await dialog.getByText("Another link was opened").waitFor();
    assert.equal(await dialog.getByText("proxy.example").count(), 0, "what is looked at stays");
    await dialog.getByRole("button", { name: "Import 1 upstream" }).click();
    await page.getByText("1 upstream is imported").waitFor();
    await dialog.getByText("proxy.example").first().waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await dialog.waitFor({ state: "detached" });
    const after = await readFile(on.sut.configFile, "utf8");
    assert.match(after, /bastion\.example/);
    assert.doesNotMatch(after, /proxy\.example/);
    assert.deepEqual(on.failures, []);
  });

  it("the first TUN connect says what the helper is, asks once, and goes on; afterwards nobody is asked", async () => {
    const helper = new StandInHelper();
    await using on = await serveInterface(
      { upstreams, tun: { enabled: true, cidrs: ["203.0.113.0/24"] } },
      { helper, connected: false },
    );
    const page = await browser.open(on);
    const outcomes: unknown[] = [{ ok: false, declined: true, message: "Permission was not given." }];
    const shell = await standInForShell(page, on.address, {
      "helper.install": () => {
        const declined = outcomes.shift();
        if (declined === undefined) helper.build = VERSION;
        return declined ?? { ok: true };
      },
    });
    const asked = (): number => shell.asked.filter(({ name }) => name === "helper.install").length;
    await enter(page);
    await page.getByRole("switch", { name: "Connect" }).click();
    const dialog = page.getByRole("dialog", { name: "TUN mode needs the helper" });
    for (const words of [
      "What it may do",
      "What it never does",
      "How it goes away",
      "Afterwards there is no prompt",
    ])
      await dialog.getByText(words).waitFor();
    assert.equal(asked(), 0, "the page comes first");
    assert.deepEqual(await violationsOf(page), []);
    await dialog.getByRole("button", { name: "Install the helper" }).click();
    await dialog.getByText("the system’s prompt was declined").waitFor();
    await dialog.getByRole("button", { name: "Install the helper" }).click();
    await page.getByText("no device in this test").first().waitFor();
    assert.equal(await dialog.count(), 0);
    assert.equal(asked(), 2);
    assert.equal(helper.opened, 1, "what was wanted in the first place is done");
    // A click while it is still being tried would call it off.
    const connect = page.getByRole("switch", { name: "Connect", checked: false });
    await connect.and(page.locator('[aria-busy="false"]')).click();
    await eventually("it is tried again", () => helper.opened === 2);
    assert.deepEqual([asked(), await dialog.count()], [2, 0]);
  });

  it("a helper of another version is offered an update, and the settings remove it", async () => {
    const helper = new StandInHelper();
    helper.build = "0.0.1";
    await using on = await serveInterface({ upstreams }, { helper });
    const page = await browser.open(on);
    const shell = await standInForShell(page, on.address, {
      "helper.install": () => {
        helper.build = VERSION;
        return { ok: true };
      },
      "helper.remove": () => {
        helper.build = undefined;
        return { ok: true };
      },
    });
    await enter(page);
    await goTo(page, "#/settings");
    await page.getByText("Another version is installed: 0.0.1").waitFor();
    await page.getByRole("button", { name: "Update the helper" }).click();
    const dialog = page.getByRole("dialog", { name: "The helper is of another version" });
    await dialog.getByRole("button", { name: "Update the helper" }).click();
    await page.getByText(`Installed and running, version ${VERSION}`).waitFor();
    await page.getByRole("button", { name: "Remove the helper" }).click();
    await page.getByText("Not installed", { exact: true }).waitFor();
    const calls = shell.asked
      .map(({ name, params }) => [name, params])
      .filter(([name]) => String(name).startsWith("helper"));
    assert.deepEqual(calls, [
      ["helper.install", {}],
      ["helper.remove", {}],
    ]);
  });

  it("an engine that is started again is told of, and one that was given up shows its log and is started by a person", async () => {
    await using on = await serveInterface({ upstreams });
    const page = await browser.open(on);
    const shell = await standInForShell(page, on.address);
    await enter(page);
    await goTo(page, "#/upstreams");
    await shell.tell("engine", { state: "failed", reason: "it ended with status 11", log: "the last line" });
    await page.getByText("it ended with status 11").waitFor();
    await page.getByText("the last line").waitFor();
    await page.getByRole("button", { name: "Start it again" }).click();
    await eventually("it is asked for", () => shell.asked.some(({ name }) => name === "engine.restart"));
    await shell.tell("engine", { state: "running" });
    await page.getByRole("link", { name: "first" }).waitFor();
  });

  it("a configuration that keeps the engine from starting is mended where one is told of it", async () => {
    await using on = await serveInterface({ upstreams });
    let text = "default: nobody\nlisten:\n  socks5: 1\n";
    const page = await browser.open(on, { bypassCsp: true });
    const shell = await standInForShell(page, on.address, {
      "config.read": () => ({ path: "/home/me/sockeye.yaml", text, revision: String(text.length) }),
      "config.write": (params: { readonly text: string; readonly revision: string }) => {
        assert.equal(params.revision, String(text.length));
        ({ text } = params);
      },
    });
    await enter(page);
    const problems = [
      {
        line: 1,
        column: 10,
        path: "default",
        message: 'there is no upstream "nobody"',
        hint: "direct, block",
      },
      { line: 3, column: 11, path: "listen.socks5", message: "an address is host:port" },
    ];
    const failed = { state: "failed", reason: "the configuration has problems", log: "", problems };
    await shell.tell("engine", failed);
    await page.getByRole("heading", { name: "The configuration needs a correction" }).waitFor();
    const editor = page.getByRole("textbox", { name: "Text of the configuration file" });
    assert.equal(await editor.inputValue(), text);
    await page.getByRole("button", { name: /Line 3, column 11/ }).click();
    assert.equal(await page.evaluate("document.activeElement.selectionStart"), text.indexOf("1\n"));
    assert.deepEqual(await violationsOf(page), []);
    await page.screenshot({ path: join(SCREENSHOTS, "repair-light.png") });
    await page.getByRole("button", { name: "Open the file" }).click();
    await eventually("it is opened", () => shell.asked.some(({ name }) => name === "config.open"));

    await editor.fill("default: direct\n");
    await page.getByRole("button", { name: "Save and start" }).click();
    await eventually("it is started", () => shell.asked.at(-1)?.name === "engine.restart");
    assert.equal(text, "default: direct\n");
    await shell.tell("engine", { state: "running" });
    await page.getByRole("switch", { name: "Connect" }).waitFor();
    assert.deepEqual(on.failures, []);
  });
});
