import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { skipWithout } from "../peers/peer-process.ts";

const FOLDER = join(import.meta.dirname, "../../native/udp");
const SOURCES = ["check.cc", "socket.cc"].map((name) => join(FOLDER, name));
const FLAGS = ["-std=c++17", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

test(
  "native code sends batches of datagrams whole and in order, keeps what there is no room for, and touches no byte beyond",
  { skip: process.platform === "linux" ? skipWithout("c++") : "native/udp is Linux's" },
  () => {
    const folder = mkdtempSync(join(tmpdir(), "sockeye-udp-check-"));
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
