import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { editConfig } from "../config/edit.ts";
import { parseConfig } from "../config/load.ts";
import type { SecretStore } from "../config/secret-store.ts";
import { readSecret } from "../config/secrets.ts";
import { SecretKeeper } from "./secret-keeper.ts";

function memoryStore(reason?: string): SecretStore & { readonly entries: Map<string, string> } {
  const entries = new Map<string, string>();
  return {
    entries,
    available: async () => (reason === undefined ? { ok: true } : { ok: false, reason }),
    store: async (name, value) => void entries.set(name, value),
    read: async (name) => entries.get(name),
    remove: async (name) => void entries.delete(name),
  };
}

const secret = { upstream: "production", kind: "password", value: 's3cr:t "x"' } as const;

describe("secrets outside the configuration", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "sockeye-secrets-"));
  });
  after(() => rm(folder, { recursive: true }));

  it("go into the store, and the file gets the name of the entry in place of what stood there", async () => {
    const store = memoryStore();
    const keeper = new SecretKeeper(store, join(folder, "unused"));
    assert.deepEqual(await keeper.support(), { keychain: true });
    const { reference } = await keeper.keep({ ...secret, where: "keychain" });
    assert.deepEqual(reference, { password: { keychain: "production-password" }, password_file: null });
    assert.equal(store.entries.get("production-password"), secret.value);
    const text = "upstreams:\n  production: { address: h, password_file: /old }\n";
    const edited = editConfig(text, [{ kind: "set-upstream", name: "production", upstream: reference }]);
    const parsed = parseConfig(edited, { env: {}, home: "/h" });
    assert.ok("config" in parsed, edited);
    const production = parsed.config.upstreams["production"]!;
    assert.ok(production.type === "ssh" && production.password);
    assert.equal(await readSecret(production.password, { store }), secret.value);
  });

  it("that are stored anew are read anew", async () => {
    const store = memoryStore();
    const keeper = new SecretKeeper(store, folder);
    await keeper.keep({ ...secret, where: "keychain" });
    const reference = { keychain: "production-password" };
    assert.equal(await readSecret(reference, { store }), secret.value);
    await keeper.keep({ ...secret, value: "another", where: "keychain" });
    assert.equal(await readSecret(reference, { store }), "another");
  });

  it("go into files that only their owner can read, whole or not at all", async () => {
    const directory = join(folder, "private", "secrets");
    const keeper = new SecretKeeper(memoryStore(), directory);
    for (const value of ["first", "second"]) {
      const { reference } = await keeper.keep({ ...secret, kind: "passphrase", value, where: "file" });
      assert.deepEqual(reference, {
        passphrase: null,
        passphrase_file: join(directory, "production-passphrase"),
      });
      assert.equal(await readFile(join(directory, "production-passphrase"), "utf8"), `${value}\n`);
    }
    if (process.platform !== "win32") {
      assert.equal((await stat(directory)).mode & 0o777, 0o700);
      assert.equal((await stat(join(directory, "production-passphrase"))).mode & 0o777, 0o600);
    }
    assert.deepEqual(await readdir(directory), ["production-passphrase"]);
    const lines = keeper.keep({ ...secret, value: "one\ntwo", where: "file" });
    await assert.rejects(lines, { code: "bad-request", message: /line break/ });
  });

  it("have names of their own, which stay in the folder, whatever upstreams are called", async () => {
    const directory = join(folder, "names");
    const keeper = new SecretKeeper(memoryStore(), directory);
    const names = ["..", "a/b", "a_b", "a%2Fb", "-x", "ü", "x".repeat(255), `${"x".repeat(254)}y`, "A b"];
    for (const upstream of names) await keeper.keep({ ...secret, upstream, where: "file" });
    const files = await readdir(directory);
    assert.equal(files.length, names.length);
    for (const file of files) assert.match(file, /^[^-][\w.-]*$/);
  });

  it("are refused with the reason where there is no keychain, and no sentence holds the secret", async () => {
    const keeper = new SecretKeeper(memoryStore("no keychain service answers"), folder);
    assert.deepEqual(await keeper.support(), { keychain: false, reason: "no keychain service answers" });
    await assert.rejects(keeper.keep({ ...secret, where: "keychain" }), (error: Error) => {
      assert.ok(!error.message.includes("s3cr"));
      return "code" in error && error.code === "no-secret-store";
    });
    const broken = { ...memoryStore(), store: () => Promise.reject(new Error("it is locked")) };
    await assert.rejects(new SecretKeeper(broken, folder).keep({ ...secret, where: "keychain" }), {
      code: "no-secret-store",
      message: "it is locked",
    });
  });
});
