import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { configKeys } from "@sockeye/relay/config/keys";

const MAIN = join(import.meta.dirname, "main.ts");

function startHelp() {
  return spawn(process.execPath, [MAIN, "serve", "--help"], {
    env: { PATH: process.env["PATH"] },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

test("the help of serve begins with the five flags to begin with, and has every other once, under a heading", async () => {
  const child = startHelp();
  const text = (await child.stdout.toArray()).join("");
  const groups = text.split(/\n(?=\S[^\n]*:\n {2}-)/).slice(1);
  const flagsOf = (group: string) => [...group.matchAll(/^ {2}(--[\w-]+)/gm)].map(([, flag]) => flag);
  assert.deepEqual(flagsOf(groups[0]!), [
    ...["--config", "--domains", "--control-address", "--public-http-address", "--auth-tokens-file"],
  ]);
  const expected = ["--config", ...configKeys.map(({ flag }) => flag)];
  assert.deepEqual(groups.flatMap(flagsOf).sort(), expected.sort());
  assert.equal(groups.length, 13);
  assert.match(groups.at(-1)!, /^Options:\n {2}-h, --help/, "what is under no heading is the help itself");
});

test("it is quiet when its reader has read enough", async () => {
  const child = startHelp();
  child.stdout.destroy();
  const [said, [code]] = await Promise.all([
    child.stderr.toArray(),
    once(child, "exit") as Promise<[number | null]>,
  ]);
  assert.equal(said.join(""), "");
  assert.equal(code, 0);
});
