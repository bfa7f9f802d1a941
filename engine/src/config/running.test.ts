import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ConfigSource } from "./running.ts";

const version = "0.0.0-test";

test("without a file, listeners from flags are listeners", async () => {
  const source = new ConfigSource({ version, overrides: { socks5: "127.0.0.1:1080" } });
  const parsed = await source.read();
  assert.ok("config" in parsed);
  assert.equal(parsed.config.listen.socks5?.address, "127.0.0.1:1080");
  assert.deepEqual(parsed.warnings, []);
});

test("an open address from a flag is warned of, in place of the file's", async () => {
  const source = new ConfigSource({
    version,
    configText: "listen: { http: 127.0.0.1:8118 }",
    overrides: { http: "0.0.0.0:8118" },
  });
  const { warnings } = await source.read();
  assert.deepEqual(
    warnings.map(({ line, path }) => [line, path]),
    [[0, "listen.http"]],
  );
});

test("each reading remembers its text and looks for the files that it names", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "sockeye-source-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const configFile = join(folder, "config.yaml");
  const text = "listen: { socks5: 127.0.0.1:1 }\nupstreams: { a: { address: h, identity_file: key } }";
  await writeFile(configFile, text);
  const source = new ConfigSource({ version, configFile });
  assert.equal(source.lastRead, undefined);
  assert.deepEqual(
    (await source.read()).warnings.map(({ message }) => message),
    [`${join(folder, "key")} can't be read: it does not exist`],
  );
  assert.equal(source.lastRead, text);
  await writeFile(join(folder, "key"), "");
  assert.deepEqual((await source.read()).warnings, []);
});
