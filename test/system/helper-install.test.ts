import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { asCommand, installScript, removeScript } from "../../electron/src/helper-script.ts";
import { skipWithoutRoot } from "../peers/peer-process.ts";
import { onMachine, TESTER } from "../peers/throwaway-machine.ts";

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8");
const folder = mkdtempSync(join(tmpdir(), "sockeye-install-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What the helper's program is here: it says what it was asked for. */
const PROGRAM = `#!/bin/sh\necho "helper $*" >> ${folder}/calls\n`;
const sha256 = createHash("sha256").update(PROGRAM).digest("hex");

function stage(content = PROGRAM): string {
  const staged = join(folder, "staged");
  rmSync(staged, { force: true });
  writeFileSync(staged, content);
  return staged;
}

function install(staged = stage()): string {
  return asCommand(
    installScript("linux", {
      sha256,
      staged,
      user: TESTER.id,
      service: read("build/systemd/sockeye-helper.service"),
      socket: read("build/systemd/sockeye-helper.socket"),
      daemon: "",
    }),
  );
}

const LOOK = `
stat -c '%n %U:%G %a' /usr/lib/sockeye /usr/lib/sockeye/sockeye-helper /etc/systemd/system/sockeye-helper.* 2>&1
ls -A /usr/lib/sockeye
getent group sockeye`;

const noSystemctl =
  !existsSync("/usr/bin/systemctl") && !existsSync("/bin/systemctl") && "systemctl is not installed";

describe(
  "the helper's installation, by the commands that root runs",
  { skip: skipWithoutRoot() || noSystemctl },
  () => {
    it("lays the program and its units where only root writes, and lets the user ask", () => {
      const { status, stdout, stderr, calls } = onMachine(folder, install(), LOOK);
      assert.equal(status, 0, stderr);
      assert.match(
        stdout,
        /\/usr\/lib\/sockeye root:root 755\n\/usr\/lib\/sockeye\/sockeye-helper root:root 755\n\/etc\/systemd\/system\/sockeye-helper.service root:root 644\n\/etc\/systemd\/system\/sockeye-helper.socket root:root 644\nsockeye-helper\nsockeye:x:\d+:tester/,
      );
      assert.match(calls, /daemon-reload\nsystemctl enable --now sockeye-helper.socket\n$/);
    });

    it("what lies there are the files of this build", () => {
      const show =
        "cat /etc/systemd/system/sockeye-helper.service /etc/systemd/system/sockeye-helper.socket /usr/lib/sockeye/sockeye-helper";
      const { stdout } = onMachine(folder, install(), show);
      const wanted = [
        read("build/systemd/sockeye-helper.service"),
        read("build/systemd/sockeye-helper.socket"),
        PROGRAM,
      ];
      assert.equal(stdout, wanted.join(""));
    });

    it("a second installation takes the place of the first", () => {
      const { status, stdout, stderr } = onMachine(folder, install(), install(), LOOK);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /sockeye:x:\d+:tester$/m);
    });

    const wrong: readonly (readonly [string, () => string])[] = [
      ["another program", () => stage("#!/bin/sh\nid > /tmp/owned\n")],
      ["nothing", () => join(folder, "none")],
      [
        "a link to somebody else's file",
        () => {
          const path = join(folder, "link");
          rmSync(path, { force: true });
          symlinkSync("/etc/shadow", path);
          return path;
        },
      ],
      [
        "a device without an end",
        () => {
          const path = join(folder, "zero");
          rmSync(path, { force: true });
          symlinkSync("/dev/zero", path);
          return path;
        },
      ],
    ];
    for (const [what, path] of wrong) {
      it(`${what} in the program's place is not installed, and nothing is started`, () => {
        const { stdout, stderr, calls } = onMachine(
          folder,
          `${install(path())} || true`,
          "find /usr/lib/sockeye -type f",
          LOOK,
        );
        assert.doesNotMatch(stdout, /sockeye-helper root:root/);
        assert.doesNotMatch(stdout, /^\/usr\/lib\/sockeye\/\./m, "no copy is left");
        assert.doesNotMatch(calls, /enable|start/);
        if (what !== "nothing") assert.match(stderr, /is not the one that belongs to this app/);
      });
    }

    it("removing undoes what the helper had set, and leaves nothing", () => {
      const { status, stdout, stderr, calls } = onMachine(
        folder,
        install(),
        asCommand(removeScript("linux")),
        "ls -d /usr/lib/sockeye /etc/systemd/system/sockeye-helper.* /var/lib/sockeye 2>/dev/null || true; getent group sockeye || echo no group",
      );
      assert.equal(status, 0, stderr);
      assert.equal(stdout, "no group\n");
      assert.match(
        calls,
        /systemctl disable --now sockeye-helper.socket sockeye-helper.service\nhelper --cleanup\n/,
      );
    });

    it("a helper that could not undo is left in place, and it is said", () => {
      const fails = PROGRAM.replace("echo", "exit 1; echo");
      const put = `mkdir -p /usr/lib/sockeye; cat > /usr/lib/sockeye/sockeye-helper <<'END'\n${fails}END\nchmod 755 /usr/lib/sockeye/sockeye-helper`;
      const { stdout, stderr } = onMachine(
        folder,
        put,
        `${asCommand(removeScript("linux"))} || echo "status $?"`,
        "ls /usr/lib/sockeye",
      );
      assert.match(stdout, /status 70\nsockeye-helper\n/);
      assert.match(stderr, /could not undo/);
    });

    it("what a package brought is the package manager's: the user joins, and nothing is removed", () => {
      const brought = "mkdir -p /usr/lib/systemd/system && : > /usr/lib/systemd/system/sockeye-helper.socket";
      const { stdout, stderr, calls } = onMachine(
        folder,
        brought,
        install(),
        `${asCommand(removeScript("linux"))} || echo "status $?"`,
        "getent group sockeye; ls /usr/lib/sockeye 2>/dev/null || echo nothing",
      );
      assert.match(stdout, /status 70\nsockeye:x:\d+:tester\nnothing\n/);
      assert.match(stderr, /package manager/);
      assert.equal(calls, "systemctl enable --now sockeye-helper.socket\n");
    });

    it("without systemd it says that it needs it", () => {
      const { stdout, stderr } = onMachine(folder, "rm -r /run/systemd", `${install()} || echo "status $?"`);
      assert.match(stdout, /status 70/);
      assert.match(stderr, /was not started by systemd/);
    });
  },
);
