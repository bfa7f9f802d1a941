import { Option } from "commander";
import { CommandFailure, ExitCode } from "./exit-codes.ts";
import type { Register } from "./context.ts";
import { engineOption } from "./options.ts";

/** `sockeye ui` */
export const registerUi: Register = (program) => {
  program
    .command("ui")
    .description("open the running engine's interface in a browser")
    .addOption(engineOption())
    .addOption(
      new Option("--print", "print its address instead; it holds the token, so keep it to yourself").env(
        "SOCKEYE_PRINT",
      ),
    )
    .addHelpText("after", "\nThe engine serves it where it was started with: sockeye run --ui")
    .action(async (options: { engine?: string; print?: boolean }) => {
      const { findEngine, NoEngineError } = await import("@sockeye/engine/control/client");
      const { presentInterface } = await import("./interface.ts");
      let entry;
      try {
        entry = findEngine({ name: options.engine });
      } catch (error) {
        if (error instanceof NoEngineError) throw new CommandFailure(ExitCode.noEngine, error.message, error);
        throw error;
      }
      // The page is left for the browser to read; the engine takes it away with its token.
      await presentInterface(entry, options.print === true ? "print" : "open");
    });
};
