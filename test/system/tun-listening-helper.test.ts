import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { after, test } from "node:test";
import { helperProgram } from "@sockeye/engine/helper/spawn";
import { enterNamespace } from "../peers/namespace.ts";
import { download, exchange, patternChecksum, until } from "../peers/tun-client.ts";
import { machineState, shell, TARGETS, TunWorld } from "../peers/tun-world.ts";

const SOCKET = "/run/sockeye/helper.sock";
const BYTES = 16_000_000;

if (await enterNamespace(import.meta.filename)) {
  const world = await TunWorld.make();
  const before = machineState();
  const helper = spawn(helperProgram(), ["--listen"], { stdio: ["ignore", "inherit", "inherit"] });
  const exited = once(helper, "exit");
  after(async () => {
    helper.kill();
    await exited;
    await world[Symbol.asyncDispose]();
  });
  await until(() => existsSync(SOCKET), "the helper listens");

  test("an engine without any right over the network captures by a helper that listens, again and again", async () => {
    for (let round = 0; round < 2; round++) {
      const engine = await world.engine(world.everyWay(), { ordinary: true });
      for (const host of [TARGETS.direct[0], TARGETS.socks5[1], TARGETS.ssh[0]]) {
        assert.equal(await exchange(host), "hello");
        assert.equal(await download(host, BYTES), patternChecksum(BYTES));
      }
      if (round === 0) assert.equal(await engine.stop(), 0);
      else await engine.stop("SIGKILL");
      await until(() => machineState() === before, "the machine is as it was");
    }
    assert.equal(shell("pgrep -c -r R,S,D sockeye-helper").trim(), "1");
  });
}
