import { type Register, VERSION } from "./context.ts";
import { type Format, type Level, logFormatOption, logLevelOption } from "./options.ts";
import { print } from "./output.ts";
import { whenParentEnds } from "./parent.ts";
import { obeySignals } from "./run.ts";

/** `sockeye demo` */
export const registerDemo: Register = (program, context) => {
  program
    .command("demo")
    .description("run the engine with an upstream of each kind inside this process, to try it out")
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .action(async (options: { logLevel?: Level; logFormat?: Format }) => {
      const { startDemo } = await import("./demo/demo.ts");
      const api = await context.loadEngine();
      const demo = await startDemo();
      try {
        const engine = await api.startEngine({ ...demo.engine, version: VERSION, overrides: { ...options } });
        const unhook = obeySignals(engine, { hangup: "stop" });
        // npm ended by a signal does not end what it runs.
        const byNpm = process.env["npm_lifecycle_event"] !== undefined;
        const unwatch = byNpm ? whenParentEnds(() => process.kill(process.pid, "SIGTERM")) : () => {};
        print("Sockeye runs with an upstream of each kind. Paste a line into another terminal:\n");
        for (const { upstream, command } of demo.lines) print(`  ${command}   # through ${upstream}`);
        print("\nCtrl-C stops it.");
        try {
          await engine.stopped;
        } finally {
          unwatch();
          unhook();
        }
      } finally {
        await demo.close();
      }
    });
};
