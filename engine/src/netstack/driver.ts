import type { PacketDevice } from "./device.ts";
import type { StackHandler } from "./handler.ts";
import { Stack, type StackLimits, type StackStats } from "./stack.ts";

export interface DriverOptions {
  readonly device: PacketDevice;
  readonly handler: StackHandler;
  readonly limits?: Partial<StackLimits> | undefined;
  /** The device went away by itself, with the error that ended it. The stack is closed. */
  readonly onLost: (error: Error | undefined) => void;
}

/** The longest wait that setTimeout() knows. */
const MAX_WAIT_MS = 0x7fff_ffff;

/**
 * Runs a stack on the event loop: bursts in as the device reads them, one timer for all its deadlines, and one flush at the
 * end of a turn of the loop for whatever was put out during it.
 */
export class StackDriver {
  readonly #device: PacketDevice;
  readonly #stack: Stack;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires; Infinity while none is set. */
  #timerAt = Infinity;
  #flush: NodeJS.Immediate | undefined;
  #closed = false;

  constructor({ device, handler, limits, onLost }: DriverOptions) {
    this.#device = device;
    this.#stack = new Stack({
      device,
      handler,
      limits,
      now: () => performance.now(),
      onOutput: () => this.#flushSoon(),
    });
    device.start(
      (burst) => {
        if (this.#closed) return;
        this.#stack.receive(burst);
        this.#setTimer();
      },
      (error) => {
        if (this.#closed) return;
        this.close();
        onLost(error);
      },
    );
  }

  get stats(): StackStats {
    return this.#stack.stats;
  }

  setLimits(limits: Pick<Partial<StackLimits>, "tcp" | "udp">): void {
    this.#stack.setLimits(limits);
    this.#setTimer();
  }

  /** Ends all connections, and tells their applications. */
  reset(): void {
    this.#stack.reset();
  }

  /** Ends connections, as reset() does, and sources, and closes the device. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    clearImmediate(this.#flush);
    this.#stack.close();
    this.#device.close();
  }

  #flushSoon(): void {
    if (this.#closed) return;
    this.#flush ??= setImmediate(() => {
      this.#flush = undefined;
      this.#stack.flush();
      this.#setTimer();
    });
  }

  /** A timer that fires too early finds nothing to do and is set anew, which is cheaper than moving it with each packet. */
  #setTimer(): void {
    const next = this.#stack.next();
    if (next >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = next;
    const wait = Math.min(Math.max(Math.ceil(next - performance.now()), 1), MAX_WAIT_MS);
    this.#timer = setTimeout(() => this.#onTimer(), wait);
    this.#timer.unref();
  }

  #onTimer(): void {
    this.#timerAt = Infinity;
    this.#stack.advance(performance.now());
    this.#setTimer();
  }
}
