import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { cleanUp } from "../../engine/src/helper/spawn.ts";
import { DEVICE, makeMachine, machineState, run, startHelper, TUN } from "../peers/helper-machine.ts";
import { enterNamespace } from "../peers/namespace.ts";
import {
  buildStepKiller,
  endKilling,
  installStepKiller,
  killAtStep,
  type Victim,
} from "../peers/step-killer.ts";

const ENGINE = fileURLToPath(new URL("../peers/helper-engine-process.ts", import.meta.url));
const CAPTURED = {
  networks: ["203.0.113.0/24", "2001:db8:7::/48"],
  excluded: ["203.0.113.128/25"],
  killSwitch: false,
};
const UNDO_MS = 10_000;
/** Far more than there are. */
const MOST_STEPS = 500;
/** With SOCKEYE_TEST_KILLS no step is left out. An engine of its own takes long to start. */
const [WORKER_STRIDE, ENGINE_STRIDE] = process.env["SOCKEYE_TEST_KILLS"] === undefined ? [2, 9] : [1, 1];

/** Connects and, with `andBack`, disconnects. Whoever is killed on the way ends it. */
async function connect(andBack: boolean): Promise<void> {
  const helper = await startHelper().catch(() => undefined);
  if (!helper) return;
  const { client } = helper;
  let descriptor = -1;
  try {
    ({ descriptor } = await client.open(DEVICE));
    await client.capture(CAPTURED);
    await client.dns([TUN]);
    await client.capture({ ...CAPTURED, networks: ["10.0.0.0/8"] });
    if (andBack) await client.release();
    else {
      const worker = helper.workerPid();
      // Neither is to see the other end.
      process.kill(worker, "SIGSTOP");
      for (const pid of [helper.process.pid!, worker]) process.kill(pid, "SIGKILL");
    }
  } catch {
    // It was killed.
  }
  client.close();
  await helper.ended;
  if (descriptor >= 0) closeSync(descriptor);
}

async function connectAsEngine(): Promise<void> {
  const engine = spawn(process.execPath, [ENGINE], { stdio: ["ignore", "pipe", "ignore"] });
  const exited = once(engine, "exit");
  for await (const said of engine.stdout) if (String(said).includes("5")) engine.kill("SIGKILL");
  await exited;
}

/** With all that may be left of files. */
function state(): string {
  return machineState() + run("ls -A /etc /run/sockeye; ip -br addr");
}

async function settled(wanted: string, why: string): Promise<void> {
  const deadline = Date.now() + UNDO_MS;
  let found = state();
  while (found !== wanted && Date.now() < deadline) {
    await sleep(20);
    found = state();
  }
  assert.equal(found, wanted, why);
}

/** Runs for each step until there are no more. @returns how many there were. */
async function atEveryStep(
  victim: Victim,
  stride: number,
  act: (step: number) => Promise<void>,
  after: (hit: string, step: number) => Promise<void>,
): Promise<string[]> {
  const hits: string[] = [];
  for (let step = 1; step < MOST_STEPS; step += stride) {
    killAtStep(victim, step);
    await act(step);
    const hit = endKilling();
    if (hit === undefined) return hits;
    hits.push(hit);
    await after(hit, step);
  }
  return assert.fail(`${MOST_STEPS} steps`);
}

if (await enterNamespace(import.meta.filename)) {
  const killer = buildStepKiller();
  makeMachine();
  installStepKiller(killer);
  // It leaves a lock behind, once.
  await connect(true);
  const before = state();

  test("the helper's worker is killed after steps of its, and its guardian undoes them", async (t) => {
    const hits = await atEveryStep(
      "worker",
      WORKER_STRIDE,
      () => connect(true),
      (hit) => settled(before, hit),
    );
    t.diagnostic(`${hits.length} steps`);
    assert.ok(hits.length > 60 / WORKER_STRIDE, String(hits));
  });

  test("the helper is killed as a whole after each of its steps, and the next start or the clean-up undoes them", async (t) => {
    const hits = await atEveryStep(
      "both",
      1,
      () => connect(true),
      async (hit, step) => {
        if (step % 2 === 0) assert.equal(cleanUp(), "", hit);
        else {
          const next = await startHelper();
          next.client.close();
          await next.ended;
        }
        await settled(before, hit);
      },
    );
    t.diagnostic(`${hits.length} steps`);
    assert.ok(hits.length > 60, String(hits));
  });

  test("the engine is killed after steps of the helper, which then undoes them", async (t) => {
    const hits = await atEveryStep("engine", ENGINE_STRIDE, connectAsEngine, (hit) => settled(before, hit));
    t.diagnostic(`${hits.length} steps`);
    assert.ok(hits.length > 60 / ENGINE_STRIDE, String(hits));
  });

  test("the clean-up is killed after each of its steps, and the next one goes on where it was", async (t) => {
    const hits = await atEveryStep(
      "clean-up",
      1,
      async (step) => {
        endKilling();
        await connect(false);
        killAtStep("clean-up", step);
        cleanUp();
      },
      async (hit) => {
        assert.equal(cleanUp(), "", hit);
        await settled(before, hit);
      },
    );
    t.diagnostic(`${hits.length} steps`);
    assert.ok(hits.length > 12, String(hits));
    await settled(before, "the last one, which nobody killed");
  });
}
