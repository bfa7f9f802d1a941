import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, statSync } from "node:fs";
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

test("a secret comes back, and stands nowhere readable", async () => {
  const { secrets, file } = make();
  await secrets.write("bastion", "hunter2");
  await secrets.write("__proto__", "odd name");
  assert.equal(await secrets.read("bastion"), "hunter2");
  assert.equal(await secrets.read("nobody"), undefined);
  assert.equal(await secrets.read("toString"), undefined);
  assert.doesNotMatch(readFileSync(file, "utf8"), /hunter2|aHVudGVyMg/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  await secrets.write("bastion", undefined);
  assert.equal(await secrets.read("bastion"), undefined);
});

test("Electron's stand-in for a keyring on Linux counts as none", async () => {
  const { secrets, safeStorage } = make();
  safeStorage.backend = "basic_text";
  assert.match(((await secrets.support()) as { reason: string }).reason, /no keyring/);
  await assert.rejects(secrets.write("bastion", "hunter2"), /no keyring/);
});

test("a keyring that was expected and does not answer counts as none, at whatever moment it goes", async () => {
  const { secrets, safeStorage, file } = make();
  safeStorage.tag = "v10";
  assert.match(((await secrets.support()) as { reason: string }).reason, /no keyring/);
  await assert.rejects(secrets.write("bastion", "hunter2"), /no keyring/);
  safeStorage.tag = "v11";
  const encrypt = safeStorage.encryptStringAsync.bind(safeStorage);
  safeStorage.encryptStringAsync = async (text) => {
    const sealed = await encrypt(text);
    safeStorage.tag = "v10";
    return sealed;
  };
  await assert.rejects(secrets.write("bastion", "hunter2"), /no keyring/);
  assert.equal(existsSync(file), false, "nothing was written");
  const mac = make("darwin");
  mac.safeStorage.tag = "v10";
  assert.equal(await mac.secrets.support(), true, "there it is the keychain's own");
});

test("a locked keychain says so", async () => {
  const { secrets, safeStorage } = make("darwin");
  safeStorage.available = false;
  assert.match(((await secrets.support()) as { reason: string }).reason, /locked or missing/);
});

test("a secret that was saved with another keychain is told as such", async () => {
  const { secrets, safeStorage } = make();
  await secrets.write("bastion", "hunter2");
  safeStorage.key = 0x11;
  await assert.rejects(secrets.read("bastion"), /another keychain/);
});

test("secrets that are saved at one time are all there", async () => {
  const { secrets } = make();
  const names = Array.from({ length: 20 }, (_, i) => `upstream ${i}`);
  await Promise.all(names.map((name) => secrets.write(name, name)));
  for (const name of names) assert.equal(await secrets.read(name), name);
});

test("a secret that was sealed with an old key is sealed anew when it is read", async () => {
  const { secrets, safeStorage, file } = make();
  await secrets.write("bastion", "hunter2");
  const before = readFileSync(file, "utf8");
  safeStorage.rotated = true;
  const original = safeStorage.decryptStringAsync.bind(safeStorage);
  safeStorage.decryptStringAsync = async (sealed) => {
    const opened = await original(sealed);
    safeStorage.key = 0x33;
    return opened;
  };
  assert.equal(await secrets.read("bastion"), "hunter2");
  assert.notEqual(readFileSync(file, "utf8"), before);
});
