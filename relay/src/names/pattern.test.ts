import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { randomId, randomLabel } from "./id.ts";
import { isNamePattern, matchesAny, matchesName } from "./pattern.ts";

test("patterns are lower-case labels with a few stars in them", () => {
  for (const pattern of ["*", "demo", "demo-*", "*-demo", "a*b*c", "xn--*"])
    assert.ok(isNamePattern(pattern), pattern);
  for (const pattern of ["", "Demo", "a.b", "a b", "[a-z]", "a?", "*a*b*c*d*e*", "x".repeat(64)])
    assert.ok(!isNamePattern(pattern), pattern);
});

test("a star stands for anything, or nothing, within one label", () => {
  const cases: [pattern: string, matching: string[], other: string[]][] = [
    ["*", ["a", "demo-1"], []],
    ["demo", ["demo"], ["demo1", "ademo"]],
    ["demo-*", ["demo-", "demo-1"], ["demo", "xdemo-1"]],
    ["*-demo", ["a-demo", "-demo"], ["demo", "a-demox"]],
    ["a*a", ["aa", "aba"], ["a", "ab"]],
    ["a*b*c", ["abc", "axbxc", "abbcc"], ["ac", "acb"]],
  ];
  for (const [pattern, matching, other] of cases) {
    for (const name of matching) assert.ok(matchesName(pattern, name), `${pattern} ${name}`);
    for (const name of other) assert.ok(!matchesName(pattern, name), `${pattern} ${name}`);
  }
  assert.ok(!matchesAny([], "demo"));
});

test("matching agrees with a regular expression of the same meaning", () => {
  const letters = (chars: readonly string[], maxLength: number) =>
    fc.array(fc.constantFrom(...chars), { minLength: 1, maxLength }).map((all) => all.join(""));
  fc.assert(
    fc.property(letters(["a", "b", "*"], 7), letters(["a", "b"], 9), (pattern, name) => {
      const expected = new RegExp(`^${pattern.replaceAll("*", ".*")}$`).test(name);
      assert.equal(matchesName(pattern, name), expected, `${pattern} ${name}`);
    }),
    { numRuns: 2_000 },
  );
});

test("ids are base62 of the length asked for, never twice the same, and every character is as likely as any other", () => {
  assert.match(randomId(), /^[0-9A-Za-z]{22}$/);
  assert.match(randomLabel(), /^[0-9a-z]{26}$/);
  assert.equal(new Set(Array.from({ length: 10_000 }, () => randomId())).size, 10_000);
  const counts = new Map<string, number>();
  for (const character of randomId(620_000)) counts.set(character, (counts.get(character) ?? 0) + 1);
  assert.equal(counts.size, 62);
  // 10,000 of each, with a standard deviation of 99; taking bytes modulo 62 would give the first eight 12,000.
  for (const [character, count] of counts)
    assert.ok(Math.abs(count - 10_000) < 700, `${character}: ${count}`);
});
