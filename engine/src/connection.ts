import type { Condition } from "./condition.ts";
import type { ConnectionState } from "./control/contract.ts";
import { ControlError } from "./control/control-error.ts";
import type { Turns } from "./turns.ts";

export interface ConnectionOptions {
  /** Shared with whatever else opens and shuts: reloads. */
  readonly turns: Turns;
  /** Undefined while a person may switch, else what the engine does instead, in a word. */
  readonly busyWith: () => string | undefined;
  /** Takes traffic in. @throws {ControlError} and has shut everything again then. */
  readonly open: () => Promise<void>;
  /** Ends all traffic. */
  readonly shut: () => Promise<void>;
  /** How it goes; asked while open. */
  readonly condition: () => Condition;
}

type Position =
  | { readonly at: "off"; readonly error?: ControlError }
  | { readonly at: "opening" | "open"; readonly since: number };

/** The switch that a person sees: traffic is taken in, or it is not. Of several wishes at once the newest counts. */
export class Connection {
  readonly #options: ConnectionOptions;
  #position: Position = { at: "off" };
  #wish: "on" | "off" = "off";
  #trouble: { readonly key: string; readonly since: number } | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get isOff(): boolean {
    return this.#position.at === "off";
  }

  get state(): ConnectionState {
    const position = this.#position;
    switch (position.at) {
      case "off": {
        const { error } = position;
        return { state: "off", ...(error && { error: { code: error.code, message: error.message } }) };
      }
      case "opening":
        return { state: "connecting", since: position.since };
      case "open":
        return this.#openState(this.#options.condition(), position.since);
    }
  }

  #openState(condition: Condition, since: number): ConnectionState {
    if (condition.state !== "trouble") {
      this.#trouble = undefined;
      return { ...condition, since };
    }
    const key = `${condition.cause} ${condition.subject}`;
    if (this.#trouble?.key !== key) this.#trouble = { key, since: Date.now() };
    return { ...condition, since: this.#trouble.since };
  }

  /** Looks now, so that trouble counts from its beginning and not from when somebody first asked. */
  look(): void {
    if (this.#position.at === "open") this.#openState(this.#options.condition(), this.#position.since);
  }

  /** @throws {ControlError} with a sentence, and is off then; `unavailable` where a later wish took this one's place. */
  async connect(): Promise<void> {
    await this.#inTurn("on", async () => {
      if (this.#position.at === "off") await this.open();
    });
  }

  /** Off already, it still undoes what an earlier end may have left. @throws {ControlError} */
  async disconnect(): Promise<void> {
    await this.#inTurn("off", async () => {
      await this.#options.shut();
      this.#position = { at: "off" };
    });
  }

  /** At the engine's start, when nobody else can switch. @throws {ControlError} */
  async open(): Promise<void> {
    this.#wish = "on";
    this.#position = { at: "opening", since: Date.now() };
    try {
      await this.#options.open();
    } catch (error) {
      const failure = asFailure(error);
      this.#position = { at: "off", error: failure };
      throw failure;
    }
    this.#position = { at: "open", since: Date.now() };
  }

  #inTurn(wish: "on" | "off", work: () => Promise<void>): Promise<void> {
    this.#wish = wish;
    return this.#options.turns.run(async () => {
      const busy = this.#options.busyWith();
      if (busy !== undefined) throw new ControlError("unavailable", `the engine is ${busy}`);
      if (this.#wish === wish) return work();
      const later = this.#wish === "on" ? "connect" : "disconnect";
      throw new ControlError("unavailable", `a ${later} that came later took its place`);
    });
  }
}

function asFailure(error: unknown): ControlError {
  if (error instanceof ControlError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new ControlError("internal", message, { cause: error });
}
