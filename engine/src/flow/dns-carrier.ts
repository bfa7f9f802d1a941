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
import { DnsOverAssociation } from "./dns-over-association.ts";
import type { UdpSupport } from "./udp-support.ts";
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

interface Shared {
  readonly dialer: Dialer;
  readonly dns: DnsOverAssociation;
}

/** Asks a server. @returns an answer that fits the application's datagrams; undefined for one to another question. */
type Ask = (server: Endpoint, query: Asked, signal: AbortSignal) => Promise<Buffer | undefined>;

/**
 * Carries the questions of datagrams through upstreams: over one UDP association for each upstream, or, where it has no UDP,
 * over one TCP connection to each server behind it (RFC 7766). Either serves the questions of all applications, since a stub
 * resolver takes a new port for each.
 */
export class DnsCarrier {
  /** By upstream and server; the one that was asked longest ago first. */
  readonly #servers = new Map<string, Server>();
  /** By upstream. */
  readonly #shared = new Map<string, Shared>();
  readonly #support: UdpSupport;
  readonly #deadlineMs: number;

  constructor(support: UdpSupport, options: { readonly deadlineMs?: number } = {}) {
    this.#support = support;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  }

  /** The upstream `name` as one that has UDP, for DNS alone. */
  over(name: string, dialer: Dialer): UdpDialer {
    const ask: Ask = (server, query, signal) => this.#ask(name, dialer, { server, query, signal });
    return { associate: async (receiver) => new DnsAssociation(receiver, this.#deadlineMs, ask) };
  }

  /** Closes every connection; what waits is answered with an error. */
  close(): void {
    for (const { dns } of this.#servers.values()) dns.close();
    this.#servers.clear();
    for (const { dns } of this.#shared.values()) dns.close();
    this.#shared.clear();
  }

  async #ask(
    name: string,
    dialer: Dialer,
    asking: { readonly server: Endpoint; readonly query: Asked; readonly signal: AbortSignal },
  ): Promise<Buffer | undefined> {
    const { server, query, signal } = asking;
    const udp = this.#support.of(dialer);
    if (udp) {
      try {
        return await this.#association(name, dialer, udp).ask(server, query, signal);
      } catch (error) {
        if (!(error instanceof DialError) || error.code !== "unsupported") throw error;
        this.#support.deny(dialer);
      }
    }
    let bytes: Buffer;
    try {
      bytes = await this.#server(name, dialer, server).ask(query.bytes, { signal });
    } catch (error) {
      // The server closed the connection as the question went out: the next one is a new one (RFC 7766 §6.2.4).
      if (!(error instanceof DialError) || error.code !== "closed") throw error;
      bytes = await this.#server(name, dialer, server).ask(query.bytes, { signal });
    }
    const answer = readMessage(bytes);
    return answer && answersQuestion(answer, query) ? fitDatagram(bytes, query) : undefined;
  }

  /** A reload may have put another upstream in the name's place. */
  #association(name: string, dialer: Dialer, udp: UdpDialer): DnsOverAssociation {
    const known = this.#shared.get(name);
    if (known?.dialer === dialer) return known.dns;
    known?.dns.close();
    const dns = new DnsOverAssociation(udp);
    this.#shared.set(name, { dialer, dns });
    return dns;
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
  readonly #askServer: Ask;
  readonly #pending = new Set<AbortController>();
  #closed = false;

  constructor(receiver: UdpReceiver, deadlineMs: number, ask: Ask) {
    this.#receiver = receiver;
    this.#deadlineMs = deadlineMs;
    this.#askServer = ask;
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
    for (const pending of this.#pending)
      pending.abort(new DialError("cancelled", "the application ended it"));
    this.#receiver.onClose();
  }

  /** Where there is no answer, it is SERVFAIL. */
  async #ask(target: Endpoint, query: Asked): Promise<void> {
    const pending = new AbortController();
    this.#pending.add(pending);
    const deadline = setTimeout(() => {
      pending.abort(new DialError("timeout", `the DNS server ${formatEndpoint(target)} did not answer`));
    }, this.#deadlineMs);
    let answer: Buffer | undefined;
    try {
      answer = await this.#askServer(target, query, pending.signal);
    } catch {
      // Said below.
    } finally {
      clearTimeout(deadline);
      this.#pending.delete(pending);
    }
    answer ??= writeAnswer(query, RCODE.SERVFAIL);
    if (!this.#closed) this.#receiver.onDatagram(target, answer);
  }
}
