import { InvalidArgumentError, Option } from "commander";
import { type Endpoint, formatEndpoint } from "@sockeye/engine/endpoint";
import { DialError } from "@sockeye/engine/errors";
import { Deadline } from "@sockeye/engine/upstream/deadline";
import type { UpstreamTestResult } from "@sockeye/engine/upstream/upstream";
import { type Context, type Register, VERSION } from "./context.ts";
import { ExitCode } from "./exit-codes.ts";
import {
  configOption,
  jsonOption,
  type Level,
  logLevelOption,
  parseTarget,
  requiredConfig,
} from "./options.ts";
import { print, printJson } from "./output.ts";
import { createTerminalPrompter } from "./prompt.ts";
import { explainRefusal } from "./refusal.ts";
import { StepLines } from "./step-lines.ts";

interface TestCommandOptions {
  readonly config?: string;
  readonly target?: Endpoint;
  readonly timeout: number;
  readonly logLevel?: Level;
  readonly json?: boolean;
}

/** `sockeye test UPSTREAM` */
export const registerTest: Register = (program, context) => {
  program
    .command("test")
    .description("connect to an upstream afresh and print each step")
    .argument("<upstream>", "its name in the configuration, or direct")
    .addOption(configOption())
    .addOption(
      new Option("--target <address>", "a target to reach through it, as HOST:PORT")
        .env("SOCKEYE_TARGET")
        .argParser(parseTarget),
    )
    .addOption(
      new Option("--timeout <seconds>", "how long it may take")
        .default(30)
        .env("SOCKEYE_TIMEOUT")
        .argParser(parseSeconds),
    )
    .addOption(logLevelOption())
    .addOption(jsonOption())
    .action((upstream: string, options: TestCommandOptions) => test(upstream, options, context));
};

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (text.trim() === "" || !(seconds > 0 && seconds <= 3600)) {
    throw new InvalidArgumentError(`"${text}" is not a number of seconds, more than 0 and at most 3600`);
  }
  return seconds;
}

async function test(name: string, options: TestCommandOptions, context: Context): Promise<void> {
  const json = options.json === true;
  const configFile = requiredConfig(options.config);
  const api = await context.loadEngine();
  const abort = new AbortController();
  const onInterrupt = () => {
    context.exitCode = 130;
    abort.abort(new DialError("cancelled", "interrupted", { scope: "upstream" }));
  };
  process.once("SIGINT", onInterrupt);
  const limit = new Deadline(
    abort.signal,
    options.timeout * 1000,
    () => `no success within ${options.timeout} s`,
  );
  const logLevel = options.logLevel ?? "silent";
  const lines = json ? undefined : new StepLines(process.stdout, logLevel === "silent");
  const prompter = createTerminalPrompter();
  try {
    const result = await api.testUpstream(
      {
        configFile,
        version: VERSION,
        overrides: { logLevel },
        prompter: lines === undefined ? prompter : lines.makeWayFor(prompter),
      },
      name,
      {
        signal: limit.signal,
        onPrompt: limit.pause,
        onStep: (step) => lines?.begin(step),
        ...(options.target === undefined ? {} : { target: options.target }),
      },
    );
    if (!result.ok && context.exitCode === ExitCode.ok) context.exitCode = ExitCode.testFailed;
    if (json) printJson({ upstream: name, ...result });
    lines?.end(result);
    if (!json && result.ok) print(`${name}: ${conclude(result, options.target)}`);
  } catch (error) {
    throw await explainRefusal(error, configFile);
  } finally {
    limit.clear();
    process.off("SIGINT", onInterrupt);
  }
}

/** How far a test came that did not fail. Nothing "works" before it has carried something. */
function conclude({ steps }: UpstreamTestResult, target: Endpoint | undefined): string {
  if (target !== undefined) return `reaches ${formatEndpoint(target)}`;
  const add = "add --target HOST:PORT";
  const came = new Set(steps.map(({ step }) => step));
  if (came.has("auth")) return `connected and authenticated; no target was dialled (${add})`;
  if (came.has("handshake") || came.has("dial"))
    return `connected, and it answers; no target was dialled (${add})`;
  if (came.has("tcp")) return `connected; the proxy itself was not asked anything yet, ${add}`;
  return `nothing to connect to without a target; ${add}`;
}
