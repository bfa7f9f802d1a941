import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { AxeBuilder } from "@axe-core/playwright";
import Chromium from "@sparticuz/chromium";
import { findEngine } from "@sockeye/engine/control/client";
import { interfaceAddress } from "@sockeye/engine/control/browser-page";
import type { EngineOptions } from "@sockeye/engine/control/host";
import { type Browser, chromium, type Page } from "playwright-core";
import { type EngineUnderTest, startEngineUnderTest } from "../system/engine-under-test.ts";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const BUILT = join(ROOT, "renderer", "dist");

/** A browser that the package brings for Linux on x64 alone. */
export function skipWithoutChromium(): string | false {
  if (process.platform === "linux" && process.arch === "x64") return false;
  return "the browser for tests runs on Linux on x64 alone";
}

export interface PageOptions {
  readonly theme?: "light" | "dark";
  readonly width?: number;
  readonly height?: number;
  readonly language?: string;
  /** For what is put into the page by a test: its policy would refuse that. */
  readonly bypassCsp?: boolean;
}

/** A Chromium, to be started once a file. Pages are apart from each other, as in windows of different people. */
export interface TestBrowser extends AsyncDisposable {
  /** A page on an engine's interface, loaded and connected. */
  open(on: Served, options?: PageOptions): Promise<Page>;
}

/** Flags of the package's that are for other places than this: a single process, and OpenGL emulated by the processor, at four times the cost of drawing without. */
const UNWANTED =
  /^--(single-process|no-zygote|in-process-gpu|ignore-gpu-blocklist|use-gl|use-angle|enable-unsafe-swiftshader)/;

/** @param proxy all it does goes through there, what is on loopback too: `socks5://HOST:PORT` or `http://HOST:PORT`. */
export async function launchChromium(proxy?: string): Promise<Browser> {
  const args = Chromium.args.filter((arg) => !UNWANTED.test(arg));
  return chromium.launch({
    executablePath: await Chromium.executablePath(),
    args: [...args, "--disable-gpu", "--no-sandbox"],
    headless: true,
    ...(proxy !== undefined && { proxy: { server: proxy, bypass: "<-loopback>" } }),
  });
}

export async function startBrowser(): Promise<TestBrowser> {
  const browser = await launchChromium();
  return {
    open: (on, options = {}) => openPage(browser, on, options),
    [Symbol.asyncDispose]: () => browser.close(),
  };
}

async function openPage(browser: Browser, on: Served, options: PageOptions): Promise<Page> {
  const { theme = "light", width = 1180, height = 760, language = "en-GB", bypassCsp = false } = options;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    locale: language,
    reducedMotion: "reduce",
    bypassCSP: bypassCsp,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  // What fails in the page fails the test that looks at `failures`.
  page.on("pageerror", (error) => on.failures.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") on.failures.push(message.text());
  });
  await page.goto(on.address);
  await page.locator("main h1").first().waitFor({ state: "attached" });
  return page;
}

export interface Served {
  /** With the key: for a browser's address bar. */
  readonly address: string;
  /** What a page has complained of. */
  readonly failures: string[];
}

/** An engine of its own with a file of its own, which serves the interface. */
export interface InterfaceUnderTest extends AsyncDisposable, Served {
  readonly sut: EngineUnderTest;
}

/** @param config of the engine, as startEngineUnderTest() takes it. */
export async function serveInterface(
  config: object,
  options: Partial<EngineOptions> = {},
): Promise<InterfaceUnderTest> {
  await buildInterface();
  const sut = await startEngineUnderTest(config, { ...options, ui: { directory: BUILT } });
  const folder = dirname(sut.configFile);
  // A developer's own keys and known hosts are nothing to a test.
  const home = process.env["HOME"];
  process.env["HOME"] = folder;
  return {
    sut,
    address: interfaceAddress(findEngine({ directory: join(folder, "sockeye") })),
    failures: [],
    [Symbol.asyncDispose]: async () => {
      process.env["HOME"] = home;
      await sut[Symbol.asyncDispose]();
    },
  };
}

const LOCK = join(ROOT, "node_modules", ".cache", "interface-build");
const LOCK_STALE_MS = 120_000;

let built: Promise<void> | undefined;

/** Builds it where its sources have changed; once a process. */
export function buildInterface(): Promise<void> {
  return (built ??= build());
}

/** Of files that run side by side, one builds and the others wait. */
async function build(): Promise<void> {
  await mkdir(dirname(LOCK), { recursive: true });
  while (
    !(await mkdir(LOCK).then(
      () => true,
      () => false,
    ))
  ) {
    const { mtimeMs } = await stat(LOCK).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > LOCK_STALE_MS) await rm(LOCK, { recursive: true, force: true });
    await sleep(100);
  }
  try {
    const script = join(ROOT, "scripts", "build-interface.mjs");
    const { status, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8" });
    if (status !== 0 || !existsSync(join(BUILT, "index.html"))) {
      throw new Error(`the interface could not be built: ${stderr}`);
    }
  } finally {
    await rm(LOCK, { recursive: true, force: true });
  }
}

const RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"];

/**
 * What axe finds against WCAG 2.2 AA, as lines. For a page with `bypassCsp`.
 * @param within a selector; default: all of the page.
 * @param about `colours`: only what another theme can change, where all else has been looked at.
 */
export async function violationsOf(
  page: Page,
  within?: string,
  about: "everything" | "colours" = "everything",
): Promise<string[]> {
  const axe = new AxeBuilder({ page });
  if (about === "everything") axe.withTags(RULES);
  else axe.withRules(["color-contrast", "link-in-text-block"]);
  const { violations } = await (within === undefined ? axe : axe.include(within)).analyze();
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${help}: ${target.join(" ")}: ${failureSummary ?? ""}`),
  );
}
