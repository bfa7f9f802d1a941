import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { _electron, type ElectronApplication } from "playwright-core";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Electron's program, where it was downloaded. */
function electronProgram(): string | undefined {
  const named = process.env["ELECTRON_OVERRIDE_DIST_PATH"];
  if (named && process.platform === "linux") return join(named, "electron");
  const folder = dirname(createRequire(import.meta.url).resolve("electron/package.json"));
  const pathFile = join(folder, "path.txt");
  if (!existsSync(pathFile)) return undefined;
  const program = join(folder, "dist", readFileSync(pathFile, "utf8"));
  return existsSync(program) ? program : undefined;
}

function whyNot(): string | undefined {
  if (program === undefined)
    return "ELECTRON WAS NOT RUN: its program is not here (`npm start` downloads it), so the desktop app is tested against a stub alone";
  const hasDisplay = process.platform !== "linux" || process.env["DISPLAY"] || process.env["WAYLAND_DISPLAY"];
  return hasDisplay ? undefined : "ELECTRON WAS NOT RUN: there is no display";
}

const program = electronProgram();
const reason = whyNot();

describe("the desktop app in Electron", { skip: reason ?? false }, () => {
  const home = mkdtempSync(join(tmpdir(), "sockeye-app-"));
  let app: ElectronApplication | undefined;
  after(async () => {
    await app?.close();
    rmSync(home, { recursive: true, force: true });
  });

  it("opens its window, and a page that can do what the bridge says and nothing else", async () => {
    const build = spawnSync(process.execPath, [join(root, "scripts/build-desktop.mjs")], {
      encoding: "utf8",
    });
    assert.equal(build.status, 0, build.stderr);
    app = await _electron.launch({
      executablePath: program!,
      args: [root, `--user-data-dir=${join(home, "data")}`],
      env: { ...(process.env as Record<string, string>), XDG_CONFIG_HOME: home, XDG_RUNTIME_DIR: home },
    });
    const page = await app.firstWindow();
    await page.waitForLoadState("domcontentloaded");
    assert.equal(page.url(), "sockeye-app://interface/index.html");
    const globals = await page.evaluate(
      "[typeof require, typeof process, Object.keys(window.sockeye).sort().join()]",
    );
    assert.deepEqual(globals, ["undefined", "undefined", "call,on,requestEnginePort"]);
    const facts = await page.evaluate<{ packaged: boolean }>("window.sockeye.call('facts', {})");
    assert.equal(facts.packaged, false);
    await assert.rejects(page.evaluate("fetch('https://example.com')"));
    await assert.rejects(page.evaluate("fetch('file:///etc/passwd')"));
  });

  it("leads nowhere else: no other page, no window, no frame, no permission", async () => {
    const page = await app!.firstWindow();
    const before = page.url();
    for (const away of [
      "https://example.com/",
      "file:///etc/passwd",
      "sockeye-app://elsewhere/",
      "data:text/html,x",
    ])
      await page.evaluate(`location.href = ${JSON.stringify(away)}`);
    assert.equal(await page.evaluate("window.open('https://example.com') === null"), true);
    await page.evaluate(
      "document.body.append(Object.assign(document.createElement('iframe'), { src: 'https://example.com' }))",
    );
    const permission = await page.evaluate(
      "navigator.permissions.query({ name: 'geolocation' }).then((one) => one.state)",
    );
    assert.equal(permission, "denied");
    assert.equal(page.url(), before);
    assert.equal(app!.windows().length, 1);
    const frames = page.frames().map((frame) => frame.url());
    assert.deepEqual(
      frames.filter((url) => url.startsWith("http")),
      [],
    );
  });

  it("lets no second instance run beside it, and takes its link as a preview", async () => {
    const page = await app!.firstWindow();
    await page.evaluate(
      `window.links = []; window.sockeye.on("link", ({ text }) => window.links.push(text));`,
    );
    const link = "sockeye://import?type=ssh&address=bastion.example";
    const second = spawnSync(program!, [root, `--user-data-dir=${join(home, "data")}`, link], {
      timeout: 30_000,
    });
    assert.equal(second.status, 0);
    await page.waitForFunction("window.links.length === 1", undefined, { timeout: 30_000 });
    assert.equal(app!.windows().length, 1);
  });

  it("hands the page a port to a running engine", async () => {
    const page = await app!.firstWindow();
    const state = await page.evaluate(`new Promise((resolve) => {
      window.sockeye.on("engine", ({ state }) => state === "running" && resolve(state));
    })`);
    assert.equal(state, "running");
    const got = await page.evaluate(`new Promise((resolve) => {
      addEventListener("message", ({ data, ports }) => data === "sockeye:engine-port" && resolve(ports.length));
      window.sockeye.requestEnginePort();
    })`);
    assert.equal(got, 1);
  });

  it("starts a killed engine again within seconds", async () => {
    const page = await app!.firstWindow();
    await page.evaluate(
      `window.states = []; window.sockeye.on("engine", ({ state }) => window.states.push(state));`,
    );
    await app!.evaluate(async ({ app: inside }) => {
      const engine = inside.getAppMetrics().find(({ name }) => name === "Sockeye engine");
      process.kill(engine!.pid, "SIGKILL");
    });
    const isBack = "window.states.includes('restarting') && window.states.at(-1) === 'running'";
    await page.waitForFunction(isBack, undefined, { timeout: 30_000 });
  });
});
