import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FIRST_WINDOW, MAX_WINDOW, MIN_WINDOW, ReceiveBudget, usefulWindow } from "./budget.ts";

const MB = 1024 * 1024;

test("the first channels start with OpenSSH's window, later ones with less", () => {
  const budget = new ReceiveBudget(256 * MB);
  const windows = Array.from({ length: 2000 }, () => budget.open());
  assert.equal(windows[0], FIRST_WINDOW);
  assert.equal(windows[15], FIRST_WINDOW);
  assert.ok(windows[99]! < FIRST_WINDOW && windows[99]! >= MIN_WINDOW);
  assert.equal(windows[1999], MIN_WINDOW);
  assert.ok(windows[299]! + budget.grow(0) >= 100_000, "with 300 open, a new one still starts with 100 KB");
});

test("half of the budget is left to grow in with 300 channels open", () => {
  const budget = new ReceiveBudget(256 * MB);
  for (let i = 0; i < 300; i++) budget.open();
  assert.ok(budget.promised < 128 * MB);
});

test("a window grows as far as the round trip can use it, and no further than OpenSSH's server bears", () => {
  assert.equal(usefulWindow(0), FIRST_WINDOW);
  assert.equal(usefulWindow(1), FIRST_WINDOW);
  assert.equal(usefulWindow(5), 5_000_000);
  assert.equal(usefulWindow(50), MAX_WINDOW);
  assert.equal(usefulWindow(Infinity), MAX_WINDOW);
});

test("whatever channels open, grow and close, no more than the budget and the least windows is promised", () => {
  const step = fc.record({ open: fc.boolean(), at: fc.nat(), grow: fc.nat(64 * MB) });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 64 * MB }), fc.array(step, { maxLength: 100 }), (max, steps) => {
      const budget = new ReceiveBudget(max);
      const windows: number[] = [];
      for (const { open, at, grow } of steps) {
        if (open) windows.push(budget.open());
        else if (windows.length > 0) {
          const i = at % windows.length;
          if (grow > 0) windows[i]! += budget.grow(grow);
          else budget.close(windows.splice(i, 1)[0]!);
        }
        assert.equal(
          budget.promised,
          windows.reduce((sum, window) => sum + window, 0),
        );
        assert.ok(budget.promised <= max + windows.length * MIN_WINDOW);
      }
      for (const window of windows) budget.close(window);
      assert.equal(budget.promised, 0);
    }),
  );
});
