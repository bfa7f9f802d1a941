import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { StubApp } from "../test/electron-stub.ts";
import { temporaryFolder } from "../test/folder.ts";
import { autostartFile, programOf, quoteExec } from "./desktop-entry.ts";
import { createLoginItem, type LoginItemOptions } from "./login-item.ts";

const base = temporaryFolder();

function make(options: Partial<LoginItemOptions> = {}) {
  const home = mkdtempSync(join(base, "home-"));
  const app = new StubApp(home);
  app.isPackaged = true;
  const all = {
    app,
    platform: "linux" as const,
    env: {},
    argv: [],
    home,
    execPath: "/opt/Sockeye/sockeye",
    ...options,
  };
  return { app, home, item: createLoginItem(all), file: autostartFile(all) };
}

test("on Linux an autostart entry is written and taken away", () => {
  const { item, file, home, app } = make();
  assert.equal(file, join(home, ".config/autostart/sockeye.desktop"));
  assert.equal(item.isOn(), false);
  item.set(true);
  assert.equal(item.isOn(), true);
  const entry = readFileSync(file, "utf8");
  assert.match(entry, /^\[Desktop Entry\]\nType=Application\n/);
  assert.match(entry, /^Exec=\/opt\/Sockeye\/sockeye --hidden$/m);
  assert.deepEqual(app.loginItem, {}, "Electron's own call does nothing there");
  item.set(false);
  assert.equal(existsSync(file), false);
  item.set(false);
});

test("inside an AppImage the image is started, not its mount", () => {
  const { item, file } = make({
    env: { APPIMAGE: "/home/me/My Apps/Sockeye.AppImage" },
    execPath: "/tmp/.mount_x/sockeye",
  });
  item.set(true);
  assert.match(readFileSync(file, "utf8"), /^Exec="\/home\/me\/My Apps\/Sockeye.AppImage" --hidden$/m);
  assert.equal(programOf({ APPIMAGE: "relative" }, "/opt/s"), "/opt/s");
});

test("somebody else's entry of that name stays as it is", () => {
  const { item, file } = make();
  mkdirSync(dirname(file), { recursive: true });
  const theirs = "[Desktop Entry]\nType=Application\nName=Other\nExec=other\n";
  writeFileSync(file, theirs);
  assert.equal(item.isOn(), false);
  for (const on of [true, false]) assert.throws(() => item.set(on), /made by somebody else/);
  assert.equal(readFileSync(file, "utf8"), theirs);
});

for (const line of ["Hidden=true", "X-GNOME-Autostart-enabled=false"]) {
  test(`an entry that the desktop has switched off by ${line} is off`, () => {
    const { item, file } = make();
    item.set(true);
    writeFileSync(file, readFileSync(file, "utf8").replace(/X-GNOME.*=true/, line));
    assert.equal(item.isOn(), false);
    item.set(true);
    assert.equal(item.isOn(), true);
  });
}

test("XDG_CONFIG_HOME counts where it is absolute", () => {
  const home = "/home/me";
  assert.equal(autostartFile({ env: { XDG_CONFIG_HOME: "/x" }, home }), "/x/autostart/sockeye.desktop");
  assert.equal(
    autostartFile({ env: { XDG_CONFIG_HOME: "x" }, home }),
    "/home/me/.config/autostart/sockeye.desktop",
  );
});

test("an argument of Exec means itself to whoever reads the entry", () => {
  assert.equal(quoteExec("/opt/Sockeye/sockeye"), "/opt/Sockeye/sockeye");
  assert.equal(quoteExec("/a b"), '"/a b"');
  assert.equal(quoteExec("100%"), "100%%");
  assert.equal(quoteExec('a"$`\\'), '"a\\\\"\\\\$\\\\`\\\\\\\\"');
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: "grapheme" }), (text) => {
      if (/[\n\t\r]/.test(text)) return;
      assert.equal(readExec(quoteExec(text)), text);
    }),
  );
});

/** A reader by the specification: string escapes first, then quotes, then field codes. */
function readExec(value: string): string {
  const text = value.replaceAll(
    /\\(.)/g,
    (_all, each: string) => ({ s: " ", n: "\n", t: "\t", r: "\r" })[each] ?? each,
  );
  const bare = /^".*"$/s.test(text) ? text.slice(1, -1).replaceAll(/\\(["`$\\])/g, "$1") : text;
  assert.doesNotMatch(bare.replaceAll("%%", ""), /%/);
  return bare.replaceAll("%%", "%");
}

test("macOS and Windows have a call for it, and what the system refuses is told", () => {
  for (const platform of ["darwin", "win32"] as const) {
    const { item, app } = make({ platform });
    item.set(true);
    assert.equal(item.isOn(), true);
    app.takesLoginItem = false;
    assert.throws(() => item.set(false), /did not take the change/);
  }
});

test("an entry that Windows' Task Manager switched off is off, and setting it switches it on", () => {
  const { item, app } = make({ platform: "win32" });
  item.set(true);
  app.willLaunch = false;
  assert.equal(item.isOn(), false);
  app.willLaunch = true;
  item.set(true);
  assert.deepEqual(app.loginItem, { path: "/opt/Sockeye/sockeye", args: ["--hidden"], openAtLogin: true });
});

test("who was started by the session knows it, by the flag or from macOS", () => {
  assert.equal(make({ argv: ["sockeye", "--hidden"] }).item.isUsedNow, true);
  assert.equal(make({ argv: ["sockeye"] }).item.isUsedNow, false);
  assert.equal(make({ argv: ["sockeye", "--hidden"], platform: "win32" }).item.isUsedNow, true);
  const app = new StubApp(base);
  app.isPackaged = true;
  app.wasOpenedAtLogin = true;
  assert.equal(make({ app, platform: "darwin" }).item.isUsedNow, true);
  app.wasOpenedAtLogin = false;
  assert.equal(make({ app, platform: "darwin", argv: ["--hidden"] }).item.isUsedNow, false);
});

test("a build that is not installed is not started at login", () => {
  const app = new StubApp(base);
  const { item, file } = make({ app });
  assert.equal(item.supported, false);
  assert.throws(() => item.set(true), /not installed/);
  assert.equal(existsSync(file), false);
});
