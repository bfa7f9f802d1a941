import type { LogRecord } from "../control/contract.ts";

export type RecordLevel = LogRecord["level"];

/** How much each level matters; pino's numbers. */
export const LEVEL_VALUES: Readonly<Record<RecordLevel | "silent", number>> = {
  trace: 10,
  debug: 20,
  info: 30,
  warn: 40,
  error: 50,
  silent: Infinity,
};

/** How many records are remembered for those who look later. */
export const RING_SIZE = 2_000;

/** A longer line is remembered cut: 2,000 records stay under 8 MB whatever they hold. */
const MAX_RING_LINE = 4_000;

interface Entry {
  readonly id: number;
  readonly level: number;
  /** As it was written; read again only when somebody asks, for nobody asks most of the time. */
  readonly line: string;
}

interface Subscriber {
  readonly level: number;
  readonly callback: (record: LogRecord) => void;
}

/** The last log records, and those who want the next. */
export class LogRing {
  readonly #entries: Entry[] = [];
  readonly #subscribers = new Set<Subscriber>();
  #nextId = 1;

  push(line: string, level: number): void {
    const entry = { id: this.#nextId++, level, line };
    const slot = (entry.id - 1) % RING_SIZE;
    this.#entries[slot] = line.length <= MAX_RING_LINE ? entry : { ...entry, line: shorten(line) };
    if (this.#subscribers.size === 0) return;
    let record: LogRecord | undefined;
    for (const subscriber of this.#subscribers) {
      if (level >= subscriber.level) subscriber.callback((record ??= toRecord(entry)));
    }
  }

  /** Oldest first, of at least this level. */
  recent(level: RecordLevel): LogRecord[] {
    const start = this.#entries.length < RING_SIZE ? 0 : (this.#nextId - 1) % RING_SIZE;
    const ordered = [...this.#entries.slice(start), ...this.#entries.slice(0, start)];
    return ordered.filter((entry) => entry.level >= LEVEL_VALUES[level]).map(toRecord);
  }

  subscribe(level: RecordLevel, callback: (record: LogRecord) => void): () => void {
    const subscriber = { level: LEVEL_VALUES[level], callback };
    this.#subscribers.add(subscriber);
    return () => void this.#subscribers.delete(subscriber);
  }
}

function toRecord(entry: Entry): LogRecord {
  const { time, level, msg, ...fields } = JSON.parse(entry.line) as {
    time: string;
    level: RecordLevel;
    msg?: string;
  };
  return { id: entry.id, time: Date.parse(time), level, message: msg ?? "", fields };
}

function shorten(line: string): string {
  const { time, level, msg } = JSON.parse(line) as { time: string; level: string; msg?: string };
  return JSON.stringify({ time, level, msg: msg?.slice(0, MAX_RING_LINE / 2), cut: true });
}
