import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Engine, type EngineOptions, startEngine } from "@sockeye/engine/engine";
import { connectControl, type ControlClient, findEngine } from "@sockeye/engine/control/client";
import { type Endpoint, parseEndpoint } from "@sockeye/engine";

export interface EngineUnderTest extends AsyncDisposable {
  readonly engine: Engine;
  /** Where it listens now. */
  readonly socks5: Endpoint;
  readonly http: Endpoint;
  /** Rewrites the configuration file and reloads. */
  reconfigure(config: object): Promise<void>;
  readonly configFile: string;
  /** A client of its control interface, closed with the engine. */
  control(): Promise<ControlClient>;
}

/** A real engine in this process, with a configuration file of its own and listeners on free ports of loopback. */
export async function startEngineUnderTest(
  config: object,
  options: Partial<EngineOptions> = {},
): Promise<EngineUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), "sockeye-engine-"));
  // What outlives a run must not be a developer's own: trust store and control token go into the folder.
  process.env["XDG_STATE_HOME"] = folder;
  process.env["XDG_CONFIG_HOME"] = folder;
  process.env["XDG_RUNTIME_DIR"] = folder;
  const configFile = join(folder, "config.yaml");
  const listen = { socks5: "127.0.0.1:0", http: "127.0.0.1:0" };
  const write = (settings: object) =>
    writeFile(configFile, JSON.stringify({ listen, log: { level: "silent" }, ...settings }));
  await write(config);
  const engine = await startEngine({ ...options, configFile, version: "0.0.0-test" });
  const addressOf = (kind: string) => {
    const listener = engine.status().listeners.find((one) => one.kind === kind);
    if (!listener) throw new Error(`no ${kind} listener`);
    return parseEndpoint(listener.address);
  };
  const clients: ControlClient[] = [];
  return {
    engine,
    control: async () => {
      const client = await connectControl(findEngine({ directory: join(folder, "sockeye") }));
      clients.push(client);
      return client;
    },
    configFile,
    get socks5() {
      return addressOf("socks5");
    },
    get http() {
      return addressOf("http");
    },
    reconfigure: async (settings) => {
      await write(settings);
      await engine.reload();
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) client.close();
      await engine.stop({ now: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
}
