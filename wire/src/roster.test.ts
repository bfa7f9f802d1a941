import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Roster } from "./roster.ts";

test("a roster is a set in the order of coming, whatever comes and goes", () => {
  const step = fc.record({ comes: fc.boolean(), who: fc.nat(7) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const people = Array.from({ length: 8 }, (_, name) => ({ name }));
      const roster = new Roster<{ name: number }>();
      const expected = new Set<{ name: number }>();
      for (const { comes, who } of steps) {
        const one = people[who]!;
        if (comes) {
          roster.add(one);
          expected.add(one);
        } else assert.equal(roster.delete(one), expected.delete(one));
        assert.equal(roster.has(one), expected.has(one));
        assert.equal(roster.size, expected.size);
        assert.equal(roster.first, [...expected][0]);
        assert.deepEqual([...roster], [...expected]);
      }
    }),
  );
});

test("an object may be in two rosters, and be taken out of one while it is walked through", () => {
  const [one, two, three] = [{}, {}, {}] as const;
  const a = new Roster<object>();
  const b = new Roster<object>();
  for (const each of [one, two, three]) {
    a.add(each);
    b.add(each);
  }
  const met: object[] = [];
  for (const each of a) {
    met.push(each);
    a.delete(each);
    a.delete(two);
  }
  assert.deepEqual(met, [one, two, three]);
  assert.equal(a.size, 0);
  assert.deepEqual([...b], [one, two, three]);
});
