import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { connectControl, findEngine } from "@sockeye/engine/control/client";
import { cleanUp } from "@sockeye/engine/helper/spawn";
import { PORT } from "../peers/far-services.ts";
import { enterNamespace } from "../peers/namespace.ts";
import { connectFailure, exchange, until } from "../peers/tun-client.ts";
import {
  type Engine,
  FAR,
  machineState,
  program,
  shell,
  TARGETS,
  TunWorld,
  UPSTREAM,
} from "../peers/tun-world.ts";

const CLI = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
const ROUNDS = Number(process.env["SOCKEYE_TEST_KILLS"] ?? 20);
/** Milliseconds after its start within which an engine that starts is killed at random. */
const START_SPAN_MS = 1200;

if (await enterNamespace(import.meta.filename)) {
  const world = await TunWorld.make();
  const before = machineState();
  after(() => world[Symbol.asyncDispose]());
  const config = world.everyWay({
    routes: [{ match: "*.corp.internal", to: "ssh" }],
    tun: { dns: "fake-ip" },
    limits: { drain_timeout: 0 },
  });

  function sockeye(command: string, as: readonly string[] = []): ReturnType<typeof program> {
    const [name, ...args] = [...as, process.execPath, CLI, command];
    return program([name, ...args]);
  }

  async function restored(engine: Engine): Promise<void> {
    await until(() => engine.helperPids().length === 0, "the helper ends");
    assert.equal(machineState(), before);
  }

  test(`an engine that is killed at any step of its start or its end leaves the machine as it was, ${ROUNDS} times`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const ends = round % 4 === 0;
      const engine = await world.engine(config, ends ? {} : { until: /^/ });
      if (ends) {
        await exchange(TARGETS.socks5[0]);
        engine.child.kill("SIGTERM");
        await delay(Math.floor(round / 4) * 3);
      } else {
        await delay((START_SPAN_MS * round) / ROUNDS);
      }
      await engine.kill();
      await restored(engine);
    }
  });

  for (const which of ["guardian", "worker", "both"] as const) {
    test(`with the helper's ${which} killed everything is undone, the engine says what to do, and its listeners go on`, async () => {
      const engine = await world.engine(config);
      const [guardian, worker] = engine.helperPids();
      const from = engine.output.length;
      if (which !== "worker") process.kill(guardian!, "SIGKILL");
      if (which !== "guardian") process.kill(worker!, "SIGKILL");
      await engine.logs(/TUN mode ended by itself/, from);
      if (which === "both") {
        // Nobody is left to undo: the next start does, or this.
        await until(() => engine.helperPids().length === 0, "both are gone");
        assert.equal(cleanUp(), "");
      }
      await restored(engine);
      assert.equal(engine.ended, false);
      const curl = `curl -sS -m 10 --socks5-hostname 127.0.0.1:1080 http://${TARGETS.ssh[0]}/`;
      assert.match(shell(curl), /hello from far away/);
      await engine.logs(/start Sockeye anew/, from);
      await engine.stop();
    });
  }

  test("`sockeye cleanup` says what a killed helper left and undoes it, says who uses TUN mode, and wants root", async () => {
    const engine = await world.engine(config);
    const busy = await sockeye("cleanup");
    assert.equal(busy.status, 1);
    assert.match(busy.stderr, /^sockeye: TUN mode is in use already, by process \d+ of user 0\n$/);
    const [guardian, worker] = engine.helperPids();
    // Neither is to see the other end.
    process.kill(worker!, "SIGSTOP");
    for (const pid of [guardian!, worker!, engine.pid]) process.kill(pid, "SIGKILL");
    await until(() => engine.helperPids().length === 0 && engine.ended, "all are gone");
    assert.notEqual(machineState(), before);

    const ordinary = await sockeye("cleanup", ["unshare", "--user", "--map-user=54321"]);
    assert.equal(ordinary.status, 1);
    assert.match(ordinary.stderr, /^sockeye: [^\n]*`sudo [^\n]*sockeye-helper --cleanup`\n$/);
    assert.notEqual(machineState(), before);

    const { status, stdout, stderr } = await sockeye("cleanup");
    assert.equal(status, 0, stderr);
    assert.match(stdout, /undone: policy rules: \d+\n(.*\n)*.*undone: the system's name servers\n/);
    await restored(engine);
    assert.equal((await sockeye("cleanup")).stdout, "nothing was left to undo\n");
  });

  test("Ctrl-C gives everything back, while flows run", async () => {
    const engine = await world.engine(config);
    await exchange(FAR);
    assert.equal(await engine.stop("SIGINT"), 0);
    await restored(engine);
  });

  test("a disconnect gives everything back, the kill switch too, and a connect captures again", async () => {
    const blocking = world.everyWay({ tun: { block_when_disconnected: true } });
    const engine = await world.engine(blocking);
    assert.equal(await exchange(FAR), "hello");
    const directory = join(engine.configFile.replace(/config-(\d+)\.yaml$/, "state-$1"), "sockeye");
    const client = await connectControl(findEngine({ directory }));
    const options = { timeoutMs: 30_000 };
    await client.call("disconnect", {}, options);
    assert.deepEqual((await client.call("status", {})).connection, { state: "off" });
    await until(() => JSON.stringify(machineState()) === JSON.stringify(before), "all is as it was");
    assert.equal(await exchange(FAR), "hello");
    await client.call("connect", {}, options);
    const { connection, tun } = await client.call("status", {});
    assert.equal(tun.state, "on");
    assert.notEqual(connection.state, "off");
    assert.equal(await exchange(FAR), "hello");
    client.close();
    assert.equal(await engine.stop(), 0);
    await restored(engine);
  });

  test("with the kill switch a killed engine leaves what was captured blocked, and nothing else, until an orderly stop", async () => {
    const blocking = world.everyWay({ tun: { block_when_disconnected: true } });
    let engine = await world.engine(blocking);
    assert.equal(await exchange(FAR), "hello");
    await engine.kill();
    assert.match((await connectFailure(FAR, PORT.echo)).code, /EHOSTUNREACH|ENETUNREACH|EACCES|ENONET/);
    assert.equal(await exchange(UPSTREAM), "hello");
    engine = await world.engine(blocking);
    assert.equal(await exchange(FAR), "hello");
    assert.equal(await engine.stop(), 0);
    await restored(engine);

    engine = await world.engine(blocking);
    await engine.kill();
    assert.notEqual((await connectFailure(FAR, PORT.echo)).code, "connected");
    assert.equal(cleanUp(), "");
    await restored(engine);
    assert.equal(await exchange(FAR), "hello");
  });
}
