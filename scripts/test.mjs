// `npm test [-- PATTERN …]`: the checks, then every test file, then one plain line that counts them.
// With patterns, only the test files whose path contains one of them, without the checks.
//
// Each file runs in a process of its own that this script owns, so that a crash on import, a test that never ends and a
// handle that is left open are failures with a name, and none of them stops the run.
//
// Real servers and deadlines make some tests depend on how busy the machine is. The few files that fail beside others run
// once more, alone; what passes then is told as UNSTEADY, with what went wrong the first time, and is there to be mended.
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { relative } from "node:path";
import { endRunningFiles, runFile } from "./test-file.mjs";

/** Tests wait for sockets more than they compute. */
const CONCURRENCY = availableParallelism() + 1;

/** More files than this that fail at once are no accident of timing. */
const MAX_SECOND_TRIES = 6;

const totals = { passed: 0, failed: 0, skipped: 0 };
const skips = [];
/** What failed beside others. */
const failed = [];

const patterns = process.argv.slice(2);
const files = findTestFiles(patterns);
if (files.length === 0) {
  console.error(`no test file matches ${patterns.join(", ")}`);
  process.exit(2);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    endRunningFiles();
    process.exit(130);
  });
}

if (patterns.length === 0) {
  const { status } = spawnSync(process.execPath, ["scripts/check.mjs"], { stdio: "inherit" });
  totals[status === 0 ? "passed" : "failed"] += 1;
}
const queue = files.values();
await Promise.all(
  Array.from({ length: CONCURRENCY }, async () => {
    for (const file of queue) {
      const result = await runFile(file);
      if (result.failures.length === 0) report(file, result);
      else failed.push({ file, result });
    }
  }),
);
const unsteady = [];
for (const { file, result } of failed) {
  const second = failed.length <= MAX_SECOND_TRIES ? await runFile(file) : result;
  if (second.failures.length === 0) unsteady.push({ file, result });
  report(file, second);
}
for (const { file, result } of unsteady) {
  console.log(`UNSTEADY ${file}: passed alone, and failed beside others`);
  describeFailures(result);
}
for (const skip of skips) console.log(`SKIPPED ${skip}`);
const { passed, skipped } = totals;
console.log(`\n${passed} passed, ${totals.failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = totals.failed === 0 ? 0 : 1;

/** System tests first: they take longest. */
function findTestFiles(wanted) {
  const found = globSync(
    "{wire,link,config-kit,engine,relay,renderer,cli,electron,native,test,bench,scripts}/**/*.test.{ts,mjs}",
    {
      exclude: (path) => path.includes("node_modules"),
    },
  ).map((path) => path.replaceAll("\\", "/"));
  return found
    .filter((path) => wanted.length === 0 || wanted.some((pattern) => path.includes(pattern)))
    .sort((a, b) => Number(b.startsWith("test/")) - Number(a.startsWith("test/")) || a.localeCompare(b));
}

/** One line for a file that passed; everything known about one that did not. */
function report(file, result) {
  totals.passed += result.passed;
  totals.failed += result.failures.length;
  totals.skipped += result.skips.length;
  skips.push(...result.skips.map((skip) => `${file}: ${skip}`));
  const counts = `${result.passed} passed${result.skips.length > 0 ? `, ${result.skips.length} skipped` : ""}`;
  const time = `${result.seconds.toFixed(1)} s`;
  if (result.failures.length === 0) {
    console.log(`ok      ${file} (${counts}, ${time})`);
    return;
  }
  console.log(`FAILED  ${file} (${counts}, ${result.failures.length} failed, ${time})`);
  describeFailures(result);
}

function describeFailures(result) {
  if (result.output.trim() !== "") console.log(indent(`--- its output\n${result.output.trimEnd()}\n---`));
  for (const failure of result.failures) {
    const place = failure.place === "" ? "" : ` (${relative(process.cwd(), failure.place)})`;
    console.log(indent(`✖ ${failure.name}${place}\n${indent(failure.error ?? "no reason given")}`));
  }
}

function indent(text) {
  return text.replaceAll(/^/gm, "    ");
}
