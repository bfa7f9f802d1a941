import { ADDRCONFIG, lookup, type LookupAddress } from "node:dns";
import type { LookupFunction } from "node:net";
import { DialError } from "../errors.ts";
import type { DialOptions } from "./dialer.ts";

/** How long addresses are used again: long enough for the connections of one page, too short to hide a change. */
const KEEP_ADDRESSES_MS = 5000;
/** As long is a name that did not resolve not asked for again. */
const KEEP_FAILURE_MS = 1000;
/** Names remembered at one time; the oldest is forgotten first. */
const MAX_KEPT = 1024;
/** Names that wait for their look-up to begin. */
export const MAX_QUEUED = 1024;
/** Names that wait on behalf of one source. */
export const MAX_QUEUED_PER_SOURCE = 256;

/** What became of a name: at least one address, in the system's order, or the system's error. */
export type Answer = readonly LookupAddress[] | Error;

/** The system's look-up. It can't be called off. */
export type GetAddrInfo = (
  name: string,
  done: (error: Error | null, addresses: readonly LookupAddress[]) => void,
) => void;

export interface ResolverOptions {
  readonly getAddrInfo?: GetAddrInfo;
  /** Look-ups at one time; one of `localhost` is not counted. */
  readonly maxRunning?: number;
}

/** Whoever asks, told apart so that none crowds out the others. */
interface Source {
  readonly key: string;
  running: number;
  /** In the order in which they were asked for. */
  readonly queue: Set<Lookup>;
}

/** A name between its first question and its answer. */
interface Lookup {
  readonly name: string;
  readonly waiting: Set<(answer: Answer) => void>;
  /** While it is queued: how many wait on behalf of each source. It is in the queue of each of them. */
  readonly askers: Map<Source, number>;
  queued: boolean;
}

/**
 * Asks the operating system for the addresses of names, so that /etc/hosts and nsswitch.conf count. Each look-up holds a
 * thread of the process until it ends, minutes after it is of use to anybody if the name servers are slow. Therefore equal
 * names share one, few run at a time, those who wait take turns by source, and what nobody waits for any more is not begun.
 */
export class Resolver {
  readonly #own: Required<ResolverOptions>;
  #getAddrInfo: GetAddrInfo;
  #maxRunning: number;
  readonly #lookups = new Map<string, Lookup>();
  /** Those with a look-up that is queued or runs; the next to have its turn first. */
  readonly #sources = new Map<string, Source>();
  readonly #kept = new Map<string, { readonly answer: Answer; readonly expires: number }>();
  #running = 0;
  #queued = 0;

  constructor(options: ResolverOptions = {}) {
    const { getAddrInfo = askSystem, maxRunning = lookupThreads() - 1 } = options;
    this.#own = { getAddrInfo, maxRunning };
    this.#getAddrInfo = getAddrInfo;
    this.#maxRunning = maxRunning;
  }

  /**
   * Resolves names another way from now on, as while the system's own DNS is pointed at us; or, without an argument, as at
   * the start. What runs already ends the old way; what is remembered is forgotten.
   */
  use({ getAddrInfo, maxRunning }: Required<ResolverOptions> = this.#own): void {
    this.#getAddrInfo = getAddrInfo;
    this.#maxRunning = maxRunning;
    this.#kept.clear();
    this.#startNext();
  }

  /** Some are left for others while one source's names are slow. */
  get #maxRunningPerSource(): number {
    return Math.ceil((this.#maxRunning * 2) / 3);
  }

  /** Look-ups that run, `localhost` left out, and names that wait for theirs. */
  get load(): { readonly running: number; readonly queued: number } {
    return { running: this.#running, queued: this.#queued };
  }

  /** What became of `name` a moment ago. */
  recall(name: string): Answer | undefined {
    const key = name.toLowerCase();
    const kept = this.#kept.get(key);
    if (kept === undefined || kept.expires > performance.now()) return kept?.answer;
    this.#kept.delete(key);
    return undefined;
  }

  /**
   * Resolves a name, which is no address, on behalf of `source`, any text that tells those who ask apart.
   * @param done hears the answer; never before ask() has returned.
   * @returns ends the wait, after which `done` hears nothing; or undefined where too many names wait already.
   */
  ask(name: string, source: string, done: (answer: Answer) => void): (() => void) | undefined {
    const key = name.toLowerCase();
    const known = this.#lookups.get(key);
    if (known?.queued === false) return this.#join(known, undefined, done);
    const lookup = known ?? { name: key, waiting: new Set(), askers: new Map(), queued: false };
    if (key === "localhost") {
      this.#lookups.set(key, lookup);
      this.#run(lookup, undefined);
      return this.#join(lookup, undefined, done);
    }
    const asker = this.#sources.get(source) ?? { key: source, running: 0, queue: new Set() };
    if (!lookup.askers.has(asker) && !this.#hasRoom(asker, known === undefined)) return undefined;
    this.#sources.set(source, asker);
    if (!known) {
      this.#lookups.set(key, lookup);
      lookup.queued = true;
      this.#queued += 1;
    }
    asker.queue.add(lookup);
    const leave = this.#join(lookup, asker, done);
    this.#startNext();
    return leave;
  }

  /**
   * The same for the `lookup` of net.connect(), which asks for all addresses where it tries both families. Where too many
   * names wait, the connection's error is a DialError `limit`; a dial that ends waits no longer.
   */
  lookupFor({ source = "", signal }: DialOptions): LookupFunction {
    return (name, _options, callback) => {
      const tell = (answer: Answer): void => {
        if (answer instanceof Error) callback(answer, []);
        else callback(null, [...answer]);
      };
      // A socket's own listeners are not in place before connect() has returned.
      const known = this.recall(name);
      if (known !== undefined) {
        process.nextTick(tell, known);
        return;
      }
      const leave = this.ask(name, source, (answer) => {
        if (leave) signal.removeEventListener("abort", leave);
        tell(answer);
      });
      if (leave) signal.addEventListener("abort", leave);
      else process.nextTick(tell, tooMany(name));
    };
  }

  #hasRoom(source: Source, isNew: boolean): boolean {
    if (this.#running < this.#maxRunning && source.running < this.#maxRunningPerSource) return true;
    return source.queue.size < MAX_QUEUED_PER_SOURCE && !(isNew && this.#queued >= MAX_QUEUED);
  }

  #join(lookup: Lookup, source: Source | undefined, done: (answer: Answer) => void): () => void {
    // A function of its own for each wait: the same `done` may wait twice.
    const hear = (answer: Answer): void => done(answer);
    lookup.waiting.add(hear);
    if (source) lookup.askers.set(source, (lookup.askers.get(source) ?? 0) + 1);
    return () => {
      if (lookup.waiting.delete(hear) && source && lookup.queued) this.#leaveQueue(lookup, source);
    };
  }

  #leaveQueue(lookup: Lookup, source: Source): void {
    const others = lookup.askers.get(source)! - 1;
    if (others > 0) {
      lookup.askers.set(source, others);
      return;
    }
    lookup.askers.delete(source);
    source.queue.delete(lookup);
    this.#forgetIdle(source);
    if (lookup.askers.size > 0) return;
    this.#lookups.delete(lookup.name);
    this.#queued -= 1;
  }

  /** Begins queued look-ups while threads are free for them, one of each source in turn. */
  #startNext(): void {
    while (this.#running < this.#maxRunning) {
      const source = this.#nextSource();
      if (!source) return;
      this.#sources.delete(source.key);
      this.#sources.set(source.key, source);
      const lookup = source.queue.values().next().value!;
      lookup.queued = false;
      this.#queued -= 1;
      this.#running += 1;
      source.running += 1;
      for (const asker of lookup.askers.keys()) {
        asker.queue.delete(lookup);
        this.#forgetIdle(asker);
      }
      lookup.askers.clear();
      this.#run(lookup, source);
    }
  }

  /** Of those that have the fewest look-ups running, the one whose last turn is longest ago. */
  #nextSource(): Source | undefined {
    let next: Source | undefined;
    for (const source of this.#sources.values()) {
      if (source.queue.size === 0 || source.running >= (next?.running ?? this.#maxRunningPerSource)) continue;
      if (source.running === 0) return source;
      next = source;
    }
    return next;
  }

  #run(lookup: Lookup, source: Source | undefined): void {
    this.#getAddrInfo(lookup.name, (error, addresses) => {
      const answer = error ?? (addresses.length > 0 ? addresses : noAddress(lookup.name));
      this.#lookups.delete(lookup.name);
      this.#keep(lookup.name, answer);
      if (source) {
        this.#running -= 1;
        source.running -= 1;
        this.#forgetIdle(source);
        this.#startNext();
      }
      for (const hear of lookup.waiting) hear(answer);
    });
  }

  #keep(name: string, answer: Answer): void {
    this.#kept.delete(name);
    if (this.#kept.size >= MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    const ms = answer instanceof Error ? KEEP_FAILURE_MS : KEEP_ADDRESSES_MS;
    this.#kept.set(name, { answer, expires: performance.now() + ms });
  }

  #forgetIdle(source: Source): void {
    if (source.running === 0 && source.queue.size === 0) this.#sources.delete(source.key);
  }
}

/** The threads are the process's, so all that is dialled from it shares them. */
export const systemResolver = new Resolver();

/** As net.connect() would ask: no addresses of a family that this machine has no address in. */
function askSystem(name: string, done: Parameters<GetAddrInfo>[1]): void {
  lookup(name, { all: true, hints: process.platform === "win32" ? 0 : ADDRCONFIG }, done);
}

/**
 * How many look-ups libuv runs at one time: half its threads, rounded up (`slow_work_thread_threshold` in its
 * threadpool.c), so that files are read while names are slow. At least 2, of which the one that is not used here is for
 * `localhost` and for names that are listened on.
 */
function lookupThreads(): number {
  const asked = Number.parseInt(process.env["UV_THREADPOOL_SIZE"] ?? "4", 10) || 1;
  const threads = asked < 0 ? 1024 : Math.min(asked, 1024);
  return Math.max(2, Math.floor((threads + 1) / 2));
}

function noAddress(name: string): Error {
  return Object.assign(new Error(`no address for ${name}`), { code: "ENOTFOUND" });
}

function tooMany(name: string): DialError {
  const sentence = `${name} is not looked up: too many names wait to be resolved`;
  return new DialError("limit", sentence, { step: "name" });
}
