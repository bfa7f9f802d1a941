import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/*
 * V8 grows its heap with what is allocated and keeps the pages when nothing is any more: after ten thousand flows, twice what
 * the engine needs, for as long as it idles. It gives them back when a collection says that memory is short. So once the engine
 * is quiet after it has grown, one such collection is asked for: some tens of milliseconds when nobody waits for a byte.
 */

const CHECK_INTERVAL_MS = 5000;
/** Checks in a row that must find the engine quiet. */
const QUIET_CHECKS = 2;
/** Quiet is what carries less than this between two checks. */
const QUIET = { flows: 10, bytes: 1_000_000 };
/** Worth a collection: so much more than there was after the last one, in bytes. */
const WORTH_COLLECTING = 32 * 1024 * 1024;

/** What the engine has done since its start. */
export interface Work {
  /** Flows that there have been. */
  readonly total: number;
  readonly up: number;
  readonly down: number;
}

export interface IdleMemoryOptions {
  readonly work: () => Work;
  /** Bytes that are resident. Default: this process's. */
  readonly resident?: () => number;
  /** Default: V8's own, where there is one to be had. */
  readonly collect?: () => void;
}

/** Gives memory back to the system while the engine is quiet. Owned by the engine, which closes it. */
export class IdleMemory {
  readonly #work: () => Work;
  readonly #resident: () => number;
  readonly #collect: () => void;
  readonly #timer: NodeJS.Timeout;
  #before: Work;
  #quietChecks = 0;
  /** What was resident when all that could be given back had been. */
  #floor: number;

  constructor({ work, resident = () => process.memoryUsage.rss(), collect = collectAll }: IdleMemoryOptions) {
    this.#work = work;
    this.#resident = resident;
    this.#collect = collect;
    this.#before = work();
    this.#floor = resident();
    this.#timer = setInterval(() => this.check(), CHECK_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Called by itself every few seconds. */
  check(): void {
    const { total, up, down } = this.#work();
    const { total: totalBefore, up: upBefore, down: downBefore } = this.#before;
    this.#before = { total, up, down };
    const isQuiet = total - totalBefore < QUIET.flows && up + down - upBefore - downBefore < QUIET.bytes;
    this.#quietChecks = isQuiet ? this.#quietChecks + 1 : 0;
    if (this.#quietChecks < QUIET_CHECKS || this.#resident() - this.#floor < WORTH_COLLECTING) return;
    this.#collect();
    this.#floor = this.#resident();
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

type Collector = (options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

let collector: Collector | undefined;

/** A whole collection that also returns V8's unused pages. Without a way to it (a flag that V8 does not know) it does nothing. */
function collectAll(): void {
  if (!collector) {
    setFlagsFromString("--expose-gc");
    collector = runInNewContext("globalThis.gc ?? (() => {})") as Collector;
  }
  collector({ type: "major", execution: "sync", flavor: "last-resort" });
}
