import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { StubSafeStorage } from "../test/electron-stub.ts";
import { temporaryFolder } from "../test/folder.ts";
import { Secrets } from "./secrets.ts";

const base = temporaryFolder();

function make(platform: NodeJS.Platform = "linux") {
  const folder = mkdtempSync(join(base, "s-"));
  const safeStorage = new StubSafeStorage();
  const secrets = new Secrets({ safeStorage, folder, platform });
  return { safeStorage, secrets, file: join(folder, "secrets.json") };
}

test("a secret comes back, and stands nowhere readable", () => {
  const { secrets, file } = make();
  secrets.write("bastion", "hunter2");
  secrets.write("__proto__", "odd name");
  assert.equal(secrets.read("bastion"), "hunter2");
  assert.equal(secrets.read("nobody"), undefined);
  assert.equal(secrets.read("toString"), undefined);
  assert.doesNotMatch(readFileSync(file, "utf8"), /hunter2|aHVudGVyMg/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  secrets.write("bastion", undefined);
  assert.equal(secrets.read("bastion"), undefined);
});

test("Electron's stand-in for a keyring on Linux counts as none", () => {
  const { secrets, safeStorage } = make();
  safeStorage.backend = "basic_text";
  assert.match((secrets.support as { reason: string }).reason, /no keyring/);
  assert.throws(() => secrets.write("bastion", "hunter2"), /no keyring/);
});

test("a locked keychain says so", () => {
  const { secrets, safeStorage } = make("darwin");
  safeStorage.available = false;
  assert.match((secrets.support as { reason: string }).reason, /locked or missing/);
});

test("a secret that was saved with another keychain is told as such", () => {
  const { secrets, safeStorage } = make();
  secrets.write("bastion", "hunter2");
  safeStorage.key = 0x11;
  assert.throws(() => secrets.read("bastion"), /another keychain/);
});
