import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemKeychain } from "./secret-store.ts";

const directory = mkdtempSync(join(tmpdir(), "sockeye-keychain-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const session = "dbus-run-session";
const missing = [session, "gnome-keyring-daemon", "secret-tool"].filter(
  (program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0,
);
const note = `${missing.join(", ")} not installed (packages dbus, gnome-keyring, libsecret-tools)`;
const skip =
  process.platform !== "linux"
    ? "the keychain of Linux"
    : missing.length > 0 && process.env["CI"] === undefined && note;

test("a real GNOME keyring keeps, gives back, replaces and forgets a secret", { skip }, () => {
  assert.deepEqual(missing, [], note);
  const program = `
    import { systemKeychain } from ${JSON.stringify(new URL("secret-store.ts", import.meta.url).href)};
    const seen = [await systemKeychain.available(), await systemKeychain.read("a b")];
    await systemKeychain.store("a b", 's3cr:t "x" ü');
    seen.push(await systemKeychain.read("a b"));
    await systemKeychain.store("a b", "another");
    seen.push(await systemKeychain.read("a b"));
    await systemKeychain.remove("a b");
    await systemKeychain.remove("a b");
    seen.push(await systemKeychain.read("a b"));
    process.stdout.write(JSON.stringify(seen));`;
  const script = `
    set -e
    printf unlock | gnome-keyring-daemon --unlock --components=secrets >/dev/null
    exec "$NODE" --input-type=module -e "$PROGRAM"`;
  const home = join(directory, "home");
  const { stdout, stderr } = spawnSync(session, ["--", "sh", "-c", script], {
    encoding: "utf8",
    timeout: 30_000,
    env: {
      PATH: process.env["PATH"],
      HOME: home,
      XDG_DATA_HOME: home,
      XDG_RUNTIME_DIR: directory,
      NODE: process.execPath,
      PROGRAM: program,
    },
  });
  assert.notEqual(stdout, "", stderr);
  assert.deepEqual(JSON.parse(stdout), [{ ok: true }, null, 's3cr:t "x" ü', "another", null]);
});

test(
  "without a service, or without its program, there is no keychain, and it is said why",
  { skip },
  async () => {
    const { PATH: path, DBUS_SESSION_BUS_ADDRESS: bus } = process.env;
    try {
      process.env["DBUS_SESSION_BUS_ADDRESS"] = `unix:path=${join(directory, "nobody")}`;
      assert.deepEqual(await systemKeychain.available(), {
        ok: false,
        reason: "no keychain service answers in this session",
      });
      await assert.rejects(
        systemKeychain.store("n", "hunter2"),
        (error: Error) => !error.message.includes("hunter2"),
      );
      process.env["PATH"] = join(directory, "nothing");
      assert.deepEqual(await systemKeychain.available(), {
        ok: false,
        reason: "secret-tool is not installed",
      });
    } finally {
      process.env["PATH"] = path;
      if (bus === undefined) delete process.env["DBUS_SESSION_BUS_ADDRESS"];
      else process.env["DBUS_SESSION_BUS_ADDRESS"] = bus;
    }
  },
);
