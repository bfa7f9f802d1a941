import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import type { Page } from "playwright-core";
import { parse } from "yaml";
import { startDemoUpstreams } from "@sockeye/demo/upstreams";
import {
  type InterfaceUnderTest,
  serveInterface,
  skipWithoutChromium,
  startBrowser,
  type TestBrowser,
} from "../peers/browser.ts";
import { eventually, goTo } from "../peers/interface-page.ts";
import { type Sshd, skipWithoutSshd, skipWithoutUsers, startSshd } from "../peers/sshd.ts";

const nowhere = (port: number) => ({ type: "socks5", address: `127.0.0.1:${port}` });

interface File {
  readonly upstreams?: Record<string, Record<string, unknown>>;
}

/** What the interface asks a person, and what it keeps for them, against real servers. */
describe("questions and secrets in the interface", { skip: skipWithoutChromium() }, () => {
  let browser: TestBrowser;
  before(async () => {
    browser = await startBrowser();
  });
  after(() => browser[Symbol.asyncDispose]());

  const fileOf = async ({ sut }: InterfaceUnderTest) => parse(await readFile(sut.configFile, "utf8")) as File;
  const bastion = (sshd: Sshd, changes: object) => ({
    type: "ssh",
    address: `127.0.0.1:${sshd.port}`,
    user: sshd.user,
    known_hosts_file: sshd.knownHostsFile,
    ssh_config: false,
    agent: false,
    ...changes,
  });
  const beginTest = async (page: Page) => {
    await goTo(page, "#/upstreams");
    await page.getByRole("button", { name: "Test bastion" }).click();
  };
  const done = (page: Page) => page.getByText("Connected and logged in.").waitFor();

  it(
    "a locked key's passphrase is asked for, a slip is asked again, and OpenSSH lets us in",
    { skip: skipWithoutSshd() },
    async () => {
      const sshd = await startSshd({ hostKeys: ["ed25519"] });
      try {
        const upstreams = { bastion: bastion(sshd, { identity_file: sshd.encryptedIdentityFile }) };
        await using on = await serveInterface({ upstreams });
        const page = await browser.open(on);
        await beginTest(page);
        const dialog = page.getByRole("dialog", { name: "Passphrase" });
        const wrong = dialog.getByText("That passphrase does not open the key.");
        for (const passphrase of ["wrong", sshd.passphrase]) {
          await dialog.getByText(sshd.encryptedIdentityFile).waitFor();
          if (passphrase === sshd.passphrase) await wrong.waitFor();
          else assert.equal(await wrong.count(), 0);
          const field = dialog.getByLabel("Passphrase of the key");
          await eventually("an empty field", async () => (await field.inputValue()) === "");
          await field.fill(passphrase);
          await page.keyboard.press("Enter");
        }
        await done(page);
        assert.deepEqual(on.failures, []);
      } finally {
        await sshd.stop();
      }
    },
  );

  it(
    "a server's own question is shown as the server's words, and answered",
    { skip: skipWithoutSshd() || skipWithoutUsers() },
    async () => {
      const sshd = await startSshd({ hostKeys: ["ed25519"], password: "s3cret", keyboardInteractive: true });
      try {
        const upstreams = { bastion: bastion(sshd, { identity_file: "/nonexistent/id" }) };
        await using on = await serveInterface({ upstreams });
        const page = await browser.open(on);
        await beginTest(page);
        const dialog = page.getByRole("dialog", { name: "The server has a question" });
        assert.match(await dialog.getByRole("figure").innerText(), /password/i);
        const field = dialog.getByLabel("Your answer");
        assert.equal(await field.getAttribute("type"), "password");
        await field.fill("s3cret");
        await page.keyboard.press("Enter");
        await done(page);
      } finally {
        await sshd.stop();
      }
    },
  );

  it("a password goes into the keychain, and the file has only its name", async () => {
    const kept = new Map<string, string>();
    const secretStore = {
      available: async () => ({ ok: true }) as const,
      read: async (name: string) => kept.get(name),
      store: async (name: string, value: string) => void kept.set(name, value),
      remove: async (name: string) => void kept.delete(name),
    };
    await using on = await serveInterface({ upstreams: { other: nowhere(9) } }, { secretStore });
    const page = await browser.open(on);
    await goTo(page, "#/upstreams/new");
    const editor = page.getByRole("dialog", { name: "New upstream" });
    await editor.getByText("SOCKS5", { exact: true }).click();
    await editor.getByLabel("Name", { exact: true }).fill("proxy");
    await editor.getByLabel("Address").fill("127.0.0.1:9");
    await editor.getByLabel("Username").fill("me");
    await editor.getByLabel("Password", { exact: true }).fill("hush hush");
    await editor.getByText("Goes into the keychain, never into the configuration.").waitFor();
    await editor.getByRole("button", { name: "Save" }).click();
    await editor.waitFor({ state: "detached" });
    const [[name, value] = []] = [...kept];
    assert.equal(value, "hush hush");
    assert.deepEqual((await fileOf(on)).upstreams?.["proxy"]?.["auth"], {
      username: "me",
      password: { keychain: name },
    });
  });

  it("without a keychain the person chooses, and a file for the owner alone keeps it", async () => {
    const secretStore = {
      available: async () => ({ ok: false, reason: "The test has none." }) as const,
      read: async () => undefined,
      store: () => Promise.reject(new Error("there is none")),
      remove: async () => {},
    };
    await using on = await serveInterface({ upstreams: { proxy: nowhere(9) } }, { secretStore });
    const page = await browser.open(on);
    await goTo(page, "#/upstreams/proxy");
    const editor = page.getByRole("dialog", { name: "proxy" });
    await editor.getByLabel("Username").fill("me");
    await editor.getByLabel("Password", { exact: true }).fill("hush hush");
    await editor.getByText("The test has none.").waitFor();
    await editor.getByText("Keep it in a file").click();
    await editor.getByRole("button", { name: "Save" }).click();
    await editor.waitFor({ state: "detached" });
    const auth = (await fileOf(on)).upstreams?.["proxy"]?.["auth"] as { readonly password_file: string };
    assert.equal((await stat(auth.password_file)).mode & 0o777, 0o600);
    assert.equal((await readFile(auth.password_file, "utf8")).trim(), "hush hush");
  });

  it("the demo upstreams are one click away in the first steps, and answer", async () => {
    await using on = await serveInterface({}, { demo: startDemoUpstreams });
    const page = await browser.open(on);
    await page.getByRole("button", { name: /^Try it with demo upstreams/ }).click();
    await page.getByRole("button", { name: "Test", exact: true }).click({ timeout: 30_000 });
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByText(/^demo-\S+ answers\.$/).waitFor();
    assert.equal(Object.keys((await fileOf(on)).upstreams ?? {}).length, 4);
  });

  it("an upstream is dragged to its place, and the file has the order", async () => {
    await using on = await serveInterface({
      upstreams: { one: nowhere(9), two: nowhere(10), three: nowhere(11) },
    });
    const page = await browser.open(on);
    await goTo(page, "#/upstreams");
    const rowOf = (name: string) =>
      page.getByRole("listitem").filter({ has: page.getByRole("link", { name }) });
    const grip = (await rowOf("three").getByTitle(/drag/i).boundingBox())!;
    const first = (await rowOf("one").boundingBox())!;
    await page.mouse.move(grip.x + 4, grip.y + 4);
    await page.mouse.down();
    await page.mouse.move(grip.x + 4, first.y + 2, { steps: 6 });
    await page.mouse.up();
    await page.getByText("three is number 1 of 3 now").waitFor({ state: "attached" });
    await eventually("the file has it", async () => {
      return Object.keys((await fileOf(on)).upstreams ?? {}).join() === "three,one,two";
    });
  });
});
