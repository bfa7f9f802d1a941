import { randomUUID } from "node:crypto";
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { HistoryPoint } from "../control/contract.ts";
import { FINEST_STEP_MS, type HistoryAnswer, type HistoryQuery, type HistorySample } from "./history-rows.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** How fine it is kept for how long. A sample is added to a row of each. */
const LAYERS = [
  { stepMs: FINEST_STEP_MS, keepMs: 3 * HOUR_MS },
  { stepMs: MINUTE_MS, keepMs: 14 * DAY_MS },
  { stepMs: HOUR_MS, keepMs: 730 * DAY_MS },
] as const;

const MAX_BYTES = 64 * 1024 * 1024;
/** After reaching the cap, so that not every write reaches it again. */
const REFILL = 0.8;
const PRUNE_EVERY_MS = 10 * MINUTE_MS;

/** For how long a writer is believed to be there after its last word. */
const LEASE_MS = 2 * MINUTE_MS;
const BUSY_MS = 500;
const SCHEMA = 1;

/** No upstream has this name: its rows say that an engine ran. */
const PRESENCE = "";

export interface StoreOptions {
  /** Default 64 MiB. */
  readonly maxBytes?: number;
  readonly now?: () => number;
}

/**
 * What the upstreams did, in an SQLite file that survives a crash (write-ahead log). Several engines may open it: one of
 * them writes, the others read. Every call takes its time, so a thread of its own makes them.
 */
export class HistoryStore {
  readonly #database: DatabaseSync;
  readonly #id = randomUUID();
  readonly #maxBytes: number;
  readonly #now: () => number;
  readonly #add: StatementSync;
  #prunedAt = 0;
  /** The broken file, where there was one. */
  readonly setAside: string | undefined;

  /** @throws where the file can't be opened, or is of a later version. One that is broken is put aside for a new one. */
  constructor(file: string, options: StoreOptions = {}) {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    this.#maxBytes = options.maxBytes ?? MAX_BYTES;
    this.#now = options.now ?? Date.now;
    let database: DatabaseSync | undefined;
    try {
      database = openDatabase(file);
    } catch (error) {
      if (!isBroken(error)) throw error;
      this.setAside = putAside(file, this.#now());
      database = openDatabase(file);
    }
    this.#database = database;
    this.#add = database.prepare(`
      INSERT INTO span (step, at, upstream, up, down, connections, dials, dial_ms, errors, reconnects)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET up = up + excluded.up, down = down + excluded.down,
        connections = connections + excluded.connections, dials = dials + excluded.dials,
        dial_ms = dial_ms + excluded.dial_ms, errors = errors + excluded.errors,
        reconnects = reconnects + excluded.reconnects`);
  }

  /**
   * Adds samples, all or none.
   * @returns false where another engine is the one that writes.
   */
  write(samples: readonly HistorySample[]): boolean {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const mine = this.#renewLease();
      if (mine) for (const sample of samples) this.#addSample(sample);
      this.#database.exec("COMMIT");
      if (mine && this.#now() - this.#prunedAt > PRUNE_EVERY_MS) this.prune();
      return mine;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  query({ from, to, points, upstream }: HistoryQuery): HistoryAnswer {
    const stepMs = this.#stepFor(from, to, points);
    const layer =
      LAYERS.findLast(({ stepMs: base }) => stepMs % base === 0 && this.#reaches(base, from)) ?? LAYERS[2];
    const rows = this.#database
      .prepare(
        `SELECT upstream, at / CAST($step AS INTEGER) * CAST($step AS INTEGER) AS bucket, sum(up) AS up, sum(down) AS down,
           sum(connections) AS connections, sum(dials) AS dials, sum(dial_ms) AS dial_ms, sum(errors) AS errors,
           sum(reconnects) AS reconnects
         FROM span WHERE step = $base AND at >= $from AND at < $to GROUP BY upstream, bucket ORDER BY upstream, bucket`,
      )
      .all({
        $step: stepMs,
        $base: layer.stepMs,
        $from: Math.floor(from / stepMs) * stepMs,
        $to: Math.ceil(to),
      }) as unknown as QueriedRow[];
    const spans = rows.filter((row) => row.upstream === PRESENCE).map(({ bucket }) => bucket);
    const series = Map.groupBy(
      rows.filter((row) => row.upstream !== PRESENCE && (upstream ?? row.upstream) === row.upstream),
      (row) => row.upstream,
    );
    return {
      stepMs,
      series: [...series].map(([name, own]) => ({ upstream: name, points: pointsOf(own, spans) })),
    };
  }

  /** Takes away what is too old, and the oldest where the file has grown too large. */
  prune(): void {
    this.#prunedAt = this.#now();
    const remove = this.#database.prepare("DELETE FROM span WHERE step = ? AND at < ?");
    for (const { stepMs, keepMs } of LAYERS) remove.run(stepMs, this.#now() - keepMs);
    if (this.#bytes() > this.#maxBytes) this.#shrink();
    this.#database.exec("PRAGMA incremental_vacuum");
    this.#database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  close(): void {
    try {
      this.#database.prepare("DELETE FROM writer WHERE id = ?").run(this.#id);
    } catch {
      // Somebody holds the file; the lease ends by itself.
    }
    this.#database.close();
  }

  #addSample({ at, rows }: HistorySample): void {
    for (const { stepMs } of LAYERS) {
      const begin = Math.floor(at / stepMs) * stepMs;
      this.#add.run(stepMs, begin, PRESENCE, 0, 0, 0, 0, 0, 0, 0);
      for (const row of rows) {
        const { upstream, up, down, connections, dials, dialMs, errors, reconnects } = row;
        this.#add.run(stepMs, begin, upstream, up, down, connections, dials, dialMs, errors, reconnects);
      }
    }
  }

  /** One row says who writes, and until when that holds. */
  #renewLease(): boolean {
    const now = this.#now();
    const { changes } = this.#database
      .prepare(
        `INSERT INTO writer (one, id, until) VALUES (1, $id, $until)
         ON CONFLICT DO UPDATE SET id = $id, until = $until WHERE id = $id OR until < $now OR until > $latest`,
      )
      // A lease that ends later than any could be was made before the clock was set back.
      .run({ $id: this.#id, $until: now + LEASE_MS, $now: now, $latest: now + LEASE_MS });
    return changes > 0;
  }

  #shrink(): void {
    const wanted = this.#maxBytes * REFILL;
    for (const { stepMs } of LAYERS) {
      const oldest = this.#database.prepare(
        `DELETE FROM span WHERE step = $step AND at <= (SELECT at FROM span WHERE step = $step ORDER BY at LIMIT 1
           OFFSET (SELECT count(*) / 4 FROM span WHERE step = $step))`,
      );
      // A quarter of what is left at a time.
      for (let round = 0; round < 40 && this.#bytes() > wanted; round++) {
        if (oldest.run({ $step: stepMs }).changes === 0) break;
      }
    }
  }

  /** In use; what was deleted does not count. */
  #bytes(): number {
    const pragma = (name: string): number =>
      Number(Object.values(this.#database.prepare(`PRAGMA ${name}`).get() ?? {})[0] ?? 0);
    return (pragma("page_count") - pragma("freelist_count")) * pragma("page_size");
  }

  /** The smallest step that is kept back to `from` and gives no more points than that. */
  #stepFor(from: number, to: number, points: number): number {
    const base = LAYERS.find(({ stepMs }) => this.#reaches(stepMs, from))?.stepMs ?? HOUR_MS;
    let step = base * Math.max(1, Math.ceil((to - from) / points / base));
    while (Math.ceil(to / step) - Math.floor(from / step) > points) step += base;
    return step;
  }

  #reaches(stepMs: number, from: number): boolean {
    const layer = LAYERS.find((one) => one.stepMs === stepMs);
    return layer !== undefined && from >= this.#now() - layer.keepMs;
  }
}

interface QueriedRow {
  readonly upstream: string;
  readonly bucket: number;
  readonly up: number;
  readonly down: number;
  readonly connections: number;
  readonly dials: number;
  readonly dial_ms: number;
  readonly errors: number;
  readonly reconnects: number;
}

/** A point for each span in which an engine ran: nothing happened where the upstream has no row. */
function pointsOf(rows: readonly QueriedRow[], spans: readonly number[]): HistoryPoint[] {
  const byBucket = new Map(rows.map((row) => [row.bucket, row]));
  return spans.map((at): HistoryPoint => {
    const row = byBucket.get(at);
    if (row === undefined) {
      return { at, up: 0, down: 0, connections: 0, dials: 0, errors: 0, reconnects: 0 };
    }
    const { up, down, connections, dials, dial_ms: dialMs, errors, reconnects } = row;
    const mean = dials > 0 ? { dialMs: dialMs / dials } : {};
    return { at, up, down, connections, dials, ...mean, errors, reconnects };
  });
}

function openDatabase(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: BUSY_MS });
  try {
    database.exec("PRAGMA auto_vacuum = INCREMENTAL");
    database.exec("PRAGMA journal_mode = WAL");
    // A power cut costs the last seconds; the file stays whole.
    database.exec("PRAGMA synchronous = NORMAL");
    const check = Object.values(database.prepare("PRAGMA quick_check(1)").get() ?? {})[0];
    if (check !== "ok") throw new BrokenFileError(String(check));
    const version = Number(Object.values(database.prepare("PRAGMA user_version").get() ?? {})[0]);
    if (version > SCHEMA) throw new Error(`${file} was written by a later version of Sockeye`);
    database.exec(`
      CREATE TABLE IF NOT EXISTS span (
        step INTEGER, at INTEGER, upstream TEXT, up REAL, down REAL, connections INTEGER, dials INTEGER, dial_ms REAL,
        errors INTEGER, reconnects INTEGER, PRIMARY KEY (step, at, upstream)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS writer (one INTEGER PRIMARY KEY, id TEXT, until INTEGER) STRICT;
      PRAGMA user_version = ${SCHEMA};`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

class BrokenFileError extends Error {}

/** SQLITE_CORRUPT and SQLITE_NOTADB, or what a look through the file says; or tables that are not ours. */
function isBroken(error: unknown): boolean {
  if (error instanceof BrokenFileError) return true;
  const code = (error as { errcode?: number }).errcode ?? 0;
  return (code & 0xff) === 11 || (code & 0xff) === 26;
}

function putAside(file: string, now: number): string {
  const aside = `${file}.broken-${now}`;
  renameSync(file, aside);
  for (const suffix of ["-wal", "-shm"]) rmSync(`${file}${suffix}`, { force: true });
  return aside;
}
