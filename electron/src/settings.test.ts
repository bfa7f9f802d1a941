import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../test/folder.ts";
import { Settings } from "./settings.ts";

const base = temporaryFolder();
let count = 0;
const fresh = (): string => {
  const folder = join(base, String(++count));
  mkdirSync(folder);
  return folder;
};

test("settings are kept, for their owner alone, and nothing else is left in the folder", () => {
  const folder = fresh();
  const settings = new Settings(folder);
  assert.equal(settings.current.launchAtLogin, false);
  assert.equal(settings.current.shortcut, null);
  settings.change({ theme: "dark", language: "de" });
  assert.equal(new Settings(folder).current.theme, "dark");
  assert.deepEqual(readdirSync(folder), ["settings.json"]);
  assert.equal(statSync(join(folder, "settings.json")).mode & 0o777, 0o600);
});

test("a change is told with what was before, once it is saved", () => {
  const settings = new Settings(fresh());
  const told: string[] = [];
  settings.onChange((now, before) => told.push(`${before.theme} → ${now.theme}`));
  settings.change({ theme: "light" });
  assert.deepEqual(told, ["system → light"]);
});

for (const [what, text] of [
  ["no JSON", "{ nonsense"],
  ["another shape", "[1, 2]"],
  ["an empty file", ""],
] as const) {
  test(`a file that holds ${what} is set aside, and the defaults hold`, () => {
    const folder = fresh();
    writeFileSync(join(folder, "settings.json"), text);
    assert.equal(new Settings(folder).current.theme, "system");
    assert.equal(readFileSync(join(folder, "settings.json.broken"), "utf8"), text);
    assert.equal(existsSync(join(folder, "settings.json")), false);
  });
}

test("a file of an older version lacks keys: the rest holds", () => {
  const folder = fresh();
  writeFileSync(join(folder, "settings.json"), JSON.stringify({ settings: { theme: "dark" } }));
  const { current } = new Settings(folder);
  assert.equal(current.theme, "dark");
  assert.equal(current.notifications, true);
});

test("a hint is given once in a user's life", () => {
  const folder = fresh();
  const settings = new Settings(folder);
  assert.equal(settings.hasTold("staysInTray"), false);
  settings.markTold("staysInTray");
  assert.equal(settings.hasTold("staysInTray"), true);
  settings.change({ theme: "dark" });
  assert.equal(new Settings(folder).hasTold("staysInTray"), true);
});

test("a change that can't be saved changes nothing and is told to nobody", (t) => {
  if (process.getuid?.() === 0) {
    t.skip("root may write anywhere");
    return;
  }
  const folder = fresh();
  const settings = new Settings(folder);
  settings.onChange(() => assert.fail("told"));
  chmodSync(folder, 0o500);
  assert.throws(() => settings.change({ theme: "dark" }));
  assert.equal(settings.current.theme, "system");
});
