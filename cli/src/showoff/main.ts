#!/usr/bin/env node
import "@sockeye/engine/short-lives";
import { Command, CommanderError } from "commander";
import { VERSION } from "../context.ts";
import { CommandFailure, ExitCode } from "../exit-codes.ts";
import { complainAs, quietOnClosedPipe } from "../output.ts";
import { describeUsage } from "../usage.ts";
import { registerToken } from "../showoff-token.ts";
import { registerDemo } from "./demo.ts";
import { registerServe } from "./serve.ts";

quietOnClosedPipe(() => ExitCode.ok);
const program = new Command("showoff")
  .description("A public relay: services on machines that nobody can reach get a name here.")
  .version(VERSION, "-V, --version")
  .configureOutput({ outputError: () => {} })
  .exitOverride();
registerServe(program);
registerToken(program);
registerDemo(program);

try {
  await program.parseAsync(process.argv.slice(2), { from: "user" });
} catch (error) {
  process.exitCode = explain(error);
}

function explain(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.code === "commander.helpDisplayed" || error.code === "commander.version") return ExitCode.ok;
    if (error.code !== "commander.help") complainAs("showoff", describeUsage(error));
    return ExitCode.usage;
  }
  complainAs("showoff", error instanceof Error ? error.message : String(error));
  return error instanceof CommandFailure ? error.exitCode : ExitCode.failed;
}
