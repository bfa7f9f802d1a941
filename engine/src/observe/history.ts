import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { UpstreamNumbers } from "../control/contract.ts";
import { ControlError } from "../control/control-error.ts";
import {
  FINEST_STEP_MS,
  type HistoryAnswer,
  type HistoryQuery,
  type HistoryRow,
  type HistorySample,
} from "./history-rows.ts";
import type { Logger } from "./log.ts";

/** Samples that are written together. */
const BATCH = 3;
/** Waiting while the file can't be written; then the oldest are given up. */
const MAX_WAITING = 60;
const ANSWER_MS = 8_000;
const CLOSE_MS = 2_000;

export type HistoryRequest =
  | { readonly kind: "write"; readonly samples: readonly HistorySample[] }
  | { readonly kind: "query"; readonly id: number; readonly query: HistoryQuery }
  | { readonly kind: "close" };

export type HistoryReply =
  | { readonly kind: "open"; readonly setAside: string | undefined }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "written"; readonly mine: boolean }
  | { readonly kind: "unwritten"; readonly message: string }
  | { readonly kind: "answer"; readonly id: number; readonly answer: HistoryAnswer }
  | { readonly kind: "refusal"; readonly id: number; readonly message: string };

export interface HistoryOptions {
  readonly file: string;
  /** The totals of each upstream, as they are at the moment. */
  readonly numbers: () => readonly UpstreamNumbers[];
  readonly log: Pick<Logger, "info" | "warn">;
  /** Between two samples; default FINEST_STEP_MS. */
  readonly sampleMs?: number;
}

type Pending = PromiseWithResolvers<HistoryAnswer>;

/** Keeps what the upstreams did across restarts. Nothing of it is waited for by traffic: a thread has the file. */
export class History {
  readonly #options: HistoryOptions;
  readonly #worker: Worker;
  readonly #timer: NodeJS.Timeout;
  readonly #pending = new Map<number, Pending>();
  #before: ReadonlyMap<string, HistoryRow>;
  #samples: HistorySample[] = [];
  #nextId = 1;
  /** Why there is none, once that is known. */
  #failure: string | undefined;
  #writes = true;

  constructor(options: HistoryOptions) {
    this.#options = options;
    this.#before = totalsOf(options.numbers());
    this.#worker = new Worker(new URL("./history-worker.ts", import.meta.url), {
      workerData: { file: options.file },
      // node:sqlite says on standard error that it is new; whoever runs the engine did not ask.
      execArgv: ["--disable-warning=ExperimentalWarning"],
    });
    this.#worker.on("message", (reply: HistoryReply) => this.#hear(reply));
    this.#worker.on("error", (error: Error) => this.#fail(error.message));
    this.#worker.on("exit", () => this.#fail("its thread has ended"));
    this.#worker.unref();
    this.#timer = setInterval(() => this.#sample(), options.sampleMs ?? FINEST_STEP_MS);
    this.#timer.unref();
  }

  /** @throws {ControlError} unavailable, with why; timeout. */
  query(query: HistoryQuery): Promise<HistoryAnswer> {
    if (this.#failure !== undefined) return Promise.reject(noHistory(this.#failure));
    if (!(query.from < query.to)) {
      return Promise.reject(new ControlError("bad-request", "from comes before to"));
    }
    this.#write();
    const id = this.#nextId++;
    const pending = Promise.withResolvers<HistoryAnswer>();
    this.#pending.set(id, pending);
    this.#ask({ kind: "query", id, query });
    const timer = setTimeout(() => {
      pending.reject(new ControlError("timeout", "the history is not answering; its disk may be busy"));
    }, ANSWER_MS);
    return pending.promise.finally(() => {
      clearTimeout(timer);
      this.#pending.delete(id);
    });
  }

  /** Writes what is left and lets go of the file. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#failure === undefined) {
      this.#sample();
      this.#write();
      this.#ask({ kind: "close" });
      this.#worker.ref();
      const ended = once(this.#worker, "exit", { signal: AbortSignal.timeout(CLOSE_MS) });
      // One that hangs on its disk is ended below; the file stays whole.
      await ended.catch(() => undefined);
    }
    await this.#worker.terminate();
  }

  #sample(): void {
    const now = totalsOf(this.#options.numbers());
    const rows = [...now.values()].map((row) => difference(row, this.#before.get(row.upstream)));
    this.#before = now;
    const at = Math.floor(Date.now() / FINEST_STEP_MS) * FINEST_STEP_MS;
    this.#samples.push({ at, rows: rows.filter(hasHappened) });
    if (this.#samples.length > MAX_WAITING) this.#samples.shift();
    if (this.#samples.length >= BATCH) this.#write();
  }

  #write(): void {
    if (this.#failure !== undefined || this.#samples.length === 0) return;
    this.#ask({ kind: "write", samples: this.#samples });
    this.#samples = [];
  }

  #ask(request: HistoryRequest): void {
    this.#worker.postMessage(request);
  }

  #hear(reply: HistoryReply): void {
    const { log, file } = this.#options;
    switch (reply.kind) {
      case "open":
        if (reply.setAside === undefined) return;
        log.warn(`the history in ${file} was broken; it is ${reply.setAside} now, and a new one has begun`);
        return;
      case "failed":
        this.#fail(reply.message);
        return;
      case "written":
        if (!reply.mine && this.#writes)
          log.info(`another engine keeps the history in ${file}; this one does not`);
        this.#writes = reply.mine;
        return;
      case "unwritten":
        if (this.#writes) log.warn(`the history in ${file} can't be written: ${reply.message}`);
        this.#writes = false;
        return;
      case "answer":
        this.#pending.get(reply.id)?.resolve(reply.answer);
        return;
      case "refusal":
        this.#pending.get(reply.id)?.reject(noHistory(reply.message));
        return;
    }
  }

  #fail(message: string): void {
    if (this.#failure !== undefined) return;
    this.#failure = message;
    clearInterval(this.#timer);
    if (message !== "its thread has ended") {
      this.#options.log.warn(`no history is kept in ${this.#options.file}: ${message}`);
    }
    for (const pending of this.#pending.values()) pending.reject(noHistory(message));
  }
}

function noHistory(why: string): ControlError {
  return new ControlError("unavailable", `there is no history: ${why}`);
}

function totalsOf(numbers: readonly UpstreamNumbers[]): Map<string, HistoryRow> {
  return new Map(
    numbers.map(({ upstream, up, down, connections, dials, dialSeconds, dialErrors, reconnects }) => {
      const errors = Object.values(dialErrors).reduce((sum, count) => sum + count, 0);
      return [
        upstream,
        { upstream, up, down, connections, dials, dialMs: dialSeconds * 1000, errors, reconnects },
      ];
    }),
  );
}

/** What came since. Totals that are smaller than before began anew, with an upstream that was taken out and put back. */
function difference(now: HistoryRow, before: HistoryRow | undefined): HistoryRow {
  if (before === undefined || now.connections < before.connections || now.dials < before.dials) return now;
  return {
    upstream: now.upstream,
    up: Math.max(0, now.up - before.up),
    down: Math.max(0, now.down - before.down),
    connections: now.connections - before.connections,
    dials: now.dials - before.dials,
    dialMs: Math.max(0, now.dialMs - before.dialMs),
    errors: Math.max(0, now.errors - before.errors),
    reconnects: Math.max(0, now.reconnects - before.reconnects),
  };
}

function hasHappened(row: HistoryRow): boolean {
  return Object.values(row).some((count) => typeof count === "number" && count > 0);
}
