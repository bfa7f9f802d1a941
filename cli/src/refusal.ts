import { readFile } from "node:fs/promises";
import { ControlError } from "@sockeye/engine/control/control-error";
import { CommandFailure, ExitCode } from "./exit-codes.ts";
import { describeProblems } from "./problems.ts";

/**
 * What to end with when the engine would not take a configuration. Where that was for what the file holds, each problem
 * has been printed in its place.
 */
export async function explainRefusal(error: unknown, configFile: string | undefined): Promise<unknown> {
  if (!(error instanceof ControlError) || configFile === undefined) return error;
  if (error.code === "no-config-file") return unreadable(configFile, error.cause);
  if (error.problems !== undefined) {
    const text = await readFile(configFile, "utf8").catch(() => "");
    process.stderr.write(`${describeProblems(configFile, text, error.problems, process.stderr)}\n`);
  }
  return error;
}

/** A configuration file that can't be read, and why, from the system's error. */
export function unreadable(file: string, error: unknown): CommandFailure {
  return new CommandFailure(ExitCode.config, `can't read ${file}: ${why(error)}`, error);
}

function why(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case "ENOENT":
      return "it does not exist";
    case "EACCES":
      return "permission denied";
    case "EISDIR":
      return "it is a folder";
    default:
      return message;
  }
}
