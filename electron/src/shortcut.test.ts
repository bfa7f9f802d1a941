import assert from "node:assert/strict";
import { test } from "node:test";
import { createElectron } from "../test/electron-stub.ts";
import { Shortcut } from "./shortcut.ts";

function make() {
  const electron = createElectron("/");
  let pressed = 0;
  const shortcut = new Shortcut(electron.parts.globalShortcut, () => (pressed += 1));
  return { electron, shortcut, pressed: () => pressed };
}

test("a shortcut is taken in place of the one before, and given back", () => {
  const { electron, shortcut, pressed } = make();
  shortcut.use("Control+Shift+K");
  electron.shortcuts.get("Control+Shift+K")!();
  assert.equal(pressed(), 1);
  shortcut.use("Control+Shift+L");
  assert.deepEqual([...electron.shortcuts.keys()], ["Control+Shift+L"]);
  shortcut.use(null);
  assert.equal(electron.shortcuts.size, 0);
});

for (const [what, accelerator] of [
  ["that another program has", "Control+Q"],
  ["that is none", "not a shortcut"],
] as const) {
  test(`one ${what} is told, and the one before stays`, () => {
    const { electron, shortcut } = make();
    electron.taken.add("Control+Q");
    shortcut.use("Control+Shift+K");
    assert.throws(() => shortcut.use(accelerator), /is in use by another program, or can't be/);
    assert.deepEqual([...electron.shortcuts.keys()], ["Control+Shift+K"]);
  });
}
