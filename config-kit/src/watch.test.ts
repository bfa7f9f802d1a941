import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm, symlink, truncate, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { type ConfigChange, type WatchOptions, watchConfig } from "./watch.ts";

/** Longer than two quiet spells, so that what was to be told has been. */
const SETTLED_MS = 500;
const onPosix = process.platform === "win32" ? { skip: "Windows may refuse links" } : {};

async function directoryFor(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "sockeye-watch-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A watch with what it has told so far. */
function observe(t: TestContext, path: string, options?: WatchOptions) {
  const told: string[] = [];
  let waiting: (() => void) | undefined;
  const watch = watchConfig(
    path,
    (change: ConfigChange) => {
      told.push(change.kind === "changed" ? change.text : change.kind);
      waiting?.();
    },
    options,
  );
  t.after(() => watch.close());
  return {
    told,
    watch,
    /** Resolves once `expected` is all that was told. */
    until: async (...expected: string[]) => {
      const deadline = AbortSignal.timeout(8000);
      while (told.length < expected.length && !deadline.aborted) {
        await Promise.race([new Promise<void>((resolve) => (waiting = resolve)), wait(200)]);
      }
      assert.deepEqual(told, expected);
    },
  };
}

test("a file written in place and one renamed over it are both seen, once each", async (t) => {
  const path = join(await directoryFor(t), "config.yaml");
  await writeFile(path, "one");
  const { until } = observe(t, path, { running: "one" });
  await wait(SETTLED_MS);
  await writeFile(path, "two");
  await until("two");
  await writeFile(`${path}.tmp`, "three");
  await rename(`${path}.tmp`, path);
  await until("two", "three");
  await writeFile(path, "four");
  await until("two", "three", "four");
});

test("a file that is touched or rewritten with the same text is no change", async (t) => {
  const path = join(await directoryFor(t), "config.yaml");
  await writeFile(path, "one");
  const { told } = observe(t, path);
  await wait(SETTLED_MS);
  await writeFile(path, "one");
  await wait(SETTLED_MS);
  assert.deepEqual(told, []);
});

test("a change made before the watch began is seen", async (t) => {
  const path = join(await directoryFor(t), "config.yaml");
  await writeFile(path, "two");
  await observe(t, path, { running: "one" }).until("two");
});

test("an editor that empties the file before it writes is not caught halfway", async (t) => {
  const path = join(await directoryFor(t), "config.yaml");
  await writeFile(path, "one");
  const { until, told } = observe(t, path, { running: "one" });
  await wait(SETTLED_MS);
  await truncate(path);
  await wait(30);
  await writeFile(path, "two");
  await until("two");
  assert.ok(!told.includes(""));
});

test("a deletion is told once, and the file's return with the same text too", async (t) => {
  const path = join(await directoryFor(t), "config.yaml");
  await writeFile(path, "one");
  const { until } = observe(t, path, { running: "one" });
  await wait(SETTLED_MS);
  await unlink(path);
  await until("deleted");
  await wait(SETTLED_MS);
  await writeFile(path, "one");
  await until("deleted", "one");
});

test("an editor that moves the file away before it writes the new one is one change", async (t) => {
  const path = join(await directoryFor(t), "config.yaml");
  await writeFile(path, "one");
  const { until } = observe(t, path, { running: "one" });
  await wait(SETTLED_MS);
  await rename(path, `${path}~`);
  await writeFile(path, "two");
  await until("two");
});

test("a ConfigMap's swap of its ..data link is seen, swap after swap", onPosix, async (t) => {
  const directory = await directoryFor(t);
  const publish = async (version: string) => {
    await mkdir(join(directory, `..${version}`));
    await writeFile(join(directory, `..${version}`, "config.yaml"), version);
    await symlink(`..${version}`, join(directory, "..data_tmp"));
    await rename(join(directory, "..data_tmp"), join(directory, "..data"));
  };
  await publish("v1");
  await symlink("..data/config.yaml", join(directory, "config.yaml"));
  const { until } = observe(t, join(directory, "config.yaml"), { running: "v1" });
  await wait(SETTLED_MS);
  await publish("v2");
  await rm(join(directory, "..v1"), { recursive: true });
  await until("v2");
  await publish("v3");
  await until("v2", "v3");
});

test("a link to a file elsewhere is followed to its changes, and to a new target", onPosix, async (t) => {
  const directory = await directoryFor(t);
  await mkdir(join(directory, "dotfiles"));
  await mkdir(join(directory, "config"));
  await writeFile(join(directory, "dotfiles", "a"), "one");
  await writeFile(join(directory, "dotfiles", "b"), "three");
  const path = join(directory, "config", "config.yaml");
  await symlink("../dotfiles/a", path);
  const { until } = observe(t, path, { running: "one" });
  await wait(SETTLED_MS);
  await writeFile(join(directory, "dotfiles", "a"), "two");
  await until("two");
  await unlink(path);
  await symlink("../dotfiles/b", path);
  await until("two", "three");
});

test("a directory that goes and comes back is watched again", async (t) => {
  const directory = join(await directoryFor(t), "sockeye");
  const path = join(directory, "config.yaml");
  await mkdir(directory);
  await writeFile(path, "one");
  const { until } = observe(t, path, { running: "one" });
  await wait(SETTLED_MS);
  await rm(directory, { recursive: true });
  await until("deleted");
  await mkdir(directory);
  await writeFile(path, "two");
  await until("deleted", "two");
});

test("a closed watch tells nothing more", async (t) => {
  const path = join(await directoryFor(t), "config.yaml");
  await writeFile(path, "one");
  const { told, watch } = observe(t, path, { running: "one" });
  await wait(SETTLED_MS);
  await writeFile(path, "two");
  watch.close();
  await wait(SETTLED_MS);
  assert.deepEqual(told, []);
});
