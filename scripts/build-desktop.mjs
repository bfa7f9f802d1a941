// Builds what the desktop app runs into .vite/build, or the folder that is named: main process, preload script, engine's process,
// interface, icons.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const output = resolve(process.argv[2] ?? join(root, ".vite", "build"));

run(join("scripts", "build-interface.mjs"));
run(join("scripts", "build-icons.mjs"));
rmSync(output, { recursive: true, force: true });
for (const name of ["main", "preload", "engine"]) {
  const config = join("electron", "vite", `${name}.config.ts`);
  run(join("node_modules", "vite", "bin", "vite.js"), ["build", "--config", config, "--outDir", output]);
}

function run(script, args = []) {
  const { status } = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(1);
}
