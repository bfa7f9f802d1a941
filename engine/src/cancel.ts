type CancelListener = (() => void) | { handleEvent(): void };

/** As much of an AbortSignal as a dial needs; an AbortSignal is one. */
export interface CancelSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  /** Not twice the same listener, and none once it is aborted. */
  addEventListener(type: "abort", listener: CancelListener): void;
  removeEventListener(type: "abort", listener: CancelListener): void;
}

/**
 * An AbortController and its signal in one, for what happens thousands of times a second: an AbortSignal has a Map for its
 * listeners, and is made and listened to at ten times the cost.
 */
export class Cancel implements CancelSignal {
  #reason: Error | undefined;
  /** Mostly there is one at a time. */
  #listener: CancelListener | undefined;
  #others: CancelListener[] | undefined;

  get aborted(): boolean {
    return this.#reason !== undefined;
  }

  get reason(): Error | undefined {
    return this.#reason;
  }

  addEventListener(_type: "abort", listener: CancelListener): void {
    if (this.#listener === undefined) this.#listener = listener;
    else (this.#others ??= []).push(listener);
  }

  removeEventListener(_type: "abort", listener: CancelListener): void {
    if (this.#listener === listener) this.#listener = this.#others?.shift();
    else if (this.#others?.includes(listener)) this.#others.splice(this.#others.indexOf(listener), 1);
  }

  /** Tells whoever listens, each once, in the order of their coming. A second reason is not heard. */
  abort(reason: Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    for (let listener = this.#listener; listener !== undefined; listener = this.#listener) {
      this.removeEventListener("abort", listener);
      if (typeof listener === "function") listener();
      else listener.handleEvent();
    }
  }
}
