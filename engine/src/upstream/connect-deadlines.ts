import { abortReason, DialError } from "../errors.ts";

/** One attempt to connect. End it when it is over, however it ended. */
export interface Attempt {
  readonly signal: AbortSignal;
  end(): void;
}

/**
 * The attempts of one upstream to connect, each with the same time for it. One coarse timer serves them all, and it runs only
 * while there are any: at thousands of dials a second a timer for each would show.
 */
export class ConnectDeadlines {
  readonly #timeoutMs: number;
  readonly #attempts = new Set<TimedAttempt>();
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Attempts under way. */
  get size(): number {
    return this.#attempts.size;
  }

  /** @param parent the signal of whoever waits for this attempt; its reason is passed on. */
  begin(parent?: AbortSignal): Attempt {
    const attempt = new TimedAttempt(performance.now() + this.#timeoutMs, parent, this.#attempts);
    this.#attempts.add(attempt);
    // Coarse to a sixteenth of the time itself, so that late is late by little.
    this.#timer ??= setInterval(() => this.#tick(), Math.max(5, this.#timeoutMs / 16)).unref();
    return attempt;
  }

  abortAll(reason: DialError): void {
    for (const attempt of this.#attempts) attempt.abort(reason);
  }

  #tick(): void {
    const now = performance.now();
    for (const attempt of this.#attempts) {
      if (attempt.expires > now) break; // they stand in the order in which they began
      attempt.abort(new DialError("timeout", "no answer in time", { scope: "upstream" }));
    }
    if (this.#attempts.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

class TimedAttempt implements Attempt {
  readonly expires: number;
  readonly #parent: AbortSignal | undefined;
  readonly #owner: Set<TimedAttempt>;
  readonly #controller = new AbortController();

  constructor(expires: number, parent: AbortSignal | undefined, owner: Set<TimedAttempt>) {
    this.expires = expires;
    this.#parent = parent;
    this.#owner = owner;
    if (parent?.aborted) this.abort(abortReason(parent));
    else parent?.addEventListener("abort", this);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: DialError): void {
    this.#controller.abort(reason);
  }

  /** The parent's signal fired. (An object as listener costs no closure.) */
  handleEvent(): void {
    this.abort(abortReason(this.#parent!));
  }

  end(): void {
    this.#parent?.removeEventListener("abort", this);
    this.#owner.delete(this);
  }
}
