import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
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

test("an engine's entry and token are its owner's alone, and are gone when it takes them back", async () => {
  const directory = fresh();
  const mine = entry({ configFile: "/etc/sockeye.yaml" });
  const withdraw = await announce(directory, mine);
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

test("what a killed engine left is removed by whoever looks next, and its name is free again", async () => {
  const directory = fresh();
  const dead = spawnSync(process.execPath, ["-e", ""]).pid;
  await announce(directory, entry({ pid: dead }));
  await announce(directory, entry({ name: "b", pid: dead }));
  const withdraw = await announce(directory, entry());
  assert.deepEqual(
    findEngines(directory).map((found) => found.name),
    ["a"],
  );
  assert.deepEqual(readdirSync(directory).sort(), ["a.json", "a.token"]);
  withdraw();
});

test("a running engine's name can't be taken, and the sentence says whose it is", async () => {
  const directory = fresh();
  await announce(directory, entry({ pid: process.ppid }));
  await assert.rejects(announce(directory, entry()), /named "a" is running already \(process \d+\)/);
  assert.equal(findEngines(directory)[0]!.pid, process.ppid);
});

/** As a killed engine leaves its entry when its process's number has come to be another's. */
async function giveNumberAway(directory: string, pid: number, changes: object = {}): Promise<void> {
  const dead = spawnSync(process.execPath, ["-e", ""]).pid;
  await announce(directory, entry({ pid: dead }));
  const path = join(directory, "a.json");
  const file = JSON.parse(readFileSync(path, "utf8")) as object;
  writeFileSync(path, JSON.stringify({ ...file, pid, ...changes }));
}

test(
  "a killed engine's name is free again though another process has its number",
  { skip: process.platform === "linux" ? false : "only Linux says when a process began" },
  async () => {
    const directory = fresh();
    await giveNumberAway(directory, process.ppid, { processStart: "1" });
    const withdraw = await announce(directory, entry());
    assert.deepEqual(
      findEngines(directory).map(({ pid }) => pid),
      [process.pid],
    );
    withdraw();
    await giveNumberAway(directory, process.ppid, { processStart: "1" });
    assert.deepEqual(findEngines(directory), []);
    assert.deepEqual(readdirSync(directory), []);
  },
);

test("where nothing tells when a process began, a name is free when nobody answers at its address", async () => {
  const directory = fresh();
  await giveNumberAway(directory, process.ppid, { url: "ws://127.0.0.1:1/" });
  (await announce(directory, entry()))();

  const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await giveNumberAway(directory, process.ppid, { url: `ws://127.0.0.1:${port}/` });
  await assert.rejects(announce(directory, entry()), /is running already/);
  assert.equal(findEngines(directory).length, 1);
  server.close();
});

test(
  "an engine that has ended holds its name no longer, though nobody has waited for its process",
  { skip: process.platform === "linux" ? false : "only Linux says when a process began" },
  async () => {
    const directory = fresh();
    // The shell becomes a program that never waits for its child.
    const parent = spawn("sh", ["-c", "sleep 0.2 & echo $!; exec sleep 30"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    try {
      const [line] = (await once(parent.stdout, "data")) as [Buffer];
      await announce(directory, entry({ pid: Number(line) }));
      assert.equal(findEngines(directory).length, 1);
      const end = performance.now() + 5_000;
      while (findEngines(directory).length > 0 && performance.now() < end) await sleep(20);
      (await announce(directory, entry()))();
    } finally {
      parent.kill();
    }
  },
);

test("an engine that lost its name to another does not remove the other's entry", async () => {
  const directory = fresh();
  const first = await announce(directory, entry());
  const second = entry({ startedAt: 2 });
  const withdraw = await announce(directory, second);
  first();
  assert.deepEqual(findEngines(directory), [second]);
  withdraw();
});

test("several engines are listed, the most recent first; garbage beside them is passed over", async () => {
  const directory = fresh();
  await announce(directory, entry({ name: "old", startedAt: 1 }));
  await announce(directory, entry({ name: "new", startedAt: 9 }));
  writeFileSync(join(directory, "half.json"), '{"url":');
  writeFileSync(join(directory, "alone.json"), '{"url":"ws://x","pid":1,"version":"1","startedAt":1}');
  assert.deepEqual(
    findEngines(directory).map((found) => found.name),
    ["new", "old"],
  );
});

test("a name that would leave the folder is refused", async () => {
  const directory = fresh();
  for (const name of ["../x", "a/b", "", ".hidden", "a".repeat(65), "a b"]) {
    await assert.rejects(announce(directory, entry({ name })), /is no name for an engine/, name);
  }
});

test(
  "a folder that is a link, or somebody else's, holds no token",
  { skip: process.platform === "win32" },
  async () => {
    const target = fresh();
    mkdirSync(target);
    const link = fresh();
    symlinkSync(target, link);
    await assert.rejects(announce(link, entry()), /not this user's own folder/);
    assert.deepEqual(findEngines(link), []);
    if (process.getuid?.() !== 0) return;
    // Only root sees somebody else's folder that it could write to.
    const foreign = fresh();
    mkdirSync(foreign);
    spawnSync("chown", ["65534", foreign]);
    await assert.rejects(announce(foreign, entry()), /not this user's own folder/);
  },
);

test(
  "a folder that others could read is closed to them",
  { skip: process.platform === "win32" },
  async () => {
    const directory = fresh();
    mkdirSync(directory);
    chmodSync(directory, 0o755);
    (await announce(directory, entry()))();
    assert.equal(statSync(directory).mode & 0o777, 0o700);
  },
);

test("the folder follows the system's custom", { skip: process.platform === "win32" }, () => {
  assert.equal(runtimeDirectory({ SOCKEYE_RUNTIME_DIR: "/x" }), "/x");
  assert.equal(runtimeDirectory({ XDG_RUNTIME_DIR: "/run/user/7" }), "/run/user/7/sockeye");
  assert.equal(runtimeDirectory({}), join(tmpdir(), `sockeye-${process.getuid!()}`));
});
