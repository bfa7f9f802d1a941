import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "playwright-core";
import { pages } from "../../renderer/src/shell/page-names.ts";
import { startEcho, type TcpPeer } from "../peers/echo.ts";
import {
  type InterfaceUnderTest,
  serveInterface,
  skipWithoutChromium,
  startBrowser,
  type TestBrowser,
  violationsOf,
} from "../peers/browser.ts";
import { goTo } from "../peers/interface-page.ts";
import { connectThrough } from "./client.ts";

/** Pictures for people; kept out of the repository. */
const SCREENSHOTS = join(import.meta.dirname, "..", "..", ".cache", "screenshots");
const sizes = [
  { width: 1180, height: 760 },
  { width: 720, height: 720 },
] as const;

const config = {
  upstreams: {
    bastion: { address: "127.0.0.1:9", user: "deploy", agent: false, ssh_config: false },
    "office-proxy": { type: "http", address: "127.0.0.1:9", via: "bastion" },
    external: { type: "socks5", address: "127.0.0.1:9" },
    // As long as names may be.
    "the-proxy-of-the-office-in-the-old-building-by-the-river-port-22": {
      type: "http",
      address: "127.0.0.1:9",
    },
  },
  routes: [
    { match: "*.corp.example", to: "bastion" },
    { match: "10.0.0.0/8", to: "office-proxy" },
    { match: "ads.example", to: "block" },
    { match: "127.0.0.0/8", to: "direct" },
  ],
  log: { level: "info" },
};

/** Every page in both themes: axe finds nothing, nothing is wider than the window, and a picture is taken at two widths. */
describe("how the interface looks", { skip: skipWithoutChromium() }, () => {
  let browser: TestBrowser;
  let echo: TcpPeer;
  let on: InterfaceUnderTest;
  let folder: string;
  const sockets: Socket[] = [];
  before(async () => {
    await mkdir(SCREENSHOTS, { recursive: true });
    browser = await startBrowser();
    echo = await startEcho();
    folder = await mkdtemp(join(tmpdir(), "sockeye-looks-"));
    on = await serveInterface(config, {
      logDestination: { write: () => {} },
      history: { file: join(folder, "history.db") },
    });
    for (let flow = 0; flow < 12; flow++) {
      const socket = await connectThrough("socks5", on.sut.socks5, echo);
      socket.on("error", () => {}).resume();
      socket.write(Buffer.alloc((1_000 * 3 ** flow) % 1_000_000));
      sockets.push(socket);
    }
    await on.sut.reconfigure({ ...config, default: "bastion" });
  });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    await browser[Symbol.asyncDispose]();
    await on[Symbol.asyncDispose]();
    await echo.stop();
    await rm(folder, { recursive: true, force: true });
  });

  for (const theme of ["light", "dark"] as const) {
    // What a theme can't change is looked at in one.
    const about = theme === "light" ? "everything" : "colours";

    it(`every page, ${theme}`, { timeout: 120_000 }, async () => {
      const page = await browser.open(on, { theme, bypassCsp: true });
      const found: string[] = [];
      for (const name of pages) {
        await goTo(page, `#/${name}`);
        await page.locator("main h1").waitFor({ state: "attached" });
        await loaded(page, name);
        if (name === "metrics") await page.getByRole("button", { name: "Direct" }).click();
        // The narrow one first: axe looks at the wide one.
        for (const size of sizes.toReversed()) {
          await page.setViewportSize(size);
          await settle(page);
          assert.ok(await fits(page), `${name} does not fit a window of ${size.width}`);
          if (name === "metrics")
            assert.ok(await isWholeTable(page), `figures are out of sight at ${size.width}`);
          await page.screenshot({ path: join(SCREENSHOTS, `${name}-${theme}-${size.width}.png`) });
        }
        found.push(...(await violationsOf(page, undefined, about)).map((line) => `${name}: ${line}`));
      }
      assert.deepEqual(found, []);
    });

    it(`dialogs and what is said while the engine is away, ${theme}`, { timeout: 120_000 }, async () => {
      const page = await browser.open(on, { theme, bypassCsp: true });
      const found: string[] = [];
      const clean = async (state: string) => {
        await settle(page);
        await page.screenshot({ path: join(SCREENSHOTS, `${state}-${theme}.png`) });
        // Behind a dialog is the page, which has been looked at.
        const top = (await page.locator("dialog[open]").count()) > 0 ? "dialog[open]" : undefined;
        found.push(...(await violationsOf(page, top, about)).map((line) => `${state}: ${line}`));
      };
      await goTo(page, "#/routes");
      await page.getByRole("button", { name: "More for 10.0.0.0/8" }).click();
      await clean("routes-menu");
      await page.getByRole("menuitem", { name: "Change…" }).click();
      const rule = page.getByRole("dialog", { name: "Change the rule" });
      await rule.getByRole("textbox").fill("10.0.0.0/99");
      await page.keyboard.press("Enter");
      await rule.locator("[aria-invalid]").waitFor();
      await clean("routes-change");
      await page.keyboard.press("Escape");
      await goTo(page, "#/connections");
      await page.locator("[data-index='0']").click();
      await page.getByRole("dialog").waitFor();
      await clean("connections-details");
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: "Close all" }).click();
      await page.getByRole("dialog").waitFor();
      await clean("connections-close-all");
      await page.keyboard.press("Escape");
      await goTo(page, "#/logs");
      await page.getByRole("button", { name: "Problem report…" }).click();
      await page.getByRole("dialog").locator("pre").waitFor();
      await clean("logs-report");
      await page.keyboard.press("Escape");
      await goTo(page, "#/settings");
      const editor = page.getByRole("textbox", { name: "Text of the configuration file" });
      await editor.fill("default: noone\nlisten: { socks5: 1 }\n");
      await page.getByRole("button", { name: /^Line 1/ }).waitFor();
      await editor.scrollIntoViewIfNeeded();
      await clean("settings-problems");

      const lost = await page.context().newPage();
      await lost.goto(on.address.replace(/#.*/, ""));
      await lost.getByRole("heading", { name: "This page has no key" }).waitFor();
      await lost.screenshot({ path: join(SCREENSHOTS, `no-key-${theme}.png`) });
      found.push(...(await violationsOf(lost)).map((line) => `no-key: ${line}`));
      assert.deepEqual(found, []);
    });
  }
});

/** Two frames: what was asked for is painted, for nothing moves where motion is reduced. */
async function settle(page: Page): Promise<void> {
  await page.evaluate(
    "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 30))))",
  );
}

/** The page itself is there, no longer the one before it that is hidden while its code comes, and nothing in it stands for what is to come. */
async function loaded(page: Page, name: string): Promise<void> {
  await page.evaluate("document.fonts.ready");
  await page.waitForFunction(`document.querySelector("[aria-current=page]")?.getAttribute("href") === "#/${name}"
    && document.querySelector("main h1")?.checkVisibility() && !document.querySelector("main [class*=skeleton]")`);
}

/** Whether the table shows every column without being scrolled. */
async function isWholeTable(page: Page): Promise<boolean> {
  return page.evaluate<boolean>(`(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(
    document.querySelector("main table").parentElement)`);
}

/** Neither more nor less than the window. */
async function fits(page: Page): Promise<boolean> {
  return page.evaluate<boolean>(`["nav", "main"].every((one) => {
      const { top, bottom } = document.querySelector(one).getBoundingClientRect();
      return top === 0 && bottom === innerHeight;
    }) && document.documentElement.scrollWidth <= window.innerWidth
    && document.querySelector("main").scrollWidth <= document.querySelector("main").clientWidth`);
}
