import { Option } from "commander";
import type { EngineStatus } from "@sockeye/engine/control/contract";
import { isEngineName } from "@sockeye/engine/control/engine-name";
import type { Engine, EngineOptions } from "@sockeye/engine/control/host";
import { type Context, currentPaths, type Register, VERSION } from "./context.ts";
import { CommandFailure, ExitCode } from "./exit-codes.ts";
import { builtInterface, type Presentation, presentOwnInterface, uiOption } from "./interface.ts";
import {
  chosenConfig,
  configOption,
  type Format,
  type Level,
  listenOption,
  logFormatOption,
  logLevelOption,
  requiredConfig,
} from "./options.ts";
import { complain, paint } from "./output.ts";
import { createTerminalPrompter } from "./prompt.ts";
import { startPrivileged } from "./privilege.ts";
import { explainRefusal } from "./refusal.ts";
import { unreadVariables } from "./variables.ts";

interface RunOptions {
  readonly config?: string;
  readonly logLevel?: Level;
  readonly logFormat?: Format;
  readonly socks5?: string;
  readonly http?: string;
  readonly metrics?: string;
  readonly controlName?: string;
  readonly ui?: Presentation;
}

/** `sockeye run` */
export const registerRun: Register = (program, context) => {
  program
    .command("run")
    .description("run the engine in this terminal until it is told to stop")
    .addOption(configOption())
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addOption(listenOption("socks5", "where applications connect by SOCKS5"))
    .addOption(listenOption("http", "where applications connect by HTTP proxy"))
    .addOption(listenOption("metrics", "where /metrics, /healthz and /readyz are"))
    .addOption(
      new Option("--control-name <name>", "the name that --engine finds this engine by")
        .env("SOCKEYE_CONTROL_NAME")
        .argParser(parseName),
    )
    .addOption(uiOption("serve the interface and open it in a browser; --ui=print prints its address"))
    .addHelpText(
      "after",
      "\nSIGINT and SIGTERM let flows end and then stop; a second one stops at once. SIGHUP reads the file again; where\n" +
        "standard input or output is a terminal, it means that the terminal was closed, and stops like SIGTERM.",
    )
    .action((options: RunOptions) => {
      for (const sentence of unreadVariables(program, process.env)) complain(sentence);
      return run(options, context);
    });
};

function parseName(name: string): string {
  if (isEngineName(name)) return name;
  throw new CommandFailure(
    ExitCode.usage,
    `"${name}" is no name for an engine: use up to 64 letters, digits, ".", "_" and "-"`,
  );
}

async function run(options: RunOptions, context: Context): Promise<void> {
  const listens = [options.socks5, options.http].some((address) => address !== undefined);
  // Flags that say where to listen are enough for an engine that sends everything direct.
  const configFile = listens ? chosenConfig(options.config) : requiredConfig(options.config);
  const ui = options.ui === undefined ? undefined : builtInterface();
  const api = await context.loadEngine();
  const privileged = await startPrivileged(configFile);
  const engineOptions: EngineOptions = {
    ...(configFile === undefined ? { configText: "" } : { configFile }),
    overrides: {
      socks5: options.socks5,
      http: options.http,
      metrics: options.metrics,
      logLevel: options.logLevel,
      logFormat: options.logFormat,
    },
    version: VERSION,
    controlName: options.controlName,
    prompter: createTerminalPrompter(),
    demo: async () => (await import("@sockeye/demo/upstreams")).startDemoUpstreams(),
    helper: privileged?.helper,
    ui,
    // Kept for whoever looks at it.
    ...(ui && { history: { file: currentPaths().history } }),
  };
  // With a terminal gone there is nobody to end the engine by Ctrl-C, and a SIGHUP says that it is gone.
  const onTerminal = process.stdin.isTTY || process.stdout.isTTY;
  let engine: Engine;
  // A SIGHUP that comes while it starts must not end it: the file is being read anyway.
  if (!onTerminal) process.on("SIGHUP", ignoreSignal);
  try {
    engine = await api.startEngine(engineOptions);
  } catch (error) {
    await privileged?.close();
    throw await explainRefusal(error, configFile);
  }
  const unhook = obeySignals(engine, { hangup: onTerminal ? "stop" : "reload" });
  process.off("SIGHUP", ignoreSignal);
  let withdraw = (): void => {};
  try {
    if (engine.log.forPeople) announce(engine);
    if (options.ui !== undefined) withdraw = await presentOwnInterface(options.controlName, options.ui);
    await engine.stopped;
  } finally {
    withdraw();
    unhook();
    await privileged?.close();
  }
}

/**
 * @param options.hangup what SIGHUP means: `stop` where a terminal's end sends it, `reload` as for a service.
 * @returns the way to leave the signals alone again.
 */
export function obeySignals(engine: Engine, options: { readonly hangup: "stop" | "reload" }): () => void {
  let asked = false;
  const stop = (signal: NodeJS.Signals, number: number) => {
    if (asked) process.exit(128 + number);
    asked = true;
    engine.stop().catch((error: unknown) => {
      complain(`stopping failed: ${error instanceof Error ? error.message : signal}`);
      process.exit(ExitCode.failed);
    });
  };
  const onInterrupt = () => stop("SIGINT", 2);
  const onTerminate = () => stop("SIGTERM", 15);
  // A reload that is refused is logged by the engine, and what ran before goes on.
  const onHangup = () => {
    if (options.hangup === "reload") void engine.reload().catch(() => {});
    // It comes more than once: from the system, and from each parent that passes it on.
    else if (!asked) stop("SIGHUP", 1);
  };
  process.on("SIGINT", onInterrupt);
  process.on("SIGTERM", onTerminate);
  process.on("SIGHUP", onHangup);
  return () => {
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onTerminate);
    process.off("SIGHUP", onHangup);
  };
}

/** Where it listens and through what it sends, for the person at the terminal. */
function announce(engine: Engine): void {
  const stream = process.stderr;
  const { listeners, configFile, tun } = engine.status();
  const names: Record<EngineStatus["listeners"][number]["kind"], string> = {
    socks5: "SOCKS5",
    http: "HTTP",
    metrics: "metrics",
    control: "control",
  };
  const lines = [`Sockeye ${VERSION}${configFile === undefined ? "" : ` with ${configFile}`}`];
  for (const { kind, address } of listeners) lines.push(`  ${names[kind].padEnd(8)} ${address}`);
  if (tun.state === "on") lines.push(`  TUN      ${tun.device} captures ${tun.networks.join(", ")}`);
  for (const upstream of engine.upstreams()) {
    if (upstream.type === "direct") continue;
    const via = upstream.via === undefined ? "" : ` via ${upstream.via}`;
    lines.push(`  upstream ${upstream.name} (${upstream.type} ${upstream.address}${via})`);
  }
  stream.write(`${paint(lines[0]!, "bold", stream)}\n${lines.slice(1).join("\n")}\n`);
}

function ignoreSignal(): void {}
