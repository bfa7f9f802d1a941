import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createElectron } from "../test/electron-stub.ts";
import { temporaryFolder } from "../test/folder.ts";
import { openText, saveText } from "./documents.ts";

const base = temporaryFolder();
const { parts, saving } = createElectron(base);

test("a text is saved where the person says, for its owner alone", async () => {
  saving.path = "";
  assert.deepEqual(await saveText(parts.dialog, "sockeye.yaml", "a: 1"), { saved: false });
  saving.path = join(base, "out.yaml");
  assert.deepEqual(await saveText(parts.dialog, "../sockeye.yaml", "a: 1"), { saved: true });
  assert.equal(readFileSync(saving.path, "utf8"), "a: 1");
  assert.equal(statSync(saving.path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(base), ["out.yaml"]);
});

test("a place that can't be written is told, and leaves nothing behind", async () => {
  mkdirSync(join(base, "taken"));
  saving.path = join(base, "taken");
  await assert.rejects(saveText(parts.dialog, "x", "a"));
  assert.deepEqual(readdirSync(base).sort(), ["out.yaml", "taken"]);
});

test("a file is read that the person chose, and only its name goes with it", async () => {
  saving.open = [];
  assert.equal(await openText(parts.dialog), null);
  saving.open = [join(base, "out.yaml")];
  assert.deepEqual(await openText(parts.dialog), { name: "out.yaml", text: "a: 1" });
});

for (const [what, make, why] of [
  [
    "too long",
    (path: string) => writeFileSync(path, Buffer.alloc(4 * 1024 * 1024 + 1, 0x61)),
    /longer than 4 MiB/,
  ],
  ["no text", (path: string) => writeFileSync(path, Buffer.from([0xff, 0xfe, 0x00])), /no text in UTF-8/],
  ["a folder", (path: string) => mkdirSync(path), /no ordinary file/],
] as const) {
  test(`what is ${what} is refused with a sentence`, async () => {
    const path = join(base, `bad-${what}`);
    make(path);
    saving.open = [path];
    await assert.rejects(openText(parts.dialog), why);
  });
}
