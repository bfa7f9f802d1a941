import pino from "pino";
import { prettyFactory } from "pino-pretty";
import type { LogLevel } from "../config/config.ts";
import type { LogRecord } from "../control/contract.ts";
import { Brake } from "./brake.ts";
import { redact, scrub } from "./redact.ts";
import { LEVEL_VALUES, LogRing, type RecordLevel } from "./ring.ts";

/**
 * A record's fields. Those of the roadmap: `upstream`, `target` (`host:port`), `seq` (the flow's number), `request_id`,
 * `duration_ms`. An error goes under `err`.
 */
export interface LogFields {
  readonly upstream?: string | undefined;
  readonly target?: string | undefined;
  readonly seq?: number | undefined;
  readonly request_id?: string | undefined;
  readonly duration_ms?: number | undefined;
  readonly err?: unknown;
  readonly [field: string]: unknown;
}

/** Where lines go: each is one whole record with its newline. */
export interface LogDestination {
  write(line: string): unknown;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** auto: pretty on a terminal, JSON otherwise. */
  readonly format: "json" | "pretty" | "auto";
  /** Default: standard error, written behind the event loop's back so that a slow reader stalls no traffic. */
  readonly destination?: LogDestination;
  /** Colours in pretty format. Default: on a terminal, unless NO_COLOR is set. */
  readonly colour?: boolean;
}

/** Waiting to be written to standard error; beyond it, lines are dropped rather than memory eaten. */
const MAX_UNWRITTEN_BYTES = 4 * 1024 * 1024;

/** A logger writing JSON lines, or lines for people, and remembering the last records for the control contract. */
export function createLogger(options: LoggerOptions): Logger {
  return new Logger(new Sink(options), undefined);
}

/** The remembered log records, and those to come. */
export interface LogSource {
  /** Oldest first, of at least this level. */
  recent(level: LogRecord["level"]): LogRecord[];
  /** @returns the way to stop. */
  subscribe(level: LogRecord["level"], callback: (record: LogRecord) => void): () => void;
}

/**
 * Writes records. Level first, so that a call whose level is off costs a comparison; where making the fields is itself
 * dear, ask enabled() before. Secrets are taken out on the way (redact.ts).
 */
export class Logger implements LogSource {
  readonly #sink: Sink;
  readonly #bound: LogFields | undefined;

  /** Made by createLogger() and child(). */
  constructor(sink: Sink, bound: LogFields | undefined) {
    this.#sink = sink;
    this.#bound = bound;
  }

  trace(fields: LogFields | string, message?: string): void {
    if (this.#sink.threshold <= LEVEL_VALUES.trace) this.#write("trace", fields, message);
  }

  debug(fields: LogFields | string, message?: string): void {
    if (this.#sink.threshold <= LEVEL_VALUES.debug) this.#write("debug", fields, message);
  }

  info(fields: LogFields | string, message?: string): void {
    if (this.#sink.threshold <= LEVEL_VALUES.info) this.#write("info", fields, message);
  }

  warn(fields: LogFields | string, message?: string): void {
    if (this.#sink.threshold <= LEVEL_VALUES.warn) this.#write("warn", fields, message);
  }

  error(fields: LogFields | string, message?: string): void {
    if (this.#sink.threshold <= LEVEL_VALUES.error) this.#write("error", fields, message);
  }

  /**
   * For what applications can cause by the thousand: of one message for one upstream and code, the first 20 in 10 seconds, and then a
   * record of how many more there were (`count`). All of them while debug is on.
   */
  sparingly(level: RecordLevel, fields: LogFields, message: string): void {
    if (!this.enabled(level)) return;
    const { upstream, code } = fields;
    const kind = `${message} ${String(upstream)} ${String(code)}`;
    const summarize = (count: number): void => {
      this.#write(
        level,
        { upstream, ...(code !== undefined && { code }), count },
        `${message}: ${count} more in 10 s`,
      );
    };
    if (this.enabled("debug") || this.#sink.brake.admits(kind, summarize))
      this.#write(level, fields, message);
  }

  enabled(level: RecordLevel): boolean {
    return this.#sink.threshold <= LEVEL_VALUES[level];
  }

  /** A logger that adds these fields to each record. It follows the level of the one that it came from. */
  child(fields: LogFields): Logger {
    return new Logger(this.#sink, { ...this.#bound, ...fields });
  }

  get level(): LogLevel {
    return this.#sink.level;
  }

  /** True where records are written for people rather than as JSON. */
  get forPeople(): boolean {
    return this.#sink.forPeople;
  }

  /** Changes the level of every logger that shares this one's destination. */
  setLevel(level: LogLevel): void {
    this.#sink.setLevel(level);
  }

  /** The remembered records of at least this level, oldest first. */
  recent(level: RecordLevel): LogRecord[] {
    return this.#sink.ring.recent(level);
  }

  subscribe(level: RecordLevel, callback: (record: LogRecord) => void): () => void {
    return this.#sink.ring.subscribe(level, callback);
  }

  #write(level: RecordLevel, fields: LogFields | string, message: string | undefined): void {
    const given = typeof fields === "string" ? undefined : fields;
    const text = typeof fields === "string" ? fields : (message ?? "");
    this.#sink.write(level, this.#bound === undefined ? given : { ...this.#bound, ...given }, text);
  }
}

/** The one pino behind a logger and its children: serialising, the format, the ring, and where lines go. */
class Sink {
  readonly ring = new LogRing();
  readonly brake = new Brake();
  readonly #pino: pino.Logger;
  readonly #out: LogDestination;
  readonly #pretty: ((line: string) => string) | undefined;
  readonly forPeople: boolean;
  /** Records below this are not made. */
  threshold: number;
  level: LogLevel;
  /** The level of the record being written; pino calls #line within its own call. */
  #writing = 0;

  constructor(options: LoggerOptions) {
    this.level = options.level;
    this.threshold = LEVEL_VALUES[options.level];
    const onTerminal = options.destination === undefined && process.stderr.isTTY;
    const pretty = options.format === "pretty" || (options.format === "auto" && onTerminal);
    const colour = options.colour ?? (onTerminal && !process.env["NO_COLOR"]);
    this.forPeople = pretty;
    this.#pretty = pretty ? prettyLines(colour) : undefined;
    this.#out = options.destination ?? standardError();
    this.#pino = pino(
      {
        level: "trace",
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        // Errors come here as plain fields (redact.ts).
        serializers: { err: (described: unknown) => described },
      },
      { write: (line: string) => this.#line(line) },
    );
  }

  setLevel(level: LogLevel): void {
    this.level = level;
    this.threshold = LEVEL_VALUES[level];
  }

  write(level: RecordLevel, fields: LogFields | undefined, message: string): void {
    const text = scrub(message);
    this.#writing = LEVEL_VALUES[level];
    if (fields === undefined) this.#pino[level](text);
    else this.#pino[level](redact(fields), text);
  }

  #line(line: string): void {
    this.ring.push(line, this.#writing);
    this.#out.write(this.#pretty === undefined ? line : this.#pretty(line));
  }
}

/** A process that ends by itself first writes what waits; process.exit() may lose it. */
function standardError(): LogDestination {
  const stderr = pino.destination({ dest: 2, sync: false, maxLength: MAX_UNWRITTEN_BYTES });
  // Nobody reads any more, or the disk is full: the traffic goes on, and the ring still remembers.
  stderr.on("error", () => {});
  // pino calls this as the process exits, and where nobody reads any more (a closed terminal: EIO) it would never return.
  stderr.flushSync = () => {};
  return stderr;
}

/** One line a record: time, level, message, then the fields. */
function prettyLines(colour: boolean): (line: string) => string {
  const pretty = prettyFactory({
    colorize: colour,
    singleLine: true,
    translateTime: "SYS:HH:MM:ss.l",
    // `sockeye run` tells people where it listens, better than a field can.
    ignore: "listening,ssh_crypto",
    // An error is a field like another; pino-pretty would spread it over lines.
    errorLikeObjectKeys: [],
  });
  return (line) => {
    const text = pretty(line);
    const body = text.endsWith("\n") ? text.slice(0, -1) : text;
    // The only ones left are in the message (redact.ts sees to the other control characters).
    return `${body.replaceAll("\n", "\\n")}\n`;
  };
}
