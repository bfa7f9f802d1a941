/** Until a round trip was measured (RFC 6298 §2.1). */
const FIRST_TIMEOUT_MS = 1000;
/** As Linux has it. RFC 6298 says one second, for slower clocks and links than ours. */
const MIN_TIMEOUT_MS = 200;
const MAX_TIMEOUT_MS = 60_000;

/** The retransmission timeout (RFC 6298), in milliseconds. */
export class RoundTrip {
  /** Smoothed; -1 before the first sample. */
  smoothed = -1;
  #variation = 0;
  #timeout = FIRST_TIMEOUT_MS;
  /** How many timeouts there were since the last progress. */
  backoff = 0;

  sample(ms: number): void {
    if (this.smoothed < 0) {
      this.smoothed = ms;
      this.#variation = ms / 2;
    } else {
      this.#variation += (Math.abs(this.smoothed - ms) - this.#variation) / 4;
      this.smoothed += (ms - this.smoothed) / 8;
    }
    this.#timeout = Math.max(MIN_TIMEOUT_MS, this.smoothed + 4 * this.#variation);
  }

  /** With the back-off (RFC 6298 §5.5). */
  get timeout(): number {
    return Math.min(MAX_TIMEOUT_MS, this.#timeout * 2 ** Math.min(this.backoff, 16));
  }
}
