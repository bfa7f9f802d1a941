import { randomInt } from "node:crypto";
import { type Asked, answersQuestion, readMessage } from "../dns/message.ts";
import type { Endpoint } from "../endpoint.ts";
import { abortReason, DialError } from "../errors.ts";
import type { UdpAssociation, UdpDialer, UdpReceiver } from "../upstream/dialer.ts";

/** Questions that wait for their answers. */
export const MAX_WAITING = 1024;
/** An association without a question is kept this long. */
const IDLE_MS = 10_000;
/** Opening one. */
const OPEN_MS = 10_000;

interface Waiting {
  readonly query: Asked;
  settle(answer: Buffer | Error): void;
}

/**
 * Asks name servers by UDP over one association that the questions of all applications share, since a stub resolver takes a
 * new port for each, and an association may cost a connection to a proxy. Answers are told apart by an id of our own, taken by
 * chance, and by their question (RFC 5452 §9.1).
 */
export class DnsOverAssociation implements UdpReceiver {
  readonly #udp: UdpDialer;
  readonly #waiting = new Map<number, Waiting>();
  #association: Promise<UdpAssociation> | undefined;
  #open: UdpAssociation | undefined;
  #idle: NodeJS.Timeout | undefined;
  readonly #abort = new AbortController();

  constructor(udp: UdpDialer) {
    this.#udp = udp;
  }

  /**
   * @returns the answer under the id of `query`.
   * @throws {DialError} of the association; `limit`; `closed`; or the signal's reason.
   */
  async ask(server: Endpoint, query: Asked, signal: AbortSignal): Promise<Buffer> {
    if (this.#waiting.size >= MAX_WAITING)
      throw new DialError("limit", "too many questions wait for answers");
    clearTimeout(this.#idle);
    let id = randomInt(65_536);
    while (this.#waiting.has(id)) id = (id + 1) & 0xffff;
    const answer = this.#wait(id, query, signal);
    this.#associate().then(
      (association) => {
        const datagram = Buffer.from(query.bytes);
        datagram.writeUInt16BE(id, 0);
        if (this.#waiting.has(id)) association.send(server, datagram);
      },
      (error: unknown) => {
        const failure = error instanceof DialError ? error : new DialError("internal", String(error));
        this.#waiting.get(id)?.settle(failure);
      },
    );
    return answer;
  }

  close(): void {
    this.#abort.abort(new DialError("closed", "the upstream was closed"));
    clearTimeout(this.#idle);
    this.#open?.close();
    this.#failAll();
  }

  onDatagram(source: Endpoint, payload: Buffer): void {
    const answer = readMessage(payload);
    const waiting = answer && this.#waiting.get(answer.id);
    if (source.port !== 53 || !waiting || !answersQuestion(answer, waiting.query)) return;
    const bytes = Buffer.from(payload);
    bytes.writeUInt16BE(waiting.query.id, 0);
    waiting.settle(bytes);
  }

  onClose(): void {
    this.#association = undefined;
    this.#open = undefined;
    this.#failAll();
  }

  #wait(id: number, query: Asked, signal: AbortSignal): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => this.#waiting.get(id)?.settle(abortReason(signal));
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.set(id, {
        query,
        settle: (answer) => {
          this.#waiting.delete(id);
          signal.removeEventListener("abort", onAbort);
          if (answer instanceof Error) reject(answer);
          else resolve(answer);
          this.#rest();
        },
      });
      if (signal.aborted) onAbort();
    });
  }

  #associate(): Promise<UdpAssociation> {
    this.#association ??= this.#openOne();
    return this.#association;
  }

  async #openOne(): Promise<UdpAssociation> {
    const late = AbortSignal.timeout(OPEN_MS);
    const signal = AbortSignal.any([this.#abort.signal, late]);
    try {
      const association = await this.#udp.associate(this, { signal });
      if (signal.aborted) association.close();
      this.#open = association;
      return association;
    } catch (error) {
      this.#association = undefined;
      if (late.aborted) throw new DialError("timeout", "no UDP association in time", { cause: error });
      throw error;
    }
  }

  /** Closes the association after a while without a question. */
  #rest(): void {
    if (this.#waiting.size > 0) return;
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#open?.close(), IDLE_MS).unref();
  }

  #failAll(): void {
    const lost = new DialError("closed", "the UDP association ended");
    for (const waiting of [...this.#waiting.values()]) waiting.settle(lost);
  }
}
