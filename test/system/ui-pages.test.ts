import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo } from "node:net";
import { syncBuiltinESMExports } from "node:module";
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

const nowhere = { type: "socks5", address: "127.0.0.1:9" };
const upstreams = { first: nowhere, second: nowhere };

/** The pages that change something, in a browser, against a real engine. */
describe("pages of the interface", { skip: skipWithoutChromium() }, () => {
  let browser: TestBrowser;
  let echo: TcpPeer;
  before(async () => {
    browser = await startBrowser();
    echo = await startEcho();
  });
  after(async () => {
    await browser[Symbol.asyncDispose]();
    await echo.stop();
  });

  const echoed = async (on: InterfaceUnderTest) => {
    const socket = await connectThrough("socks5", on.sut.socks5, echo);
    socket.write("x");
    const [answer] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    return answer.toString();
  };

  describe("home", () => {
    it("the switch closes the listeners and opens them again", async () => {
      const port = await freePort();
      await using on = await serveInterface({ upstreams, listen: { socks5: `127.0.0.1:${port}` } });
      const page = await browser.open(on);
      const big = page.getByRole("switch", { name: "Connect" });
      assert.equal(await big.getAttribute("aria-checked"), "true");
      assert.equal(await echoed(on), "x");

      await big.focus();
      await page.keyboard.press("Space");
      await page.getByRole("heading", { name: "Traffic goes its usual way." }).waitFor();
      assert.equal(await big.getAttribute("aria-checked"), "false");
      assert.equal(await accepts(port), false);

      await page.keyboard.press("Space");
      await page.getByRole("heading", { name: "Connected; what no rule matches goes direct" }).waitFor();
      assert.equal(await echoed(on), "x");
      assert.deepEqual(on.failures, []);
    });

    it("a port that is taken is named in the page, and the switch stays off until it is free", async () => {
      const port = await freePort();
      await using on = await serveInterface({ upstreams, listen: { socks5: `127.0.0.1:${port}` } });
      const page = await browser.open(on);
      const big = page.getByRole("switch", { name: "Connect" });
      await big.click();
      await page.getByRole("heading", { name: "Traffic goes its usual way." }).waitFor();
      await using squatters = new AsyncDisposableStack();
      const squatter = await startEcho({ port });
      squatters.defer(() => squatter.stop());
      await big.click();
      await page.getByRole("heading", { name: "It could not connect" }).waitFor();
      const words = page.locator("main").getByText(`127.0.0.1:${port}`);
      assert.match(await words.first().innerText(), /another program listens there/);
      assert.equal(await big.getAttribute("aria-checked"), "false");
      await squatters.disposeAsync();
      await big.click();
      await page.getByRole("heading", { name: "Connected;" }).waitFor();
    });

    it("another upstream chosen stands in the file, and comments stay", async () => {
      await using on = await serveInterface({ upstreams });
      await writeConfig(
        on,
        "# mine\nupstreams:\n  first: { type: socks5, address: 127.0.0.1:9 } # a comment\n",
      );
      const page = await browser.open(on);
      await page.getByLabel("Upstream").selectOption("first");
      await page.getByRole("heading", { name: "Connected through first" }).waitFor();
      const text = await readFile(on.sut.configFile, "utf8");
      assert.match(text, /^default: first$/m);
      assert.match(text, /^# mine$/m);
      assert.match(text, /# a comment$/m);
    });

    it("what a target would take is told with the rule that decides, and what is no target is refused", async () => {
      await using on = await serveInterface({
        upstreams,
        routes: [{ match: "*.corp.example", to: "second" }],
      });
      const page = await browser.open(on);
      const field = page.getByLabel("A host and port, such as example.com:443");
      await field.fill("git.corp.example:22");
      await page.keyboard.press("Enter");
      const answer = page.getByRole("status").filter({ hasText: "git.corp.example:22" });
      assert.equal(
        await answer.innerText(),
        "git.corp.example:22 goes through second because rule 1 matches: *.corp.example",
      );
      await field.fill("example.com");
      await page.keyboard.press("Enter");
      await page.getByText("example.com:443 goes direct because no rule matches").waitFor();
      await field.fill("a b");
      await page.keyboard.press("Enter");
      await page.getByText("Write a host and a port, such as example.com:443.").waitFor();
    });
  });

  describe("routes", () => {
    const routes = ["a.example", "b.example", "c.example"].map((match) => ({ match, to: "first" }));
    const inOrder = (page: Page, ...wanted: string[]) =>
      eventually(`the order is ${wanted.join(", ")}`, async () => {
        const shown = await page.getByRole("row").locator("span[title]:nth-child(3)").allInnerTexts();
        return shown.join() === wanted.join();
      });

    it("a rule is added; one that is wrong has the engine's sentence at its field", async () => {
      await using on = await serveInterface({ upstreams, routes });
      const page = await browser.open(on);
      await goTo(page, "#/routes");
      const form = page.getByRole("form", { name: "Add a rule" });
      const match = form.getByLabel("Network, address or name");
      await match.fill("10.0.0.0/33");
      await page.keyboard.press("Enter");
      await form
        .getByText(/prefix|network|\/32/i)
        .last()
        .waitFor();
      await eventually(
        "the field is marked",
        async () => (await match.getAttribute("aria-invalid")) === "true",
      );
      const about = await match.getAttribute("aria-describedby");
      assert.match(await page.locator(`[id="${about}"]`).innerText(), /10\.0\.0\.0\/33/);
      assert.equal(await hasFocus(match), true);
      await match.fill("10.0.0.0/8");
      await form.getByLabel("Goes to").selectOption("second");
      await form.getByRole("button", { name: "Add" }).click();
      await page.getByText("10.0.0.0/8", { exact: true }).first().waitFor();
      assert.match(await readFile(on.sut.configFile, "utf8"), /10\.0\.0\.0\/8/);
      assert.equal(await match.inputValue(), "");
      assert.equal(await hasFocus(match), true, "so that the next can be written");
      // It is written, and would decide nothing.
      await match.fill("10.1.0.0/16");
      await page.keyboard.press("Enter");
      await page.getByText("rule 5 can never match, because rule 4 (10.0.0.0/8) comes first").waitFor();
    });

    it("Alt with an arrow moves a rule, the focus goes with it, and it is said", async () => {
      await using on = await serveInterface({ upstreams, routes });
      const page = await browser.open(on);
      await goTo(page, "#/routes");
      const handle = page.getByRole("button", { name: /^Move b\.example/ });
      await handle.focus();
      await page.keyboard.press("Alt+ArrowUp");
      await page.getByText("b.example is now rule 1 of 3").waitFor();
      await inOrder(page, "b.example", "a.example", "c.example");
      await eventually("the focus follows", () => hasFocus(handle));
      // Faster than the engine tells of the first: the same rule moves on.
      await page.keyboard.press("Alt+ArrowDown");
      await page.keyboard.press("Alt+ArrowDown");
      await page.getByText("b.example is now rule 3 of 3").waitFor();
      await inOrder(page, "a.example", "c.example", "b.example");
      await eventually("the file has it", async () => {
        const text = await readFile(on.sut.configFile, "utf8");
        return text.indexOf("c.example") < text.indexOf("b.example");
      });
    });

    it("a rule is dragged to its place", async () => {
      await using on = await serveInterface({ upstreams, routes });
      const page = await browser.open(on);
      await goTo(page, "#/routes");
      const boxOf = async (match: string) =>
        (await page.getByRole("button", { name: new RegExp(`^Move ${match}`) }).boundingBox())!;
      await page.getByRole("button", { name: /^Move c/ }).waitFor();
      const [from, to] = [await boxOf("c.example"), await boxOf("a.example")];
      await page.mouse.move(from.x + 5, from.y + 5);
      await page.mouse.down();
      await page.mouse.move(to.x + 5, to.y + 5, { steps: 6 });
      await page.mouse.up();
      await page.getByText("c.example is now rule 1 of 3").waitFor();
      await inOrder(page, "c.example", "a.example", "b.example");
    });

    it("a rule is dragged to where it was out of sight: the list scrolls at its edge, and Escape lets go", async () => {
      const many = Array.from({ length: 40 }, (_, index) => ({ match: `n${index}.example`, to: "first" }));
      await using on = await serveInterface({ upstreams, routes: many });
      const page = await browser.open(on);
      await goTo(page, "#/routes");
      const handle = page.getByRole("button", { name: /^Move n0\.example/ });
      const list = (await page.getByRole("rowgroup").boundingBox())!;
      const grip = (await handle.boundingBox())!;
      const [x, y] = [grip.x + 5, list.y + list.height - 6];
      const hold = async () => {
        await handle.hover();
        await page.mouse.down();
        await page.mouse.move(x, y, { steps: 6 });
      };
      await hold();
      await page.locator("[data-dragging]").waitFor();
      await page.keyboard.press("Escape");
      await page.locator("[data-dragging]").waitFor({ state: "detached" });
      await page.mouse.up();
      await page.getByRole("rowgroup").evaluate("(list) => list.scrollTo(0, 0)");

      await hold();
      await page.getByText("n39.example", { exact: true }).waitFor();
      await page.mouse.up();
      await eventually("it is written far down", async () => {
        const text = await readFile(on.sut.configFile, "utf8");
        return text.indexOf("n0.example") > text.indexOf("n30.example");
      });
      assert.deepEqual(on.failures, []);
    });

    it("captured networks that this machine is in itself are warned of before they are saved", async () => {
      using network = inNetwork();
      await using on = await serveInterface({ upstreams });
      const page = await browser.open(on);
      await goTo(page, "#/routes");
      const field = page.getByLabel("Capture", { exact: true });
      await field.fill(`${network.cidr}\n203.0.113.0/24`);
      const warning = page.getByText("These networks are in use already");
      await warning.waitFor();
      await field.fill("203.0.113.0/24");
      await warning.waitFor({ state: "detached" });
      await page.getByRole("button", { name: "Save networks" }).click();
      await page.getByText("Saved", { exact: true }).waitFor();
      assert.match(await readFile(on.sut.configFile, "utf8"), /203\.0\.113\.0\/24/);
      assert.deepEqual(on.failures, []);
    });

    it("a connection counts at the rule that decided it", async () => {
      await using on = await serveInterface({ upstreams, routes: [{ match: "127.0.0.0/8", to: "direct" }] });
      const page = await browser.open(on);
      await goTo(page, "#/routes");
      const hits = page.getByRole("row").filter({ hasText: "127.0.0.0/8" }).getByRole("cell").nth(4);
      assert.equal(await hits.innerText(), "0");
      assert.equal(await echoed(on), "x");
      await eventually("one hit", async () => (await hits.innerText()) === "1");
    });

    it("a removed rule comes back with Undo, and the file's comments with it", async () => {
      await using on = await serveInterface({ upstreams });
      const text =
        "upstreams:\n  first: { type: socks5, address: 127.0.0.1:9 }\nroutes:\n" +
        "  # the office\n  - { match: a.example, to: first } # why\n  - { match: b.example, to: block }\n";
      await writeConfig(on, text);
      const page = await browser.open(on);
      await goTo(page, "#/routes");
      await page.getByRole("button", { name: "More for a.example" }).focus();
      await page.keyboard.press("Enter");
      await page.keyboard.press("r");
      await page.keyboard.press("Enter");
      await page.getByText("Removed a.example").waitFor();
      const without = await readFile(on.sut.configFile, "utf8");
      assert.doesNotMatch(without, /a\.example/);
      assert.match(without, /b\.example, to: block/);
      await page.getByRole("button", { name: "Undo" }).click();
      await page.getByRole("button", { name: "More for a.example" }).waitFor();
      // The page shows what it asked for before the engine has written it.
      await eventually(
        "the file as it was",
        async () => (await readFile(on.sut.configFile, "utf8")) === text,
      );
      assert.deepEqual(on.failures, []);
    });

    it("the tester names the rule that wins, or that none does", async () => {
      await using on = await serveInterface({ upstreams, routes });
      const page = await browser.open(on);
      await goTo(page, "#/routes");
      const field = page.getByRole("textbox", { name: "Try a target" });
      await field.fill("b.example:80");
      await page.keyboard.press("Enter");
      await page.getByText("Rule 2 wins").waitFor();
      await page.getByText("It goes through first.").waitFor();
      await field.fill("other.example:80");
      await page.keyboard.press("Enter");
      await page.getByText("No rule matches, so it goes the default way").waitFor();
    });
  });

  describe("settings", () => {
    it("the theme and the language change at once, and stay over a reload, as the key does", async () => {
      await using on = await serveInterface({ upstreams });
      const page = await browser.open(on);
      await goTo(page, "#/settings");
      const ground = () => page.evaluate<string>("getComputedStyle(document.body).backgroundColor");
      const light = await ground();
      await page.getByText("Dark", { exact: true }).click();
      await eventually("the ground is dark", async () => (await ground()) !== light);
      const dark = await ground();
      await page.getByLabel("Language").selectOption("Deutsch");
      await page.getByRole("heading", { name: "Einstellungen" }).waitFor();
      assert.equal(await page.locator("html").getAttribute("lang"), "de");
      assert.doesNotMatch(page.url(), /token/);
      await page.reload();
      await page.getByRole("heading", { name: "Einstellungen" }).waitFor();
      assert.equal(await ground(), dark);
      await goTo(page, "#/home");
      await page.getByRole("switch", { name: "Verbinden" }).waitFor();
      assert.deepEqual(on.failures, []);
    });

    it("a listener is moved: the new port answers and the old one does not", async () => {
      const [before, moved] = [await freePort(), await freePort()];
      await using on = await serveInterface({ upstreams, listen: { socks5: `127.0.0.1:${before}` } });
      const page = await browser.open(on);
      await goTo(page, "#/settings");
      const field = page.getByLabel("SOCKS5", { exact: true });
      await field.fill("127.0.0.1");
      await page.keyboard.press("Enter");
      await eventually(
        "the field is marked",
        async () => (await field.getAttribute("aria-invalid")) === "true",
      );
      await field.fill(`127.0.0.1:${moved}`);
      await page.keyboard.press("Enter");
      await page.getByText("Saved and applied").waitFor();
      await eventually("the new port answers", () => accepts(moved));
      await eventually("the old one does not", async () => !(await accepts(before)));
    });

    it("the file's editor names an error's line, saves what is right, and asks where the file has changed", async () => {
      await using on = await serveInterface({ upstreams });
      const page = await browser.open(on);
      await goTo(page, "#/settings");
      const editor = page.getByRole("textbox", { name: "Text of the configuration file" });
      await editor.fill("upstreams:\n  one: { type: socks5, address: 127.0.0.1:9 }\ndefault: noone\n");
      const problem = page.getByRole("button", { name: /Line 3, column \d+/ });
      await problem.waitFor();
      await page.getByText("One problem").waitFor();
      const save = page.getByRole("button", { name: "Save and apply" });
      assert.equal(await save.isDisabled(), true);
      await problem.click();
      assert.equal(await hasFocus(editor), true);

      const right = "upstreams:\n  one: { type: socks5, address: 127.0.0.1:9 }\ndefault: one # mine\n";
      await editor.fill(right);
      await page.getByText("Nothing is wrong.").waitFor();
      await save.click();
      await page.getByText("Saved and applied").waitFor();
      assert.equal(await readFile(on.sut.configFile, "utf8"), right);
      assert.equal(on.sut.engine.status().default, "one");

      await editor.fill(right.replace("mine", "mine alone"));
      await writeConfig(on, `${right}# by somebody else\n`);
      await page.getByText("Nothing is wrong.").waitFor();
      await save.click();
      await page.getByText("The file has changed since it was read here.").waitFor();
      await page.getByRole("button", { name: "Read it again" }).click();
      await eventually("the other's text", async () =>
        (await editor.inputValue()).includes("by somebody else"),
      );

      await editor.fill(`${right}# over it\n`);
      await writeConfig(on, `${right}# once more\n`);
      await save.click();
      await page.getByRole("button", { name: "Overwrite" }).click();
      await eventually("ours is written", async () =>
        (await readFile(on.sut.configFile, "utf8")).endsWith("# over it\n"),
      );
      assert.deepEqual(on.failures, []);
    });
  });
});

/** As an editor beside the engine would. */
async function writeConfig({ sut }: InterfaceUnderTest, text: string): Promise<void> {
  await writeFile(sut.configFile, text);
  await sut.engine.reload();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** This machine is in 198.51.100.0/24, too, until disposed: a test machine need not be in any network. */
function inNetwork(): Disposable & { readonly cidr: string } {
  const real = fs.readFileSync;
  const route = "office0\t006433C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0";
  const patched = (...args: Parameters<typeof real>) => {
    const text = real(...args);
    return args[0] === "/proc/net/route" && typeof text === "string" ? `${text.trimEnd()}\n${route}\n` : text;
  };
  Object.assign(fs, { readFileSync: patched });
  syncBuiltinESMExports();
  return {
    cidr: "198.51.100.0/24",
    [Symbol.dispose]() {
      fs.readFileSync = real;
      syncBuiltinESMExports();
    },
  };
}
