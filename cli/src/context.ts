import { homedir } from "node:os";
import type { Command } from "commander";
import type { EngineApi } from "@sockeye/engine/control/host";
import { defaultPaths, type Paths } from "@sockeye/engine/config/paths";
import packageFile from "../package.json" with { type: "json" };

/** What a command works with besides its own flags. */
export interface Context {
  /** The engine is loaded by the commands that need it: `--help` and completion are quick without. */
  readonly loadEngine: () => Promise<EngineApi>;
  /** The outcome, where it is not the ordinary 0. */
  exitCode: number;
}

/** Adds one command to the program. */
export type Register = (program: Command, context: Context) => void;

export const VERSION: string = packageFile.version;

/** Where this user's files are. */
export function currentPaths(): Paths {
  return defaultPaths({ env: process.env, home: homedir(), platform: process.platform });
}
