import type { CancelSignal } from "../cancel.ts";
import { abortReason, DialError, type DialStep } from "../errors.ts";

/** A time limit that stands still while a person is being asked, joined with a signal from outside. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #outer: CancelSignal;
  readonly #describe: (step: DialStep | undefined) => string;
  #remainingMs: number;
  #startedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #paused = 0;
  /** The step under way, for the error that a time-out becomes. */
  step: DialStep | undefined;

  /** @param describe names what took too long, when it did. */
  constructor(outer: CancelSignal, limitMs: number, describe: (step: DialStep | undefined) => string) {
    this.#outer = outer;
    this.#remainingMs = limitMs;
    this.#describe = describe;
    if (outer.aborted) this.#onOuterAbort();
    else outer.addEventListener("abort", this.#onOuterAbort);
    this.#start();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  readonly pause = (open: boolean): void => {
    this.#paused += open ? 1 : -1;
    if (open && this.#paused === 1) {
      clearTimeout(this.#timer);
      this.#remainingMs -= performance.now() - this.#startedAt;
    } else if (!open && this.#paused === 0) {
      this.#start();
    }
  };

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#outer.removeEventListener("abort", this.#onOuterAbort);
  }

  readonly #onOuterAbort = (): void => {
    clearTimeout(this.#timer);
    this.#controller.abort(abortReason(this.#outer));
  };

  #start(): void {
    if (this.signal.aborted) return;
    this.#startedAt = performance.now();
    this.#timer = setTimeout(
      () => {
        const options = { step: this.step, scope: "upstream" as const };
        this.#controller.abort(new DialError("timeout", this.#describe(this.step), options));
      },
      Math.max(0, this.#remainingMs),
    );
  }
}
