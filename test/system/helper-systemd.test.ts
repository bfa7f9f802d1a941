import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, readFileSync, writeFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { HelperClient } from "../../engine/src/helper/client.ts";
import { until } from "../peers/exercise.ts";
import { DEVICE, machineState, RESOLV_CONF, routeOf, run, TUN } from "../peers/helper-machine.ts";
import { skipWithout } from "../peers/peer-process.ts";
import { skipWithoutSystemd, Systemd } from "../peers/systemd.ts";

const UNITS = fileURLToPath(new URL("../../build/systemd", import.meta.url));
const CALLER = fileURLToPath(new URL("../peers/helper-caller-process.ts", import.meta.url));
const SOCKET = "sockeye-helper.socket";
const SERVICE = "sockeye-helper.service";
const STATE = "/var/lib/sockeye";

if (process.argv[2] === "beside-systemd") besideSystemd();
else {
  describe("the units of systemd", () => {
    it("are right, as systemd-analyze has it", { skip: skipWithout("systemd-analyze") }, () => {
      const units = [SOCKET, SERVICE].map((unit) => `${UNITS}/${unit}`);
      const { stdout, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", ...units], {
        encoding: "utf8",
        timeout: 20_000,
      });
      // The program is where the packages install it; verified without it, that is all there is to say.
      const said = (stdout + stderr).split("\n").filter((line) => line !== "");
      assert.deepEqual(
        said.filter((line) => !line.includes("Command /usr/lib/sockeye/sockeye-helper is not executable")),
        [],
      );
    });

    it("run under systemd", { skip: skipWithoutSystemd() }, async () => {
      const systemd = await Systemd.start(UNITS, SOCKET);
      try {
        const command = [
          process.execPath,
          "--test-reporter=tap",
          import.meta.filename,
          "beside-systemd",
        ] as const;
        const { status, stdout, stderr } = systemd.run(command);
        assert.equal(status, 0, stdout + stderr + systemd.log);
        assert.match(stdout, /# pass 7/);
      } finally {
        await systemd.stop();
      }
    });
  });
}

/** In the namespaces of a systemd that has the units and nothing else. */
function besideSystemd(): void {
  writeFileSync("/etc/resolv.conf", RESOLV_CONF, { mode: 0o640 });
  const before = machineState();
  const open: number[] = [];
  after(() => open.forEach((descriptor) => closeSync(descriptor)));

  async function connected(killSwitch = false): Promise<HelperClient> {
    const client = await HelperClient.connect();
    client.onClose(() => undefined);
    open.push((await client.open(DEVICE)).descriptor);
    await client.capture({ networks: ["10.0.0.0/8", "fd00::/8"], excluded: ["10.1.0.0/16"], killSwitch });
    assert.equal(await client.dns([TUN]), "file");
    assert.notEqual(machineState(), before);
    return client;
  }

  async function restored(): Promise<void> {
    while (open.length > 0) closeSync(open.pop()!);
    await until(() => machineState() === before, "all is as it was");
  }

  function property(name: string): string {
    return run(`systemctl show -p ${name} --value ${SERVICE}`).trim();
  }

  describe("the helper as a service", () => {
    it("is started by the first who asks, does all of its work within the unit's bounds, and undoes it", async () => {
      assert.equal(property("ActiveState"), "inactive");
      const client = await connected();
      assert.equal(property("ActiveState"), "active");
      assert.equal(routeOf("10.2.3.4"), "dev sockeye0 table 5200");
      assert.match(readFileSync("/etc/resolv.conf", "utf8"), /^# Written by sockeye-helper/);
      assert.deepEqual(await client.release(), []);
      client.close();
      await restored();
      assert.equal(readFileSync("/etc/resolv.conf", "utf8"), RESOLV_CONF);
    });

    it("listens to root and the group's members, as before it was confined", () => {
      for (const [ids, wanted] of [
        ["0 0", /^ok$/],
        ["1234 1234 4242", /^ok$/],
        ["1235 1235", /^ok$/],
        ["1234 1234", /^forbidden only root and members of the group sockeye may ask$/],
      ] as const) {
        const { stdout, stderr } = spawnSync(process.execPath, [CALLER, ...ids.split(" ")], {
          encoding: "utf8",
          timeout: 20_000,
        });
        assert.match(stdout.trim(), wanted, stderr);
      }
    });

    it("has its capabilities and no others, and no way to more", () => {
      const status = readFileSync(`/proc/${property("MainPID")}/status`, "utf8");
      // CAP_NET_ADMIN (12), CAP_CHOWN (0), CAP_DAC_OVERRIDE (1), CAP_FOWNER (3).
      for (const set of ["CapPrm", "CapEff", "CapBnd"])
        assert.match(status, new RegExp(`${set}:\\t0+100b\n`));
      assert.match(status, /NoNewPrivs:\t1\nSeccomp:\t2/);
    });

    it("undoes everything when it is stopped", async () => {
      const client = await connected();
      run(`systemctl stop ${SERVICE}`);
      await restored();
      client.close();
    });

    it("is recovered from by ExecStopPost after kill -9, and serves whoever comes next", async () => {
      const client = await connected();
      process.kill(Number(property("MainPID")), "SIGKILL");
      await restored();
      client.close();
      await until(() => property("ActiveState") === "active", "it is started again");
      (await connected()).close();
      await restored();
    });

    it("takes back at the machine's start what a power cut left, before anybody asks", async () => {
      const client = await connected();
      const left = ["/etc/resolv.conf", ...["original", "ours"].map((end) => `${STATE}/resolv.conf.${end}`)];
      // The disk, as it is at the moment of the cut.
      run(`mkdir /run/disk; cp --parents -a ${left.join(" ")} /run/disk`);
      run(`systemctl stop ${SOCKET} ${SERVICE}`);
      client.close();
      await restored();
      run("cp -a /run/disk/. /; rm -r /run/disk /run/sockeye");
      assert.match(readFileSync("/etc/resolv.conf", "utf8"), /^# Written by sockeye-helper/);
      run(`systemctl start ${SOCKET}`);
      assert.equal(property("ActiveState"), "inactive");
      assert.equal(readFileSync("/etc/resolv.conf", "utf8"), RESOLV_CONF);
      assert.equal(machineState(), before);
      (await connected()).close();
      await restored();
    });

    it("keeps a kill switch over kill -9, and a later session lifts it", async () => {
      const client = await connected(true);
      process.kill(Number(property("MainPID")), "SIGKILL");
      client.close();
      while (open.length > 0) closeSync(open.pop()!);
      await until(() => routeOf("10.2.3.4") === "No route to host", "captured networks reach nothing");
      await until(() => property("ActiveState") === "active", "it is started again");
      const next = await HelperClient.connect();
      assert.deepEqual(await next.release(), []);
      next.close();
      await restored();
    });
  });
}
