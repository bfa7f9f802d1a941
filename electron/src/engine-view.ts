import type {
  ConnectionState,
  ControlEdit,
  EngineStatus,
  HelperStatus,
  UpstreamInfo,
} from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import type { ClientSession } from "@sockeye/engine/control/protocol";

export type EngineClient = Pick<ClientSession, "call" | "listen"> & { close(): void };

/** What the tray and notifications know of the engine. */
export interface EngineSnapshot {
  readonly connection: ConnectionState;
  readonly default: string;
  readonly tunEnabled: boolean;
  readonly upstreams: readonly Pick<UpstreamInfo, "name" | "state" | "latencyMs">[];
}

/** Opening listeners and TUN mode may take its time: names are looked up, and the helper is asked. */
const CONNECT_MS = 60_000;

/** The main process's own view of the engine, and what can be done from the tray. */
export class EngineView {
  readonly #onChange: (snapshot: EngineSnapshot | undefined) => void;
  #client: EngineClient | undefined;
  #status: EngineStatus | undefined;
  #upstreams = new Map<string, UpstreamInfo>();
  /** Changes from here come one after the other. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(onChange: (snapshot: EngineSnapshot | undefined) => void) {
    this.#onChange = onChange;
  }

  /** Undefined while no engine runs. */
  get snapshot(): EngineSnapshot | undefined {
    const status = this.#status;
    if (status === undefined) return undefined;
    return {
      connection: status.connection,
      default: status.default,
      tunEnabled: status.tunEnabled,
      upstreams: [...this.#upstreams.values()],
    };
  }

  /** Looks at another engine, or at none. */
  attach(client: EngineClient | undefined): void {
    this.#client?.close();
    this.#client = client;
    this.#status = undefined;
    this.#upstreams = new Map();
    this.#onChange(undefined);
    client?.listen(
      "state",
      {},
      {
        onEvent: ({ status, upstreams = [], removed = [] }) => {
          if (this.#client !== client) return;
          if (status !== undefined) this.#status = status;
          for (const name of removed) this.#upstreams.delete(name);
          for (const upstream of upstreams) this.#upstreams.set(upstream.name, upstream);
          this.#onChange(this.snapshot);
        },
        // It ends with the engine, of which the supervisor tells.
        onError: () => {},
      },
    );
  }

  /** @throws {Error} with the engine's sentence. */
  async setConnected(on: boolean): Promise<void> {
    await this.#require().call(on ? "connect" : "disconnect", {}, { timeoutMs: CONNECT_MS });
  }

  /** @throws {Error} with the engine's sentence. */
  async toggle(): Promise<void> {
    // What is not known yet can't be turned round.
    if (this.#status === undefined) throw new Error("the engine is not running");
    await this.setConnected(this.#status.connection.state === "off");
  }

  /** Makes an upstream the one for traffic that no rule matches. @throws {Error} with the engine's sentence. */
  setDefault(name: string): Promise<void> {
    return this.#edit({ kind: "set-default", to: name });
  }

  /** @throws {Error} with the engine's sentence. */
  setTun(enabled: boolean): Promise<void> {
    return this.#edit({ kind: "set-section", section: "tun", values: { enabled } });
  }

  /** @throws {Error} with the engine's sentence. */
  async helper(): Promise<HelperStatus> {
    return this.#require().call("helper", {});
  }

  #edit(edit: ControlEdit): Promise<void> {
    const mine = this.#changing.then(() => this.#editNow(edit, 1));
    this.#changing = mine.catch(() => {});
    return mine;
  }

  async #editNow(edit: ControlEdit, retries: number): Promise<void> {
    const client = this.#require();
    const { revision } = await client.call("config.read", {});
    try {
      await client.call("config.edit", { edits: [edit], revision }, { timeoutMs: CONNECT_MS });
    } catch (error) {
      // Somebody else wrote the file meanwhile. One edit of one key goes onto theirs.
      const conflicts = error instanceof ControlError && error.code === "conflict";
      if (!conflicts || retries === 0) throw error;
      await this.#editNow(edit, retries - 1);
    }
  }

  #require(): EngineClient {
    if (this.#client === undefined) throw new Error("the engine is not running");
    return this.#client;
  }
}
