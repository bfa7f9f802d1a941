// `npm test [-- PATTERN …]`: the checks, then every test file, then one plain line that counts them.
// With patterns, only the test files whose path contains one of them, without the checks.
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const patterns = process.argv.slice(2);
const testFiles = globSync("{wire,engine,cli,native,test,bench}/**/*.test.ts", {
  exclude: (path) => path.includes("node_modules"),
})
  .filter((path) => patterns.length === 0 || patterns.some((pattern) => path.includes(pattern)))
  .sort();

let passed = 0;
let failed = 0;
let skipped = 0;

if (patterns.length === 0) {
  const { status } = spawnSync(process.execPath, ["scripts/check.mjs"], { stdio: "inherit" });
  if (status === 0) passed += 1;
  else failed += 1;
}
if (testFiles.length === 0) {
  console.error(`no test file matches ${patterns.join(", ")}`);
  process.exit(2);
}

const skips = [];
const events = run({ files: testFiles, concurrency: 2, timeout: 10 * 60_000 });
events.on("test:pass", (event) => {
  if (event.details.type === "suite" || testFiles.some((file) => event.name.endsWith(file))) return;
  if (event.skip === undefined) passed += 1;
  else {
    skipped += 1;
    skips.push(`${event.name}: ${typeof event.skip === "string" ? event.skip : "no reason given"}`);
  }
});
events.on("test:fail", (event) => {
  if (event.details.type !== "suite") failed += 1;
});
events.on("end", () => {
  for (const skip of skips) console.log(`SKIPPED ${skip}`);
  process.exitCode = failed === 0 ? 0 : 1;
  process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`);
});
events.compose(new spec()).pipe(process.stdout, { end: false });
