import { Argument } from "commander";
import type { ControlExplanation } from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import { type Endpoint, formatEndpoint } from "@sockeye/engine/endpoint";
import { withEngine } from "./ask.ts";
import type { Register } from "./context.ts";
import {
  chosenConfig,
  configOption,
  engineOption,
  jsonOption,
  parseTarget,
  requiredConfig,
} from "./options.ts";
import { print, printJson } from "./output.ts";
import { describeProblems } from "./problems.ts";

interface ExplainOptions {
  readonly config?: string;
  readonly engine?: string;
  readonly json?: boolean;
}

/** `sockeye explain HOST:PORT` */
export const registerExplain: Register = (program) => {
  program
    .command("explain")
    .description("which rule decides for a destination, which upstream carries it, and why")
    .addArgument(new Argument("<target>", "the destination, as HOST:PORT").argParser(parseTarget))
    .addOption(configOption())
    .addOption(engineOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nWithout --config the running engine is asked; where none runs, the default file is read.\n" +
        'In JSON "rule" is the index in routes, from 0, and absent for the default; sentences count rules from 1.',
    )
    .action(async (target: Endpoint, options: ExplainOptions) => {
      const json = options.json === true;
      const explanation = await explain(target, options);
      if (json) printJson(explanation);
      else print(describe(explanation));
    });
};

async function explain(target: Endpoint, options: ExplainOptions): Promise<ControlExplanation> {
  if (options.config !== undefined) return explainByFile(target, requiredConfig(options.config));
  const file = chosenConfig(undefined);
  if (options.engine === undefined && file !== undefined && !(await engineRuns()))
    return explainByFile(target, file);
  return withEngine(options.engine, (client) => client.call("explain", { target }));
}

async function engineRuns(): Promise<boolean> {
  const { findEngine, NoEngineError } = await import("@sockeye/engine/control/client");
  try {
    findEngine();
    return true;
  } catch (error) {
    // Several run: the sentence about that is the better answer than a file that perhaps none of them uses.
    return error instanceof NoEngineError && error.message.startsWith("several");
  }
}

async function explainByFile(target: Endpoint, file: string): Promise<ControlExplanation> {
  const [{ readConfiguration }, { createRouter }, { describeExplanation }] = await Promise.all([
    import("./config-file.ts"),
    import("@sockeye/engine/router/router"),
    import("@sockeye/engine/control/describe"),
  ]);
  const loaded = await readConfiguration(file);
  if ("errors" in loaded) {
    process.stderr.write(`${describeProblems(file, loaded.text, loaded.errors, process.stderr)}\n`);
    throw new ControlError("invalid-config", "the configuration has errors", { problems: loaded.errors });
  }
  const { config } = loaded;
  return describeExplanation(target, createRouter(config.routes, config.default), config);
}

function describe(explanation: ControlExplanation): string {
  const { target, to, rule, matched, reason, chain, tun } = explanation;
  const way = chain.length > 1 ? ` (${chain.join(" → ")})` : "";
  const by = rule === undefined ? "the default" : `rule ${rule + 1}: ${matched}`;
  return `${formatEndpoint(target)} → ${to}${way}\n  by ${by}\n  ${reason}\n  ${describeTun(tun)}`;
}

function describeTun({ enabled, captured, reason }: ControlExplanation["tun"]): string {
  const what = {
    yes: enabled ? "captures it" : "is off, and would capture it",
    no: enabled ? "does not capture it" : "is off, and would not capture it",
    unknown: enabled ? "may capture it" : "is off, and might capture it",
  }[captured];
  return `TUN mode ${what}: ${reason}`;
}
