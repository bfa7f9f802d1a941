import { performance } from "node:perf_hooks";
import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";

/** Idle streams of one share; more are closed, for each holds a connection of the local service. */
const MAX_IDLE = 128;

/** A stream that has been idle for longer is given only to requests that may be sent a second time. */
const FRESH_MS = 1000;

/** Where the local service does not say how long it keeps a connection. */
const KEEP_MS = 4000;

/** One that waits. Whatever the local service does on an idle connection, it is of no more use. */
class IdleStream implements StreamReceiver {
  readonly stream: TunnelStream;
  readonly since: number;
  readonly until: number;
  readonly #all: IdleStream[];

  constructor(all: IdleStream[], stream: TunnelStream, since: number, until: number) {
    this.#all = all;
    this.stream = stream;
    this.since = since;
    this.until = until;
  }

  data(): void {
    this.end();
  }

  end(): void {
    this.reset();
    this.stream.reset("cancelled");
  }

  reset(): void {
    const at = this.#all.indexOf(this);
    if (at !== -1) this.#all.splice(at, 1);
  }

  drain(): void {}
}

/**
 * Streams whose local connection waits for its next request. The last one in is the first one out, so that as few as are
 * needed stay in use and the others end.
 */
export class IdleStreams {
  readonly #idle: IdleStream[] = [];
  #closed = false;

  get size(): number {
    return this.#idle.length;
  }

  /** @param repeatable the request may be sent again if the local service closed the connection just now. */
  take(repeatable: boolean): TunnelStream | undefined {
    const now = performance.now();
    const last = this.#idle.at(-1);
    if (last === undefined || last.until <= now || (!repeatable && now - last.since > FRESH_MS))
      return undefined;
    this.#idle.pop();
    return last.stream;
  }

  /** @param keepSeconds how long the local service keeps the connection, where it said so. */
  put(stream: TunnelStream, keepSeconds: number | undefined): void {
    // A second less than it says: its end and our request could meet on the way.
    const keepMs = keepSeconds === undefined ? KEEP_MS : Math.min(KEEP_MS, keepSeconds * 1000 - 1000);
    if (this.#closed || keepMs <= 0 || this.#idle.length >= MAX_IDLE) {
      stream.reset("cancelled");
      return;
    }
    const now = performance.now();
    const idle = new IdleStream(this.#idle, stream, now, now + keepMs);
    stream.receiver = idle;
    this.#idle.push(idle);
  }

  /** Closes those that have waited long enough; to be called about every second. */
  sweep(now: number): void {
    const first = this.#idle.findIndex((idle) => idle.until > now);
    for (const { stream } of this.#idle.splice(0, first === -1 ? this.#idle.length : first))
      stream.reset("cancelled");
  }

  close(): void {
    this.#closed = true;
    for (const { stream } of this.#idle.splice(0)) stream.reset("cancelled");
  }
}
