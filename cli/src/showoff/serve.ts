import type { Command } from "commander";
import { formatEndpoint } from "@sockeye/config-kit/endpoint";
import { createLogger } from "@sockeye/engine/observe/log";
import { FLAGS_HELP, relayOptions } from "@sockeye/relay/config/flags";
import { loadRelayConfig, type RelayProblem } from "@sockeye/relay/config/load";
import type { RelayConfig } from "@sockeye/relay/config/schema";
import { startConfiguredRelay } from "@sockeye/relay/configured";
import type { Relay } from "@sockeye/relay/server";
import { VERSION } from "../context.ts";
import { CommandFailure, ExitCode } from "../exit-codes.ts";
import { complainAs } from "../output.ts";
import { LogObserver } from "./log-observer.ts";

const HELP_AFTER = `
${FLAGS_HELP}

For a try on one machine: showoff token create --identity me --names '*' --tokens-file tokens.yaml
                          showoff serve --domains localhost --auth-tokens-file tokens.yaml

SIGINT and SIGTERM let requests end and then stop; a second one stops at once.`;

/** `showoff serve` */
export function registerServe(program: Command): void {
  const command = program
    .command("serve")
    .description("run the relay in this terminal until it is told to stop")
    .addHelpText("after", HELP_AFTER)
    .action((flags: Record<string, unknown>) => serve(flags));
  for (const option of relayOptions()) command.addOption(option);
}

async function serve(flags: Readonly<Record<string, unknown>>): Promise<void> {
  const { config, warnings } = await configFrom(flags);
  const logger = createLogger(config.log);
  for (const { place, message } of warnings) logger.warn({ place }, message);
  const relay = await startConfiguredRelay(config, new LogObserver(logger)).catch((error: unknown) => {
    throw asSentence(error);
  });
  logger.info(
    {
      version: VERSION,
      control: formatEndpoint(relay.control),
      http: relay.http && formatEndpoint(relay.http),
      https: relay.https && formatEndpoint(relay.https),
      admin: relay.admin && formatEndpoint(relay.admin),
      domains: config.domains,
    },
    "the relay is ready",
  );
  const startedAt = performance.now();
  await untilStopped(relay);
  logger.info({ duration_ms: Math.round(performance.now() - startedAt) }, "the relay has stopped");
}

/** Why an address can't be listened on, in words. */
function asSentence(error: unknown): unknown {
  const { code, address, port } = error as NodeJS.ErrnoException & {
    readonly address?: string;
    readonly port?: number;
  };
  if (address === undefined || port === undefined) return error;
  const at = formatEndpoint({ host: address, port });
  switch (code) {
    case "EADDRINUSE":
      return new CommandFailure(ExitCode.failed, `${at} is in use by another program`, error);
    case "EACCES":
      return new CommandFailure(
        ExitCode.failed,
        `${at} needs a privilege: ports below 1024 are for root`,
        error,
      );
    case "EADDRNOTAVAIL":
      return new CommandFailure(ExitCode.failed, `${address} is no address of this machine`, error);
    default:
      return error;
  }
}

/** @throws {CommandFailure} after a line for each thing that is wrong. */
async function configFrom(
  flags: Readonly<Record<string, unknown>>,
): Promise<{ readonly config: RelayConfig; readonly warnings: readonly RelayProblem[] }> {
  const result = await loadRelayConfig({ flags, env: process.env, directory: process.cwd() });
  if ("config" in result) return result;
  for (const error of result.errors) tell(error);
  const count = result.errors.length;
  throw new CommandFailure(ExitCode.config, count === 1 ? "one problem" : `${count} problems`);
}

function tell({ place, message }: RelayProblem): void {
  complainAs("showoff", place === "" ? message : `${place}: ${message}`);
}

/** Waits for a signal, and for the end of what is under way then. */
async function untilStopped(relay: Relay): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let asked = false;
    const stop = (number: number) => {
      if (asked) process.exit(128 + number);
      asked = true;
      relay.stop().then(resolve, reject);
    };
    process.on("SIGINT", () => stop(2));
    process.on("SIGTERM", () => stop(15));
  });
}
