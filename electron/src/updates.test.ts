import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { UpdateState } from "@sockeye/renderer/desktop/contract";
import { temporaryFolder } from "../test/folder.ts";
import { whyNoUpdates, wrapUpdater } from "./electron-updater.ts";
import { Updates, type UpdaterEvent } from "./updates.ts";

const base = temporaryFolder();

function make(channel: "stable" | "beta" | "off" = "stable", check = async (): Promise<void> => {}) {
  const states: UpdateState[] = [];
  const asked: string[] = [];
  let say: (event: UpdaterEvent) => void = () => {};
  const updates = new Updates(
    {
      check: (which) => {
        asked.push(which);
        return check();
      },
      install: () => asked.push("install"),
      onEvent: (listener) => (say = listener),
    },
    () => channel,
    (state) => states.push(state),
  );
  return { updates, states, asked, say: (event: UpdaterEvent) => say(event) };
}

test("an update is found, downloaded and, when the person says so, installed", async () => {
  const { updates, states, asked, say } = make("beta");
  assert.throws(() => updates.install(), /no update/);
  await updates.check();
  say({ kind: "found", version: "2.0.0" });
  say({ kind: "progress", percent: 41.7 });
  say({ kind: "progress", percent: 41.9 });
  say({ kind: "downloaded", version: "2.0.0" });
  say({ kind: "progress", percent: 99 });
  await updates.check();
  updates.install();
  assert.deepEqual(states, [
    { state: "checking" },
    { state: "downloading", version: "2.0.0", percent: 0 },
    { state: "downloading", version: "2.0.0", percent: 41 },
    { state: "ready", version: "2.0.0" },
  ]);
  assert.deepEqual(asked, ["beta", "install"]);
});

test("a look that fails says why, and the next may succeed", async () => {
  const { updates, asked } = make("stable", () => Promise.reject(new Error("no network")));
  await updates.check();
  assert.deepEqual(updates.state, { state: "failed", message: "no network" });
  await updates.check();
  assert.deepEqual(asked, ["stable", "stable"]);
});

test("nobody looks where updates are off", async () => {
  const { updates, asked } = make("off");
  await updates.check();
  assert.deepEqual(asked, []);
});

test("a build that can't update itself says why, to whoever asks it to", async () => {
  const updates = new Updates(
    { reason: "this is a development build" },
    () => "stable",
    () => assert.fail(),
  );
  assert.deepEqual(updates.support, { reason: "this is a development build" });
  await assert.rejects(updates.check(), /development build/);
  assert.throws(() => updates.install(), /development build/);
  updates.start();
});

test("electron-updater is told the channel, never goes back to an older version, and is understood", async () => {
  const checks: unknown[] = [];
  /** As electron-updater has it: to choose a channel allows to go back. */
  class Stub extends EventEmitter {
    autoDownload = false;
    autoInstallOnAppQuit = false;
    logger = null;
    allowDowngrade = false;
    #channel: string | null = null;
    get channel(): string | null {
      return this.#channel;
    }
    set channel(value: string | null) {
      this.#channel = value;
      this.allowDowngrade = true;
    }
    async checkForUpdates(): Promise<null> {
      checks.push([this.channel, this.allowDowngrade, this.autoDownload]);
      return null;
    }
    quitAndInstall(): void {
      checks.push("install");
    }
  }
  const stub = new Stub();
  const heard: UpdaterEvent[] = [];
  const updater = wrapUpdater(stub as unknown as Parameters<typeof wrapUpdater>[0]);
  updater.onEvent((event) => heard.push(event));
  await updater.check("beta");
  await updater.check("stable");
  updater.install();
  assert.deepEqual(checks, [["beta", false, true], ["latest", false, true], "install"]);
  stub.emit("update-available", { version: "2.0.0" });
  stub.emit("download-progress", { percent: 50 });
  stub.emit("update-downloaded", { version: "2.0.0" });
  stub.emit("update-not-available", {});
  stub.emit("error", new Error("no network"));
  assert.deepEqual(heard, [
    { kind: "found", version: "2.0.0" },
    { kind: "progress", percent: 50 },
    { kind: "downloaded", version: "2.0.0" },
    { kind: "none" },
    { kind: "error", message: "no network" },
  ]);
});

test("only an installed build with a place for updates has any; Linux packages have a package manager", () => {
  const resources = mkdtempSync(join(base, "r-"));
  const place = { packaged: true, platform: "linux" as const, env: { APPIMAGE: "/a" }, resources };
  assert.match(whyNoUpdates({ ...place, packaged: false })!, /development build/);
  assert.match(whyNoUpdates(place)!, /without a place/);
  writeFileSync(join(resources, "app-update.yml"), "provider: generic\n");
  assert.equal(whyNoUpdates(place), undefined);
  assert.match(whyNoUpdates({ ...place, env: {} })!, /package manager/);
  assert.equal(whyNoUpdates({ ...place, env: {}, platform: "darwin" }), undefined);
});
