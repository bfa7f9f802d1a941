import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { DialError } from "../errors.ts";
import { Deadline } from "./deadline.ts";

function start(context: TestContext) {
  let now = 0;
  context.mock.method(performance, "now", () => now);
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const outer = new AbortController();
  const deadline = new Deadline(outer.signal, 1000, (step) => `late in ${step ?? "nothing"}`);
  const pass = (ms: number): void => {
    now += ms;
    context.mock.timers.tick(ms);
  };
  return { outer, deadline, pass };
}

test("time runs out in the step that is under way", (context) => {
  const { deadline, pass } = start(context);
  deadline.step = "auth";
  pass(999);
  assert.equal(deadline.signal.aborted, false);
  pass(1);
  const reason = deadline.signal.reason as DialError;
  assert.deepEqual([reason.code, reason.step, reason.message], ["timeout", "auth", "late in auth"]);
});

test("time stands still while a person is asked, and goes on where it stood", (context) => {
  const { deadline, pass } = start(context);
  pass(600);
  deadline.pause(true);
  pass(60_000);
  assert.equal(deadline.signal.aborted, false);
  deadline.pause(false);
  pass(399);
  assert.equal(deadline.signal.aborted, false);
  pass(1);
  assert.equal(deadline.signal.aborted, true);
});

test("the outer signal's reason is passed on, and after clear() nothing is", (context) => {
  const one = start(context);
  const reason = new DialError("cancelled", "not wanted");
  one.outer.abort(reason);
  assert.equal(one.deadline.signal.reason, reason);
  context.mock.timers.reset();
  context.mock.restoreAll();
  const two = start(context);
  two.deadline.clear();
  two.pass(5000);
  two.outer.abort();
  assert.equal(two.deadline.signal.aborted, false);
});
