import {
  answersQuestion,
  type Asked,
  fitDatagram,
  FLAG,
  RCODE,
  readMessage,
  writeAnswer,
} from "../dns/message.ts";
import { DnsOverStream } from "../dns/over-stream.ts";
import { type Endpoint, formatEndpoint } from "../endpoint.ts";
import { DialError } from "../errors.ts";
import type { Dialer, UdpAssociation, UdpDialer, UdpReceiver } from "../upstream/dialer.ts";

/** Name servers behind upstreams to which a connection is kept; with one more, the one that was asked longest ago goes. */
export const MAX_SERVERS = 64;
/** Questions of one application that wait for their answers; more are dropped, as UDP may. */
export const MAX_PENDING = 64;
/** From question to answer. Stub resolvers ask again after 5 seconds. */
const DEADLINE_MS = 8000;

interface Server {
  readonly dialer: Dialer;
  readonly dns: DnsOverStream;
}

/**
 * Carries the questions of datagrams over TCP, through upstreams that have no UDP (RFC 7766). One connection to each server
 * behind each upstream serves the questions of all applications, since a stub resolver takes a new port for each.
 */
export class DnsCarrier {
  /** By upstream and server; the one that was asked longest ago first. */
  readonly #servers = new Map<string, Server>();
  readonly #deadlineMs: number;

  constructor(options: { readonly deadlineMs?: number } = {}) {
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  }

  /** The upstream `name` as one that has UDP, for DNS alone. */
  over(name: string, dialer: Dialer): UdpDialer {
    return {
      associate: async (receiver) => {
        return new DnsAssociation(receiver, this.#deadlineMs, (server) => this.#server(name, dialer, server));
      },
    };
  }

  /** Closes every connection; what waits is answered with an error. */
  close(): void {
    for (const { dns } of this.#servers.values()) dns.close();
    this.#servers.clear();
  }

  #server(name: string, dialer: Dialer, endpoint: Endpoint): DnsOverStream {
    const key = `${name} ${formatEndpoint(endpoint)}`;
    const known = this.#servers.get(key);
    this.#servers.delete(key);
    // A reload may have put another upstream in the name's place.
    if (known && known.dialer !== dialer) known.dns.close();
    const server = known?.dialer === dialer ? known : { dialer, dns: new DnsOverStream(endpoint, dialer) };
    this.#servers.set(key, server);
    if (this.#servers.size > MAX_SERVERS) {
      const [oldest, { dns }] = this.#servers.entries().next().value!;
      this.#servers.delete(oldest);
      dns.close();
    }
    return server.dns;
  }
}

/** One application's questions. */
class DnsAssociation implements UdpAssociation {
  readonly #receiver: UdpReceiver;
  readonly #deadlineMs: number;
  readonly #server: (endpoint: Endpoint) => DnsOverStream;
  readonly #pending = new Set<AbortController>();
  #closed = false;

  constructor(receiver: UdpReceiver, deadlineMs: number, server: (endpoint: Endpoint) => DnsOverStream) {
    this.#receiver = receiver;
    this.#deadlineMs = deadlineMs;
    this.#server = server;
  }

  send(target: Endpoint, payload: Buffer): void {
    const query = readMessage(payload);
    // Only a question has an answer; what is something else is dropped.
    if (!query?.question || (query.flags & FLAG.QR) !== 0) return;
    if (this.#closed || this.#pending.size >= MAX_PENDING) return;
    void this.#ask(target, query as Asked);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const gone = new DialError("cancelled", "the application ended it");
    for (const pending of this.#pending) pending.abort(gone);
    this.#receiver.onClose();
  }

  /** An answer too large for the application's datagrams is cut, upon which it asks by TCP; none at all is SERVFAIL. */
  async #ask(target: Endpoint, query: Asked): Promise<void> {
    const pending = new AbortController();
    this.#pending.add(pending);
    const late = new DialError("timeout", `the DNS server ${formatEndpoint(target)} did not answer`);
    const deadline = setTimeout(() => pending.abort(late), this.#deadlineMs);
    let answer: Buffer | undefined;
    try {
      answer = await this.#answer(target, query, pending.signal);
    } catch {
      // Said below.
    } finally {
      clearTimeout(deadline);
      this.#pending.delete(pending);
    }
    answer = answer ? fitDatagram(answer, query) : writeAnswer(query, RCODE.SERVFAIL);
    if (!this.#closed) this.#receiver.onDatagram(target, answer);
  }

  /** @returns undefined for an answer to something else. */
  async #answer(target: Endpoint, query: Asked, signal: AbortSignal): Promise<Buffer | undefined> {
    let bytes: Buffer;
    try {
      bytes = await this.#server(target).ask(query.bytes, { signal });
    } catch (error) {
      // The server closed the connection as the question went out: the next one is a new one (RFC 7766 §6.2.4).
      if (!(error instanceof DialError) || error.code !== "closed") throw error;
      bytes = await this.#server(target).ask(query.bytes, { signal });
    }
    const answer = readMessage(bytes);
    return answer && answersQuestion(answer, query) ? bytes : undefined;
  }
}
