import { type Deadline, DeadlineQueue } from "../deadline-queue.ts";
import { abortReason, DialError } from "../errors.ts";

/** One attempt to connect. End it when it is over, however it ended. */
export interface Attempt {
  readonly signal: AbortSignal;
  end(): void;
}

/** The attempts of one upstream to connect, each with the same time for it. */
export class ConnectDeadlines {
  readonly #attempts: DeadlineQueue<TimedAttempt>;
  #reason: DialError | undefined;

  constructor(timeoutMs: number) {
    this.#attempts = new DeadlineQueue(timeoutMs, (attempt) => {
      attempt.abort(this.#reason ?? new DialError("timeout", "no answer in time", { scope: "upstream" }));
    });
  }

  /** Attempts under way. */
  get size(): number {
    return this.#attempts.size;
  }

  /** @param parent the signal of whoever waits for this attempt; its reason is passed on. */
  begin(parent?: AbortSignal): Attempt {
    return new TimedAttempt(this.#attempts, parent);
  }

  abortAll(reason: DialError): void {
    this.#reason = reason;
    this.#attempts.flush();
    this.#reason = undefined;
  }
}

class TimedAttempt implements Attempt {
  readonly #parent: AbortSignal | undefined;
  readonly #owner: DeadlineQueue<TimedAttempt>;
  readonly #deadline: Deadline<TimedAttempt>;
  readonly #controller = new AbortController();

  constructor(owner: DeadlineQueue<TimedAttempt>, parent: AbortSignal | undefined) {
    this.#parent = parent;
    this.#owner = owner;
    this.#deadline = owner.add(this);
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
    this.#owner.lift(this.#deadline);
  }
}
