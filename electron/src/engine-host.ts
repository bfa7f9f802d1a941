import type { MessagePortMain } from "electron/main";
import { connectPort } from "@sockeye/engine/control/message-port";
import type { EngineProcess } from "@sockeye/renderer/desktop/contract";
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
  readonly configFile: string;
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
        configFile: options.configFile,
        connected: restart ? this.#wasOn : options.connectOnLaunch(),
        secrets: options.secrets.support,
      }),
      onState: (state) => this.#follow(state),
      onMessage: (message, reply) => {
        switch (message.kind) {
          case "read-secret":
          case "write-secret":
            reply({ kind: "secret", id: message.id, ...this.#useSecret(message) });
        }
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
  stop(): Promise<void> {
    return this.#supervisor.stop();
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

  #useSecret(
    message:
      | { readonly kind: "read-secret"; readonly name: string }
      | { readonly kind: "write-secret"; readonly name: string; readonly value: string | null },
  ): { value: string | null; error?: string } {
    const { secrets } = this.#options;
    try {
      if (message.kind === "read-secret") return { value: secrets.read(message.name) ?? null };
      secrets.write(message.name, message.value ?? undefined);
      return { value: null };
    } catch (error) {
      return { value: null, error: error instanceof Error ? error.message : String(error) };
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
