import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { readNamedFile } from "./named-file.ts";
import { HostKeyCheck, TrustStore } from "./upstream/ssh/host-keys.ts";
import { publicKeyOf, readIdentity } from "./upstream/ssh/identity.ts";
import { readSshConfig } from "./upstream/ssh/ssh-config.ts";

describe("a file that a configuration names", { skip: process.platform === "win32" }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "sockeye-named-"));
    execFileSync("mkfifo", [join(folder, "pipe"), join(folder, "pipe.pub")]);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  test("is read as it is, up to its cap", async () => {
    const path = join(folder, "file");
    const text = "ä".repeat(100_000);
    await writeFile(path, text);
    assert.equal(await readNamedFile(path, 200_000), text);
    await assert.rejects(readNamedFile(path, 199_999), { message: /^it is larger than/ });
    await assert.rejects(readNamedFile(join(folder, "none"), 1), { code: "ENOENT" });
    await assert.rejects(readNamedFile(folder, 1), { code: "EISDIR" });
    assert.equal(await readNamedFile("/dev/null", 1), "");
  });

  test("a device without an end is too large, whatever it is read as", async () => {
    const identity = await readIdentity("/dev/zero");
    assert.deepEqual(identity, { kind: "unreadable", reason: "it is larger than 64 KiB" });
    assert.equal(await publicKeyOf("/dev/zero"), undefined);
    await assert.rejects(readSshConfig("/dev/zero", "host"), { message: /can't be read: it is larger than/ });
    await assert.rejects(
      HostKeyCheck.load({
        server: { host: "gate", port: 22 },
        files: ["/dev/zero"],
        trustStore: new TrustStore(join(folder, "trusted")),
        mode: "strict",
      }),
      { code: "host-key", message: /can't be read: it is larger than/ },
    );
  });

  test("a pipe that nobody writes to holds nothing up", { timeout: 10_000 }, async () => {
    const pipe = join(folder, "pipe");
    const identities = await Promise.all(Array.from({ length: 8 }, () => readIdentity(pipe)));
    for (const { kind } of identities) assert.equal(kind, "unreadable");
    assert.equal(await publicKeyOf(pipe), undefined);
    assert.deepEqual((await readSshConfig(pipe, "host")).identityFiles, []);
  });
});
