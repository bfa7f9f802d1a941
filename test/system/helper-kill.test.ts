import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { HelperClient } from "../../engine/src/helper/client.ts";
import { cleanUp, helperProgram } from "../../engine/src/helper/spawn.ts";
import { enterNamespace } from "../peers/namespace.ts";
import {
  DEVICE,
  FAR,
  FAR6,
  makeMachine,
  machineState,
  routeOf,
  run,
  startHelper,
  TUN,
} from "../peers/helper-machine.ts";

const ENGINE = fileURLToPath(new URL("../peers/helper-engine-process.ts", import.meta.url));
const ALL = { networks: ["0.0.0.0/0", "::/0"], excluded: ["192.0.2.0/24"], killSwitch: false };
const BLOCKED = {
  networks: ["203.0.113.0/24", "2001:db8:7::/48"],
  excluded: ["203.0.113.128/25"],
  killSwitch: true,
};
const UNDO_MS = 10_000;

/** Connecting and disconnecting, step by step. */
const STEPS: readonly ((client: HelperClient) => Promise<unknown>)[] = [
  (client) => client.open(DEVICE).then(({ descriptor }) => opened.push(descriptor)),
  (client) => client.capture(ALL),
  (client) => client.dns([TUN]),
  (client) => client.capture({ networks: ["10.0.0.0/8"], excluded: [], killSwitch: false }),
  (client) => client.release(),
];
const opened: number[] = [];

/** Begins the steps up to one, and kills while it is under way. */
async function killDuring(
  step: number,
  victims: "worker" | "guardian" | "both",
  delayMs: number,
): Promise<void> {
  const helper = await startHelper();
  const worker = helper.workerPid();
  for (const before of STEPS.slice(0, step)) await before(helper.client);
  const underWay = STEPS[step]!(helper.client).catch(() => undefined);
  if (delayMs > 0) await sleep(delayMs);
  // The guardian first, so that it can't see the worker end.
  if (victims !== "worker") process.kill(helper.process.pid!, "SIGKILL");
  if (victims !== "guardian") process.kill(worker, "SIGKILL");
  await underWay;
  await helper.ended;
  for (const descriptor of opened.splice(0)) closeSync(descriptor);
  helper.client.close();
}

async function killEngineDuring(step: number): Promise<void> {
  const engine = spawn(process.execPath, [ENGINE], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(engine, "exit");
  for await (const line of createInterface(engine.stdout)) if (Number(line) === step) engine.kill("SIGKILL");
  await exited;
}

async function settled(wanted: string): Promise<void> {
  const deadline = Date.now() + UNDO_MS;
  let state = machineState();
  while (state !== wanted && Date.now() < deadline) {
    await sleep(5);
    state = machineState();
  }
  assert.equal(state, wanted);
}

if (await enterNamespace(import.meta.filename)) {
  makeMachine();
  const before = machineState();

  describe("killed at every step of connecting and disconnecting, the machine is as before", () => {
    it("when it is the engine, 10 times", async () => {
      for (let i = 0; i < 10; i++) {
        await killEngineDuring((i % 5) + (i < 5 ? 0 : 1));
        await settled(before);
      }
    });

    for (const victim of ["worker", "guardian"] as const) {
      it(`when it is the ${victim}, 15 times`, async () => {
        for (let i = 0; i < 15; i++) {
          await killDuring(i % 5, victim, i % 3);
          await settled(before);
        }
      });
    }

    it("when it is both, once the next helper starts or the clean-up has run, 10 times", async () => {
      for (let i = 0; i < 10; i++) {
        await killDuring(i % 5, "both", i % 3);
        if (i % 2 === 0) {
          assert.equal(cleanUp(), "");
        } else {
          const next = await startHelper();
          next.client.close();
          await next.ended;
        }
        await settled(before);
      }
    });
  });

  describe("an orderly end", () => {
    it("by SIGTERM, to the worker or the guardian, undoes everything", async () => {
      for (const victim of ["worker", "guardian"]) {
        const helper = await startHelper();
        for (const step of STEPS.slice(0, 3)) await step(helper.client);
        const closed = new Promise((resolve) => helper.client.onClose(resolve));
        process.kill(victim === "worker" ? helper.workerPid() : helper.process.pid!, "SIGTERM");
        await closed;
        await helper.ended;
        for (const descriptor of opened.splice(0)) closeSync(descriptor);
        await settled(before);
      }
    });

    it("leaves nothing for a clean-up, which may run again and again", () => {
      assert.equal(cleanUp(), "");
      assert.equal(cleanUp(), "");
      assert.equal(machineState(), before);
    });
  });

  describe("the kill switch", () => {
    for (const end of ["the engine", "worker", "guardian", "both"] as const) {
      it(`blocks captured networks after the death of ${end}, and nothing else`, async () => {
        const helper = await startHelper();
        const { descriptor } = await helper.client.open(DEVICE);
        await helper.client.capture(BLOCKED);
        assert.equal(routeOf(FAR), "dev sockeye0 table 5200");
        assert.equal(routeOf(FAR, "from 192.0.2.2"), "dev sockeye0 table 5200");
        const [guardian, worker] = [helper.process.pid!, helper.workerPid()];
        if (end === "guardian" || end === "both") process.kill(guardian, "SIGKILL");
        if (end === "worker" || end === "both") process.kill(worker, "SIGKILL");
        if (end === "the engine") helper.client.close();
        await helper.ended;
        closeSync(descriptor);
        helper.client.close();

        await assertBlocked();
        run(`${helperProgram()} --recover`);
        await assertBlocked();
        assert.equal(cleanUp(), "");
        assert.equal(cleanUp(), "");
        assert.equal(machineState(), before);
      });
    }

    it("is taken over by the next client, which can replace, keep and release it", async () => {
      const first = await startHelper();
      const { descriptor } = await first.client.open(DEVICE);
      await first.client.capture(BLOCKED);
      first.client.close();
      await first.ended;
      closeSync(descriptor);

      const next = await startHelper();
      assert.equal((await next.client.status()).killSwitch, true);
      const device = await next.client.open(DEVICE);
      await assertBlocked();
      await next.client.capture({ ...BLOCKED, excluded: [] });
      assert.equal(routeOf("203.0.113.200"), "dev sockeye0 table 5200");
      assert.deepEqual(await next.client.release({ keepKillSwitch: true }), []);
      assert.equal(routeOf("203.0.113.200"), "No route to host");
      assert.deepEqual(await next.client.release(), []);
      closeSync(device.descriptor);
      assert.equal(machineState(), before);
      next.client.close();
      await next.ended;
    });

    it("is there whole or not at all when the worker is killed while it is switched on, 20 times", async () => {
      const results = new Set<boolean>();
      for (let i = 0; i < 20; i++) {
        const helper = await startHelper();
        const { descriptor } = await helper.client.open(DEVICE);
        const worker = helper.workerPid();
        const underWay = helper.client.capture(BLOCKED).then(
          () => true,
          () => false,
        );
        if (i % 4 > 0) await sleep(i % 4);
        process.kill(worker, "SIGKILL");
        const told = await underWay;
        await helper.ended;
        closeSync(descriptor);
        const on = routeOf(FAR) !== "dev eth0";
        results.add(on);
        if (on) await assertBlocked();
        else assert.equal(machineState(), before);
        assert(on || !told, "what the engine was told is so");
        assert.equal(cleanUp(), "");
        assert.equal(machineState(), before);
      }
      assert(results.has(true), "it was killed late enough at least once");
    });
  });
}

async function assertBlocked(): Promise<void> {
  assert.equal(routeOf(FAR), "No route to host");
  assert.equal(routeOf(FAR, "from 192.0.2.2"), "No route to host");
  assert.equal(routeOf(FAR6), "No route to host");
  assert.equal(routeOf(FAR, "mark 0x50c"), "dev eth0");
  assert.equal(routeOf(FAR6, "mark 0x50c"), "dev eth0");
  assert.equal(routeOf("203.0.113.200"), "dev eth0");
  assert.equal(routeOf("192.0.2.99"), "dev eth0");
  const [error] = (await once(connect({ host: FAR, port: 7 }), "error").catch((cause: unknown) => [
    cause,
  ])) as [NodeJS.ErrnoException];
  assert.equal(error.code, "EHOSTUNREACH");
}
