import { keepGiven } from "@sockeye/wire/given-memory";
import { isIdempotent } from "./heads.ts";

/** Bytes of a request's body that are kept for a second try. */
const MAX_KEPT_BYTES = 65_536;
/** How often a request is sent again, after the first time. */
const MAX_RETRIES = 2;

/** Whether one request may be sent again, and what was sent of its body. */
export class SecondTry {
  /** What was sent of the body; undefined once it can't be sent again. */
  #kept: Buffer[] | undefined;
  #bytes = 0;
  #tries = 0;

  constructor(method: string) {
    this.#kept = isIdempotent(method) ? [] : undefined;
  }

  /** What has to be sent after the head. */
  get kept(): readonly Buffer[] {
    return this.#kept ?? [];
  }

  /** It is being sent again. */
  get isRetry(): boolean {
    return this.#tries > 0;
  }

  /** More of the body is sent. */
  keep(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > MAX_KEPT_BYTES) this.#kept = undefined;
    if (this.#kept === undefined) return;
    keepGiven(part);
    this.#kept.push(part);
  }

  /** There is an answer. */
  giveUp(): void {
    this.#kept = undefined;
  }

  /** @returns whether to send it again now. */
  take(): boolean {
    if (this.#kept === undefined || this.#tries >= MAX_RETRIES) return false;
    this.#tries++;
    return true;
  }
}
