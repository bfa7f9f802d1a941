import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { until } from "../peers/exercise.ts";
import { FAR, machineState, makeMachine, routeOf, run, startOutside } from "../peers/helper-machine.ts";
import { runAsRoot } from "../peers/namespace.ts";
import { skipWithoutRoot } from "../peers/peer-process.ts";

const COMMAND = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
const USER = { uid: 54_321, gid: 54_322, group: 54_323 };
const START_MS = 30_000;

/** A file of the project may lie where no other user can read it. */
function skipUnreadable(): string | false {
  if (process.getuid?.() !== 0) return false;
  const { status } = spawnSync(process.execPath, [COMMAND, "--version"], {
    uid: USER.uid,
    gid: USER.gid,
    timeout: START_MS,
  });
  return status === 0 ? false : "no other user can read this folder";
}

if (process.argv[2] === "as-root") asRoot();
else {
  test("sudo sockeye run", { skip: skipWithoutRoot() || skipUnreadable() }, async () => {
    const said = await runAsRoot(import.meta.filename);
    assert.match(said, /# pass 1\n/);
  });
}

/** In namespaces of the machine's own root, where there are other users. */
function asRoot(): void {
  test("the engine becomes the user who called sudo, with that user's groups, and root stays with the helper", async () => {
    run("ip link set lo up");
    makeMachine();
    const home = "/run/home";
    mkdirSync(home, { mode: 0o700 });
    chownSync(home, USER.uid, USER.gid);
    appendFileSync("/etc/passwd", `caller:x:${USER.uid}:${USER.gid}::${home}:/bin/sh\n`);
    appendFileSync("/etc/group", `caller:x:${USER.gid}:\nfriends:x:${USER.group}:caller\n`);
    mkdirSync("/run/tmp");
    chmodSync("/run/tmp", 0o1777);
    const file = join(home, "sockeye.yaml");
    writeFileSync(file, "tun: { enabled: true, cidrs: [203.0.113.0/24], dns: fake-ip }\n");
    const outside = await startOutside();
    const before = machineState();

    const { uid, gid } = USER;
    const engine = spawn(process.execPath, [COMMAND, "run", "--config", file, "--log-format", "json"], {
      stdio: ["ignore", "ignore", "pipe"],
      env: {
        PATH: process.env["PATH"],
        // As sudo has it: root's own, and who called.
        HOME: "/root",
        TMPDIR: "/run/tmp",
        SUDO_UID: String(uid),
        SUDO_GID: String(gid),
        SUDO_USER: "caller",
      },
    });
    let text = "";
    engine.stderr.setEncoding("utf8").on("data", (part: string) => (text += part));
    const over = once(engine, "exit");
    try {
      await until(() => text.includes('"running"') || engine.exitCode !== null, "it runs", START_MS);
      assert.match(text, /"running"/);
      const engineStatus = statusOf(engine.pid!);
      assert.match(engineStatus, new RegExp(`^Uid:\t${uid}\t${uid}\t${uid}\t${uid}$`, "m"));
      assert.match(engineStatus, new RegExp(`^Gid:\t${gid}\t${gid}\t${gid}\t${gid}$`, "m"));
      assert.match(engineStatus, new RegExp(`^Groups:\t${gid} ${USER.group} *$`, "m"));
      for (const set of ["CapPrm", "CapEff"]) assert.match(engineStatus, new RegExp(`^${set}:\t0+$`, "m"));
      const helpers = readdirSync("/proc").filter(
        (name) => /^\d+$/.test(name) && /^Name:\tsockeye-helper$/m.test(statusOf(name)),
      );
      assert.equal(helpers.length, 2, "the guardian and the worker");
      for (const helper of helpers) assert.match(statusOf(helper), /^Uid:\t0\t0\t0\t0$/m);
      assert.equal(statSync(`/run/tmp/sockeye-${uid}`).uid, uid, "what it writes is that user's");

      assert.equal(routeOf(FAR), "dev sockeye0 table 5200");
      const socket = connect(7, FAR);
      socket.write("hello");
      assert.equal(String((await once(socket, "data"))[0]), "hello");
      socket.destroy();
    } finally {
      engine.kill("SIGINT");
      await over;
      await outside.stop();
    }
    assert.equal(engine.exitCode, 0, text);
    assert.equal(machineState(), before);
  });
}

/** Of a process, as proc(5) has it; nothing where it has ended. */
function statusOf(pid: number | string): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "";
  }
}
