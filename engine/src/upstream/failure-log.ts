import type { DialError } from "../errors.ts";
import type { UpstreamLog } from "./upstream.ts";

/** Warns of an upstream's failure once: the same one at each further try is a line for debugging only, until it changes. */
export class FailureLog {
  readonly #log: UpstreamLog;
  readonly #upstream: string;
  #told: string | undefined;

  constructor(log: UpstreamLog, upstream: string) {
    this.#log = log;
    this.#upstream = upstream;
  }

  tell(error: DialError): void {
    const fields = { upstream: this.#upstream, code: error.code };
    if (this.#told === error.message) this.#log.debug(fields, error.message);
    else this.#log.warn(fields, error.message);
    this.#told = error.message;
  }

  /** It works again: the next failure is news, even the same one. */
  forget(): void {
    this.#told = undefined;
  }
}
