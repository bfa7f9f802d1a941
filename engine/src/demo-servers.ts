import type { Config } from "./config/config.ts";
import { ControlError } from "./control/control-error.ts";
import { demoUpstreamsIn, restoreDemo } from "./control/demo.ts";
import type { ControlHost, DemoUpstreams, EngineOptions } from "./control/host.ts";
import type { Logger } from "./observe/log.ts";

export interface DemoServersOptions {
  readonly start: EngineOptions["demo"];
  /** Undefined while the engine runs, else what it does instead, in a word. */
  readonly busyWith: () => string | undefined;
  readonly log: Logger;
  readonly warn: (sentence: string) => void;
}

/** The demo's upstreams, which are servers of the engine's process: started when first asked for, ended with the engine. */
export class DemoServers {
  readonly #options: DemoServersOptions;
  #servers: Promise<DemoUpstreams> | undefined;
  #restoring: Promise<void> | undefined;

  constructor(options: DemoServersOptions) {
    this.#options = options;
  }

  /** @throws {ControlError} unavailable where the host has none, and while the engine starts or stops. */
  get(): Promise<DemoUpstreams> {
    const { start } = this.#options;
    const busy = this.#options.busyWith();
    if (start === undefined || busy !== undefined) {
      const why = start === undefined ? "this engine has no demo" : `the engine is ${busy}`;
      return Promise.reject(new ControlError("unavailable", why));
    }
    const starting = (this.#servers ??= start());
    // What could not be started is tried again when it is asked for again.
    starting.catch(() => (this.#servers = undefined));
    return starting;
  }

  /** Whoever kept demo upstreams in the file finds them working. Goes on in the background; close() waits for it. */
  restoreIn(config: Config, host: ControlHost): void {
    this.#restoring = this.#restore(demoUpstreamsIn(config.upstreams), host);
  }

  async #restore(names: readonly string[], host: ControlHost): Promise<void> {
    const { start, busyWith, log, warn } = this.#options;
    if (names.length === 0 || !start || host.configFile === undefined) return;
    try {
      const upstreams = await restoreDemo(host, names);
      log.info({ upstreams }, "demo upstreams started again");
    } catch (error) {
      // Whoever stops the engine meanwhile does not miss them.
      if (busyWith() !== undefined) return;
      const why = error instanceof Error ? error.message : String(error);
      warn(`the demo upstreams could not be started again: ${why}`);
    }
  }

  async close(): Promise<void> {
    await this.#restoring;
    const servers = await this.#servers?.catch(() => undefined);
    await servers?.close();
  }
}
