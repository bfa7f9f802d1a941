import type { Lease } from "./registry.ts";

/** Requests that wait for a name's holder to be back: signalled by its claim, never polled, and so many at most. */
export class Waiters {
  readonly #max: number;
  readonly #byKey = new Map<string, Set<Waiter>>();
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get count(): number {
    return this.#count;
  }

  /**
   * @returns undefined when nobody came in time, when too many wait, or when all were sent away.
   * @throws the signal's reason.
   */
  wait(key: string, ms: number, signal: AbortSignal): Promise<Lease | undefined> {
    if (signal.aborted) return Promise.reject(reasonOf(signal));
    if (this.#count >= this.#max || ms <= 0) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#leave(key, waiter);
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
      };
      const waiter: Waiter = {
        end: (lease) => {
          leave();
          resolve(lease);
        },
      };
      const onAbort = () => {
        leave();
        reject(reasonOf(signal));
      };
      const timer = setTimeout(() => waiter.end(undefined), ms);
      signal.addEventListener("abort", onAbort, { once: true });
      const others = this.#byKey.get(key);
      if (others === undefined) this.#byKey.set(key, new Set([waiter]));
      else others.add(waiter);
      this.#count++;
    });
  }

  /** Wakes everybody who waits for `key`, each with its own answer. */
  signal(key: string, answer: () => Lease | undefined): void {
    for (const waiter of this.#byKey.get(key) ?? []) waiter.end(answer());
  }

  close(): void {
    for (const waiters of [...this.#byKey.values()]) for (const waiter of waiters) waiter.end(undefined);
  }

  #leave(key: string, waiter: Waiter): void {
    const waiters = this.#byKey.get(key);
    if (waiters?.delete(waiter) !== true) return;
    this.#count--;
    if (waiters.size === 0) this.#byKey.delete(key);
  }
}

interface Waiter {
  end(lease: Lease | undefined): void;
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason));
}
