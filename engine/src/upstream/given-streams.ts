import type { Duplex } from "node:stream";
import { Roster } from "@sockeye/wire/roster";

/** The streams that an upstream has given out and that have not ended, so that it can be drained. */
export class GivenStreams {
  readonly #open = new Roster<Duplex>();
  #closing = false;
  #pending = 0;
  #empty: (() => void) | undefined;
  readonly #onClose: (this: Duplex) => void;

  constructor() {
    const forget = (stream: Duplex) => {
      this.#open.delete(stream);
      this.#settle();
    };
    // One function for all streams: nothing is allocated for each.
    this.#onClose = function () {
      forget(this);
    };
  }

  /** True from the call of drain() on. */
  get closing(): boolean {
    return this.#closing;
  }

  get size(): number {
    return this.#open.size;
  }

  /** A dial has begun that may give a stream; drain() waits for it too. */
  begin(): void {
    this.#pending++;
  }

  /** That dial is over. */
  end(): void {
    this.#pending--;
    this.#settle();
  }

  add(stream: Duplex): void {
    if (stream.closed) return;
    this.#open.add(stream);
    stream.on("close", this.#onClose);
  }

  /** Resolves when the last stream has ended and the last dial is over, or after `ms`. Cuts nothing. */
  async drain(ms: number): Promise<void> {
    this.#closing = true;
    if (ms <= 0 || this.#isEmpty()) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#empty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Ends all that is still open. */
  cut(): void {
    for (const stream of this.#open) stream.destroy();
  }

  #isEmpty(): boolean {
    return this.#open.size === 0 && this.#pending === 0;
  }

  #settle(): void {
    if (this.#isEmpty()) this.#empty?.();
  }
}
