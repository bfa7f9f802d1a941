import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { skipWithout } from "../peers/peer-process.ts";

const FOLDER = join(import.meta.dirname, "../../native/tun");
const SOURCES = ["check.cc", "segment.cc", "checksum.cc"].map((name) => join(FOLDER, name));
const FLAGS = ["-std=c++17", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

test(
  "native code cuts packets and sums them as a plain reference does, and touches no byte beyond",
  { skip: process.platform === "win32" ? "the sanitizers are g++'s and clang's" : skipWithout("c++") },
  () => {
    const folder = mkdtempSync(join(tmpdir(), "sockeye-tun-check-"));
    try {
      const program = join(folder, "check");
      const built = spawnSync("c++", [...FLAGS, ...SOURCES, "-o", program], { encoding: "utf8" });
      assert.equal(built.status, 0, built.stderr);
      const run = spawnSync(program, { encoding: "utf8", timeout: 60_000 });
      assert.equal(run.status, 0, run.stderr);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
