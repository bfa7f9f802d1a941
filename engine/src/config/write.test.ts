import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, readdir, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { clearTextSecrets, warnOfReadableSecrets, writeConfig } from "./write.ts";

const options = { env: {}, home: "/h" };
const onPosix =
  process.platform === "win32" ? { skip: "Windows has no file modes and may refuse links" } : {};
let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "sockeye-write-"));
});
after(() => rm(directory, { recursive: true }));

test("a new file is its owner's alone, and nothing else is left in the directory", onPosix, async () => {
  const path = join(directory, "new.yaml");
  const result = await writeConfig(path, "default: direct\n", options);
  assert.ok("config" in result);
  assert.equal(await readFile(path, "utf8"), "default: direct\n");
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(directory), ["new.yaml"]);
});

test("a file that is there keeps its mode, and is replaced rather than overwritten", onPosix, async () => {
  const path = join(directory, "kept.yaml");
  await writeFile(path, "default: block\n");
  await chmod(path, 0o640);
  const { ino } = await stat(path);
  await writeConfig(path, "default: direct\n", options);
  const written = await stat(path);
  assert.equal(written.mode & 0o777, 0o640);
  assert.notEqual(written.ino, ino);
});

test("a link stays a link, also one whose file does not exist yet", onPosix, async () => {
  for (const [link, target] of [
    ["link.yaml", "target.yaml"],
    ["dangling.yaml", "made.yaml"],
  ] as const) {
    if (link === "link.yaml") await writeFile(join(directory, target), "default: block\n");
    await symlink(target, join(directory, link));
    await writeConfig(join(directory, link), "default: direct\n", options);
    assert.equal(await readlink(join(directory, link)), target);
    assert.equal(await readFile(join(directory, target), "utf8"), "default: direct\n");
  }
});

test("a wrong text is refused with its errors, and the file stays as it was", async () => {
  const path = join(directory, "refused.yaml");
  await writeFile(path, "default: block\n");
  const result = await writeConfig(path, "default: nowhere\n", options);
  assert.ok("errors" in result);
  assert.equal(result.errors[0]?.message, "default names nowhere, which is not among the upstreams");
  assert.equal(await readFile(path, "utf8"), "default: block\n");
});

test("a directory that is not there is the system's error, with nothing left behind", async () => {
  const path = join(directory, "none", "config.yaml");
  await assert.rejects(writeConfig(path, "", options), { code: "ENOENT" });
});

const secretive = `
listen: { socks5: { address: 127.0.0.1:1, auth: { username: u, password: clear } } }
upstreams:
  a: { address: h, password: "\${PW}", passphrase: clear }
  b: { type: http, address: h, auth: { username: u, password: { keychain: k } } }
  c: { type: http, address: h, auth: { username: u, password_file: f } }
`;

test("secrets in clear are found, and those of the environment, files and keychains are not", () => {
  assert.deepEqual(clearTextSecrets(secretive), ["listen.socks5.auth.password", "upstreams.a.passphrase"]);
  assert.deepEqual(clearTextSecrets("password: clear"), []);
  assert.deepEqual(clearTextSecrets("listen: ["), []);
});

test("a readable file with a secret in clear is warned of, without the secret", onPosix, async () => {
  const path = join(directory, "secret.yaml");
  await writeFile(path, secretive);
  await chmod(path, 0o644);
  assert.equal(
    await warnOfReadableSecrets(path, secretive),
    `others can read ${path}, which holds listen.socks5.auth.password and 1 more in clear; run chmod 600 on it, or use password_file`,
  );
  assert.equal(await warnOfReadableSecrets(path, "default: direct\n"), undefined);
  await chmod(path, 0o600);
  assert.equal(await warnOfReadableSecrets(path, secretive), undefined);
});
