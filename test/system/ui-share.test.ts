import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, describe, it } from "node:test";
import type { Page } from "playwright-core";
import {
  type InterfaceUnderTest,
  serveInterface,
  skipWithoutChromium,
  startBrowser,
  type TestBrowser,
  violationsOf,
} from "../peers/browser.ts";
import { eventually, goTo, hasFocus } from "../peers/interface-page.ts";
import { bodyOf, type LocalService, startLocalHttp, startTestRelay, type TestRelay } from "../peers/relay.ts";

const quiet = { logDestination: { write: () => {} } };
const upstreams = { hidden: { type: "socks5", address: "proxy.example.com:1080" } };

/** The Share page in a browser, against a real engine, a real relay and a real local service. */
describe("the Share page", { skip: skipWithoutChromium() }, () => {
  let browser: TestBrowser;
  let relay: TestRelay;
  let local: LocalService;
  before(async () => {
    browser = await startBrowser();
    relay = await startTestRelay({ names: { hold: 0 } });
    local = await startLocalHttp((incoming, response) => {
      void bodyOf(incoming).then((body) => {
        response.setHeader("Set-Cookie", "session=planted-cookie");
        response.end(JSON.stringify({ path: incoming.url, bytes: body.length }));
      });
    });
  });
  after(async () => {
    await browser[Symbol.asyncDispose]();
    await relay[Symbol.asyncDispose]();
    await local[Symbol.asyncDispose]();
  });

  const ask = (name: string, path: string, body?: string) =>
    new Promise<number>((resolve, reject) => {
      const outgoing = request({
        host: "127.0.0.1",
        port: relay.http!.port,
        path,
        method: body === undefined ? "GET" : "POST",
        headers: { host: `${name}.localhost`, authorization: "Bearer planted-token" },
        agent: false,
      });
      outgoing.on("error", reject);
      outgoing.on("response", (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode!));
      });
      outgoing.end(body);
    });
  const homeRelay = () => ({ address: `127.0.0.1:${relay.control.port}`, token: "token-ada" });
  const row = (page: Page, name: string) =>
    page.getByRole("list", { name: "Shares" }).getByRole("listitem").filter({ hasText: name });
  const shows = (page: Page, name: string, state: string) =>
    row(page, name).getByText(state, { exact: true }).waitFor();

  it("a share is added with its relay, goes live, shows its requests and sends one again", async () => {
    await using on = await serveInterface({ upstreams }, quiet);
    const page = await browser.open(on);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await goTo(page, "#/share");
    await page.getByText("Nothing is shared").waitFor();
    await page.getByRole("button", { name: "Add share" }).click();
    const dialog = page.getByRole("dialog", { name: "New share" });
    await dialog.getByLabel("Name", { exact: true }).fill("Shop 1");
    await dialog.getByLabel("Local service").fill("http://localhost");
    await dialog.getByLabel("Address of the relay").fill(homeRelay().address);
    await dialog.getByText("Letters, digits, dots").waitFor();
    await dialog.getByText("without http://").waitFor();
    await dialog.getByLabel("Name", { exact: true }).fill("shop");
    await dialog.getByLabel("Local service").fill(String(local.port));
    assert.equal(await dialog.getByLabel("Public name").inputValue(), "shop");
    await dialog.getByLabel("Token", { exact: true }).fill("token-ada");
    await dialog.getByRole("button", { name: "Save" }).click();
    await shows(page, "shop", "Live");
    const address = `http://shop.localhost:${relay.http!.port}`;
    await page.getByRole("button", { name: `Copy ${address}` }).click();
    assert.equal(await page.evaluate("navigator.clipboard.readText()"), address);
    await page.getByRole("button", { name: "QR code for shop" }).click();
    await page.getByRole("img", { name: `QR code of ${address}` }).waitFor();
    await page.keyboard.press("Escape");
    // The token is in a file of its owner alone, and not in the configuration.
    assert.doesNotMatch(on.sut.engine.configText, /token-ada/);

    assert.equal(await ask("shop", "/orders?page=2", "some text"), 200);
    await page.getByRole("link", { name: /^1 request/ }).click();
    const kept = page.getByRole("button", { name: /POST \/orders\?page=2/ });
    await kept.click();
    const detail = page.getByRole("article", { name: "POST /orders?page=2" });
    await detail.getByText("some text").waitFor();
    assert.doesNotMatch(await detail.innerText(), /planted/);
    await detail.getByRole("button", { name: "Show credentials" }).click();
    await detail.getByText("planted-token").waitFor();
    await detail.getByText("planted-cookie").waitFor();
    await detail.getByRole("button", { name: "Send again" }).click();
    await page.getByText("Answer before").waitFor();
    await page.getByText("Answer now").waitFor();
    await eventually("both requests are in the list", async () => (await kept.count()) === 2);
    await page.getByRole("searchbox").fill("nothing like it");
    await page.getByText("Nothing matches").waitFor();
    assert.deepEqual(on.failures, []);
  });

  it("a share is changed, stopped, started and deleted, and a relay that goes is waited for", async () => {
    const target = local.port;
    const shares = { one: { target, name: "one" }, other: { target, name: "other", relay: "home" } };
    await using on = await serveInterface({ upstreams, relays: { home: homeRelay() }, shares }, quiet);
    const page = await browser.open(on);
    await goTo(page, "#/share");
    await shows(page, "one", "Live");
    await row(page, "one").getByRole("link", { name: "one", exact: true }).click();
    const dialog = page.getByRole("dialog", { name: "one" });
    await dialog.getByText("Who may come, and more").click();
    await dialog.getByLabel("Let in only from").fill("nonsense");
    await dialog.getByLabel("Public name").fill("changed");
    await dialog.getByText("such as 192.0.2.0/24.").waitFor();
    await dialog.getByLabel("Let in only from").fill("192.0.2.0/24");
    await dialog.getByRole("button", { name: "Save" }).click();
    await row(page, "one").getByText("1 network").waitFor();
    await shows(page, "one", "Live");
    assert.equal(await ask("changed", "/"), 403);

    await page.getByRole("switch", { name: "Share other" }).click();
    await shows(page, "other", "Off");
    assert.equal(await ask("other", "/"), 404);
    await page.getByRole("switch", { name: "Share other" }).focus();
    await page.keyboard.press("Space");
    await shows(page, "other", "Live");
    assert.equal(await ask("other", "/"), 200);

    await page.getByRole("button", { name: "More about other" }).focus();
    await page.keyboard.press("Enter");
    await page.keyboard.press("End");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", { name: "Delete other?" }).getByRole("button", { name: "Delete" }).click();
    await eventually("it is gone", async () => (await row(page, "other").count()) === 0);
    assert.equal(await ask("other", "/"), 404);
    await page.getByRole("button", { name: "Undo" }).click();
    await shows(page, "other", "Live");

    const { port } = relay.control;
    await relay.stop(0);
    await shows(page, "other", "Reconnecting");
    relay = await startTestRelay({ control: { address: `127.0.0.1:${port}` }, names: { hold: 0 } });
    await shows(page, "other", "Live");

    // A relay that is renamed takes its shares along, those that name it and those that don't.
    const relays = page.getByRole("region", { name: "Relays" });
    await relays.getByRole("link", { name: "home" }).click();
    const renaming = page.getByRole("dialog", { name: "home" });
    await renaming.getByLabel("Name", { exact: true }).fill("the office");
    await renaming.getByLabel("Address").focus();
    await renaming.getByText("Letters, digits, dots").waitFor();
    await renaming.getByLabel("Name", { exact: true }).fill("office");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog", { name: "Discard your changes?" }).getByText("Go on editing").click();
    await renaming.getByRole("button", { name: "Save" }).click();
    for (const name of ["one", "other"]) {
      await row(page, name).getByText("through office").waitFor();
      await shows(page, name, "Live");
    }
    await relays.getByRole("link", { name: "office" }).waitFor();
    assert.deepEqual(on.failures, []);
  });

  it("a relay is added and changed, tested before it is saved with the step that fails, and its token is no text of the file", async () => {
    await using on = await serveInterface({ upstreams }, quiet);
    const page = await browser.open(on);
    await goTo(page, "#/share");
    await page.getByRole("button", { name: "Add relay" }).click();
    const added = page.getByRole("dialog", { name: "New relay" });
    assert.equal(await added.getByLabel("Name", { exact: true }).inputValue(), "home");
    await added.getByRole("button", { name: "Test" }).click();
    await added.getByText("Say where it is").waitFor();
    await added.getByLabel("Address").fill("127.0.0.1:1");
    await added.getByRole("button", { name: "Test" }).click();
    await added.getByText("It failed at: Connect").waitFor();
    await added.getByLabel("Address").fill(homeRelay().address);
    await added.getByLabel("Token", { exact: true }).fill("planted-token");
    await added.getByRole("button", { name: "Test" }).click();
    await added.getByText("It failed at: Log in").waitFor();
    await added.getByText("Look at the token").waitFor();
    await added.getByLabel("Token", { exact: true }).fill("token-ada");
    await added.getByRole("button", { name: "Test" }).click();
    await added.getByText("the relay lets this machine in").waitFor();
    assert.deepEqual(await violationsOf(page), []);
    // A test writes nothing.
    assert.doesNotMatch(on.sut.engine.configText, /relays/);
    await added.getByRole("button", { name: "Save" }).click();
    await added.waitFor({ state: "detached" });
    const relays = page.getByRole("region", { name: "Relays" });
    await relays.getByText("Not in use").waitFor();
    assert.match(on.sut.engine.configText, /home:/);
    assert.doesNotMatch(on.sut.engine.configText, /token-ada|planted/);

    await relays.getByRole("link", { name: "home" }).click();
    const dialog = page.getByRole("dialog", { name: "home" });
    // The token that is kept is the one that is tested.
    await dialog.getByRole("button", { name: "Test" }).click();
    await dialog.getByText("the relay lets this machine in").waitFor();
    await dialog.getByLabel("Address").fill(`localhost:${relay.control.port}`);
    await dialog.getByRole("button", { name: "Test" }).click();
    await dialog.getByText("the relay lets this machine in").waitFor();
    await dialog.getByText("Resolve the name").waitFor();
    await dialog.getByRole("button", { name: "Save" }).click();
    await relays.getByText(`localhost:${relay.control.port}`).waitFor();
    await relays.getByRole("button", { name: "Delete the relay home" }).click();
    await relays.getByRole("link", { name: "home" }).waitFor({ state: "detached" });
    assert.deepEqual(on.failures, []);
  });

  it("rows of requests are moved through by keyboard", async () => {
    await using on = await startWithRequests();
    const page = await browser.open(on, { width: 1180 });
    await goTo(page, "#/share/shop%2Frequests");
    const rows = page.getByRole("list", { name: "Requests" }).getByRole("button");
    await eventually("all three are there", async () => (await rows.count()) === 3);
    await rows.first().focus();
    await page.keyboard.press("End");
    await eventually("the oldest has the focus", () => hasFocus(rows.nth(2)));
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Enter");
    await page.getByRole("article", { name: "POST /b" }).waitFor();
    assert.equal(await rows.nth(1).getAttribute("aria-current"), "true");
    assert.deepEqual(on.failures, []);
  });

  async function startWithRequests(): Promise<InterfaceUnderTest> {
    const target = local.port;
    const shares = {
      shop: { target, name: "shop", basic_auth: { username: "u", password: "p" }, allow: ["::1"] },
      down: { target: 9, name: "backend" },
      raw: { kind: "tcp", target },
      off: { target, enabled: false },
    };
    const plain = { ...shares, shop: { target, name: "shop" } };
    const on = await serveInterface({ upstreams, relays: { home: homeRelay() }, shares: plain }, quiet);
    const isPublic = () => (on.sut.engine.shares.get("shop")?.addresses.length ?? 0) > 0;
    await eventually("it is public", isPublic);
    await ask("shop", "/a");
    await ask("shop", "/b", "text");
    await ask("shop", "/c");
    await on.sut.reconfigure({ upstreams, relays: { home: homeRelay() }, shares });
    return on;
  }

  it("nothing of it keeps anybody out: axe finds nothing in both themes, wide and narrow", async () => {
    await using on = await startWithRequests();
    const looks = [
      { theme: "light", width: 1180 },
      { theme: "dark", width: 620 },
    ] as const;
    for (const look of looks) {
      const page = await browser.open(on, { ...look, bypassCsp: true });
      await goTo(page, "#/share");
      await shows(page, "down", "Service down");
      assert.deepEqual(await violationsOf(page), [], `the list, ${look.theme}`);
      await goTo(page, "#/share/shop");
      await page.getByRole("dialog", { name: "shop" }).waitFor();
      assert.deepEqual(await violationsOf(page, "dialog"), [], `the form, ${look.theme}`);
      await goTo(page, "#/share/shop%2Frequests%2F2");
      await page.getByRole("article").waitFor();
      assert.deepEqual(await violationsOf(page), [], `the inspector, ${look.theme}`);
      await page.close();
    }
    assert.deepEqual(on.failures, []);
  });
});
