import assert from "node:assert/strict";
import { test } from "node:test";
import { ControlError } from "@sockeye/engine/control/control-error";
import { advance, broken, type Run, started } from "./test-steps.ts";

const begin = (...steps: Run["steps"][number]["step"][]) =>
  steps.reduce((run, step) => advance(run, { kind: "started", step }), started);

test("a step that begins has ended the one before it", () => {
  assert.deepEqual(begin("name", "tcp").steps, [
    { step: "name", state: "passed" },
    { step: "tcp", state: "running" },
  ]);
});

test("the end brings each step's time, and names the one that failed", () => {
  const run = advance(begin("name", "tcp", "auth"), {
    kind: "done",
    ok: false,
    steps: [
      { step: "name", ms: 1 },
      { step: "tcp", ms: 2 },
    ],
    failure: { step: "auth", code: "auth", message: "not accepted" },
    notes: ["a note"],
  });
  assert.equal(run.state, "failed");
  assert.deepEqual(run.steps, [
    { step: "name", state: "passed", ms: 1 },
    { step: "tcp", state: "passed", ms: 2 },
    { step: "auth", state: "failed" },
  ]);
  assert.deepEqual(run.failure, { step: "auth", code: "auth", message: "not accepted" });
  assert.deepEqual(run.notes, ["a note"]);
});

test("a failure that names no step is that of the step under way", () => {
  const run = advance(begin("tcp"), {
    kind: "done",
    ok: false,
    steps: [],
    failure: { code: "timeout", message: "too slow" },
  });
  assert.deepEqual(run.steps, [{ step: "tcp", state: "failed" }]);
});

test("a step that comes twice, on the way through another upstream, is shown twice", () => {
  const run = advance(begin("tcp", "auth", "tcp"), {
    kind: "done",
    ok: false,
    steps: [
      { step: "tcp", ms: 1 },
      { step: "auth", ms: 2 },
    ],
    failure: { step: "tcp", code: "refused", message: "refused" },
  });
  assert.deepEqual(
    run.steps.map(({ step, state }) => `${step} ${state}`),
    ["tcp passed", "auth passed", "tcp failed"],
  );
});

test("a test that passed has nothing failed in it", () => {
  const run = advance(begin("tcp"), { kind: "done", ok: true, steps: [{ step: "tcp", ms: 3 }] });
  assert.deepEqual(run, { state: "passed", steps: [{ step: "tcp", state: "passed", ms: 3 }] });
});

test("a lost connection fails the step under way, with the reason", () => {
  const run = broken(begin("name", "tcp"), new ControlError("closed", "the engine went away"));
  assert.equal(run.state, "failed");
  assert.deepEqual(run.steps.at(-1), { step: "tcp", state: "failed" });
  assert.equal(run.failure?.message, "the engine went away");
});

test("what comes after the end changes nothing", () => {
  const done = advance(started, { kind: "done", ok: true, steps: [] });
  assert.equal(advance(done, { kind: "started", step: "tcp" }), done);
  assert.equal(broken(done, new ControlError("closed", "")), done);
});
