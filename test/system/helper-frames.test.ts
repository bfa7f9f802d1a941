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

interface Fuzzer {
  readonly command: readonly [string, ...string[]];
  /** "libFuzzer", or why it is not. */
  readonly by: string;
}

/**
 * Builds the fuzzer; without libFuzzer, the same check over mutated frames.
 * @throws {Error} where CI is set, which has libFuzzer, and it can't be built with it.
 */
async function build(output: string): Promise<Fuzzer> {
  const clang = ["clang++", "clang++-14"].find((name) => findProgram(name) !== undefined);
  try {
    if (clang === undefined) throw new Error("clang is not installed");
    await run(clang, ["-fsanitize=fuzzer,address,undefined", ...SOURCES, "-o", output], { cwd: FOLDER });
    const limits = [`-max_total_time=${FUZZ_SECONDS}`, "-max_len=4096", "-print_final_stats=1"];
    return { command: [output, ...limits], by: "libFuzzer" };
  } catch (error) {
    if (process.env["CI"]) throw error;
    const flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DSOCKEYE_MUTATE"];
    await run(process.env["CXX"] ?? "c++", [...flags, ...SOURCES, "-o", output], { cwd: FOLDER });
    return {
      command: [output, String(MUTATED_FRAMES)],
      by: `mutations, not libFuzzer: ${(error as Error).message}`,
    };
  }
}

const noCompiler = process.platform === "linux" ? false : "the helper is built on Linux";

it("the helper's parser of frames holds against broken ones", { skip: noCompiler }, async (t) => {
  const folder = makePeerFolder("frames");
  try {
    const { command, by } = await build(join(folder, "frames"));
    const [program, ...args] = command;
    const { stdout, stderr } = await run(program, args, { cwd: folder });
    const [, count] = /number_of_executed_units: (\d+)|^(\d+) frames/m.exec(stdout + stderr)!.filter(Boolean);
    t.diagnostic(`${count} frames by ${by}`);
    assert(Number(count) > 10_000, `only ${count} frames were tried`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
