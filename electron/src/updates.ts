import type { DesktopSettings, UpdateState } from "@sockeye/renderer/desktop/contract";

/** What does the updating: electron-updater in a package, nothing elsewhere. */
export interface Updater {
  /** Looks for a newer version, and downloads one that is there. */
  check(channel: "stable" | "beta"): Promise<void>;
  /** Ends the app and installs. */
  install(): void;
  onEvent(listener: (event: UpdaterEvent) => void): void;
}

export type UpdaterEvent =
  | { readonly kind: "none" }
  | { readonly kind: "found"; readonly version: string }
  | { readonly kind: "progress"; readonly percent: number }
  | { readonly kind: "downloaded"; readonly version: string }
  | { readonly kind: "error"; readonly message: string };

const FIRST_CHECK_MS = 30_000;
const INTERVAL_MS = 6 * 60 * 60_000;

/** Looks for updates now and then, by the person's choice of channel. */
export class Updates {
  readonly #updater: Updater | { readonly reason: string };
  readonly #channel: () => DesktopSettings["updateChannel"];
  readonly #onState: (state: UpdateState) => void;
  #state: UpdateState = { state: "idle" };
  #version = "";
  #timer: NodeJS.Timeout | undefined;

  /** `updater` may be the reason why this build has none. */
  constructor(
    updater: Updater | { readonly reason: string },
    channel: () => DesktopSettings["updateChannel"],
    onState: (state: UpdateState) => void,
  ) {
    this.#updater = updater;
    this.#channel = channel;
    this.#onState = onState;
    if ("onEvent" in updater) updater.onEvent((event) => this.#hear(event));
  }

  get support(): true | { readonly reason: string } {
    return "reason" in this.#updater ? { reason: this.#updater.reason } : true;
  }

  get state(): UpdateState {
    return this.#state;
  }

  start(): void {
    if (this.support === true) this.#checkIn(FIRST_CHECK_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** @throws {Error} with a sentence where this build has none. */
  async check(): Promise<void> {
    const updater = this.#updater;
    if ("reason" in updater) throw new Error(updater.reason);
    const channel = this.#channel();
    const busy = ["checking", "downloading", "ready"].includes(this.#state.state);
    if (busy || channel === "off") return;
    this.#set({ state: "checking" });
    try {
      await updater.check(channel);
    } catch (error) {
      this.#hear({ kind: "error", message: error instanceof Error ? error.message : String(error) });
    }
  }

  /** @throws {Error} with a sentence where nothing was downloaded. */
  install(): void {
    if ("reason" in this.#updater) throw new Error(this.#updater.reason);
    if (this.#state.state !== "ready") throw new Error("no update has been downloaded");
    this.#updater.install();
  }

  #checkIn(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      this.#checkIn(INTERVAL_MS);
      void this.check();
    }, milliseconds).unref();
  }

  #hear(event: UpdaterEvent): void {
    switch (event.kind) {
      case "none":
        this.#set({ state: "idle", checkedAt: Date.now() });
        return;
      case "found":
        this.#version = event.version;
        this.#set({ state: "downloading", version: event.version, percent: 0 });
        return;
      case "progress":
        // An event of a download that has ended, or failed, comes too late.
        if (this.#state.state !== "downloading") return;
        this.#set({ state: "downloading", version: this.#version, percent: Math.floor(event.percent) });
        return;
      case "downloaded":
        this.#set({ state: "ready", version: event.version });
        return;
      case "error":
        this.#set({ state: "failed", message: event.message });
        return;
    }
  }

  #set(state: UpdateState): void {
    if (JSON.stringify(state) === JSON.stringify(this.#state)) return;
    this.#state = state;
    this.#onState(state);
  }
}
