import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Numbered } from "./numbered.ts";

test("objects are found by their numbers, whatever comes and goes", () => {
  const step = fc.record({ comes: fc.boolean(), id: fc.oneof(fc.nat(80), fc.nat(2 ** 32 - 1)) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const numbered = new Numbered<{ id: number }>();
      const expected = new Map<number, { id: number }>();
      for (const { comes, id } of steps) {
        if (!comes) assert.equal(numbered.delete(id), expected.delete(id));
        else if (expected.has(id)) assert.throws(() => numbered.add(id, { id }), RangeError);
        else {
          const item = { id };
          numbered.add(id, item);
          expected.set(id, item);
        }
        assert.equal(numbered.get(id), expected.get(id));
        assert.equal(numbered.has(id), expected.has(id));
        assert.equal(numbered.size, expected.size);
      }
      const byId = (one: { id: number }, other: { id: number }): number => one.id - other.id;
      assert.deepEqual(numbered.all().sort(byId), [...expected.values()].sort(byId));
    }),
  );
});
