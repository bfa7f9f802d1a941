import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { nextOffset, WINDOW_ROWS } from "./flow-rows.ts";

test("what is on the screen is within the window, wherever one scrolls", () => {
  fc.assert(
    fc.property(fc.nat(10_000), fc.nat(10_000), fc.integer({ min: 1, max: 60 }), (offset, first, height) => {
      const next = nextOffset(offset, first, first + height);
      assert.ok(next >= 0 && next <= first);
      assert.ok(first + height <= next + WINDOW_ROWS);
    }),
  );
});

test("the window stays while what is on the screen is well within it", () => {
  const offset = nextOffset(0, 400, 440);
  for (let first = 400; first < 430; first++) assert.equal(nextOffset(offset, first, first + 40), offset);
});
