import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parse } from "yaml";
import {
  type InterfaceUnderTest,
  serveInterface,
  skipWithoutChromium,
  startBrowser,
  type TestBrowser,
} from "../peers/browser.ts";
import { eventually, goTo } from "../peers/interface-page.ts";

const other = { type: "socks5", address: "127.0.0.1:9" };

/** Upstreams that come from elsewhere and go elsewhere, each way that a page in a browser has. */
describe("import and export in the interface", { skip: skipWithoutChromium() }, () => {
  let browser: TestBrowser;
  before(async () => {
    browser = await startBrowser();
  });
  after(() => browser[Symbol.asyncDispose]());

  const namesIn = async ({ sut }: InterfaceUnderTest) =>
    Object.keys((parse(await readFile(sut.configFile, "utf8")) as { readonly upstreams: object }).upstreams);
  const openImport = async (on: InterfaceUnderTest) => {
    const page = await browser.open(on);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await goTo(page, "#/upstreams/import");
    return { page, dialog: page.getByRole("dialog", { name: "Import upstreams" }) };
  };

  it("the hosts of ~/.ssh/config are shown, the chosen one is added, and Undo takes it out", async () => {
    await using on = await serveInterface({ upstreams: { other } });
    const ssh = join(dirname(on.sut.configFile), ".ssh");
    await mkdir(ssh);
    await writeFile(
      join(ssh, "config"),
      "host office\n  hostname bastion.example.com\n  USER deploy\nHost lab\n  HostName 192.0.2.7\n  Port 2222\nHost *\n  Compression yes\n",
    );
    const { page, dialog } = await openImport(on);
    await dialog.getByText("bastion.example.com").waitFor();
    assert.equal(await dialog.getByRole("checkbox").count(), 2, "a pattern is no host");
    await dialog.getByRole("checkbox", { name: "Import lab" }).uncheck();
    assert.deepEqual(await namesIn(on), ["other"]);
    await dialog.getByRole("button", { name: "Import 1 upstream" }).click();
    await page.getByText("1 upstream is imported").waitFor();
    assert.deepEqual(await namesIn(on), ["other", "office"]);
    await page.getByRole("button", { name: "Undo" }).click();
    await eventually("it is out again", async () => (await namesIn(on)).join() === "other");
    assert.deepEqual(on.failures, []);
  });

  it("what is in the clipboard, and what is in a file, is shown and added", async () => {
    await using on = await serveInterface({ upstreams: { other } });
    const { page, dialog } = await openImport(on);
    await page.evaluate(`navigator.clipboard.writeText("http://proxy.example.com:3128")`);
    await dialog.getByText("Text or link").click();
    await dialog.getByRole("button", { name: "Paste" }).click();
    await dialog.getByText("proxy.example.com:3128").last().waitFor();
    await dialog.getByRole("button", { name: "Import 1 upstream" }).click();
    await page.getByText("1 upstream is imported").waitFor();

    await goTo(page, "#/upstreams/import");
    await dialog.getByText("File", { exact: true }).click();
    const chooser = page.waitForEvent("filechooser");
    await dialog.getByRole("button", { name: "Choose a file" }).click();
    const text = "upstreams:\n  from-file: { type: socks5, address: socks.example.com:1080 }\n";
    await (await chooser).setFiles({ name: "mine.yaml", mimeType: "text/yaml", buffer: Buffer.from(text) });
    await dialog.getByText("From mine.yaml").waitFor();
    await dialog.getByRole("button", { name: "Import 1 upstream" }).click();
    await eventually("it is there", async () => (await namesIn(on)).includes("from-file"));
    assert.equal((await namesIn(on)).length, 3);
    assert.deepEqual(on.failures, []);
  });

  it("what is exported holds no password, and is imported again elsewhere as it was", async () => {
    const secret = { ...other, auth: { username: "me", password: "planted-password" } };
    const bastion = { address: "bastion.example.com:2222", user: "deploy" };
    await using on = await serveInterface({ upstreams: { bastion, secret } });
    const page = await browser.open(on);
    await goTo(page, "#/upstreams");
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export all" }).click();
    const file = await (await download).path();
    await page.getByText("The file is saved. It holds no passwords.").waitFor();
    const text = await readFile(file, "utf8");
    assert.doesNotMatch(text, /planted-password/);

    await using elsewhere = await serveInterface({
      upstreams: { other: { ...other, address: "127.0.0.1:10" } },
    });
    const { page: there, dialog } = await openImport(elsewhere);
    await dialog.getByText("Text or link").click();
    await dialog.getByRole("textbox").fill(text);
    await dialog.getByRole("button", { name: "Import 2 upstreams" }).click();
    await there.getByText("2 upstreams are imported").waitFor();
    assert.deepEqual((await namesIn(elsewhere)).toSorted(), ["bastion", "other", "secret"]);
    const { upstreams } = parse(await readFile(elsewhere.sut.configFile, "utf8")) as {
      readonly upstreams: Record<string, Record<string, unknown>>;
    };
    const { address, user } = upstreams["bastion"] ?? {};
    assert.deepEqual({ address, user }, { address: "bastion.example.com:2222", user: "deploy" });
    assert.deepEqual([...on.failures, ...elsewhere.failures], []);
  });
});
