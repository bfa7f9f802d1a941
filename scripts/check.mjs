// `npm run check`: types, lint, formatting and unused code. Every part runs, so that one look shows all that is wrong.
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";

/** The longest first. */
const parts = [
  ["lint", "eslint", ["--max-warnings", "0", "."]],
  ["types", "tsc", ["--project", "tsconfig.json"]],
  ["types of the interface", "tsc", ["--project", "renderer/tsconfig.json"]],
  ["formatting", "prettier", ["--check", "--log-level", "warn", "."]],
  ["unused code", "knip", ["--no-progress", "--treat-config-hints-as-errors"]],
];

/** Each part computes on one thread, for a minute or so. */
const CONCURRENCY = availableParallelism();

const failed = [];
const queue = parts.values();
await Promise.all(Array.from({ length: CONCURRENCY }, work));
if (failed.length > 0) {
  console.error(`check: failed: ${failed.join(", ")}`);
  process.exit(1);
}

async function work() {
  for (const [name, command, args] of queue) {
    const started = performance.now();
    const { status, output } = await run(command, args);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    process.stdout.write(output);
    console.log(`check: ${name} ${status === 0 ? "ok" : "FAILED"} (${seconds} s)`);
    if (status !== 0) failed.push(name);
  }
}

/** What it printed comes in one piece at its end: several run at once. */
function run(command, args) {
  return new Promise((resolve) => {
    let output = "";
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      shell: process.platform === "win32",
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => {
        output += text;
      });
    child.once("error", (error) => resolve({ status: null, output: `${error.message}\n` }));
    child.once("close", (status) => resolve({ status, output }));
  });
}
