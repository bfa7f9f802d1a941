/* Runs a Node process with its calls of malloc(3) counted: see allocation-counter.c. */
import { execFile, execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { makePeerFolder } from "./peer-process.ts";

const SOURCE = fileURLToPath(new URL("allocation-counter.c", import.meta.url));
const PAGE_BYTES = 4096;
/** The young generation is so large that nothing of it is collected while something is measured. */
const FLAGS = ["--expose-gc", "--min-semi-space-size=64", "--max-semi-space-size=64"];

/** @returns what the script prints. @throws {Error} where it fails. */
export async function runCounted(script: string): Promise<string> {
  const folder = makePeerFolder("allocations");
  const [library, counter] = [join(folder, "counter.so"), join(folder, "counter")];
  try {
    const flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"];
    execFileSync(process.env["CC"] ?? "cc", [...flags, "-o", library, SOURCE], { stdio: "inherit" });
    writeFileSync(counter, Buffer.alloc(PAGE_BYTES));
    const { stdout } = await promisify(execFile)(process.execPath, [...FLAGS, script], {
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, LD_PRELOAD: library, ALLOCATIONS: counter },
      timeout: 60_000,
    });
    return stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
