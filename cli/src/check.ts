import type { Register } from "./context.ts";
import { ExitCode } from "./exit-codes.ts";
import { jsonOption, requiredConfig } from "./options.ts";
import { paint, print, printJson } from "./output.ts";
import { describeProblems } from "./problems.ts";

/** `sockeye check FILE` */
export const registerCheck: Register = (program, context) => {
  program
    .command("check")
    .description("check a configuration file and print every problem with its place")
    .argument("[file]", "the file; without it, the one that run would use (env: SOCKEYE_CONFIG)")
    .addOption(jsonOption())
    .action(async (given: string | undefined, options: { json?: boolean }) => {
      const json = options.json === true;
      const file = requiredConfig(given ?? process.env["SOCKEYE_CONFIG"]);
      const { readConfiguration } = await import("./config-file.ts");
      const { warnOfFiles } = await import("@sockeye/engine/config/files");
      const loaded = await warnOfFiles(await readConfiguration(file));
      const errors = "errors" in loaded ? loaded.errors : [];
      if (errors.length > 0) context.exitCode = ExitCode.config;
      if (json) {
        printJson({ file, ok: errors.length === 0, errors, warnings: loaded.warnings });
        return;
      }
      const shown = given ?? file;
      if (loaded.warnings.length > 0) {
        const warnings = loaded.warnings.map((problem) => ({
          ...problem,
          message: `warning: ${problem.message}`,
        }));
        process.stderr.write(`${describeProblems(shown, loaded.text, warnings, process.stderr)}\n`);
      }
      if (errors.length > 0) {
        process.stderr.write(`${describeProblems(shown, loaded.text, errors, process.stderr)}\n`);
        return;
      }
      print(`${paint("✓", "green", process.stdout)} ${shown} is right`);
    });
};
