// `npm run check`: types, lint, formatting and unused code. Every part runs, so that one look shows all that is wrong.
import { spawnSync } from "node:child_process";

const parts = [
  ["types", "tsc", ["--project", "tsconfig.json"]],
  ["types of the interface", "tsc", ["--project", "renderer/tsconfig.json"]],
  ["lint", "eslint", ["--max-warnings", "0", "."]],
  ["formatting", "prettier", ["--check", "--log-level", "warn", "."]],
  ["unused code", "knip", ["--no-progress", "--treat-config-hints-as-errors"]],
];

const failed = [];
for (const [name, command, args] of parts) {
  const started = performance.now();
  const { status } = spawnSync(command, args, { stdio: "inherit", shell: process.platform === "win32" });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`check: ${name} ${status === 0 ? "ok" : "FAILED"} (${seconds} s)`);
  if (status !== 0) failed.push(name);
}
if (failed.length > 0) {
  console.error(`check: failed: ${failed.join(", ")}`);
  process.exit(1);
}
