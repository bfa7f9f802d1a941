import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { findProgram, makePeerFolder } from "../peers/peer-process.ts";

const run = promisify(execFile);
const FOLDER = fileURLToPath(new URL("../../native/helper", import.meta.url));
const SOURCES = ["-std=c++17", "-g", "-O1", "fuzz_frames.cc", "frames.cc"];
const FUZZ_SECONDS = 2;
const MUTATED_FRAMES = 300_000;

/** Builds the fuzzer; without libFuzzer, the same check over mutated frames. @returns the command to run. */
async function build(output: string): Promise<readonly [string, ...string[]]> {
  const clang = ["clang++", "clang++-14"].find((name) => findProgram(name) !== undefined);
  try {
    if (clang === undefined) throw new Error("no clang");
    await run(clang, ["-fsanitize=fuzzer,address,undefined", ...SOURCES, "-o", output], { cwd: FOLDER });
    return [output, `-max_total_time=${FUZZ_SECONDS}`, "-max_len=4096", "-print_final_stats=1"];
  } catch {
    const flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DSOCKEYE_MUTATE"];
    await run(process.env["CXX"] ?? "c++", [...flags, ...SOURCES, "-o", output], { cwd: FOLDER });
    return [output, String(MUTATED_FRAMES)];
  }
}

const noCompiler = process.platform === "linux" ? false : "the helper is built on Linux";

it("the helper's parser of frames holds against broken ones", { skip: noCompiler }, async () => {
  const folder = makePeerFolder("frames");
  try {
    const [program, ...args] = await build(join(folder, "frames"));
    const { stdout, stderr } = await run(program, args, { cwd: folder });
    const [, count] = /number_of_executed_units: (\d+)|^(\d+) frames/m.exec(stdout + stderr)!.filter(Boolean);
    assert(Number(count) > 10_000, `only ${count} frames were tried`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
