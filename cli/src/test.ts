import { InvalidArgumentError, Option } from "commander";
import type { Endpoint } from "@sockeye/engine/endpoint";
import { formatEndpoint } from "@sockeye/engine/endpoint";
import { DialError, type DialStep } from "@sockeye/engine/errors";
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
  wantsJson,
} from "./options.ts";
import { paint, print, printJson } from "./output.ts";
import { createTerminalPrompter } from "./prompt.ts";

interface TestCommandOptions {
  readonly config?: string;
  readonly target?: Endpoint;
  readonly timeout: number;
  readonly logLevel?: Level;
  readonly json?: boolean;
}

const stepNames: Record<DialStep, string> = {
  name: "name resolved",
  tcp: "connected",
  tls: "TLS agreed",
  handshake: "handshake",
  "host-key": "host key",
  auth: "authenticated",
  dial: "target reached",
};

/** `sockeye test UPSTREAM` */
export const registerTest: Register = (program, context) => {
  program
    .command("test")
    .description("connect to an upstream afresh and print each step")
    .argument("<upstream>", "its name in the configuration")
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
    throw new InvalidArgumentError("write a number of seconds, more than 0 and at most 3600");
  }
  return seconds;
}

async function test(name: string, options: TestCommandOptions, context: Context): Promise<void> {
  const json = wantsJson(options);
  const configFile = requiredConfig(options.config);
  const api = await context.loadEngine();
  const abort = new AbortController();
  const onInterrupt = () => {
    context.exitCode = 130;
    abort.abort(new DialError("cancelled", "interrupted", { scope: "upstream" }));
  };
  process.once("SIGINT", onInterrupt);
  const timer = setTimeout(() => {
    const sentence = `no success within ${options.timeout} s`;
    abort.abort(new DialError("timeout", sentence, { scope: "upstream" }));
  }, options.timeout * 1000);
  try {
    const result = await api.testUpstream(
      {
        configFile,
        version: VERSION,
        overrides: { logLevel: options.logLevel ?? "silent" },
        prompter: createTerminalPrompter(),
      },
      name,
      { signal: abort.signal, ...(options.target === undefined ? {} : { target: options.target }) },
    );
    if (!result.ok && context.exitCode === ExitCode.ok) context.exitCode = ExitCode.testFailed;
    if (json) printJson({ upstream: name, ...result });
    else print(describeResult(name, options.target, result));
  } finally {
    clearTimeout(timer);
    process.off("SIGINT", onInterrupt);
  }
}

function describeResult(name: string, target: Endpoint | undefined, result: UpstreamTestResult): string {
  const out = process.stdout;
  const lines = result.steps.map(
    ({ step, ms }) =>
      `${paint("✓", "green", out)} ${stepNames[step].padEnd(15)} ${paint(`${formatMs(ms)} ms`, "dim", out)}`,
  );
  const { failure } = result;
  if (failure !== undefined) {
    const step = failure.step === undefined ? "" : `${stepNames[failure.step]}: `;
    lines.push(`${paint("✗", "red", out)} ${step}${failure.message} (${failure.code})`);
  } else {
    const reached = target === undefined ? "works" : `reaches ${formatEndpoint(target)}`;
    lines.push(`${name} ${reached}`);
  }
  return lines.join("\n");
}

function formatMs(ms: number): string {
  return ms < 10 ? ms.toFixed(1) : String(Math.round(ms));
}
