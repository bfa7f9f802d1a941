/**
 * The engine's process: a utilityProcess, which has Node and no privileges of Electron's. It starts the engine when the main
 * process says so, and serves the control contract at each port that it is given.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { ParentPort } from "electron/utility";
import { ControlError } from "@sockeye/engine/control/control-error";
import type { Engine } from "@sockeye/engine/control/host";
import { PortServer } from "@sockeye/engine/control/message-port";
import { createService } from "@sockeye/engine/control/service";
import { startEngine } from "@sockeye/engine/engine";
import { toEngine, type FromEngine, type ToEngine } from "./engine-messages.ts";
import { portOf } from "./main-port.ts";

/** What a person finds who opens the file of an app that was never set up. */
const FIRST_CONFIGURATION = `# Sockeye's configuration. The app changes it, and keeps what else you write.
listen:
  socks5: 127.0.0.1:1080
  http: 127.0.0.1:8118
`;

type Ports = Parameters<Parameters<ParentPort["on"]>[1]>[0]["ports"];

class EngineProcess {
  readonly #say: (message: FromEngine) => void;
  #engine: Engine | undefined;
  #server: PortServer | undefined;

  constructor(say: (message: FromEngine) => void) {
    this.#say = say;
  }

  receive(message: ToEngine, ports: Ports): void {
    switch (message.kind) {
      case "start":
        void this.#start(message);
        return;
      case "client":
        for (const port of ports) this.#server?.serve(portOf(port));
        return;
      case "ping":
        this.#say({ kind: "pong", id: message.id });
        return;
      case "woke-up":
        return;
      case "stop":
        void this.#stop(message.now);
        return;
      case "secret":
        return;
    }
  }

  async #start(message: ToEngine & { readonly kind: "start" }): Promise<void> {
    const { configFile, version } = message;
    try {
      await makeConfiguration(configFile);
      this.#engine = await startEngine({ configFile, version });
    } catch (error) {
      // The message is sent before the process ends: it is written to a pipe of the system's at once.
      this.#say({ kind: "refused", message: sentenceOf(error, configFile) });
      process.exitCode = 1;
      setTimeout(() => process.exit(), 100);
      return;
    }
    this.#server = new PortServer(createService(this.#engine));
    this.#engine.stopped.then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
    this.#say({ kind: "running" });
  }

  async #stop(now: boolean): Promise<void> {
    if (this.#engine === undefined) process.exit(0);
    await this.#engine.stop({ now });
  }
}

/** An app is started before anything was configured; a file that is there is left alone. */
async function makeConfiguration(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  try {
    await writeFile(path, FIRST_CONFIGURATION, { flag: "wx", mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

function sentenceOf(error: unknown, configFile: string): string {
  const { message } = error instanceof Error ? error : new Error(String(error));
  const problems = error instanceof ControlError ? (error.problems ?? []) : [];
  const lines = problems.map(({ line, column, message: problem, hint }) => {
    const where = line === 0 ? configFile : `${configFile}:${line}:${column}`;
    return `${where}: ${problem}${hint === undefined ? "" : ` (${hint})`}`;
  });
  return [message, ...lines].join("\n");
}

const parent = process.parentPort;
const engine = new EngineProcess((message) => parent.postMessage(message));
parent.on("message", ({ data, ports }) => {
  const parsed = toEngine.safeParse(data);
  if (parsed.success) engine.receive(parsed.data, ports);
});
parent.postMessage({ kind: "loaded" } satisfies FromEngine);
