import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { announce, createToken, findEngines, runtimeDirectory, type EngineEntry } from "./directory.ts";

const root = mkdtempSync(join(tmpdir(), "sockeye-directory-"));
after(() => rmSync(root, { recursive: true }));
let count = 0;
const fresh = () => join(root, String(++count));

function entry(changes: Partial<EngineEntry> = {}): EngineEntry {
  const token = createToken();
  return {
    name: "a",
    url: "ws://127.0.0.1:1/",
    token,
    pid: process.pid,
    version: "1",
    startedAt: 1,
    ...changes,
  };
}

test("an engine's entry and token are its owner's alone, and are gone when it takes them back", () => {
  const directory = fresh();
  const mine = entry({ configFile: "/etc/sockeye.yaml" });
  const withdraw = announce(directory, mine);
  assert.deepEqual(readdirSync(directory).sort(), ["a.json", "a.token"]);
  if (process.platform !== "win32") {
    assert.equal(statSync(join(directory, "a.token")).mode & 0o777, 0o600);
    assert.equal(statSync(join(directory, "a.json")).mode & 0o777, 0o600);
    assert.equal(statSync(directory).mode & 0o777, 0o700);
  }
  assert.deepEqual(findEngines(directory), [mine]);
  withdraw();
  assert.deepEqual(readdirSync(directory), []);
});

test("a token is 32 random bytes in letters that a header and a subprotocol can hold", () => {
  const tokens = new Set(Array.from({ length: 100 }, createToken));
  assert.equal(tokens.size, 100);
  for (const token of tokens) assert.match(token, /^[\w-]{43}$/);
});

test("what a killed engine left is removed by whoever looks next, and its name is free again", () => {
  const directory = fresh();
  const dead = spawnSync(process.execPath, ["-e", ""]).pid;
  announce(directory, entry({ pid: dead }));
  announce(directory, entry({ name: "b", pid: dead }));
  const withdraw = announce(directory, entry());
  assert.deepEqual(
    findEngines(directory).map((found) => found.name),
    ["a"],
  );
  assert.deepEqual(readdirSync(directory).sort(), ["a.json", "a.token"]);
  withdraw();
});

test("a running engine's name can't be taken, and the sentence says whose it is", () => {
  const directory = fresh();
  announce(directory, entry({ pid: process.ppid }));
  assert.throws(() => announce(directory, entry()), /named "a" is running already \(process \d+\)/);
  assert.equal(findEngines(directory)[0]!.pid, process.ppid);
});

test("an engine that lost its name to another does not remove the other's entry", () => {
  const directory = fresh();
  const first = announce(directory, entry());
  const second = entry({ startedAt: 2 });
  const withdraw = announce(directory, second);
  first();
  assert.deepEqual(findEngines(directory), [second]);
  withdraw();
});

test("several engines are listed, the most recent first; garbage beside them is passed over", () => {
  const directory = fresh();
  announce(directory, entry({ name: "old", startedAt: 1 }));
  announce(directory, entry({ name: "new", startedAt: 9 }));
  writeFileSync(join(directory, "half.json"), '{"url":');
  writeFileSync(join(directory, "alone.json"), '{"url":"ws://x","pid":1,"version":"1","startedAt":1}');
  assert.deepEqual(
    findEngines(directory).map((found) => found.name),
    ["new", "old"],
  );
});

test("a name that would leave the folder is refused", () => {
  const directory = fresh();
  for (const name of ["../x", "a/b", "", ".hidden", "a".repeat(65), "a b"]) {
    assert.throws(() => announce(directory, entry({ name })), /is no name for an engine/, name);
  }
});

test(
  "a folder that is a link, or somebody else's, holds no token",
  { skip: process.platform === "win32" },
  () => {
    const target = fresh();
    mkdirSync(target);
    const link = fresh();
    symlinkSync(target, link);
    assert.throws(() => announce(link, entry()), /not this user's own folder/);
    assert.deepEqual(findEngines(link), []);
    if (process.getuid?.() !== 0) return;
    // Only root sees somebody else's folder that it could write to.
    const foreign = fresh();
    mkdirSync(foreign);
    spawnSync("chown", ["65534", foreign]);
    assert.throws(() => announce(foreign, entry()), /not this user's own folder/);
  },
);

test("a folder that others could read is closed to them", { skip: process.platform === "win32" }, () => {
  const directory = fresh();
  mkdirSync(directory);
  chmodSync(directory, 0o755);
  announce(directory, entry())();
  assert.equal(statSync(directory).mode & 0o777, 0o700);
});

test("the folder follows the system's custom", { skip: process.platform === "win32" }, () => {
  assert.equal(runtimeDirectory({ SOCKEYE_RUNTIME_DIR: "/x" }), "/x");
  assert.equal(runtimeDirectory({ XDG_RUNTIME_DIR: "/run/user/7" }), "/run/user/7/sockeye");
  assert.equal(runtimeDirectory({}), join(tmpdir(), `sockeye-${process.getuid!()}`));
});
