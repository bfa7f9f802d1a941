import type { MessagePortMain } from "electron/main";
import type { Paths } from "@sockeye/engine/config/paths";
import { connectPort } from "@sockeye/engine/control/message-port";
import type { EngineProcess } from "@sockeye/renderer/desktop/contract";
import type { FromEngine, SecretAnswer } from "./engine-messages.ts";
import { EngineView, type EngineSnapshot } from "./engine-view.ts";
import { portOf } from "./main-port.ts";
import type { ElectronParts, PowerPart } from "./parts.ts";
import type { Secrets } from "./secrets.ts";
import { Supervisor } from "./supervisor.ts";

export interface EngineHostOptions {
  readonly electron: Pick<ElectronParts, "MessageChannelMain" | "powerMonitor" | "utilityProcess">;
  /** The bundled entry of the engine's process. */
  readonly entry: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly paths: Pick<Paths, "config" | "history">;
  readonly secrets: Secrets;
  /** Whether traffic is to be taken in when the app starts. */
  readonly connectOnLaunch: () => boolean;
  readonly onState: (state: EngineProcess) => void;
  readonly onSnapshot: (snapshot: EngineSnapshot | undefined) => void;
}

/** The engine's process, our own view of it, and the ways to it for others. */
export class EngineHost {
  readonly #options: EngineHostOptions;
  readonly #supervisor: Supervisor;
  readonly view: EngineView;
  /** What the engine was doing when it was last seen: one that crashes comes back to it. */
  #wasOn = false;

  constructor(options: EngineHostOptions) {
    this.#options = options;
    this.view = new EngineView((snapshot) => {
      if (snapshot !== undefined) this.#wasOn = snapshot.connection.state !== "off";
      options.onSnapshot(snapshot);
    });
    this.#supervisor = new Supervisor({
      fork: () => this.#fork(),
      startMessage: (restart) => ({
        kind: "start",
        version: options.version,
        configFile: options.paths.config,
        history: options.paths.history,
        connected: restart ? this.#wasOn : options.connectOnLaunch(),
      }),
      onState: (state) => this.#follow(state),
      onMessage: (message, reply) => {
        const { id, ask } = message;
        void this.#answer(ask).then((answer) => reply({ kind: "secret", id, answer }));
      },
      killHard: killProcess,
    });
    this.#followSleep(options.electron.powerMonitor);
  }

  get state(): EngineProcess {
    return this.#supervisor.state;
  }

  get log(): string {
    return this.#supervisor.log;
  }

  start(): void {
    this.#supervisor.start();
  }

  restart(): void {
    this.#supervisor.restart();
  }

  /** Lets flows end for a while first. */
  async stop(): Promise<void> {
    await this.#supervisor.stop();
  }

  /** @returns one end of a new way to the engine, for a client; undefined while none runs. */
  openPort(): MessagePortMain | undefined {
    const { port1, port2 } = new this.#options.electron.MessageChannelMain();
    return this.#supervisor.tell({ kind: "client" }, [port1]) ? port2 : undefined;
  }

  #fork(): ReturnType<ElectronParts["utilityProcess"]["fork"]> {
    const { electron, entry, env } = this.#options;
    return electron.utilityProcess.fork(entry, [], {
      serviceName: "Sockeye engine",
      stdio: ["ignore", "pipe", "pipe"],
      // Look-ups of names may take half of the process's threads; 2 of the usual 4 are soon used up.
      env: { UV_THREADPOOL_SIZE: "16", ...definedOnly(env) },
    });
  }

  #follow(state: EngineProcess): void {
    this.#options.onState(state);
    const port = state.state === "running" ? this.openPort() : undefined;
    this.view.attach(port === undefined ? undefined : connectPort(portOf(port)));
  }

  #followSleep(power: PowerPart): void {
    power.on("resume", () => void this.#supervisor.tell({ kind: "woke-up" }));
  }

  /** Never rejects: what went wrong is the answer. */
  async #answer(question: (FromEngine & { readonly kind: "secret" })["ask"]): Promise<SecretAnswer> {
    const { secrets } = this.#options;
    try {
      switch (question.what) {
        case "available": {
          const support = await secrets.support();
          return support === true ? {} : { error: support.reason };
        }
        case "read": {
          const value = await secrets.read(question.name);
          return value === undefined ? {} : { value };
        }
        case "write":
          await secrets.write(question.name, question.value);
          return {};
        case "remove":
          await secrets.write(question.name, undefined);
          return {};
      }
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) };
    }
  }
}

/** For a process that is too busy to take a request to end. */
function killProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone meanwhile.
  }
}

function definedOnly(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
