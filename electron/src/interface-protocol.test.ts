import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../test/folder.ts";
import { createResponder, declareScheme, INTERFACE_URL } from "./interface-protocol.ts";

const base = temporaryFolder();
const folder = join(base, "dist");
mkdirSync(join(folder, "assets"), { recursive: true });
writeFileSync(join(base, "secret.html"), "secret");
writeFileSync(join(folder, "index.html"), "<!doctype html>");
writeFileSync(join(folder, "assets", "main.js"), "export {};");
writeFileSync(join(folder, ".sources"), "digest");
const respond = createResponder(folder);
writeFileSync(join(folder, "later.html"), "put there while the app runs");

const get = (address: string, init?: RequestInit): Promise<Response> => respond(new Request(address, init));

test("the interface's files are served with their types and a strict policy", async () => {
  const page = await get(INTERFACE_URL);
  assert.equal(page.status, 200);
  assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
  const policy = page.headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /script-src 'self'(;|$)/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
  assert.equal(page.headers.get("x-content-type-options"), "nosniff");
  const script = await get("sockeye-app://interface/assets/main.js?v=1#x");
  assert.equal(await script.text(), "export {};");
});

for (const address of [
  "sockeye-app://interface/../secret.html",
  "sockeye-app://interface/..%2fsecret.html",
  "sockeye-app://interface/%2e%2e/secret.html",
  "sockeye-app://interface/assets/..%5c..%5csecret.html",
  "sockeye-app://interface//etc/passwd",
  "sockeye-app://interface/",
  "sockeye-app://interface/.sources",
  "sockeye-app://interface/later.html",
  "sockeye-app://elsewhere/index.html",
]) {
  test(`nothing is served for ${address}`, async () => {
    const response = await get(address);
    assert.equal(response.status, 404);
    assert.equal(await response.text(), "");
    assert.match(response.headers.get("content-security-policy") ?? "", /default-src 'none'/);
  });
}

test("nothing but reading is answered", async () => {
  assert.equal((await get(INTERFACE_URL, { method: "POST", body: "x" })).status, 404);
});

test("the scheme is a secure origin of its own, and does not bypass the policy", () => {
  declareScheme({
    handle: () => assert.fail("too early"),
    registerSchemesAsPrivileged: ([scheme]) => {
      assert.equal(scheme!.scheme, "sockeye-app");
      assert.deepEqual(scheme!.privileges, { standard: true, secure: true, supportFetchAPI: true });
    },
  });
});
