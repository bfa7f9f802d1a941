import { DialError } from "../errors.ts";
import { AnswerCache } from "./answer-cache.ts";
import {
  answersQuestion,
  type Asked,
  CLASS_IN,
  FLAG,
  HEADER_BYTES,
  type Message,
  RCODE,
  readMessage,
  TYPE,
  writeAnswer,
  writeEdns,
} from "./message.ts";
import type { DnsPath } from "./path.ts";

/** Questions on their way at one time; equal ones count once. One more is answered SERVFAIL. */
export const MAX_ASKED = 1024;
/** From question to answer or SERVFAIL; stub resolvers give up after 5 seconds, and ask again. */
const DEADLINE_MS = 8000;
/** The option of an Extended DNS Error (RFC 8914), which says why to people. */
const EXTENDED_ERROR = 15;

export interface ForwarderOptions {
  readonly cache?: AnswerCache;
  readonly deadlineMs?: number;
  /** Told of a question that stayed without an answer. */
  readonly onFailure?: (question: string, path: DnsPath, error: unknown) => void;
}

/**
 * Passes questions on and answers back, with a cache; equal questions share one. What the application asks and hears is
 * passed untouched: flags, unknown types, classes, DNSSEC's bits and records. EDNS is between neighbours only (RFC 6891
 * §6.1.1), so its options are not passed, but for the words of an error; a message with anything else in it (a signature,
 * say) is passed as it is and not kept.
 */
export class Forwarder {
  readonly #cache: AnswerCache;
  readonly #deadlineMs: number;
  readonly #onFailure: ForwarderOptions["onFailure"];
  readonly #asked = new Map<string, Promise<Message | undefined>>();
  readonly #waiting = new Set<AbortController>();
  #running = 0;
  /** What was asked before clear() is not kept. */
  #generation = 0;
  #closed = false;

  constructor(options: ForwarderOptions = {}) {
    this.#cache = options.cache ?? new AnswerCache();
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.#onFailure = options.onFailure;
  }

  /** Never rejects: what fails is SERVFAIL. @returns the whole answer, of any size, under the query's id. */
  async forward(query: Asked, path: DnsPath): Promise<Buffer> {
    if (!isPlain(query)) {
      const answer = await this.#ask(query, query.bytes, path);
      if (answer === undefined) return writeAnswer(query, RCODE.SERVFAIL);
      answer.bytes.writeUInt16BE(query.id, 0);
      return answer.bytes;
    }
    const key = keyOf(query, path);
    const kept = this.#cache.get(key);
    if (kept !== undefined) return asAnswerTo(query, kept);
    let asked = this.#asked.get(key);
    if (asked === undefined) {
      const ours = this.#askAndKeep(query, key, path).finally(() => {
        if (this.#asked.get(key) === ours) this.#asked.delete(key);
      });
      asked = ours;
      this.#asked.set(key, asked);
    }
    const answer = await asked;
    return answer === undefined
      ? writeAnswer(query, RCODE.SERVFAIL)
      : asAnswerTo(query, Buffer.from(answer.bytes));
  }

  /** Forgets what it was told, and what it is being told: the network or the routes changed. */
  clear(): void {
    this.#generation += 1;
    this.#asked.clear();
    this.#cache.clear();
  }

  /** Whatever is still asked is answered SERVFAIL. */
  close(): void {
    this.#closed = true;
    for (const controller of this.#waiting) controller.abort();
    this.#cache.clear();
  }

  async #askAndKeep(query: Asked, key: string, path: DnsPath): Promise<Message | undefined> {
    const generation = this.#generation;
    const answer = await this.#ask(query, plainQuery(query), path);
    const kept = answer && withOurEdns(answer, query);
    const isOfNow = generation === this.#generation;
    if (kept && isOfNow && query.question.class === CLASS_IN) this.#cache.put(key, kept);
    return kept;
  }

  async #ask(query: Asked, bytes: Buffer, path: DnsPath): Promise<Message | undefined> {
    if (this.#running >= MAX_ASKED) return undefined;
    this.#running += 1;
    let failure: unknown;
    try {
      for (let left = path.tries; left > 0 && !this.#closed; left--) {
        const controller = new AbortController();
        this.#waiting.add(controller);
        const timer = setTimeout(() => controller.abort(late()), Math.ceil(this.#deadlineMs / path.tries));
        try {
          const answer = readMessage(await path.ask(bytes, { signal: controller.signal }));
          if (answer && answersQuestion(answer, query)) return answer;
          failure = new DialError("protocol", "the DNS server answered something else");
        } catch (error) {
          failure = error;
        } finally {
          clearTimeout(timer);
          this.#waiting.delete(controller);
        }
      }
    } finally {
      this.#running -= 1;
    }
    this.#onFailure?.(query.question.name, path, failure);
    return undefined;
  }
}

/** A query of nothing but its question and OPT. */
function isPlain({ records, flags, question }: Asked): boolean {
  const isRealType = question.type !== TYPE.OPT;
  return isRealType && (flags & (FLAG.TC | FLAG.AA)) === 0 && records.every(({ type }) => type === TYPE.OPT);
}

/** Everything in a query that its answer may depend on. */
function keyOf({ question, flags, edns }: Asked, path: DnsPath): string {
  const bits = flags & (FLAG.RD | FLAG.AD | FLAG.CD);
  const dnssec = edns === undefined ? "-" : edns.dnssecOk ? "do" : "e";
  return `${path.key} ${question.name} ${question.type} ${question.class} ${bits} ${dnssec}`;
}

function plainQuery({ bytes, question, flags, edns }: Asked): Buffer {
  const plain = Buffer.from(bytes.subarray(0, question.end));
  plain.writeUInt16BE(flags, 2);
  plain.writeUInt32BE(0, 6);
  plain.writeUInt16BE(edns ? 1 : 0, 10);
  return edns ? Buffer.concat([plain, writeEdns({ dnssecOk: edns.dnssecOk })]) : plain;
}

/** The answer with an OPT of ours in the place of the server's; without any where the client has none. */
function withOurEdns(answer: Message, { edns: asked }: Asked): Message | undefined {
  const opt = answer.records.find(({ type }) => type === TYPE.OPT);
  if (opt === undefined && asked === undefined) return answer;
  const { bytes } = answer;
  // RFC 6891 §6.1.1 lets OPT stand anywhere among the additional records. What is after it moves, with nothing that points
  // into it: names point backwards, and only a record after it could point past it.
  const isLast = opt === undefined || opt.dataEnd === bytes.length;
  if (!isLast) return answer;
  const body = opt === undefined ? bytes : bytes.subarray(0, opt.start);
  const ours =
    asked === undefined
      ? Buffer.alloc(0)
      : writeEdns(
          { dnssecOk: answer.edns?.dnssecOk ?? false, extendedRcode: answer.edns?.extendedRcode ?? 0 },
          opt && extendedErrors(bytes.subarray(opt.dataStart, opt.dataEnd)),
        );
  const whole = Buffer.concat([body, ours]);
  const change = (asked === undefined ? 0 : 1) - (opt === undefined ? 0 : 1);
  whole.writeUInt16BE(whole.readUInt16BE(10) + change, 10);
  return readMessage(whole);
}

function late(): DialError {
  return new DialError("timeout", "the DNS server did not answer");
}

/** The extended errors among the options of an OPT record. */
function extendedErrors(options: Buffer): Buffer {
  const errors: Buffer[] = [];
  for (let at = 0; at + 4 <= options.length;) {
    const end = at + 4 + options.readUInt16BE(at + 2);
    if (end > options.length) break;
    if (options.readUInt16BE(at) === EXTENDED_ERROR) errors.push(options.subarray(at, end));
    at = end;
  }
  return Buffer.concat(errors);
}

/** The answer with the id of this query, and its spelling of the name. */
function asAnswerTo(query: Asked, answer: Buffer): Buffer {
  answer.writeUInt16BE(query.id, 0);
  query.bytes.copy(answer, HEADER_BYTES, HEADER_BYTES, query.question.end);
  return answer;
}
