/**
 * The engine's process: a utilityProcess, which has Node and no privileges of Electron's. It starts the engine when the main
 * process says so, and serves the control contract at each port that it is given.
 */
import "@sockeye/engine/short-lives";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { ParentPort } from "electron/utility";
import { startDemoUpstreams } from "@sockeye/demo/upstreams";
import { ControlError } from "@sockeye/engine/control/control-error";
import type { Engine } from "@sockeye/engine/control/host";
import { startEngine } from "@sockeye/engine/engine";
import { toEngine, type FromEngine, type ToEngine } from "./engine-messages.ts";
import { portOf } from "./main-port.ts";
import { ShellSecretStore } from "./shell-secret-store.ts";

/** What a person finds who opens the file of an app that was never set up. */
const FIRST_CONFIGURATION = `# Sockeye's configuration. The app changes it, and keeps what else you write.
listen:
  socks5: 127.0.0.1:1080
  http: 127.0.0.1:8118
`;

type Ports = Parameters<Parameters<ParentPort["on"]>[1]>[0]["ports"];

class EngineProcess {
  readonly #say: (message: FromEngine) => void;
  readonly #secrets: ShellSecretStore;
  #engine: Engine | undefined;

  constructor(say: (message: FromEngine) => void) {
    this.#say = say;
    this.#secrets = new ShellSecretStore(say);
  }

  receive(message: ToEngine, ports: Ports): void {
    switch (message.kind) {
      case "start":
        void this.#start(message);
        return;
      case "client":
        for (const port of ports) this.#engine?.serve(portOf(port));
        return;
      case "ping":
        this.#say({ kind: "pong", id: message.id });
        return;
      case "woke-up":
        this.#engine?.networkChanged("woke-up");
        return;
      case "stop":
        void this.#stop(message.now);
        return;
      case "secret":
        this.#secrets.receive(message.id, message.answer);
        return;
    }
  }

  async #start(message: ToEngine & { readonly kind: "start" }): Promise<void> {
    const { configFile, history, version, connected } = message;
    try {
      await makeConfiguration(configFile);
      // Connected only once it runs: a listener that can't be had then leaves an engine that says so, not none at all.
      this.#engine = await startEngine({
        configFile,
        version,
        connected: false,
        history: { file: history },
        secretStore: this.#secrets,
        demo: startDemoUpstreams,
      });
    } catch (error) {
      this.#say(refusal(error));
      endSoon(1);
      return;
    }
    this.#engine.stopped.then(
      () => endSoon(0),
      (error: unknown) => {
        console.error(error);
        endSoon(1);
      },
    );
    this.#say({ kind: "running" });
    // Why it stays off then is in its state, which every interface shows.
    if (connected) await this.#engine.connect().catch(() => {});
  }

  async #stop(now: boolean): Promise<void> {
    if (this.#engine === undefined) endSoon(0);
    else await this.#engine.stop({ now });
  }
}

/** The last log lines, and the goodbyes at the ports, are still on their way. */
function endSoon(code: number): void {
  setTimeout(() => process.exit(code), 100);
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

function refusal(error: unknown): FromEngine & { readonly kind: "refused" } {
  const message = error instanceof Error ? error.message : String(error);
  const problems = error instanceof ControlError ? error.problems : undefined;
  return { kind: "refused", message, ...(problems && { problems: [...problems] }) };
}

const parent = process.parentPort;
const engine = new EngineProcess((message) => parent.postMessage(message));
parent.on("message", ({ data, ports }) => {
  const parsed = toEngine.safeParse(data);
  if (parsed.success) engine.receive(parsed.data, ports);
});
parent.postMessage({ kind: "loaded" } satisfies FromEngine);
