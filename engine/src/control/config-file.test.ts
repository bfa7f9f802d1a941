import assert from "node:assert/strict";
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { readConfigText, writeConfigText } from "./config-file.ts";
import { ControlError } from "./control-error.ts";

const directory = mkdtempSync(join(tmpdir(), "sockeye-config-file-"));
after(() => rmSync(directory, { recursive: true }));
const isCode = (code: string) => (error: unknown) => error instanceof ControlError && error.code === code;

test("a written text is read back, its revision with it, and nothing is left beside it", async () => {
  const path = join(directory, "a.yaml");
  assert.deepEqual(await readConfigText(path), { text: "", revision: "" });
  const revision = await writeConfigText(path, "default: direct\n", "");
  assert.deepEqual(await readConfigText(path), { text: "default: direct\n", revision });
  assert.deepEqual(readdirSync(directory), ["a.yaml"]);
  if (process.platform !== "win32") assert.equal(statSync(path).mode & 0o777, 0o600);
});

test("a file that changed since it was read is not overwritten", async () => {
  const path = join(directory, "b.yaml");
  const revision = await writeConfigText(path, "one", "");
  writeFileSync(path, "somebody else's");
  await assert.rejects(writeConfigText(path, "two", revision), isCode("conflict"));
  await assert.rejects(writeConfigText(path, "two", ""), isCode("conflict"));
  assert.equal(readFileSync(path, "utf8"), "somebody else's");
});

test("a link stays a link and the mode stays", { skip: process.platform === "win32" }, async () => {
  const path = join(directory, "real.yaml");
  const link = join(directory, "link.yaml");
  writeFileSync(path, "one");
  chmodSync(path, 0o640);
  symlinkSync(path, link);
  const { revision } = await readConfigText(link);
  await writeConfigText(link, "two", revision);
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.equal(readFileSync(path, "utf8"), "two");
  assert.equal(statSync(path).mode & 0o777, 0o640);
});

test("a place that can't be written is an error with a sentence", async () => {
  await assert.rejects(writeConfigText(join(directory, "no", "c.yaml"), "x", ""), isCode("unavailable"));
  await assert.rejects(readConfigText(directory), isCode("unavailable"));
});
