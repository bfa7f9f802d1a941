import type { UpstreamLog } from "../upstream/upstream.ts";
import { FAKE_TTL, type FakeAddresses } from "./fake-addresses.ts";
import { type Asked, CLASS_IN, type GivenRecord, RCODE, TYPE, writeAnswer, writeName } from "./message.ts";
import { addressOfReverse } from "./plan.ts";
import type { RoutedNames } from "./routed-names.ts";

/** Firefox asks for it, and turns its own DNS over HTTPS off where the answer is that there is no such name. */
const CANARY = "use-application-dns.net";
/** Below it a system asks for encrypted ways to the server that it has (RFC 9462 §4); ours has none. */
const RESOLVER_ZONE = "resolver.arpa";

export interface NameRulesOptions {
  readonly names: RoutedNames;
  readonly fake: FakeAddresses;
  readonly ipv6: boolean;
  readonly log: UpstreamLog;
}

/**
 * What is answered here in fake-ip mode, whichever server was asked:
 *
 * - a routed name (routed-names.ts): A and AAAA with its fake addresses, AAAA without a record where the device has no IPv6;
 *   HTTPS and SVCB (RFC 9460) without a record, because their hints hold real addresses; other types by the server that was
 *   asked, if that is behind an upstream, and else without a record, because the servers here do not know the name;
 * - the names of fake addresses (PTR), from what was handed out;
 * - `localhost` and all below it (RFC 6761 §6.3), and what would take browsers and systems past us.
 *
 * All else is asked for truly.
 */
export class NameRules {
  readonly #options: NameRulesOptions;
  #toldExhausted = false;

  constructor(options: NameRulesOptions) {
    this.#options = options;
  }

  /** @param serverKnows whether the server that was asked is behind an upstream. @returns undefined for what is to be asked for. */
  answer(query: Asked, serverKnows: boolean): Buffer | undefined {
    const { name, type } = query.question;
    if (query.question.class !== CLASS_IN) return undefined;
    if (name === "localhost" || name.endsWith(".localhost")) return localhost(query);
    if (name === CANARY || name.endsWith(`.${CANARY}`)) return writeAnswer(query, RCODE.NXDOMAIN);
    if (name === RESOLVER_ZONE || name.endsWith(`.${RESOLVER_ZONE}`)) {
      return writeAnswer(query, RCODE.NOERROR);
    }
    const reversed = addressOfReverse(name);
    if (reversed !== undefined && this.#options.fake.includes(reversed))
      return this.#pointer(query, reversed);
    const isService = type === TYPE.SVCB || type === TYPE.HTTPS;
    // RFC 9460 §2.3: a service's name stands before the host's, in labels that begin with an underscore.
    if (!this.#options.names.has(isService ? name.replace(/^(_[^.]*\.)+/, "") : name)) return undefined;
    if (isService) return writeAnswer(query, RCODE.NOERROR);
    if (type === TYPE.A || type === TYPE.AAAA || type === TYPE.ANY) return this.#fakeAddress(query);
    return serverKnows ? undefined : writeAnswer(query, RCODE.NOERROR);
  }

  #fakeAddress(query: Asked): Buffer {
    const { fake, ipv6, log } = this.#options;
    const { name, type } = query.question;
    if (type === TYPE.AAAA && !ipv6) return writeAnswer(query, RCODE.NOERROR);
    const pair = fake.assign(name);
    if (pair === undefined) {
      if (!this.#toldExhausted) {
        log.warn(
          { names: fake.size },
          "every fake address is in use; further names do not resolve until one is free",
        );
      }
      this.#toldExhausted = true;
      return writeAnswer(query, RCODE.SERVFAIL);
    }
    this.#toldExhausted = false;
    const words = type === TYPE.AAAA ? pair.ipv6 : pair.ipv4;
    const data = Buffer.alloc(4 * words.length);
    for (const [i, word] of words.entries()) data.writeUInt32BE(word, 4 * i);
    // To "any", one set of records is answer enough (RFC 8482 §4.1).
    const record = { type: type === TYPE.AAAA ? TYPE.AAAA : TYPE.A, ttl: FAKE_TTL, data };
    return writeAnswer(query, RCODE.NOERROR, [record]);
  }

  #pointer(query: Asked, address: string): Buffer {
    const name = this.#options.fake.nameOf(address);
    const data = name === undefined ? undefined : writeName(name);
    if (data === undefined) return writeAnswer(query, RCODE.NXDOMAIN);
    const isPointer = query.question.type === TYPE.PTR || query.question.type === TYPE.ANY;
    return writeAnswer(query, RCODE.NOERROR, isPointer ? [{ type: TYPE.PTR, ttl: FAKE_TTL, data }] : []);
  }
}

function localhost(query: Asked): Buffer {
  const { type } = query.question;
  const records: GivenRecord[] = [];
  if (type === TYPE.A || type === TYPE.ANY)
    records.push({ type: TYPE.A, ttl: 3600, data: Buffer.from([127, 0, 0, 1]) });
  if (type === TYPE.AAAA)
    records.push({ type, ttl: 3600, data: Buffer.concat([Buffer.alloc(15), Buffer.from([1])]) });
  return writeAnswer(query, RCODE.NOERROR, records);
}
