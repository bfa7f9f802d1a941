import type { Duplex } from "node:stream";
import { Place, Row } from "@sockeye/wire/row";

/** The streams that an upstream has given out and that have not ended, so that it can be drained. */
export class GivenStreams {
  readonly #open = new Row<Duplex>();
  #closing = false;
  #pending = 0;
  #empty: (() => void) | undefined;

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
    const place = this.#open.enter(new Place(stream));
    stream.on("close", () => {
      this.#open.leave(place);
      this.#settle();
    });
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
    for (const { item } of this.#open) item.destroy();
  }

  #isEmpty(): boolean {
    return this.#open.size === 0 && this.#pending === 0;
  }

  #settle(): void {
    if (this.#isEmpty()) this.#empty?.();
  }
}
