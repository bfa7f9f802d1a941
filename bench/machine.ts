import { execFileSync, spawnSync } from "node:child_process";
import { cpus, loadavg, release, totalmem, type } from "node:os";

/** What the figures depend on besides the code, as lines for people. */
export function describeMachine(): string[] {
  const processors = cpus();
  const opensshVersion = spawnSync("ssh", ["-V"], { encoding: "utf8" });
  return [
    `processor: ${processors[0]?.model.trim() ?? "unknown"}, ${processors.length} cores`,
    `memory: ${(totalmem() / 1e9).toFixed(0)} GB`,
    `kernel: ${type()} ${release()}`,
    `Node: ${process.version}`,
    `OpenSSH: ${opensshVersion.error === undefined ? opensshVersion.stderr.trim() : "not installed"}`,
    `date: ${new Date().toISOString().slice(0, 10)}`,
    `commit: ${commit()}`,
  ];
}

function commit(): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync("git", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
    // The results file itself is what a run changes.
    const changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/RESULTS.md");
    return git("rev-parse", "--short", "HEAD") + (changed === "" ? "" : ", with changes");
  } catch {
    return "unknown";
  }
}

/** A sentence when the machine is busy with something else, so that the figures say little; undefined when it is not. */
export function describeOtherLoad(): string | undefined {
  const load = loadavg()[0]!;
  if (load < cpus().length / 2) return undefined;
  return `the machine was busy before the run began (load average ${load.toFixed(1)}): the figures say little`;
}
