// Installs what `npm start` and `npm test` need: the dependencies, and the native code built from source.
// Runs on the machine's own Node (20 or later), before the project's Node 24 is there.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const isWindows = process.platform === "win32";

/** Runs a command in the project; ends the set-up with one sentence when it fails. */
function run(what, command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", shell: isWindows });
  if (status === 0) return;
  console.error(`sockeye: ${what} failed: ${error?.message ?? `${command} ended with status ${status}`}`);
  process.exit(1);
}

/** True when the installed tree was made from the lock file as it is now. */
function dependenciesAreCurrent() {
  const stamp = join(root, "node_modules", ".sockeye-lock");
  return existsSync(stamp) && readFileSync(stamp, "utf8") === lockDigest();
}

function lockDigest() {
  return createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
}

const [major] = process.versions.node.split(".").map(Number);
if (major < 20) {
  console.error(`sockeye: Node 20 or later is needed to set up; this is ${process.version}`);
  process.exit(1);
}
if (!dependenciesAreCurrent()) {
  console.error("sockeye: installing dependencies (once)…");
  run("installing dependencies", "npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  mkdirSync(join(root, "node_modules"), { recursive: true });
  writeFileSync(join(root, "node_modules", ".sockeye-lock"), lockDigest());
}
const node = join(root, "node_modules", ".bin", isWindows ? "node.cmd" : "node");
run("building the native code", node, [join("native", "build.mjs")]);
run("building the interface", node, [join("scripts", "build-interface.mjs")]);
