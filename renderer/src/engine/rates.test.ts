import assert from "node:assert/strict";
import { test } from "node:test";
import { RATE_SECONDS, RateHistory } from "./rates.ts";

const numbers = (up: number, down: number) => [
  {
    upstream: "a",
    connections: 0,
    active: 0,
    up,
    down,
    dials: 0,
    dialErrors: {},
    dialSeconds: 0,
    reconnects: 0,
    connected: true,
  },
];

test("a rate is what the counters gained, by the seconds between them", () => {
  const history = new RateHistory();
  assert.deepEqual(history.add(1_000, numbers(10, 100)), []);
  assert.deepEqual(history.add(3_000, numbers(30, 500)), [{ at: 3_000, up: 10, down: 200 }]);
});

test("an upstream that goes takes its bytes away, and no traffic flows backwards", () => {
  const history = new RateHistory();
  history.add(1_000, numbers(1_000, 1_000));
  assert.deepEqual(history.add(2_000, numbers(0, 0)), [{ at: 2_000, up: 0, down: 0 }]);
});

test("five minutes are kept", () => {
  const history = new RateHistory();
  for (let second = 0; second < 2 * RATE_SECONDS; second++) history.add(second * 1_000, numbers(second, 0));
  const { rates } = history;
  assert.equal(rates.at(-1)!.at - rates[0]!.at, RATE_SECONDS * 1_000);
});

test("what was kept of the time before stands before the first second, and never over it", () => {
  const history = new RateHistory();
  history.add(10_000, numbers(0, 0));
  history.add(11_000, numbers(5, 5));
  const rates = history.before(
    [
      { at: 1_000, up: 100, down: 200 },
      { at: 11_000, up: 1, down: 1 },
    ],
    10_000,
  );
  assert.deepEqual(rates, [
    { at: 1_000, up: 10, down: 20 },
    { at: 11_000, up: 5, down: 5 },
  ]);
});
