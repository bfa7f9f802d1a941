import { DialError } from "../errors.ts";
import type { Observer } from "../observe/observer.ts";
import { Place, Row } from "@sockeye/wire/row";
import type { Flow } from "./flow.ts";

/** Seconds, as in the configuration; 0 means for ever. */
export interface FlowTimeouts {
  readonly idle_timeout: number;
  readonly half_close_timeout: number;
  readonly udp_idle_timeout: number;
}

const SWEEP_INTERVAL_MS = 1000;

/** Flows remembered after their end, failed dials among them. */
const MAX_ENDED_FLOWS = 500;

/**
 * The live flows. One sweep a second serves all of them: it ends what has been quiet too long and adds up bytes for the
 * metrics, so that a flow has no timer of its own and a byte costs one addition.
 */
export class FlowTable {
  readonly #flows = new Row<Flow>();
  /** A ring: the oldest is at #endedCount modulo its size, once it is full. */
  readonly #ended: Flow[] = [];
  #endedCount = 0;
  readonly #observer: Observer;
  readonly #sweeper: NodeJS.Timeout;
  #timeouts: FlowTimeouts;
  #nextId = 1;
  #failed = 0;
  #bytesUp = 0;
  #bytesDown = 0;
  #whenEmpty: (() => void)[] = [];

  constructor(timeouts: FlowTimeouts, observer: Observer, sweepIntervalMs = SWEEP_INTERVAL_MS) {
    this.#timeouts = timeouts;
    this.#observer = observer;
    this.#sweeper = setInterval(() => this.#sweep(), sweepIntervalMs);
    this.#sweeper.unref();
  }

  get size(): number {
    return this.#flows.size;
  }

  /** Flows that there have been, those that never connected, and bytes both ways (as of the last sweep), since the start. */
  get totals(): { total: number; failed: number; up: number; down: number } {
    return { total: this.#nextId - 1, failed: this.#failed, up: this.#bytesUp, down: this.#bytesDown };
  }

  /** Those that ended lately, oldest first. */
  *ended(): IterableIterator<Flow> {
    const start = this.#ended.length < MAX_ENDED_FLOWS ? 0 : this.#endedCount % MAX_ENDED_FLOWS;
    for (let i = 0; i < this.#ended.length; i++) yield this.#ended[(start + i) % this.#ended.length]!;
  }

  /** A number that no other flow of this engine has. */
  nextId(): number {
    return this.#nextId++;
  }

  setTimeouts(timeouts: FlowTimeouts): void {
    this.#timeouts = timeouts;
  }

  add(flow: Flow): void {
    flow.place = this.#flows.enter(new Place(flow));
    this.#observer.flowOpened(flow.decision.to);
  }

  /** The flow is over: its last bytes are counted, and it is among the ended ones. */
  remove(flow: Flow, error?: Error): void {
    if (flow.place === undefined || !this.#flows.leave(flow.place)) return;
    if (flow.state === "dialing") this.#failed++;
    flow.finish(error);
    this.#report(flow);
    this.#ended[this.#endedCount++ % MAX_ENDED_FLOWS] = flow;
    this.#observer.flowClosed(flow.decision.to, flow.ageMs);
    if (this.#flows.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }

  /** Those that live now, oldest first. */
  [Symbol.iterator](): IterableIterator<Flow> {
    return Array.from(this.#flows, ({ item }) => item).values();
  }

  /**
   * Resolves once no flow is left, or after `timeoutMs`, when what is left is cut.
   * @param why what a flow that is cut is told.
   * @returns how many were cut.
   */
  async drain(timeoutMs: number, why = "sockeye is stopping"): Promise<number> {
    if (this.#flows.size > 0 && timeoutMs > 0) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      const timer = setTimeout(resolve, timeoutMs, undefined);
      this.#whenEmpty.push(() => resolve(undefined));
      await promise;
      clearTimeout(timer);
    }
    const cut = this.#flows.size;
    for (const flow of this) flow.close(new DialError("closed", why));
    return cut;
  }

  close(): void {
    clearInterval(this.#sweeper);
  }

  #sweep(): void {
    const now = performance.now();
    for (const flow of this) {
      this.#report(flow);
      if (flow.hasStirred()) {
        flow.quietSince = now;
        continue;
      }
      const limit = this.#quietLimit(flow);
      if (limit > 0 && now - flow.quietSince > limit * 1000) {
        flow.close(new DialError("timeout", `nothing was sent for ${limit} s`));
      }
    }
  }

  /** Seconds of quiet that this flow may have; 0 for ever. A dial has a deadline of its own. */
  #quietLimit(flow: Flow): number {
    if (flow.origin.protocol === "udp") return this.#timeouts.udp_idle_timeout;
    switch (flow.state) {
      case "dialing":
      case "ended":
        return 0;
      case "open":
        return this.#timeouts.idle_timeout;
      case "half-closed":
        return this.#timeouts.half_close_timeout;
    }
  }

  #report(flow: Flow): void {
    const up = flow.bytesUp - flow.reportedUp;
    const down = flow.bytesDown - flow.reportedDown;
    if (up === 0 && down === 0) return;
    flow.reportedUp += up;
    flow.reportedDown += down;
    this.#bytesUp += up;
    this.#bytesDown += down;
    this.#observer.bytes(flow.decision.to, up, down);
  }
}
