import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FLAGS = ["-std=c++17", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/** Builds a program of `native/` with the sanitizers of addresses and of undefined behaviour, and asserts that it finds nothing wrong. */
export function assertNativeCheck(folder: string, sources: readonly string[]): void {
  const output = mkdtempSync(join(tmpdir(), "sockeye-native-check-"));
  try {
    const program = join(output, "check");
    const files = sources.map((name) => join(folder, name));
    const built = spawnSync("c++", [...FLAGS, ...files, "-o", program], { encoding: "utf8" });
    assert.equal(built.status, 0, built.stderr);
    const run = spawnSync(program, { encoding: "utf8", timeout: 60_000 });
    assert.equal(run.status, 0, run.stderr);
  } finally {
    rmSync(output, { recursive: true });
  }
}
