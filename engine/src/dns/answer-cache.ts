import { FLAG, type Message, RCODE, rcodeOf, TYPE } from "./message.ts";

export const MAX_CACHED_ANSWERS = 4096;
export const MAX_CACHED_BYTES = 4 * 1024 * 1024;
/** Seconds. However long its owner lets it be kept (RFC 8767 §4 has a week). */
const MAX_TTL = 86_400;
/** Seconds, for "there is no such thing" (RFC 2308 §5 advises one to three hours). */
const MAX_NEGATIVE_TTL = 3600;
/** What an entry costs beside its bytes, about. */
const ENTRY_BYTES = 200;

interface Entry {
  readonly bytes: Buffer;
  readonly ttlsAt: readonly number[];
  readonly storedAt: number;
  readonly expiresAt: number;
}

/**
 * Answers as they came, each kept for the shortest TTL in it; negative ones as their SOA says (RFC 2308). The answer that
 * was asked for the longest time ago goes first. Messages are kept whole and by question, never record by record, so that
 * what a server adds about other names is told to nobody who asks for those.
 */
export class AnswerCache {
  readonly #now: () => number;
  readonly #maxAnswers: number;
  readonly #maxBytes: number;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  /** @param options.now milliseconds of a clock that never goes back. */
  constructor(
    options: {
      readonly now?: () => number;
      readonly maxAnswers?: number;
      readonly maxBytes?: number;
    } = {},
  ) {
    this.#now = options.now ?? (() => performance.now());
    this.#maxAnswers = options.maxAnswers ?? MAX_CACHED_ANSWERS;
    this.#maxBytes = options.maxBytes ?? MAX_CACHED_BYTES;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** What is counted against the cap. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @returns the answer as a copy, its TTLs less the whole seconds it was kept; its id and question are those that came. */
  get(key: string): Buffer | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const now = this.#now();
    this.#entries.delete(key);
    if (now >= entry.expiresAt) {
      this.#bytes -= sizeOf(key, entry);
      return undefined;
    }
    this.#entries.set(key, entry);
    const answer = Buffer.from(entry.bytes);
    const age = Math.floor((now - entry.storedAt) / 1000);
    for (const at of entry.ttlsAt) {
      const ttl = answer.readUInt32BE(at);
      answer.writeUInt32BE(ttl > 0x7fffffff ? 0 : Math.max(0, ttl - age), at);
    }
    return answer;
  }

  /** Keeps an answer, if it may be kept at all. */
  put(key: string, answer: Message): void {
    const ttl = secondsToKeep(answer);
    const old = this.#entries.get(key);
    if (old !== undefined) this.#drop(key, old);
    if (ttl === 0) return;
    const now = this.#now();
    const ttlsAt = answer.records.filter(({ type }) => type !== TYPE.OPT).map(({ ttlAt }) => ttlAt);
    const entry = { bytes: answer.bytes, ttlsAt, storedAt: now, expiresAt: now + ttl * 1000 };
    this.#entries.set(key, entry);
    this.#bytes += sizeOf(key, entry);
    while (this.#entries.size > this.#maxAnswers || this.#bytes > this.#maxBytes) {
      const [oldest, value] = this.#entries.entries().next().value!;
      this.#drop(oldest, value);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #drop(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= sizeOf(key, entry);
  }
}

function sizeOf(key: string, { bytes, ttlsAt }: Entry): number {
  return ENTRY_BYTES + key.length + bytes.length + 8 * ttlsAt.length;
}

/** @returns 0 for an answer that must be asked for each time: a failure, a cut one, or one that no SOA lets be kept. */
function secondsToKeep(answer: Message): number {
  const rcode = rcodeOf(answer);
  if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) return 0;
  if ((answer.flags & FLAG.TC) !== 0) return 0;
  const records = answer.records.filter(({ type }) => type !== TYPE.OPT);
  const shortest = Math.min(...records.map(({ ttl }) => ttl), MAX_TTL);
  if (!isNegative(answer)) return shortest;
  const soa = records.find(({ section, type }) => section === "authority" && type === TYPE.SOA);
  // Of the SOA's data the last four bytes are MINIMUM (RFC 2308 §4); two names and five numbers are 22 bytes at least.
  if (soa === undefined || soa.dataEnd - soa.dataStart < 22) return 0;
  const minimum = answer.bytes.readUInt32BE(soa.dataEnd - 4);
  return Math.min(shortest, minimum > 0x7fffffff ? 0 : minimum, MAX_NEGATIVE_TTL);
}

/** NXDOMAIN, or NODATA: no record of the type that was asked for (RFC 2308 §2.2). */
function isNegative(answer: Message): boolean {
  if (rcodeOf(answer) === RCODE.NXDOMAIN) return true;
  const asked = answer.question?.type;
  return !answer.records.some(
    ({ section, type }) => section === "answer" && (type === asked || asked === TYPE.ANY),
  );
}
