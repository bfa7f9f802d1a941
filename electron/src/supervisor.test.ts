import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, beforeEach, test } from "node:test";
import type { EngineProcess } from "@sockeye/renderer/desktop/contract";
import { StubProcess } from "../test/electron-stub.ts";
import { Supervisor, type Patience, type SupervisorOptions } from "./supervisor.ts";

const ID = "11111111-1111-4111-8111-111111111111";
const QUICK: Patience = {
  beatMs: 20,
  startMs: 5_000,
  firstRestartMs: 5,
  longestRestartMs: 20,
  maxEnds: 3,
  windowMs: 60_000,
  drainMs: 5_000,
  endMs: 5_000,
};

let processes: StubProcess[];
let states: EngineProcess[];
let killedHard: number[];
let supervisor: Supervisor;
/** Whether a process answers its heartbeat. */
let answers: boolean;

function make(
  patience: Partial<Patience> = {},
  onMessage: SupervisorOptions["onMessage"] = () => {},
): Supervisor {
  return new Supervisor({
    fork: () => {
      const child = new StubProcess();
      child.on("told", (message: { kind: string; id?: number }) => {
        if (message.kind === "ping" && answers) child.say({ kind: "pong", id: message.id });
      });
      processes.push(child);
      return child;
    },
    startMessage: (restart) => ({
      kind: "start",
      version: "1",
      configFile: "/c",
      history: "/h",
      connected: restart,
    }),
    onState: (state) => states.push(state),
    onMessage,
    killHard: (pid) => {
      killedHard.push(pid);
      processes.at(-1)!.emit("exit", 137);
    },
    patience: { ...QUICK, ...patience },
  });
}

beforeEach(() => {
  processes = [];
  states = [];
  killedHard = [];
  answers = true;
  supervisor = make();
});

afterEach(async () => {
  const stopped = supervisor.stop();
  processes.at(-1)?.emit("exit", 0);
  await stopped;
});

const newest = (): StubProcess => processes.at(-1)!;

function run(): StubProcess {
  newest().say({ kind: "loaded" });
  newest().say({ kind: "running" });
  return newest();
}

/** Waits for a state, by looking: timers of the supervisor's bring it. */
async function until(wanted: EngineProcess["state"]): Promise<EngineProcess> {
  const deadline = Date.now() + 20_000;
  while (supervisor.state.state !== wanted) {
    if (Date.now() > deadline) assert.fail(`it is ${supervisor.state.state}, not ${wanted}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return supervisor.state;
}

async function untilForked(count: number): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (processes.length < count) {
    if (Date.now() > deadline) assert.fail(`${processes.length} processes, not ${count}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("an engine is started when its code is there, and runs when it says so", () => {
  supervisor.start();
  assert.equal(supervisor.tell({ kind: "woke-up" }), false, "nobody is there to hear it");
  newest().say({ kind: "loaded" });
  assert.deepEqual(newest().messages[0], {
    kind: "start",
    version: "1",
    configFile: "/c",
    history: "/h",
    connected: false,
  });
  newest().say({ kind: "running" });
  assert.deepEqual(states, [{ state: "starting" }, { state: "running" }]);
  assert.equal(supervisor.tell({ kind: "woke-up" }), true);
  assert.deepEqual(newest().messages.at(-1), { kind: "woke-up" });
});

test("one that ends is started again, and hears that it was running", async () => {
  supervisor.start();
  run().emit("exit", 1);
  const state = await until("restarting");
  assert.ok(state.state === "restarting" && state.attempt === 1 && state.reason.includes("status 1"));
  await untilForked(2);
  newest().say({ kind: "loaded" });
  assert.equal((newest().messages[0] as { connected: boolean }).connected, true);
  newest().say({ kind: "running" });
  await until("running");
});

test("one that hangs is noticed within a few heartbeats, ended and started again", async () => {
  supervisor.start();
  run();
  answers = false;
  const state = await until("restarting");
  assert.ok(state.state === "restarting" && state.reason.includes("did not answer"));
  answers = true;
  await untilForked(2);
  run();
  await until("running");
});

test("one that is too busy for a signal is killed", async () => {
  supervisor = make({ endMs: 20 });
  supervisor.start();
  run().takesKill = false;
  answers = false;
  await until("restarting");
  assert.deepEqual(killedHard, [4_242]);
});

test("a machine that sleeps loses no engine: heartbeats are counted, not timed", async () => {
  supervisor = make({ beatMs: 200 });
  supervisor.start();
  const child = run();
  // The process, and our timers with it, stood still for longer than an engine may be silent.
  const wake = Date.now() + 1_500;
  while (Date.now() < wake);
  await once(child, "told");
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(supervisor.state.state, "running");
  assert.equal(child.killed, 0);
});

test("one that keeps ending is given up, with its last words", async () => {
  supervisor.start();
  for (let end = 1; end <= 4; end++) {
    await untilForked(end);
    newest().stderr.write(`line of ${end}\n`);
    while (!supervisor.log.includes(`line of ${end}`)) await new Promise((resolve) => setImmediate(resolve));
    run().emit("exit", 7);
  }
  const state = await until("failed");
  assert.ok(state.state === "failed" && state.reason.includes("status 7"));
  assert.match(state.log, /line of 1\nline of 2\nline of 3\nline of 4/);
  assert.equal(supervisor.log, state.log);
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(processes.length, 4, "nobody starts it but a person");
});

test("ends that are far apart do not add up", async () => {
  supervisor = make({ windowMs: 0 });
  supervisor.start();
  for (let end = 1; end <= 6; end++) {
    await untilForked(end);
    run().emit("exit", 1);
  }
  await untilForked(7);
});

test("a person starts it again, and what was counts no longer", async () => {
  supervisor.start();
  for (let end = 1; end <= 4; end++) {
    await untilForked(end);
    run().emit("exit", 1);
  }
  await until("failed");
  supervisor.restart();
  run();
  await until("running");
  supervisor.restart();
  await untilForked(6);
  run();
  await until("running");
});

test("what can't be otherwise the next time is not tried again", async () => {
  supervisor.start();
  newest().say({ kind: "loaded" });
  newest().say({ kind: "refused", message: "config.yaml:3:1: no such key" });
  newest().emit("exit", 1);
  const state = await until("failed");
  assert.ok(state.state === "failed" && state.reason === "config.yaml:3:1: no such key");
  assert.equal(processes.length, 1);
});

test("one that never runs is not waited for", async () => {
  supervisor = make({ startMs: 30 });
  supervisor.start();
  newest().say({ kind: "loaded" });
  const state = await until("restarting");
  assert.ok(state.state === "restarting" && state.reason.includes("did not start"));
});

test("a message that is none ends the process that sent it", async () => {
  supervisor.start();
  run().say({ kind: "pong", id: "x" });
  await until("restarting");
});

test("what it asks is answered, but not to a process that came after it", async () => {
  let reply: (() => void) | undefined;
  supervisor = make({}, (message, answer) => {
    assert.equal(message.ask.what, "available");
    reply = () => answer({ kind: "secret", id: ID, answer: {} });
  });
  supervisor.start();
  const first = run();
  first.say({ kind: "secret", id: ID, ask: { what: "available" } });
  reply!();
  assert.deepEqual(first.messages.at(-1), { kind: "secret", id: ID, answer: {} });
  const before = first.messages.length;
  first.emit("exit", 1);
  await untilForked(2);
  reply!();
  assert.equal(first.messages.length, before);
  assert.deepEqual(newest().messages, []);
});

test("quitting lets flows end first; one that takes too long is told, then killed", async () => {
  supervisor = make({ drainMs: 20, endMs: 20 });
  supervisor.start();
  const child = run();
  child.takesKill = false;
  await supervisor.stop();
  assert.deepEqual(
    child.messages.filter((each) => (each as { kind: string }).kind === "stop"),
    [
      { kind: "stop", now: false },
      { kind: "stop", now: true },
    ],
  );
  assert.deepEqual(killedHard, [4_242]);
  supervisor.start();
  assert.equal(processes.length, 1, "nothing is started any more");
});

test("quitting does not wait for an engine that is not there", async () => {
  await supervisor.stop();
  await supervisor.stop();
  assert.equal(processes.length, 0);
});
