import assert from "node:assert/strict";
import { test } from "node:test";
import { shortcutOf } from "./shortcut.ts";

const none = { ctrlKey: false, metaKey: false, altKey: false, shiftKey: false };

test("keys with a modifier are a shortcut as Electron writes it", () => {
  assert.equal(
    shortcutOf({ ...none, key: "k", code: "KeyK", ctrlKey: true, shiftKey: true }),
    "CommandOrControl+Shift+K",
  );
  assert.equal(shortcutOf({ ...none, key: "1", code: "Digit1", altKey: true }), "Alt+1");
  assert.equal(shortcutOf({ ...none, key: "F9", code: "F9" }), "F9");
});

test("keys that one types text with are none", () => {
  for (const code of ["KeyK", "KeyF", "Digit5"]) {
    assert.equal(shortcutOf({ ...none, key: "x", code }), undefined);
    assert.equal(shortcutOf({ ...none, key: "x", code, shiftKey: true }), undefined);
  }
  assert.equal(shortcutOf({ ...none, key: "Control", code: "ControlLeft", ctrlKey: true }), undefined);
});
