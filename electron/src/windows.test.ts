import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { createElectron, StubSession, StubWindow } from "../test/electron-stub.ts";
import { temporaryFolder } from "../test/folder.ts";
import { confinePages, denyPermissions, MainWindow, placeOn } from "./windows.ts";

const base = temporaryFolder();
const SCREEN = { x: 0, y: 0, width: 1920, height: 1080 };

function makeWindow(hidesOnClose = false, folder = mkdtempSync(join(base, "w-"))) {
  const electron = createElectron(folder);
  electron.setDisplays(SCREEN);
  const told: string[] = [];
  const main = new MainWindow({
    electron: electron.parts,
    stateFolder: folder,
    preload: "/app/preload.cjs",
    icon: "/app/icon.png",
    hidesOnClose: () => hidesOnClose,
    onHidden: () => told.push("hidden"),
    onShown: () => told.push("shown"),
    onGone: (reason) => told.push(`gone: ${reason}`),
  });
  return { main, told, folder, window: () => StubWindow.made.at(-1)! };
}

test("the page is sandboxed, isolated, without Node, and shows the interface by our own scheme", () => {
  const { main, window } = makeWindow();
  main.show();
  const { webPreferences } = window().options;
  assert.equal(webPreferences?.sandbox, true);
  assert.equal(webPreferences.contextIsolation, true);
  assert.equal(webPreferences.webSecurity, true);
  for (const key of [
    "nodeIntegration",
    "nodeIntegrationInWorker",
    "nodeIntegrationInSubFrames",
    "webviewTag",
  ] as const)
    assert.equal(webPreferences[key], false);
  assert.equal(window().url, "sockeye-app://interface/index.html");
});

test("nothing is shown before there is something to see", () => {
  const { main, window, told } = makeWindow();
  main.show();
  assert.equal(window().options.show, false);
  assert.equal(main.isVisible, false);
  window().emit("ready-to-show");
  assert.equal(main.isVisible, true);
  assert.deepEqual(told, ["shown"]);
});

test("its place and size are there again at the next start", () => {
  const first = makeWindow();
  first.main.show();
  first.window().bounds = { x: 300, y: 200, width: 900, height: 700 };
  first.window().maximized = true;
  first.main.leave();
  const second = makeWindow(false, first.folder);
  second.main.show();
  const { x, y, width, height } = second.window().options;
  assert.deepEqual({ x, y, width, height }, { x: 300, y: 200, width: 900, height: 700 });
  second.window().emit("ready-to-show");
  assert.equal(second.window().maximized, true);
});

test("a state that makes no sense is passed over", () => {
  const { main, folder, window } = makeWindow();
  writeFileSync(join(folder, "window.json"), '{"bounds":{"x":"left"}}');
  main.show();
  assert.equal(window().options.width, 1120);
  assert.match(readFileSync(join(folder, "window.json.broken"), "utf8"), /left/);
});

test("where there is a tray, closing hides, and leaving closes", () => {
  const { main, told, window } = makeWindow(true);
  main.show();
  window().emit("ready-to-show");
  assert.equal(window().close(), false);
  assert.equal(main.isVisible, false);
  assert.deepEqual(told, ["shown", "hidden"]);
  main.show();
  assert.equal(StubWindow.made.length, 1, "it is the same window");
  assert.equal(main.isVisible, true);
  main.leave();
  assert.equal(window().close(), true);
});

test("where there is none, closing closes, and a new window is made when it is wanted", () => {
  const { main, window } = makeWindow(false);
  main.show();
  assert.equal(window().close(), true);
  assert.equal(main.contents, undefined);
  main.show();
  assert.equal(StubWindow.made.length, 2);
});

test("a minimised window is brought back", () => {
  const { main, window } = makeWindow();
  main.show();
  window().minimized = true;
  main.show();
  assert.equal(window().minimized, false);
  assert.ok(window().calls.includes("focus"));
});

test("a page whose process died takes its window along, and it is said why", () => {
  const { main, told, window } = makeWindow();
  main.show();
  window().webContents.emit("render-process-gone", {}, { reason: "oom" });
  assert.deepEqual(told, ["gone: oom"]);
  assert.equal(main.contents, undefined);
});

test("a window is always where somebody can take hold of it", () => {
  const side = fc.record({
    x: fc.integer({ min: -4000, max: 4000 }),
    y: fc.integer({ min: -4000, max: 4000 }),
    width: fc.integer({ min: 800, max: 4000 }),
    height: fc.integer({ min: 600, max: 3000 }),
  });
  const wanted = fc.record({
    x: fc.integer({ min: -9000, max: 9000 }),
    y: fc.integer({ min: -9000, max: 9000 }),
    width: fc.integer({ min: 1, max: 9000 }),
    height: fc.integer({ min: 1, max: 9000 }),
  });
  fc.assert(
    fc.property(fc.array(side, { minLength: 1, maxLength: 3 }), wanted, (displays, was) => {
      const { x, y, width, height } = placeOn(displays, was);
      if (x === undefined || y === undefined) return true;
      return displays.some(
        (display) =>
          x >= display.x &&
          y >= display.y &&
          x + width <= display.x + display.width &&
          y + height <= display.y + display.height,
      );
    }),
  );
});

test("one that was on a display that is gone goes where the system puts it", () => {
  const { x, y, width } = placeOn([SCREEN], { x: 2500, y: 100, width: 1000, height: 700 });
  assert.deepEqual([x, y, width], [undefined, undefined, 1120]);
});

test("no page gets any permission, device or download", () => {
  const session = new StubSession();
  denyPermissions(session);
  assert.deepEqual(session.answers, [false, false, false]);
  let prevented = false;
  session.emit("will-download", { preventDefault: () => (prevented = true) });
  assert.equal(prevented, true);
});

test("no page leads elsewhere, opens another or embeds one", () => {
  class Contents extends EventEmitter {
    open: (() => { action: string }) | undefined;
    setWindowOpenHandler(handler: (details: never) => { action: "deny" } | { action: "allow" }): void {
      this.open = () => handler({} as never);
    }
  }
  const contents = new Contents();
  confinePages(contents);
  const isStopped = (event: string, url = ""): boolean => {
    let prevented = false;
    contents.emit(event, { url, preventDefault: () => (prevented = true) });
    return prevented;
  };
  for (const url of [
    "https://example.com/",
    "file:///etc/passwd",
    "sockeye-app://elsewhere/index.html",
    "sockeye-app://interface.example.com/",
    "javascript:alert(1)",
    "data:text/html,x",
    "nonsense",
  ]) {
    for (const event of ["will-navigate", "will-redirect", "will-frame-navigate"])
      assert.equal(isStopped(event, url), true, `${event} ${url}`);
  }
  assert.equal(isStopped("will-navigate", "sockeye-app://interface/index.html"), false, "a reload");
  assert.equal(isStopped("will-attach-webview"), true);
  assert.deepEqual(contents.open?.(), { action: "deny" });
});
