import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { ConfigDocument, EngineStatus } from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import { PortServer } from "@sockeye/engine/control/message-port";
import type { Service } from "@sockeye/engine/control/protocol";
import type { DesktopCallName, DesktopParams, DesktopResult } from "@sockeye/renderer/desktop/contract";
import {
  createElectron,
  StubNotification,
  StubTray,
  StubWindow,
  type ElectronStub,
  type StubProcess,
} from "../test/electron-stub.ts";
import { temporaryFolder } from "../test/folder.ts";
import { Desktop, type DesktopOptions } from "./desktop.ts";
import type { ToEngine } from "./engine-messages.ts";
import { portOf } from "./main-port.ts";
import { ShellSecretStore } from "./shell-secret-store.ts";

const base = temporaryFolder();
const folders = {
  preload: "/app/preload.cjs",
  engineEntry: "/app/engine-process.mjs",
  interface: join(base, "interface"),
  icons: "/app/icons",
  helperProgram: join(base, "none"),
  docs: "/app/docs",
};
mkdirSync(folders.interface);
writeFileSync(join(folders.interface, "index.html"), "");

const STATUS: EngineStatus = {
  version: "1.2.3",
  contract: 1,
  pid: 1,
  startedAt: 1,
  phase: "running",
  connection: { state: "off" },
  default: "direct",
  tunEnabled: false,
  listeners: [],
  tun: { state: "off" },
  flows: { active: 0, total: 0, failed: 0 },
  bytes: { up: 0, down: 0 },
  rssBytes: 1,
  logLevel: "info",
};

/** An engine that does what it is asked, and keeps a list. */
class StubEngine implements Service {
  readonly asked: string[] = [];
  status: EngineStatus = STATUS;
  failure: ControlError | undefined;
  conflicts = 0;
  #changed = true;

  async call(name: string, params: unknown): Promise<unknown> {
    this.asked.push(`${name} ${JSON.stringify(params)}`);
    if (name === "config.read") return { revision: "r1" } satisfies Partial<ConfigDocument>;
    if (name === "config.edit" && this.conflicts-- > 0)
      throw new ControlError("conflict", "changed meanwhile");
    if (this.failure !== undefined) throw this.failure;
    if (name === "connect") this.become({ ...this.status, connection: { state: "connected", since: 1 } });
    if (name === "disconnect") this.become({ ...this.status, connection: { state: "off" } });
    return {};
  }
  listen() {
    this.#changed = true;
    return {
      intervalMs: 5,
      pull: () => {
        if (!this.#changed) return {};
        this.#changed = false;
        return { event: { status: this.status, upstreams: [] } };
      },
      close: () => {},
    };
  }
  become(status: EngineStatus): void {
    this.status = status;
    this.#changed = true;
  }
}

let electron: ElectronStub;
let engine: StubEngine;
let servers: PortServer[];
let hasTray: boolean;

beforeEach(() => {
  const folder = mkdtempSync(join(base, "user-"));
  electron = createElectron(folder);
  electron.setDisplays({ x: 0, y: 0, width: 1920, height: 1080 });
  engine = new StubEngine();
  servers = [];
  hasTray = true;
});

afterEach(async () => {
  for (const server of servers) server.close();
  electron.app.quit();
  newest()?.emit("exit", 0);
  await until(() => electron.app.calls.includes("gone"), "the app's end");
});

const newest = (): StubProcess | undefined => electron.processes.at(-1);

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) assert.fail(`${what} did not come`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function start(options: Partial<DesktopOptions> = {}): Promise<Desktop> {
  const desktop = await Desktop.start({
    electron: electron.parts,
    folders,
    platform: "linux",
    env: { XDG_CONFIG_HOME: electron.app.folder },
    argv: ["/opt/sockeye"],
    execPath: "/opt/sockeye",
    languages: () => ["en"],
    hasTray: async () => hasTray,
    updater: async () => ({ reason: "a test has none" }),
    elevate: () => assert.fail("nobody is asked"),
    issuesAddress: "",
    helperFiles: { sha256: undefined, service: "", socket: "", daemon: "" },
    ...options,
  });
  newest()!.on("told", (message: { kind: string; id?: number }) => serve(newest()!, message));
  return desktop;
}

/** The engine's process, behind the stub of one. */
function serve(child: StubProcess, message: { kind: string; id?: number }): void {
  if (message.kind === "ping") child.say({ kind: "pong", id: message.id });
  if (message.kind === "stop") queueMicrotask(() => child.emit("exit", 0));
  if (message.kind === "client") {
    const server = new PortServer(engine);
    servers.push(server);
    server.serve(portOf(child.ports.at(-1)!));
  }
}

async function run(): Promise<void> {
  newest()!.say({ kind: "loaded" });
  newest()!.say({ kind: "running" });
  await until(
    () => tray().items.some(({ label, enabled }) => label === "Connect" && enabled === true),
    "the tray",
  );
}

const tray = (): StubTray => StubTray.made.at(-1)!;
const page = (): StubWindow => StubWindow.made.at(-1)!;

async function call<Name extends DesktopCallName>(
  name: Name,
  params: DesktopParams<Name>,
): Promise<DesktopResult<Name>> {
  const answer = (await electron.ask(page().webContents.event(), { kind: "call", name, params })) as
    { ok: true; result: DesktopResult<Name> } | { ok: false; message: string };
  if (!answer.ok) throw new Error(answer.message);
  return answer.result;
}

const told = (name: string): unknown[] =>
  page()
    .webContents.sent.map(({ message }) => message as { kind: string; name?: string; event?: unknown })
    .filter((message) => message.name === name)
    .map(({ event }) => event);

test("it starts with its window, the engine beside it, and nothing connected unasked", async () => {
  await start();
  assert.equal(page().url, "sockeye-app://interface/index.html");
  assert.equal(electron.forks[0]!.path, "/app/engine-process.mjs");
  newest()!.say({ kind: "loaded" });
  const first = newest()!.messages[0] as { connected: boolean; configFile: string };
  assert.equal(first.connected, false);
  assert.equal(first.configFile, join(electron.app.folder, "sockeye/config.yaml"));
  assert.deepEqual(electron.session.answers, [false, false, false]);
});

test("started by the session it stays in the tray; without a tray its window is there", async () => {
  await start({ argv: ["/opt/sockeye", "--hidden"] });
  assert.equal(StubWindow.made.length, 0);
  electron.app.quit();
  newest()!.emit("exit", 0);
  await until(() => electron.app.calls.includes("gone"), "the end");
  electron = createElectron(electron.app.folder);
  await start({ argv: ["/opt/sockeye", "--hidden"], hasTray: async () => false });
  await until(() => StubWindow.made.length === 1, "the window");
  assert.equal(StubTray.made.length, 0);
});

test("a panel that comes after the programs of a session is waited for, and the engine runs meanwhile", async () => {
  const panel = Promise.withResolvers<boolean>();
  const asked: number[] = [];
  await start({
    argv: ["/opt/sockeye", "--hidden"],
    hasTray: async (waitMs) => {
      asked.push(waitMs);
      return waitMs === 0 ? false : panel.promise;
    },
  });
  newest()!.say({ kind: "loaded" });
  newest()!.say({ kind: "running" });
  assert.deepEqual([StubTray.made.length, StubWindow.made.length], [0, 0]);
  panel.resolve(true);
  await until(() => StubTray.made.length === 1, "the tray");
  await until(() => tray().toolTip === "Sockeye: Off", "what the engine said");
  assert.equal(StubWindow.made.length, 0);
  assert.ok(asked[1]! > 1_000);
});

test("an app that quits while it waits for the panel opens nothing", async () => {
  const panel = Promise.withResolvers<boolean>();
  await start({
    argv: ["--hidden"],
    hasTray: (waitMs) => (waitMs === 0 ? Promise.resolve(false) : panel.promise),
  });
  electron.app.quit();
  newest()!.emit("exit", 0);
  await until(() => electron.app.calls.includes("gone"), "the end");
  panel.resolve(true);
  await panel.promise;
  assert.deepEqual([StubTray.made.length, StubWindow.made.length], [0, 0]);
});

test("on macOS, where a login item has no arguments, the system says that it was one", async () => {
  electron.app.isPackaged = true;
  electron.app.wasOpenedAtLogin = true;
  await start({ platform: "darwin" });
  assert.deepEqual([StubTray.made.length, StubWindow.made.length], [1, 0]);
});

test("the tray connects and disconnects, chooses the upstream and switches TUN mode", async () => {
  await start();
  await run();
  tray().choose("Connect");
  await until(() => tray().toolTip === "Sockeye: Connected", "connected");
  tray().choose("Connect");
  await until(() => tray().toolTip === "Sockeye: Off", "off");
  engine.conflicts = 1;
  tray().choose("TUN mode");
  await until(() => engine.asked.filter((each) => each.startsWith("config.edit")).length === 2, "the edit");
  assert.deepEqual(engine.asked, [
    "connect {}",
    "disconnect {}",
    "config.read {}",
    'config.edit {"edits":[{"kind":"set-section","section":"tun","values":{"enabled":true}}],"revision":"r1"}',
    "config.read {}",
    'config.edit {"edits":[{"kind":"set-section","section":"tun","values":{"enabled":true}}],"revision":"r1"}',
  ]);
});

test("a switch in the tray that fails says why, and goes back", async () => {
  await start();
  await run();
  engine.failure = new ControlError("helper", "TUN mode needs a privileged helper, and there is none");
  const menus = tray().menus.length;
  tray().choose("Connect");
  await until(() => electron.boxes.length > 0, "the words");
  assert.match(electron.boxes[0]!.detail ?? "", /needs a privileged helper/);
  await until(() => tray().menus.length > menus, "the switch as it is");
  await electron.ask(page().webContents.event(), { kind: "hello" });
  assert.deepEqual(told("navigate"), [{ page: "settings" }], "where the helper is told of, and installed");
});

test("closing goes to the tray, with one hint ever, once it can be shown", async () => {
  await start();
  page().emit("ready-to-show");
  StubNotification.supported = false;
  page().close();
  StubNotification.supported = true;
  electron.app.emit("activate");
  page().close();
  assert.equal(page().visible, false);
  assert.deepEqual(
    StubNotification.made.map(({ title }) => title),
    ["Sockeye is still running"],
  );
  electron.app.emit("activate");
  page().close();
  assert.equal(StubNotification.made.length, 1);
});

test("without a tray everything works from the window, and closing it ends the app when flows have ended", async () => {
  hasTray = false;
  await start();
  assert.equal(StubTray.made.length, 0);
  newest()!.say({ kind: "loaded" });
  newest()!.say({ kind: "running" });
  assert.equal((await call("facts", {})).tray, false);
  await call("settings.write", { closeToTray: true });
  page().emit("ready-to-show");
  assert.equal(page().close(), true);
  electron.app.emit("window-all-closed");
  assert.equal(electron.app.calls.includes("gone"), false, "not before the engine has drained");
  await until(() => electron.app.calls.includes("gone"), "the end");
  assert.deepEqual(newest()!.messages.at(-1), { kind: "stop", now: false });
});

test("a second start brings the window, and its link is shown as a preview and nothing else", async () => {
  const desktop = await start();
  await run();
  await electron.ask(page().webContents.event(), { kind: "hello" });
  desktop.takeArguments(["/opt/sockeye", "sockeye://import?url=ssh://evil"]);
  assert.deepEqual(told("link"), [{ text: "sockeye://import?url=ssh://evil" }]);
  desktop.openLink("https://example.com");
  assert.equal(told("link").length, 1);
  assert.deepEqual(engine.asked, []);
});

test("links at a cold start, by argument, wait for the page; of several the newest is shown", async () => {
  await start({ argv: ["/opt/sockeye", "--hidden", "sockeye://import?a", "sockeye://import?b"] });
  assert.equal(StubWindow.made.length, 1, "a link brings the window, even when started out of sight");
  assert.deepEqual(told("link"), [], "nobody listens yet");
  await electron.ask(page().webContents.event(), { kind: "hello" });
  assert.deepEqual(told("link"), [{ text: "sockeye://import?b" }]);
  assert.deepEqual(engine.asked, []);
});

test("what comes as a link and is none shows nothing and does nothing, whoever brings it", async () => {
  const desktop = await start();
  await run();
  await electron.ask(page().webContents.event(), { kind: "hello" });
  const wrong = [
    "javascript:alert(1)",
    "sockeye:javascript:alert(1)",
    "sockeye-app://interface/index.html",
    "file:///etc/passwd",
    "--gpu-launcher=/bin/sh sockeye://x",
    "sockeye://a\u0000b",
    "sockeye://a\u001b[2Jb",
    "sockeye://a\u2028b",
    "sockeye://office\u202egnp.exe",
    `sockeye://import?${"a".repeat(65_536)}`,
    "sockeye://[::1",
  ];
  for (const link of wrong) desktop.openLink(link);
  desktop.takeArguments(["/opt/sockeye", ...wrong]);
  assert.deepEqual(told("link"), []);
  desktop.openLink("sockeye://import?type=ssh&address=evil&password=x");
  desktop.openLink("sockeye://user:secret@import/javascript:alert(1)");
  assert.equal(told("link").length, 2, "what it says is the preview's to judge");
  assert.deepEqual(engine.asked, []);
  assert.deepEqual([electron.opened, electron.boxes], [[], []]);
});

test("nobody who sees the window is notified of what it shows", async () => {
  await start();
  page().emit("ready-to-show");
  newest()!.say({ kind: "loaded" });
  newest()!.say({ kind: "refused", message: "the configuration has problems" });
  newest()!.emit("exit", 1);
  assert.deepEqual(StubNotification.made, []);
  page().minimized = true;
  await call("engine.restart", {});
  newest()!.say({ kind: "loaded" });
  newest()!.say({ kind: "refused", message: "the configuration has problems" });
  newest()!.emit("exit", 1);
  assert.equal(StubNotification.made.length, 1, "a minimised window is not seen");
  await call("settings.write", { notifications: false });
  await call("engine.restart", {});
  newest()!.emit("exit", 1);
  assert.equal(StubNotification.made.length, 1, "and who wants none gets none");
});

test("the shortcut, pressed before the engine has said how it is, switches nothing off", async () => {
  await start();
  await call("settings.write", { shortcut: "Control+Shift+K" });
  electron.shortcuts.get("Control+Shift+K")!();
  await until(() => electron.boxes.length === 1, "the words");
  assert.match(electron.boxes[0]!.detail ?? "", /the engine is not running/);
  newest()!.say({ kind: "loaded" });
  newest()!.say({ kind: "running" });
  electron.shortcuts.get("Control+Shift+K")!();
  await until(() => electron.boxes.length === 2, "the words");
  assert.deepEqual(engine.asked, []);
});

test("settings: what the system refuses is told and not kept, what it takes is told to everybody", async () => {
  await start();
  await electron.ask(page().webContents.event(), { kind: "hello" });
  electron.taken.add("Control+Q");
  await assert.rejects(call("settings.write", { shortcut: "Control+Q" }), /in use by another program/);
  assert.equal((await call("settings.read", {})).shortcut, null);
  await assert.rejects(call("settings.write", { launchAtLogin: true }), /not installed/);
  const now = await call("settings.write", { theme: "dark", language: "de", shortcut: "Control+Shift+K" });
  assert.equal(now.theme, "dark");
  assert.equal(electron.parts.nativeTheme.themeSource, "dark");
  assert.deepEqual(told("settings").at(-1), now);
  assert.ok(tray().items.some(({ label }) => label === "Sockeye beenden"));
  assert.ok(electron.applicationMenu().some(({ label }) => label === "Bearbeiten"));
});

test("launch at login writes an entry where the build is installed", async () => {
  electron.app.isPackaged = true;
  await start();
  const now = await call("settings.write", { launchAtLogin: true });
  assert.equal(now.launchAtLogin, true);
  assert.match(readFileSync(join(electron.app.folder, "autostart/sockeye.desktop"), "utf8"), /--hidden/);
});

test("the shortcut toggles", async () => {
  await start();
  await run();
  await call("settings.write", { shortcut: "Control+Shift+K" });
  electron.shortcuts.get("Control+Shift+K")!();
  await until(() => tray().toolTip === "Sockeye: Connected", "connected");
});

test("connecting at launch is a setting of its own, and a crash comes back to what was", async () => {
  await start();
  await call("settings.write", { connectOnLaunch: true });
  newest()!.say({ kind: "loaded" });
  assert.equal((newest()!.messages[0] as { connected: boolean }).connected, true);
  newest()!.say({ kind: "running" });
  await until(() => tray().toolTip === "Sockeye: Off", "the first look");
  newest()!.emit("exit", 11);
  await until(() => electron.processes.length === 2, "a new engine");
  newest()!.on("told", (message: { kind: string; id?: number }) => serve(newest()!, message));
  newest()!.say({ kind: "loaded" });
  assert.equal(
    (newest()!.messages[0] as { connected: boolean }).connected,
    false,
    "a person had switched it off",
  );
});

test("an engine that is given up is told: to the page, the tray and who does not see the window", async () => {
  await start();
  await electron.ask(page().webContents.event(), { kind: "hello" });
  newest()!.say({ kind: "loaded" });
  const problems = [{ line: 1, column: 1, path: "", message: "nonsense" }];
  newest()!.say({ kind: "refused", message: "the configuration has problems", problems });
  newest()!.emit("exit", 1);
  const reason = "the configuration has problems";
  assert.deepEqual(told("engine").at(-1), { state: "failed", reason, log: "", problems });
  assert.equal(tray().toolTip, "Sockeye: The engine is not running");
  assert.deepEqual(
    StubNotification.made.map(({ title }) => title),
    ["Sockeye has trouble"],
  );
  await call("engine.restart", {});
  assert.equal(electron.processes.length, 2);
});

test("a configuration that no engine can read is read, written and opened by the shell, and by nobody else's revision", async () => {
  await start();
  const { configFile } = await call("facts", {});
  mkdirSync(dirname(configFile), { recursive: true });
  writeFileSync(configFile, "default: nobody\n");
  const { path, text, revision } = await call("config.read", {});
  assert.deepEqual([path, text], [configFile, "default: nobody\n"]);
  await call("config.write", { text: "default: direct\n", revision });
  assert.equal(readFileSync(configFile, "utf8"), "default: direct\n");
  await assert.rejects(call("config.write", { text: "x", revision }), /has changed since/);
  await call("config.open", {});
  assert.deepEqual(electron.opened, [configFile]);
});

test("secrets are kept for the engine, and a desktop without a keyring says so", async () => {
  await start();
  const child = newest()!;
  child.say({ kind: "loaded" });
  child.say({ kind: "running" });
  const answers: unknown[] = [];
  const store = new ShellSecretStore((message) => child.say(message));
  child.on("told", (message: ToEngine) => {
    if (message.kind !== "secret") return;
    answers.push(message.answer);
    store.receive(message.id, message.answer);
  });
  assert.deepEqual(await store.available(), { ok: true });
  await store.store("office", "hunter2");
  assert.equal(await store.read("office"), "hunter2");
  assert.equal(await store.read("nobody"), undefined);
  await store.remove("office");
  assert.equal(await store.read("office"), undefined);
  electron.safeStorage.backend = "basic_text";
  await assert.rejects(store.store("office", "x"), /no keyring/);
  assert.match(((await store.available()) as { reason: string }).reason, /no keyring/);
  assert.match(((await call("facts", {})).safeStorage as { reason: string }).reason, /no keyring/);
});

test("an engine that slept hears that it did", async () => {
  await start();
  await run();
  electron.powerMonitor.emit("resume");
  assert.deepEqual(newest()!.messages.at(-1), { kind: "woke-up" });
});

test("help opens what came with the app, and the menu never fails without a word", async () => {
  await start();
  await call("help.open", { page: "helper" });
  assert.deepEqual(electron.opened, ["/app/docs/security.md"]);
  const help = electron.applicationMenu().at(-1)!.submenu as { label: string; click: () => void }[];
  help.find(({ label }) => label === "Report a problem")!.click();
  await until(() => electron.boxes.length > 0, "the words");
  assert.match(electron.boxes[0]!.detail ?? "", /no place for problems/);
});

test("the clipboard and files go through the shell", async () => {
  await start();
  await call("clipboard.write", { text: "ssh://office" });
  assert.deepEqual(await call("clipboard.read", {}), { text: "ssh://office" });
  assert.equal(await call("file.open", {}), null);
});
