import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Page } from "playwright-core";
import { startEcho, type TcpPeer } from "../peers/echo.ts";
import {
  type InterfaceUnderTest,
  serveInterface,
  skipWithoutChromium,
  startBrowser,
  type TestBrowser,
} from "../peers/browser.ts";
import { eventually, goTo, hasFocus } from "../peers/interface-page.ts";
import { connectThrough } from "./client.ts";

const SECRETS = ["planted-password", "planted-user", "planted.example"];
const upstreams = {
  hidden: {
    type: "socks5",
    address: "bastion.planted.example:1080",
    auth: { username: "planted-user", password: "planted-password" },
  },
};
const quiet = { logDestination: { write: () => {} } };

/** The pages that show what the engine does at the moment, in a browser, against a real engine. */
describe("live pages of the interface", { skip: skipWithoutChromium() }, () => {
  let browser: TestBrowser;
  let echoes: TcpPeer[];
  before(async () => {
    browser = await startBrowser();
    echoes = await Promise.all([startEcho(), startEcho(), startEcho()]);
  });
  after(async () => {
    await browser[Symbol.asyncDispose]();
    await Promise.all(echoes.map((echo) => echo.stop()));
  });

  /** A flow to each echo, in order, with bytes that went through. */
  const openFlows = async (on: InterfaceUnderTest) => {
    const sockets: Socket[] = [];
    for (const [index, echo] of echoes.entries()) {
      const socket = await connectThrough("socks5", on.sut.socks5, echo);
      socket.on("error", () => {});
      socket.write(Buffer.alloc(1000 * (index + 1)));
      await once(socket, "data");
      socket.resume();
      sockets.push(socket);
    }
    return sockets;
  };
  const targets = async (page: Page) =>
    (await page.locator("[data-index] > span:first-child > span:last-child").allInnerTexts()).map((text) =>
      echoes.findIndex(({ port }) => text === `127.0.0.1:${port}`),
    );
  const showing = (page: Page, ...wanted: number[]) =>
    eventually(`flows ${wanted.join(", ")} are shown`, async () => {
      return (await targets(page)).join() === wanted.join();
    });

  it("home: graph, figures and the default's latency follow the traffic", async () => {
    await using on = await serveInterface({ upstreams });
    const page = await browser.open(on);
    const figure = (term: string) =>
      page
        .locator("dl > div")
        .filter({ has: page.locator("dt", { hasText: term }) })
        .locator("dd")
        .innerText();
    await eventually("none is open", async () => (await figure("Open connections")) === "0");
    assert.match(await figure("Connected for"), /^\d+ s$/);
    const [socket, ...others] = await openFlows(on);
    await eventually("three are open", async () => (await figure("Open connections")) === "3");
    const traffic = setInterval(() => socket!.write(Buffer.alloc(20_000)), 50);
    try {
      await page.getByRole("img", { name: /[kM]B\/s/ }).waitFor();
      await eventually("totals grow", async () => /[kM]B ↓ .*[kM]B ↑/.test(await figure("Since the start")));
    } finally {
      clearInterval(traffic);
    }
    for (const one of [socket!, ...others]) one.destroy();
    await eventually("none is open again", async () => (await figure("Open connections")) === "0");
    assert.deepEqual(on.failures, []);
  });

  describe("connections", () => {
    it("a flow appears with its rate, is found, sorted, closed and kept for a while", async () => {
      await using on = await serveInterface({ upstreams });
      const page = await browser.open(on);
      await goTo(page, "#/connections");
      await page.getByText("No open connections").waitFor();
      const sockets = await openFlows(on);
      await showing(page, 2, 1, 0);
      const row = page.locator(`[data-index="2"]`);
      const traffic = setInterval(() => sockets[0]!.write(Buffer.alloc(20_000)), 50);
      try {
        await eventually("the rate is shown", async () => /[kM]B\/s/.test(await row.innerText()));
      } finally {
        clearInterval(traffic);
      }

      const search = page.getByRole("searchbox");
      await search.fill(String(echoes[1]!.port));
      await showing(page, 1);
      await search.fill("no such flow");
      await page.getByRole("button", { name: "Clear the filter" }).click();
      await showing(page, 2, 1, 0);
      await page.getByRole("columnheader", { name: "Down" }).getByRole("button").click();
      await showing(page, 0, 2, 1);
      await page.getByLabel("Upstream", { exact: true }).selectOption("hidden");
      await page.getByText("Nothing matches").waitFor();
      await page.getByLabel("Upstream", { exact: true }).selectOption("");

      const ended = closed(sockets[0]!);
      await page
        .getByRole("button", { name: `Close the connection to 127.0.0.1:${echoes[0]!.port}` })
        .click();
      await ended;
      await page.getByText("One connection closed").waitFor();
      await showing(page, 2, 1);
      await page.getByText("With ended", { exact: true }).click();
      await showing(page, 0, 2, 1);
      for (const socket of sockets) socket.destroy();
      assert.deepEqual(on.failures, []);
    });

    it("by keyboard alone: arrows move, Enter shows, Delete closes, and the focus is never lost", async () => {
      await using on = await serveInterface({ upstreams });
      const page = await browser.open(on);
      await goTo(page, "#/connections");
      const sockets = await openFlows(on);
      await showing(page, 2, 1, 0);
      await page.locator("[data-index='0']").focus();
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("ArrowDown");
      const last = page.locator("[data-index='2']");
      await eventually("the last row has the focus", () => hasFocus(last));
      await page.keyboard.press("Enter");
      const details = page.getByRole("dialog", { name: `127.0.0.1:${echoes[0]!.port}` });
      await details.getByText("SOCKS5").waitFor();
      // The program is this one: the system tells whose socket it is, a moment after the flow began.
      await details.getByText(`(${process.pid})`).waitFor();
      await page.keyboard.press("Escape");
      await details.waitFor({ state: "detached" });
      await eventually("the row has the focus back", () => hasFocus(last));

      const ended = closed(sockets[0]!);
      await page.keyboard.press("Delete");
      await ended;
      await showing(page, 2, 1);
      await eventually("the row before has the focus", () => hasFocus(page.locator("[data-index='1']")));

      // Another order brings another flow under the focus: the key is for the one that had it.
      await page.evaluate(`document.querySelector("[role=columnheader] button").click()`);
      const byName = echoes[1]!.port < echoes[2]!.port ? [1, 2] : [2, 1];
      await showing(page, ...byName);
      await eventually("the focus went with its flow", () =>
        hasFocus(page.locator(`[data-index='${byName.indexOf(1)}']`)),
      );
      const second = closed(sockets[1]!);
      await page.keyboard.press("Delete");
      await second;
      assert.equal(sockets[2]!.destroyed, false);
      sockets[2]!.destroy();
    });

    it("all are closed only after a question", async () => {
      await using on = await serveInterface({ upstreams });
      const page = await browser.open(on);
      await goTo(page, "#/connections");
      const sockets = await openFlows(on);
      await showing(page, 2, 1, 0);
      const button = page.getByRole("button", { name: "Close all" });
      await button.focus();
      await page.keyboard.press("Enter");
      const question = page.getByRole("dialog", { name: "Close 3 connections?" });
      await question.getByRole("button", { name: "Cancel" }).click();
      await question.waitFor({ state: "detached" });
      await eventually("the button has the focus back", () => hasFocus(button));
      assert.deepEqual(
        sockets.map(({ destroyed }) => destroyed),
        [false, false, false],
      );
      await page.keyboard.press("Enter");
      const ended = Promise.all(sockets.map(closed));
      await question.getByRole("button", { name: "Close all" }).click();
      await ended;
      await page.getByText("3 connections closed").waitFor();
      await page.getByText("No open connections").waitFor();
    });
  });

  describe("logs", () => {
    it("lines by level and word, a pause, a copy, and a level that the engine does not write yet", async () => {
      await using on = await serveInterface({ upstreams, log: { level: "info" } }, quiet);
      const page = await browser.open(on);
      await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
      await goTo(page, "#/logs");
      const lines = page.getByRole("log");
      await reload(on, "a.example");
      await lines.getByText("configuration reloaded").first().waitFor();
      await page.getByRole("searchbox", { name: "Search" }).fill("nothing like that");
      await page.getByText("No line has that").waitFor();
      await page.getByRole("searchbox", { name: "Search" }).fill("RELOADED");
      await lines.getByText("configuration reloaded").first().waitFor();
      await page.getByRole("button", { name: "Copy" }).click();
      await page.getByText("One line copied").waitFor();
      assert.match(
        await page.evaluate<string>("navigator.clipboard.readText()"),
        /INFO configuration reloaded/,
      );

      await page.getByRole("button", { name: "Pause" }).click();
      await reload(on, "b.example");
      await page.getByText("Paused; one more since").waitFor();
      await page.getByRole("button", { name: /Resume|Go on|Continue/ }).click();
      await eventually(
        "both are there",
        async () => (await lines.getByText("configuration reloaded").count()) === 2,
      );

      const level = page.getByLabel("At least");
      await level.selectOption("Errors");
      await page.getByText("No line has that").waitFor();
      await level.selectOption("Debug");
      await page.getByRole("button", { name: "Let it write “Debug” too" }).click();
      await eventually("the engine does", () => on.sut.engine.status().logLevel === "debug");
      await page.getByText("The engine writes from").waitFor({ state: "detached" });
    });

    it("a problem report is shown whole before it is saved, and no secret is in it", async () => {
      await using on = await serveInterface({ upstreams, default: "hidden", log: { level: "debug" } }, quiet);
      await connectThrough("socks5", on.sut.socks5, { host: "wiki.planted.example", port: 80 }).catch(
        () => {},
      );
      const page = await browser.open(on);
      await goTo(page, "#/logs");
      await page.getByRole("log").getByText("planted.example").first().waitFor();
      await page.getByRole("button", { name: "Problem report…" }).click();
      const dialog = page.getByRole("dialog", { name: "Problem report" });
      const shown = dialog.locator("pre");
      await shown.waitFor();
      const text = await shown.innerText();
      assert.match(text, /0\.0\.0-test/);
      for (const secret of SECRETS) assert.ok(!text.includes(secret), `${secret} is in the report`);
      const download = page.waitForEvent("download");
      await dialog.getByRole("button", { name: "Save as a file" }).click();
      const saved = await (await download).path();
      assert.equal((await readFile(saved, "utf8")).trimEnd(), text.trimEnd());
      await dialog.waitFor({ state: "detached" });
    });
  });

  it("metrics: numbers follow the traffic, and what was is known after a restart", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sockeye-history-"));
    const history = { history: { file: join(folder, "history.db") } };
    try {
      {
        await using on = await serveInterface({ upstreams }, history);
        const page = await browser.open(on);
        await goTo(page, "#/metrics");
        const cells = page.getByRole("row").filter({ hasText: "Direct" }).getByRole("cell");
        await eventually("none yet", async () => (await cells.allInnerTexts()).slice(0, 2).join() === "0,0");
        const sockets = await openFlows(on);
        await eventually("three", async () => (await cells.allInnerTexts()).slice(0, 2).join() === "3,3");
        await eventually("bytes", async () => /^6(\.\d)? kB$/i.test((await cells.allInnerTexts()).at(-1)!));
        for (const socket of sockets) socket.destroy();
        await eventually("ended", async () => (await cells.allInnerTexts()).slice(0, 2).join() === "0,3");
      }
      await using on = await serveInterface({ upstreams }, history);
      const page = await browser.open(on);
      await goTo(page, "#/metrics");
      await page.getByText("Nothing is kept yet").waitFor();
      await page.getByRole("button", { name: "Direct" }).click();
      await page.getByRole("img", { name: "Traffic of direct over time" }).waitFor();
      await page.getByRole("img", { name: "Dial latency of direct over time" }).waitFor();
      assert.deepEqual(on.failures, []);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

/** With another rule than before, which the engine then tells of. */
function reload({ sut }: InterfaceUnderTest, match: string): Promise<void> {
  return sut.reconfigure({ upstreams, log: { level: "info" }, routes: [{ match, to: "block" }] });
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}
