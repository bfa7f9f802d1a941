import type { Endpoint } from "@sockeye/config-kit/endpoint";
import { dialLocal } from "./local-target.ts";
import { localFailureOf } from "./local-failure.ts";

/** Between two looks at a local service; one that is down is looked at more often, as somebody is about to start it. */
const UP_INTERVAL_MS = 10_000;
const DOWN_INTERVAL_MS = 2000;
const CONNECT_MS = 3000;

export type TargetState =
  | { readonly state: "unknown" }
  | { readonly state: "up"; readonly since: number }
  | { readonly state: "down"; readonly since: number; readonly error: string };

export interface TargetHealthOptions {
  readonly target: Endpoint;
  readonly onChange: (state: TargetState) => void;
  /** Milliseconds; for tests. */
  readonly intervals?: { readonly up: number; readonly down: number };
}

/** Whether a local service takes connections: a connection is opened and closed again now and then. */
export class TargetHealth {
  readonly #options: TargetHealthOptions;
  readonly #abort = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #state: TargetState = { state: "unknown" };

  constructor(options: TargetHealthOptions) {
    this.#options = options;
    this.#look();
  }

  get state(): TargetState {
    return this.#state;
  }

  /** Real traffic knows better, and sooner. @param failure undefined where the service took the connection. */
  note(failure: string | undefined): void {
    if (this.#abort.signal.aborted) return;
    const before = this.#state;
    if (failure === undefined) {
      if (before.state === "up") return;
      this.#state = { state: "up", since: Date.now() };
    } else {
      if (before.state === "down" && before.error === failure) return;
      const since = before.state === "down" ? before.since : Date.now();
      this.#state = { state: "down", since, error: failure };
    }
    this.#options.onChange(this.#state);
  }

  close(): void {
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  #look(): void {
    void probe(this.#options.target, this.#abort.signal).then((failure) => {
      if (this.#abort.signal.aborted) return;
      this.note(failure);
      const { up = UP_INTERVAL_MS, down = DOWN_INTERVAL_MS } = this.#options.intervals ?? {};
      this.#timer = setTimeout(() => this.#look(), failure === undefined ? up : down);
    });
  }
}

/** @returns why the service takes no connection, or undefined where it does. */
function probe(target: Endpoint, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = dialLocal(target);
    const end = (failure?: string) => {
      clearTimeout(late);
      signal.removeEventListener("abort", gone);
      socket.destroy();
      resolve(failure);
    };
    const gone = () => end();
    const late = setTimeout(() => end("it did not take a connection in time"), CONNECT_MS);
    signal.addEventListener("abort", gone, { once: true });
    socket.once("connect", () => end());
    socket.on("error", (error) => end(localFailureOf(error).message));
  });
}
