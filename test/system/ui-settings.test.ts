import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "playwright-core";
import { parse } from "yaml";
import type { DesktopCallName } from "@sockeye/renderer/desktop/contract";
import {
  type InterfaceUnderTest,
  serveInterface,
  skipWithoutChromium,
  startBrowser,
  type TestBrowser,
  violationsOf,
} from "../peers/browser.ts";
import { type DesktopShell, standInForShell } from "../peers/desktop-page.ts";
import { eventually, goTo } from "../peers/interface-page.ts";

const COMMAND = join(import.meta.dirname, "..", "..", "cli", "src", "main.ts");
const upstreams = { first: { type: "socks5", address: "127.0.0.1:9" } };
const settings = {
  launchAtLogin: false,
  connectOnLaunch: false,
  closeToTray: true,
  notifications: true,
  shortcut: null,
  updateChannel: "stable",
  theme: "system",
  language: "system",
};

/** What a person sets, and who has it then: the desktop shell, the configuration's file, or this page. */
describe("settings in the interface", { skip: skipWithoutChromium() }, () => {
  let browser: TestBrowser;
  before(async () => {
    browser = await startBrowser();
  });
  after(() => browser[Symbol.asyncDispose]());

  /** The page of settings as the desktop app has it. */
  async function openInShell(
    on: InterfaceUnderTest,
    handlers: Partial<Record<DesktopCallName, (params: never) => unknown>> = {},
    language = "en-GB",
  ): Promise<{ page: Page; shell: DesktopShell }> {
    const page = await browser.open(on, { language, bypassCsp: true });
    let now: object = settings;
    const shell = await standInForShell(page, on.address, {
      "settings.read": () => now,
      "settings.write": (changes: object) => (now = { ...now, ...changes }),
      ...handlers,
    });
    await page.evaluate("sessionStorage.clear()");
    await page.reload();
    await goTo(page, "#/settings");
    await shell.tell("settings", now);
    return { page, shell };
  }
  const written = (shell: DesktopShell, wanted: object) =>
    eventually(`the shell was told ${JSON.stringify(wanted)}`, () =>
      shell.asked.some(
        ({ name, params }) => name === "settings.write" && JSON.stringify(params) === JSON.stringify(wanted),
      ),
    );

  it("launch at login, connect on launch and the update channel go to the shell, and are shown as it has them", async () => {
    await using on = await serveInterface({ upstreams });
    const { page, shell } = await openInShell(on);
    const login = page.getByRole("switch", { name: "Start with the computer" });
    assert.equal(await login.getAttribute("aria-checked"), "false");
    await login.click();
    await written(shell, { launchAtLogin: true });
    await page.getByRole("switch", { name: "Connect when it starts" }).click();
    await written(shell, { connectOnLaunch: true });
    await page.getByRole("radio", { name: "Beta" }).check();
    await written(shell, { updateChannel: "beta" });
    // The shell has the last word: what it tells is what is shown.
    await shell.tell("settings", { ...settings, launchAtLogin: true, updateChannel: "off" });
    await eventually("it is on", async () => (await login.getAttribute("aria-checked")) === "true");
    assert.equal(await page.getByRole("radio", { name: "Never look" }).isChecked(), true);
    // A label that is out of sight is none to axe.
    await page.setViewportSize({ width: 1180, height: 2_400 });
    assert.deepEqual(await violationsOf(page), []);
    assert.deepEqual(on.failures, []);
  });

  it("the helper is explained before it is set up, a refusal is told, and a second try goes on", async () => {
    await using on = await serveInterface({ upstreams });
    let declined = true;
    const { page, shell } = await openInShell(on, {
      "helper.install": () => (declined ? { ok: false, declined, message: "" } : { ok: true }),
    });
    await page.getByRole("button", { name: /^(Install|Update) the helper$/ }).click();
    const dialog = page.getByRole("dialog", { name: /helper/ });
    for (const about of ["What it may do", "What it never does"]) await dialog.getByText(about).waitFor();
    assert.equal(
      shell.asked.some(({ name }) => name === "helper.install"),
      false,
    );
    await dialog.getByRole("button", { name: /^(Install|Update) the helper$/ }).click();
    await dialog.getByText("was declined").waitFor();
    declined = false;
    await dialog.getByRole("button", { name: /^(Install|Update) the helper$/ }).click();
    await dialog.waitFor({ state: "detached" });
    assert.deepEqual(on.failures, []);
  });

  it("the kill switch and who answers for names stand in the file", async () => {
    await using on = await serveInterface({ upstreams });
    const page = await browser.open(on);
    await goTo(page, "#/settings");
    const tun = async () =>
      (parse(await readFile(on.sut.configFile, "utf8")) as { readonly tun?: object }).tun;
    await page.getByRole("switch", { name: "Kill switch" }).click();
    await eventually("it is written", async () => (await tun()) !== undefined);
    assert.deepEqual(await tun(), { block_when_disconnected: true });
    await page.getByLabel("Names in TUN mode").selectOption("fake-ip");
    await eventually("that, too", async () =>
      (await readFile(on.sut.configFile, "utf8")).includes("fake-ip"),
    );
    await page.reload();
    await goTo(page, "#/settings");
    const kill = page.getByRole("switch", { name: "Kill switch" });
    assert.equal(await kill.getAttribute("aria-checked"), "true");
  });

  it("the file's editor says of a text what sockeye check says of it, each at the same place", async () => {
    await using on = await serveInterface({ upstreams });
    const text =
      "listen: { socks5: 1 }\nupstreams:\n  a: { type: socks5, address: http://x, pol_size: 2 }\n" +
      "routes:\n  - { match: 10.0.0.0/99, to: a }\n  - { match: a.example, to: nobody }\ndefault: noone\n";
    const page = await browser.open(on);
    await goTo(page, "#/settings");
    await page.getByRole("textbox", { name: "Text of the configuration file" }).fill(text);
    const file = join(dirname(on.sut.configFile), "checked.yaml");
    await writeFile(file, text);
    const { errors } = await checkedBy(file);
    assert.ok(errors.length >= 5, JSON.stringify(errors));
    await page.getByText(`${errors.length} problems`).waitFor();
    const shown = await page.getByRole("button", { name: /^Line \d/ }).allInnerTexts();
    assert.deepEqual(
      shown.map((one) => one.replace(/\s+/g, " ").trim()),
      errors.map(({ line, column, message, hint }) =>
        `Line ${line}, column ${column} ${message} ${hint ?? ""}`.replace(/\s+/g, " ").trim(),
      ),
    );
  });

  it("in German the page says what belongs in a place, with the engine's sentence behind it", async () => {
    await using on = await serveInterface({ upstreams });
    const { page, shell } = await openInShell(on, {}, "de-DE");
    const editor = page.getByRole("textbox", { name: "Text der Konfigurationsdatei" });
    await editor.fill("default: noone\n");
    await page.getByText("Hier gehört ein Upstream hin, den es gibt").waitFor();
    await page.getByText("noone").last().waitFor();
    await shell.tell("update", { state: "failed", message: "the server is away" });
    await page.getByText("Diese Fassung erneuert sich nicht selbst (not in a test)").waitFor();

    await goTo(page, "#/upstreams/first");
    const dialog = page.getByRole("dialog", { name: "first" });
    await dialog.getByLabel("Adresse").fill("http://example.com");
    await dialog.getByText("Hier gehört eine Adresse hin").waitFor();
    await dialog.getByText("an address is host:port").waitFor();
    await dialog.getByRole("button", { name: "Abbrechen" }).click();
    await page.getByRole("button", { name: "Verwerfen" }).click();
    await goTo(page, "#/upstreams/import");
    const transfer = page.getByRole("dialog", { name: "Upstreams importieren" });
    await transfer.getByText("Text oder Link").click();
    await transfer.getByRole("textbox").fill("socks5://127.0.0.1:9\nnonsense://x");
    await transfer.getByText("1 Eintrag bleibt weg").click();
    await transfer.getByText("Das lässt sich nicht übernehmen (").waitFor();
    assert.deepEqual(on.failures, []);
  });
});

interface Checked {
  readonly errors: readonly { line: number; column: number; message: string; hint?: string }[];
}

/** `sockeye check`, in a process of its own. */
function checkedBy(file: string): Promise<Checked> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [COMMAND, "check", "--json", file], (error, stdout) => {
      if (stdout === "") reject(error ?? new Error("it said nothing"));
      else resolve(JSON.parse(stdout) as Checked);
    });
  });
}
