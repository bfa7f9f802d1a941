/* Runs a Node process with a small library of a test's in the place of functions of the C library (ld.so(8)). */
import { execFile, execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { makePeerFolder } from "./peer-process.ts";

export interface Preloaded {
  /** Of a file of this folder, in C. */
  readonly library: string;
  /** Of one in TypeScript. */
  readonly script: string;
  readonly flags?: readonly string[];
  /** What is to be in the environment, for a folder that goes with the process. */
  readonly env?: (folder: string) => NodeJS.ProcessEnv;
}

/** @returns what the script prints. @throws {Error} where it does not compile, fails, or takes a minute. */
export async function runPreloaded({ library, script, flags = [], env }: Preloaded): Promise<string> {
  const folder = makePeerFolder("preloaded");
  const built = join(folder, "preloaded.so");
  try {
    const strictly = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"];
    execFileSync(process.env["CC"] ?? "cc", [...strictly, "-o", built, besideThis(library)], {
      stdio: "inherit",
    });
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, besideThis(script)], {
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, LD_PRELOAD: built, ...env?.(folder) },
      timeout: 60_000,
    });
    return stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function besideThis(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}
