/** Where a channel starts when few are open: what OpenSSH gives. */
export const FIRST_WINDOW = 2 * 1024 * 1024;
/**
 * As far as a channel's window grows: 10 MB carry 1.6 Gbit/s over 50 ms. OpenSSH's server reads ahead of a slower network up to the
 * window, into a buffer that it copies whenever it grows: with windows of 32 MB downloads went at 0.2 to 2.3 Gbit/s from one time to
 * the next, while sshd was busy, and with 10 MB at 1.2 to 1.5.
 */
export const MAX_WINDOW = 10 * 1024 * 1024;
/** What every channel gets, however many there are. */
export const MIN_WINDOW = 64 * 1024;
/** More than one thread seals in a millisecond: 8 Gbit/s. */
const MOST_BYTES_PER_MS = 1_000_000;

/**
 * As far as a window grows where a round trip takes so many milliseconds. What is beyond that carries nothing more, and lies in
 * the server's buffers: nearby, sshd took twice the processor time for windows of 8 MB that it takes for 2 MB.
 */
export function usefulWindow(roundTripMs: number): number {
  return Math.min(MAX_WINDOW, Math.max(FIRST_WINDOW, Math.ceil(roundTripMs * MOST_BYTES_PER_MS)));
}

/**
 * What the peer may make us hold, for all channels of one connection together. A window that was granted can't be taken
 * back, so the budget counts promises (a channel's whole window), not what happens to lie in buffers: however many readers
 * stall at once, no more than `maxBytes` and MIN_WINDOW for each channel is ever held.
 */
export class ReceiveBudget {
  readonly maxBytes: number;
  #promised = 0;
  #channels = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Bytes promised to the peer's channels now. */
  get promised(): number {
    return this.#promised;
  }

  /** A new channel's window. It gets smaller as channels get many, so that those which carry something can still grow. */
  open(): number {
    this.#channels++;
    const share = this.maxBytes / (8 * this.#channels);
    const free = this.maxBytes - this.#promised;
    const window = Math.max(MIN_WINDOW, Math.floor(Math.min(FIRST_WINDOW, share, free)));
    this.#promised += window;
    return window;
  }

  /** @returns by how much a window may grow, at most by `bytes`; 0 when everything is promised. */
  grow(bytes: number): number {
    const granted = Math.max(0, Math.min(bytes, this.maxBytes - this.#promised));
    this.#promised += granted;
    return granted;
  }

  shrink(bytes: number): void {
    this.#promised -= bytes;
  }

  /** A channel with this window is gone. */
  close(window: number): void {
    this.#channels--;
    this.#promised -= window;
  }
}
