/** Beyond this a window says nothing. */
const MAX_WINDOW = 64 * 1024 * 1024;

/**
 * The congestion window (RFC 5681, RFC 3465), in bytes. The link below is local and rarely loses anything, so a plain
 * NewReno does; what is lost there is lost for want of room in a queue, and halving is the right answer.
 */
export class Congestion {
  window: number;
  #threshold = Infinity;
  #ackedInAvoidance = 0;

  /** @param initialWindow RFC 6928 allows ten segments on the Internet; a local link bears more. */
  constructor(initialWindow: number) {
    this.window = initialWindow;
  }

  /** @param limited whether the window was what held the sender back; only then it grows (RFC 7661). */
  onProgress(acked: number, mss: number, limited: boolean): void {
    if (!limited) return;
    if (this.window < this.#threshold) {
      this.window = Math.min(this.window + acked, MAX_WINDOW);
      return;
    }
    this.#ackedInAvoidance += acked;
    if (this.#ackedInAvoidance < this.window) return;
    this.#ackedInAvoidance -= this.window;
    this.window = Math.min(this.window + mss, MAX_WINDOW);
  }

  /** A loss was noticed by duplicate acknowledgements (RFC 5681 §3.2, RFC 6675 §5). */
  onLoss(flight: number, mss: number): void {
    this.#threshold = Math.max(Math.floor(flight / 2), 2 * mss);
    this.window = this.#threshold;
    this.#ackedInAvoidance = 0;
  }

  /** Nothing came for a timeout (RFC 5681 §3.1). `first` is false where what was sent again is lost once more. */
  onTimeout(flight: number, mss: number, first: boolean): void {
    if (first) this.#threshold = Math.max(Math.floor(flight / 2), 2 * mss);
    this.window = mss;
    this.#ackedInAvoidance = 0;
  }
}
