import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, it } from "node:test";
import {
  buildInterface,
  type Served,
  serveInterface,
  skipWithoutChromium,
  startBrowser,
  type TestBrowser,
} from "../peers/browser.ts";
import { goTo } from "../peers/interface-page.ts";

const COMMAND = join(import.meta.dirname, "..", "..", "cli", "src", "main.ts");
const config = { upstreams: { first: { type: "socks5", address: "127.0.0.1:9" } } };

/** What a page in a browser says while its engine is not there, or does not know it. */
describe("the interface without its engine", { skip: skipWithoutChromium() }, () => {
  let browser: TestBrowser;
  before(async () => {
    browser = await startBrowser();
  });
  after(() => browser[Symbol.asyncDispose]());

  it("a connection that is cut is made again, and the page is live by itself", async () => {
    await using on = await serveInterface({ ...config, routes: [{ match: "a.example", to: "first" }] });
    const page = await browser.open(on);
    await page.context().addInitScript(`
      const Plain = WebSocket;
      window.made = [];
      window.WebSocket = class extends Plain {
        constructor(url, ...given) {
          super(window.cut ? "ws://127.0.0.1:1/" : url, ...given);
          window.made.push(this);
        }
      };
    `);
    await page.reload();
    await goTo(page, "#/routes");
    await page.getByText("a.example", { exact: true }).first().waitFor();
    await page.context().setOffline(true);
    await page.evaluate("window.cut = true; window.made.at(-1).close()");
    const banner = page.getByRole("alert").filter({ hasText: "The engine does not answer" });
    await banner.waitFor();
    await page.getByText("No engine").waitFor({ state: "attached" });
    assert.equal(await page.getByText("a.example", { exact: true }).first().isVisible(), true);
    await page.context().setOffline(false);
    await page.evaluate("window.cut = false");
    await banner.waitFor({ state: "detached" });
    await page.getByText("Connected", { exact: true }).waitFor({ state: "attached" });
    await on.sut.reconfigure({ ...config, routes: [{ match: "b.example", to: "first" }] });
    await page.getByText("b.example", { exact: true }).first().waitFor();
  });

  it("a killed engine: the page keeps what it knew, and says how to reach the one that is started next", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sockeye-killed-"));
    await using engines = new AsyncDisposableStack();
    engines.defer(() => rm(folder, { recursive: true, force: true }));
    const killed = engines.use(await startEngineProcess(folder));
    const page = await browser.open(killed);
    await goTo(page, "#/routes");
    await page.getByText("a.example", { exact: true }).first().waitFor();
    await killed.kill();
    const banner = page.getByRole("alert").filter({ hasText: "The engine does not answer" });
    await banner.getByText("sockeye ui opens it").waitFor();
    assert.equal(await page.getByText("a.example", { exact: true }).first().isVisible(), true);
    await goTo(page, "#/home");
    await page.getByRole("switch", { name: "Connect" }).click();
    await page.getByText("the engine is not there").waitFor();

    // It has another port and another key: the page of the old one can't find it, and says nothing else than before.
    const next = engines.use(await startEngineProcess(folder));
    assert.notEqual(next.address, killed.address);
    assert.equal(await banner.isVisible(), true);
    await page.goto(next.address);
    await page.getByRole("switch", { name: "Connect" }).waitFor();
    await banner.waitFor({ state: "detached" });
  });

  it("a page without a key, and one with another engine's, say what to do", async () => {
    await using on = await serveInterface(config);
    const page = await browser.open(on);
    const other = await page.context().newPage();
    await other.goto(on.address.replace(/#.*/, ""));
    await other.getByRole("heading", { name: "This page has no key" }).waitFor();
    await other.getByText("sockeye ui opens it").waitFor();
    const wrong = await page.context().newPage();
    await wrong.goto(on.address.replace(/=.*/, `=${"A".repeat(43)}`));
    await wrong.getByRole("heading", { name: "The engine does not take this page’s key" }).waitFor();
    // Given the right one in the same window, it goes on.
    await wrong.goto("about:blank");
    await wrong.goto(on.address);
    await wrong.getByRole("switch", { name: "Connect" }).waitFor();
  });
});

interface EngineProcess extends Served, AsyncDisposable {
  kill(): Promise<void>;
}

/** `sockeye run --ui=print` with a file of its own in this folder. */
async function startEngineProcess(folder: string): Promise<EngineProcess> {
  await buildInterface();
  const file = join(folder, "config.yaml");
  const text = {
    listen: { socks5: "127.0.0.1:0" },
    ...config,
    routes: [{ match: "a.example", to: "first" }],
  };
  await writeFile(file, JSON.stringify(text));
  const child = spawn(process.execPath, [COMMAND, "run", "--ui=print", "--config", file], {
    env: {
      ...process.env,
      XDG_RUNTIME_DIR: folder,
      XDG_STATE_HOME: folder,
      XDG_CONFIG_HOME: folder,
      HOME: folder,
    },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = once(child, "exit");
  const kill = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  const address = await addressPrintedBy(child);
  return { address, failures: [], kill, [Symbol.asyncDispose]: kill };
}

async function addressPrintedBy({ stdout }: ChildProcess): Promise<string> {
  for await (const line of createInterface(stdout!)) {
    const [address] = /http:\/\/\S+#token=\S+/.exec(line) ?? [];
    if (address !== undefined) {
      stdout!.resume();
      return address;
    }
  }
  throw new Error("it ended before it said where its interface is");
}
