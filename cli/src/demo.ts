import type { Engine } from "@sockeye/engine/control/host";
import { type Register, VERSION } from "./context.ts";
import { CommandFailure } from "./exit-codes.ts";
import { builtInterface, type Presentation, presentOwnInterface, uiOption } from "./interface.ts";
import { type Format, type Level, logFormatOption, logLevelOption } from "./options.ts";
import { complain, print } from "./output.ts";
import { whenParentEnds } from "./parent.ts";
import { obeySignals } from "./run.ts";

interface DemoOptions {
  readonly logLevel?: Level;
  readonly logFormat?: Format;
  readonly ui: Presentation;
}

/** `sockeye demo` */
export const registerDemo: Register = (program, context) => {
  program
    .command("demo")
    .description("run the engine with an upstream of each kind inside this process, to try it out")
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addOption(uiOption("the interface: open it in a browser, or print its address").default("open"))
    .action(async (options: DemoOptions) => {
      const { startDemo } = await import("@sockeye/demo/demo");
      const { startTraffic } = await import("@sockeye/demo/traffic");
      const api = await context.loadEngine();
      const demo = await startDemo();
      try {
        const ui = interfaceIfBuilt();
        const { logLevel, logFormat } = options;
        // Lines of a log would come between those that are to be pasted; who asks for them gets them.
        const quiet = logLevel === undefined && logFormat === undefined;
        const engine = await api.startEngine({
          ...demo.engine,
          version: VERSION,
          overrides: { logLevel, logFormat },
          ...(quiet && { logDestination: { write: () => {} } }),
          ui,
        });
        for (const warning of quiet ? engine.warnings : []) complain(warning);
        const unhook = obeySignals(engine, { hangup: "stop" });
        // npm ended by a signal does not end what it runs.
        const byNpm = process.env["npm_lifecycle_event"] !== undefined;
        const unwatch = byNpm ? whenParentEnds(() => process.kill(process.pid, "SIGTERM")) : () => {};
        const endTraffic = startTraffic(demo.upstreams, () => inboundsOf(engine));
        let withdraw = (): void => {};
        print("Sockeye runs with an upstream of each kind. Paste a line into another terminal:\n");
        for (const { upstream, command } of demo.lines) print(`  ${command}   # through ${upstream}`);
        print(`  ${demo.shareCommand}   # a local service that is shared through a relay`);
        print("\nCtrl-C stops it.");
        try {
          if (ui !== undefined) withdraw = await presentOwnInterface(undefined, options.ui);
          await engine.stopped;
        } finally {
          withdraw();
          endTraffic();
          unwatch();
          unhook();
        }
      } finally {
        await demo.close();
      }
    });
};

/** The demo is worth something without it. */
function interfaceIfBuilt(): { readonly directory: string } | undefined {
  try {
    return builtInterface();
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    complain(error.message);
    return undefined;
  }
}

function inboundsOf(engine: Engine): { socks5?: string; http?: string } {
  const { listeners } = engine.status();
  return Object.fromEntries(listeners.map(({ kind, address }) => [kind, address]));
}
