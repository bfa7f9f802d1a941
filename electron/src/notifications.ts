import type { ConnectionState } from "@sockeye/engine/control/contract";
import type { EngineProcess } from "@sockeye/renderer/desktop/contract";
import type { ElectronParts, NotificationPart } from "./parts.ts";
import type { Say } from "./texts.ts";

/** Trouble that is over sooner is not worth a word. */
const SETTLE_MS = 4_000;

export interface NotificationsOptions {
  readonly electron: Pick<ElectronParts, "Notification">;
  readonly say: () => Say;
  /** The person wants them, and does not see the window. */
  readonly wanted: () => boolean;
  readonly onClick: () => void;
  readonly settleMs?: number;
}

/** Tells of trouble, and of its end, to somebody who does not see the window. */
export class Notifications {
  readonly #options: NotificationsOptions;
  #shown: NotificationPart | undefined;
  #pending: NodeJS.Timeout | undefined;
  #troubleTold = false;
  #last: ConnectionState["state"] = "off";

  constructor(options: NotificationsOptions) {
    this.#options = options;
  }

  connection(state: ConnectionState, upstream: string): void {
    if (state.state === this.#last) return;
    this.#last = state.state;
    clearTimeout(this.#pending);
    const { say, settleMs = SETTLE_MS } = this.#options;
    if (state.state === "trouble") {
      this.#pending = setTimeout(() => {
        this.#troubleTold = this.#show(say()("troubleTitle"), state.message);
      }, settleMs).unref();
    } else if (state.state === "connected" && this.#troubleTold) {
      this.#troubleTold = false;
      this.#show(say()("connectedTitle"), say()("connectedBody", { name: upstream }));
    } else if (state.state === "off") {
      this.#troubleTold = false;
      if (state.error !== undefined) this.#show(say()("troubleTitle"), state.error.message);
    }
  }

  engine(state: EngineProcess): void {
    if (state.state !== "failed") return;
    const { say } = this.#options;
    this.#troubleTold = this.#show(say()("troubleTitle"), say()("engineFailed"));
  }

  /** @returns false where it could not be shown. */
  hint(): boolean {
    const { say } = this.#options;
    return this.#show(say()("hintTitle"), say()("hintBody"));
  }

  close(): void {
    clearTimeout(this.#pending);
    this.#shown?.close();
  }

  /** @returns false where nobody is to be told, or nothing can be shown. */
  #show(title: string, body: string): boolean {
    const { electron, wanted, onClick } = this.#options;
    if (!wanted() || !electron.Notification.isSupported()) return false;
    // One at a time: the newest says what there is to say.
    this.#shown?.close();
    const shown = new electron.Notification({ title, body });
    shown.on("click", onClick);
    shown.on("close", () => {
      if (this.#shown === shown) this.#shown = undefined;
    });
    // Kept, or it would be collected, and its click with it.
    this.#shown = shown;
    shown.show();
    return true;
  }
}
