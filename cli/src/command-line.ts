import { Command, CommanderError } from "commander";
import { ControlError } from "@sockeye/engine/control/control-error";
import type { EngineApi } from "@sockeye/engine/control/host";
import { registerCheck } from "./check.ts";
import { registerCleanUp } from "./clean-up.ts";
import { registerCompletion } from "./completion.ts";
import { type Context, VERSION } from "./context.ts";
import { registerDemo } from "./demo.ts";
import { CommandFailure, ExitCode } from "./exit-codes.ts";
import { registerExplain } from "./explain.ts";
import { registerFlows } from "./flows.ts";
import { complain, quietOnClosedPipe } from "./output.ts";
import { registerRun } from "./run.ts";
import { registerShare } from "./share.ts";
import { registerStatus } from "./status.ts";
import { registerTest } from "./test.ts";
import { registerUi } from "./ui.ts";
import { describeUsage } from "./usage.ts";
import { dropEmptyVariables, readSwitches } from "./variables.ts";

const HELP_AFTER = `
Each flag can be given by a variable too: --log-level by SOCKEYE_LOG_LEVEL, --json by SOCKEYE_JSON=1, and so on; --help
names them. A flag wins. An empty variable counts as none.

Exit status: 0 done, 1 failed, 2 wrong command line or SOCKEYE_* variable, 3 wrong configuration, 4 no running engine,
5 the tested upstream does not work, 6 nothing was shared in time, 130 and 143 ended by a signal.`;

/**
 * Runs the command line.
 * @param args without the program's own name.
 * @returns the exit status. What went wrong has been said on standard error, in one sentence; before it stands a line for
 * each problem of a configuration.
 */
export async function runCommandLine(
  args: readonly string[],
  loadEngine: () => Promise<EngineApi>,
): Promise<number> {
  const context: Context = { loadEngine, exitCode: ExitCode.ok };
  quietOnClosedPipe(() => context.exitCode);
  const program = createProgram(context);
  dropEmptyVariables(program, process.env);
  try {
    await program.parseAsync(args, { from: "user" });
    return context.exitCode;
  } catch (error) {
    return explainFailure(error, args);
  }
}

/** The whole tree of commands; completion is generated from it. */
export function createProgram(context: Context): Command {
  const program = new Command("sockeye")
    .description("Sends this machine's traffic upstream: to an SSH bastion, a SOCKS5 proxy or an HTTP proxy.")
    .version(VERSION, "-V, --version")
    .showSuggestionAfterError(true)
    .configureOutput({ outputError: () => {} })
    .addHelpText("after", HELP_AFTER)
    .hook("preSubcommand", (_, command) => readSwitches(command, process.env))
    .exitOverride();
  for (const register of [
    registerRun,
    registerCheck,
    registerTest,
    registerStatus,
    registerFlows,
    registerExplain,
    registerCleanUp,
    registerUi,
    registerShare,
    registerDemo,
    registerCompletion,
  ]) {
    register(program, context);
  }
  return program;
}

function explainFailure(error: unknown, args: readonly string[]): number {
  if (error instanceof CommanderError) return explainUsage(error);
  complain(error instanceof Error ? error.message : String(error));
  if (wantsStack(args) && error instanceof Error) process.stderr.write(`${error.stack ?? ""}\n`);
  if (error instanceof CommandFailure) return error.exitCode;
  if (!(error instanceof ControlError)) return ExitCode.failed;
  switch (error.code) {
    case "invalid-config":
    case "no-config-file":
    case "unknown-upstream":
      return ExitCode.config;
    case "closed":
      return ExitCode.noEngine;
    default:
      return ExitCode.failed;
  }
}

/** commander ends by throwing, for help and version too. */
function explainUsage(error: CommanderError): number {
  if (error.code === "commander.helpDisplayed" || error.code === "commander.version") return ExitCode.ok;
  // No command was given: commander has printed the help.
  if (error.code === "commander.help") return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  complain(describeUsage(error));
  return ExitCode.usage;
}

function wantsStack(args: readonly string[]): boolean {
  const at = args.indexOf("--log-level");
  const level = at === -1 ? process.env["SOCKEYE_LOG_LEVEL"] : args[at + 1];
  return level === "trace" || args.includes("--log-level=trace");
}
