import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Timer, TimerQueue } from "./timers.ts";

class Recorder extends Timer {
  readonly name: number;
  readonly log: number[];
  onExpire: ((now: number) => void) | undefined;

  constructor(name: number, log: number[]) {
    super();
    this.name = name;
    this.log = log;
  }

  override expire(now: number): void {
    this.log.push(this.name);
    this.onExpire?.(now);
  }
}

test("timers expire in the order of their last deadline, however often they are re-armed or cancelled", () => {
  const step = fc.record({
    timer: fc.nat(15),
    what: fc.constantFrom("arm", "arm", "arm", "cancel", "run"),
    at: fc.nat(100),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new TimerQueue();
      const log: number[] = [];
      const timers = Array.from({ length: 16 }, (_, name) => new Recorder(name, log));
      const model = new Map<number, number>();
      let now = 0;
      for (const { timer, what, at } of steps) {
        if (what === "arm") {
          queue.arm(timers[timer]!, now + at);
          model.set(timer, now + at);
        } else if (what === "cancel") {
          queue.cancel(timers[timer]!);
          model.delete(timer);
        } else {
          now += at;
          log.length = 0;
          queue.run(now);
          const dues = log.map((name) => model.get(name)!);
          assert.deepEqual(
            dues,
            dues.toSorted((a, b) => a - b),
          );
          const expected = [...model].filter(([, due]) => due <= now).map(([name]) => name);
          assert.deepEqual(log.toSorted(), expected.toSorted());
          for (const name of expected) model.delete(name);
        }
        assert.equal(queue.size, model.size);
        assert.equal(queue.next(), Math.min(Infinity, ...model.values()));
      }
    }),
  );
});

test("a timer that arms itself for the past expires once in each run", () => {
  const queue = new TimerQueue();
  const log: number[] = [];
  const timer = new Recorder(1, log);
  timer.onExpire = () => queue.arm(timer, 0);
  queue.arm(timer, 5);
  queue.run(10);
  assert.deepEqual(log, [1]);
  queue.run(10);
  assert.deepEqual(log, [1, 1]);
});

test("a timer may cancel another that is due in the same run", () => {
  const queue = new TimerQueue();
  const log: number[] = [];
  const first = new Recorder(1, log);
  const second = new Recorder(2, log);
  first.onExpire = () => queue.cancel(second);
  queue.arm(first, 1);
  queue.arm(second, 2);
  queue.run(10);
  assert.deepEqual(log, [1]);
  assert.equal(queue.size, 0);
});
