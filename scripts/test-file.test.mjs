import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runFile } from "./test-file.mjs";

const folder = mkdtempSync(join(tmpdir(), "sockeye-test-"));
after(() => rmSync(folder, { recursive: true }));

let written = 0;

/** Runs a test file that holds this code. */
function runCode(code) {
  const file = join(folder, `${++written}.test.ts`);
  writeFileSync(file, `import { describe, it, test } from "node:test";\n${code}`);
  return runFile(file, { leakTimeoutMs: 500, fileTimeoutMs: 2000 });
}

test("subtests and the tests of suites are counted, their parents are not", async () => {
  const result = await runCode(`
    test("parent", async (t) => { await t.test("one", () => {}); await t.test("two", () => {}); });
    describe("suite", () => { it("three", () => {}); describe("inner", () => { it("four", () => {}); }); });
    test("five", () => {});`);
  assert.equal(result.passed, 5);
  assert.deepEqual(result.failures, []);
});

test("a failed subtest counts once, and a parent that fails for itself counts too", async () => {
  const result = await runCode(`
    test("parent", async (t) => { await t.test("broken child", () => { throw new Error("why"); }); });
    test("broken parent", async (t) => { await t.test("good child", () => {}); throw new Error("why"); });`);
  assert.equal(result.passed, 1);
  assert.deepEqual(
    result.failures.map((failure) => failure.name),
    ["broken child", "broken parent"],
  );
});

test("skipped tests come with their reasons", async () => {
  const result = await runCode(`
    test("no peer", { skip: "danted is not installed" }, () => {});
    test("found out late", (t) => t.skip("no IPv6"));`);
  assert.equal(result.passed, 0);
  assert.deepEqual(result.skips, ["no peer: danted is not installed", "found out late: no IPv6"]);
});

const endings = [
  ["a crash on import", `test("fine", () => {}); throw new Error("crash");`, /ended with status/],
  ["an early exit", `test("quits", () => process.exit(0)); test("next", () => {});`, /no test ran|"quits"/],
  ["an error after the last test", `test("fine", () => {}); setTimeout(() => { throw 1; }, 50);`, /status 1/],
  ["a file without a test", `describe;`, /no test ran/],
  ["a handle left open", `test("fine", () => {}); setInterval(() => {}, 1000);`, /left open/],
  [
    "a test that never ends",
    `test("stuck", () => new Promise(() => {}));`,
    /did not finish|cancelled|pending|"stuck"/,
  ],
];
for (const [what, code, reason] of endings) {
  test(`${what} is a failure`, async () => {
    const result = await runCode(code);
    assert.equal(result.failures.length, 1);
    assert.match(result.failures[0].error, reason);
  });
}
