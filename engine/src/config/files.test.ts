import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { warnOfFiles } from "./files.ts";
import { parseConfig } from "./load.ts";

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sockeye-files-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Warnings as `line:column path sentence`, the folder as DIR. */
async function warningsOf(text: string, folder: string): Promise<string[]> {
  const options = { env: { THERE: "there" }, home: join(folder, "home"), fileName: join(folder, "c.yaml") };
  const { warnings } = await warnOfFiles(parseConfig(text, options));
  return warnings.map(({ line, column, path, message }) =>
    `${line}:${column} ${path} ${message}`.replaceAll(folder, "DIR"),
  );
}

test("each file that the configuration names and that is not there is told of at its place", async (t) => {
  const folder = await folderFor(t);
  await writeFile(join(folder, "there"), "x");
  const text = `listen:
  socks5: { address: 127.0.0.1:1, auth: { username: u, password_file: no-a } }
upstreams:
  a:
    address: h
    identity_file: [there, ~/no-b]
    passphrase_file: no-c
    known_hosts_file: no-d
    password_file: "\${THERE}"
  b: { type: http, address: h, tls: true, tls_ca_file: /no/e, auth: { username: u, password_file: no-f } }
`;
  const sentence = (file: string) => `${file} can't be read: it does not exist`;
  assert.deepEqual(await warningsOf(text, folder), [
    `2:71 listen.socks5.auth.password_file ${sentence("DIR/no-a")}`,
    `6:28 upstreams.a.identity_file[1] ${sentence("DIR/home/no-b")}`,
    `7:22 upstreams.a.passphrase_file ${sentence("DIR/no-c")}`,
    `8:23 upstreams.a.known_hosts_file ${sentence("DIR/no-d")}`,
    `10:56 upstreams.b.tls_ca_file ${sentence("/no/e")}`,
    `10:99 upstreams.b.auth.password_file ${sentence("DIR/no-f")}`,
  ]);
});

test("what is there but no file, or comes by default, or has a fault of its own, is told of rightly", async (t) => {
  const folder = await folderFor(t);
  await mkdir(join(folder, "folder"));
  const text = `listen: { socks5: 127.0.0.1:1 }
upstreams:
  a: { address: h, identity_file: folder }
  b: { address: h, password_file: "\${NOPE}" }
  c: { address: h, password_file: "a\\0b" }
`;
  assert.deepEqual(await warningsOf(text, folder), [
    "3:35 upstreams.a.identity_file DIR/folder can't be read: it is a directory",
  ]);
});

test(
  "a named pipe is not opened",
  { skip: process.platform === "win32" && "Windows has none" },
  async (t) => {
    const folder = await folderFor(t);
    execFileSync("mkfifo", [join(folder, "pipe")]);
    const text = "listen: { socks5: 127.0.0.1:1 }\nupstreams: { a: { address: h, password_file: pipe } }";
    assert.deepEqual(await warningsOf(text, folder), []);
  },
);
