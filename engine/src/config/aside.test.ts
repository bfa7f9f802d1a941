import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { loadConfig, parseConfigAside } from "./aside.ts";
import { parseConfig } from "./load.ts";

const rules = (count: number) =>
  Array.from({ length: count }, (_, i) => `  - { match: host${i}.example.com, to: a }\n`).join("");
const text = `upstreams: { a: { address: "\${HOST}" } }\nroutes:\n${rules(300)}# ${"long ".repeat(30_000)}\n`;

test("a long text gives in its own thread what it gives in this one, while this one goes on", async () => {
  let ticks = 0;
  const ticking = setInterval(() => ticks++, 5);
  const env = { ...process.env, HOST: "bastion" };
  const aside = await parseConfigAside(text, { env, home: "/h" });
  clearInterval(ticking);
  assert.ok(ticks > 5, `${ticks} ticks`);
  assert.deepEqual(aside, parseConfig(text, { env, home: "/h" }));
  assert.ok("config" in aside);
  assert.equal(aside.config.routes.length, 300);
});

test("a long text's errors come back with their places", async () => {
  const wrong = `${text}colour: red\n`;
  const result = await parseConfigAside(wrong, { env: {}, home: "/h" });
  assert.ok("errors" in result);
  assert.deepEqual(
    result.errors.map(({ line, path }) => [line, path]),
    [
      [1, "upstreams.a.address"],
      [304, "colour"],
    ],
  );
});

test("a file is loaded with its text, its relative paths, and its errors", async () => {
  const directory = await mkdtemp(join(tmpdir(), "sockeye-load-"));
  try {
    const path = join(directory, "config.yaml");
    await writeFile(path, "upstreams: { a: { address: h, identity_file: key } }\n");
    const loaded = await loadConfig(path, { env: {}, home: "/h" });
    assert.ok("config" in loaded);
    assert.match(loaded.text, /^upstreams/);
    const { a } = loaded.config.upstreams;
    assert.deepEqual(a?.type === "ssh" && a.identity_file, [join(directory, "key")]);
    await writeFile(path, "colour: red\n");
    assert.ok("errors" in (await loadConfig(path, { env: {}, home: "/h" })));
    await assert.rejects(loadConfig(join(directory, "none"), { env: {}, home: "/h" }), { code: "ENOENT" });
  } finally {
    await rm(directory, { recursive: true });
  }
});
