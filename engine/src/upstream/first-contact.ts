import { Backoff } from "./backoff.ts";
import { needsPerson } from "./links.ts";

export interface FirstContactOptions {
  /** Reaches the upstream and lets it go again. What it throws has been taken note of. */
  readonly attempt: (signal: AbortSignal) => Promise<void>;
  /** The upstream is known to work, or not to be tried without a person: nothing more to find out. */
  readonly isKnown: () => boolean;
  readonly backoff?: Backoff;
}

/** Finds out how an upstream fares before traffic asks, and tries again until it has answered or only a person can help. */
export class FirstContact {
  readonly #options: FirstContactOptions;
  readonly #backoff: Backoff;
  readonly #closing = new AbortController();
  #isWanted = false;
  #trying = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FirstContactOptions) {
    this.#options = options;
    this.#backoff = options.backoff ?? new Backoff();
  }

  /** At once; a try that waits for its time comes now. */
  start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isWanted = true;
    if (this.#trying || this.#closing.signal.aborted || this.#options.isKnown()) return;
    void this.#try();
  }

  /** True while it waits for its next try. */
  get isWaiting(): boolean {
    return this.#timer !== undefined;
  }

  /** Tries no more until it is started again. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isWanted = false;
  }

  close(): void {
    this.stop();
    this.#closing.abort();
  }

  async #try(): Promise<void> {
    this.#trying = true;
    let failure: unknown;
    try {
      await this.#options.attempt(this.#closing.signal);
    } catch (error) {
      failure = error;
    } finally {
      this.#trying = false;
    }
    if (failure === undefined || needsPerson(failure) || !this.#isWanted) return;
    this.#timer = setTimeout(() => this.start(), this.#backoff.next()).unref();
  }
}
