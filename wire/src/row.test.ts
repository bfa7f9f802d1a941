import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Place, Row } from "./row.ts";

test("a row holds who has entered and not left, in the order of coming", () => {
  const step = fc.record({ comes: fc.boolean(), who: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const row = new Row<number>();
      const places: Place<number>[] = [];
      let expected: Place<number>[] = [];
      for (const [number, { comes, who }] of steps.entries()) {
        const leaving = places[who];
        if (comes) {
          places.push(row.enter(new Place(number)));
          expected.push(places.at(-1)!);
        } else if (leaving !== undefined) {
          assert.equal(row.leave(leaving), expected.includes(leaving));
          expected = expected.filter((place) => place !== leaving);
        }
        assert.equal(row.size, expected.length);
        assert.equal(row.first, expected[0]);
        assert.deepEqual(
          Array.from(row, ({ item }) => item),
          expected.map(({ item }) => item),
        );
      }
    }),
  );
});

test("who leaves a row while it is walked through is met all the same, and leaves once", () => {
  const row = new Row<string>();
  const [one, two] = ["one", "two"].map((name) => row.enter(new Place(name)));
  const met: string[] = [];
  for (const place of row) {
    met.push(place.item);
    row.leave(one!);
    row.leave(two!);
  }
  assert.deepEqual(met, ["one", "two"]);
  assert.equal(row.size, 0);
  assert.equal(row.leave(one!), false);
});
