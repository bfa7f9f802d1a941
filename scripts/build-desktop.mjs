// Builds what the desktop app runs into .vite/build: main process, preload script, engine's process, interface, icons.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

run(join("scripts", "build-interface.mjs"));
run(join("scripts", "build-icons.mjs"));
rmSync(join(root, ".vite"), { recursive: true, force: true });
for (const name of ["main", "preload", "engine"]) {
  const config = join("electron", "vite", `${name}.config.ts`);
  run(join("node_modules", "vite", "bin", "vite.js"), ["build", "--config", config]);
}

function run(script, args = []) {
  const { status } = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(1);
}
