/*
 * Kills the helper, or its engine, after a certain call of it that changes something: see step-killer.c. In a machine of
 * helper-machine.ts, whose /etc and /run are its own.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makePeerFolder } from "./peer-process.ts";

const SOURCE = fileURLToPath(new URL("step-killer.c", import.meta.url));
const LIBRARY = "/run/step-killer.so";
const ORDER = "/run/steps";
const HIT = "/run/steps.hit";

/** Who is killed: the process that serves, that and its guardian, the engine that it serves, or the one that cleans up. */
export type Victim = "worker" | "both" | "engine" | "clean-up";

const ORDERS: Record<Victim, (step: number) => string> = {
  worker: (step) => `worker ${step} self`,
  both: (step) => `worker ${step} both`,
  engine: (step) => `worker ${step} engine`,
  "clean-up": (step) => `main ${step} self`,
};

/** Compiles the killer. Before the machine is made: its /etc knows no compiler. */
export function buildStepKiller(): Buffer {
  const folder = makePeerFolder("step-killer");
  const output = join(folder, "step-killer.so");
  const flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"];
  try {
    execFileSync(process.env["CC"] ?? "cc", [...flags, "-o", output, SOURCE], { stdio: "inherit" });
    return readFileSync(output);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Has every program of this machine that starts from now on load the killer, which concerns itself with helpers only. */
export function installStepKiller(killer: Buffer): void {
  writeFileSync(LIBRARY, killer, { mode: 0o755 });
  writeFileSync("/etc/ld.so.preload", `${LIBRARY}\n`);
}

/** @param step from 1. */
export function killAtStep(victim: Victim, step: number): void {
  writeFileSync(ORDER, `${ORDERS[victim](step)}\n`);
}

/** Ends it. @returns the call after which it killed; undefined where it did not come so far. */
export function endKilling(): string | undefined {
  rmSync(ORDER, { force: true });
  const hit = existsSync(HIT) ? readFileSync(HIT, "utf8").trim() : undefined;
  rmSync(HIT, { force: true });
  return hit;
}
