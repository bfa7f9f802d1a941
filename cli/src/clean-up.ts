import { existsSync } from "node:fs";
import { cleanUpAll, helperProgram } from "@sockeye/engine/helper/spawn";
import type { Register } from "./context.ts";
import { CommandFailure, ExitCode } from "./exit-codes.ts";
import { jsonOption } from "./options.ts";
import { paint, print, printJson } from "./output.ts";

/** `sockeye cleanup` */
export const registerCleanUp: Register = (program) => {
  program
    .command("cleanup")
    .description("undo what TUN mode left on this machine when it was killed, a kill switch too (as root)")
    .addOption(jsonOption())
    .action((options: { json?: boolean }) => {
      const json = options.json === true;
      const helper = helperProgram();
      if (!existsSync(helper))
        throw new CommandFailure(
          ExitCode.failed,
          `${helper} is not built: \`npm run build:native\`. Without it TUN mode can have left nothing`,
        );
      if (process.getuid?.() !== 0)
        throw new CommandFailure(
          ExitCode.failed,
          `routes and name servers are root's to change: \`sudo ${helper} --cleanup\``,
        );
      const { undone, problem } = cleanUpAll();
      if (problem !== "") throw new CommandFailure(ExitCode.failed, inOurWords(problem));
      if (json) printJson({ undone });
      else if (undone.length === 0) print("nothing was left to undo");
      else for (const each of undone) print(`${paint("✓", "green", process.stdout)} undone: ${each}`);
    });
};

/** The helper says its own name before each line. */
function inOurWords(problem: string): string {
  return problem
    .split("\n")
    .map((line) => line.replace(/^sockeye-helper: /, ""))
    .join("; ");
}
