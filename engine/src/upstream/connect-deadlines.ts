import { Cancel, type CancelSignal } from "../cancel.ts";
import { type Deadline, DeadlineQueue } from "../deadline-queue.ts";
import { abortReason, DialError } from "../errors.ts";

/** One attempt to connect. End it when it is over, however it ended. */
export interface Attempt {
  readonly signal: CancelSignal;
  end(): void;
}

/** The attempts of one upstream to connect, each with the same time for it. */
export class ConnectDeadlines {
  readonly #attempts: DeadlineQueue<TimedAttempt>;
  #reason: DialError | undefined;

  constructor(timeoutMs: number) {
    this.#attempts = new DeadlineQueue(timeoutMs, (attempt) => {
      attempt.signal.abort(
        this.#reason ?? new DialError("timeout", "no answer in time", { scope: "upstream" }),
      );
    });
  }

  /** Attempts under way. */
  get size(): number {
    return this.#attempts.size;
  }

  /** @param parent the signal of whoever waits for this attempt; its reason is passed on. */
  begin(parent?: CancelSignal): Attempt {
    return new TimedAttempt(this.#attempts, parent);
  }

  abortAll(reason: DialError): void {
    this.#reason = reason;
    this.#attempts.flush();
    this.#reason = undefined;
  }
}

class TimedAttempt implements Attempt {
  readonly signal = new Cancel();
  readonly #parent: CancelSignal | undefined;
  readonly #owner: DeadlineQueue<TimedAttempt>;
  readonly #deadline: Deadline<TimedAttempt>;

  constructor(owner: DeadlineQueue<TimedAttempt>, parent: CancelSignal | undefined) {
    this.#parent = parent;
    this.#owner = owner;
    this.#deadline = owner.add(this);
    if (parent?.aborted) this.handleEvent();
    else parent?.addEventListener("abort", this);
  }

  /** The parent's signal fired. (An object as listener costs no closure.) */
  handleEvent(): void {
    this.signal.abort(abortReason(this.#parent!));
  }

  end(): void {
    this.#parent?.removeEventListener("abort", this);
    this.#owner.lift(this.#deadline);
  }
}
