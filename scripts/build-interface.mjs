// Builds the interface into renderer/dist, unless it was built from these very files.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const stamp = join(root, "renderer", "dist", ".sources");

/** What ends in the bundle: our sources, the contract that they import, and the versions of what else they do. */
const sources = ["renderer/src", "renderer/public", "engine/src/control"];
const files = ["renderer/index.html", "renderer/vite.config.ts", "package-lock.json"];

function digest() {
  const hash = createHash("sha256");
  const found = sources.filter((folder) => existsSync(join(root, folder))).flatMap(filesIn);
  for (const file of [...files, ...found]) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update("\0");
  }
  return hash.digest("hex");
}

function filesIn(folder) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.includes(".test."))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}

const wanted = digest();
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
  const vite = join(root, "node_modules", "vite", "bin", "vite.js");
  const { status } = spawnSync(process.execPath, [vite, "build", "renderer", "--logLevel", "warn"], {
    cwd: root,
    stdio: "inherit",
  });
  if (status !== 0) process.exit(1);
  writeFileSync(stamp, wanted);
}
