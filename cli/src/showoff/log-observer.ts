import type { Logger } from "@sockeye/engine/observe/log";
import { type PublicAddress, shownAddress } from "@sockeye/relay/names/registry";
import type {
  CertificateInForce,
  ConnectionRefusal,
  ListenerName,
  RelayObserver,
  ServedEnd,
} from "@sockeye/relay/observer";

/** Refusals that are logged one by one in a span of time; whoever knocks without end is not to fill a disk. */
const REFUSALS_A_SPAN = 20;
const SPAN_MS = 10_000;

/** What the relay tells of itself, as log records. Each request is one, at debug; those that failed are one at info. */
export class LogObserver implements RelayObserver {
  readonly #logger: Logger;
  readonly #now: () => number;
  #spanBegan = -Infinity;
  #refusals = 0;

  constructor(logger: Logger, now = () => performance.now()) {
    this.#logger = logger;
    this.#now = now;
  }

  clientConnected(client: string, identity: string, source: string): void {
    this.#logger.info({ client, identity, source }, "a client connected");
  }

  clientDisconnected(client: string, reason: string): void {
    this.#logger.info({ client, reason }, "a client has gone");
  }

  connectionRefused(listener: ListenerName, source: string, why: ConnectionRefusal): void {
    this.#refused({ listener, source, ...why }, "a connection was refused");
  }

  clientRefused(source: string, code: string): void {
    this.#refused({ source, code }, "a client was refused");
  }

  shared(client: string, address: PublicAddress): void {
    this.#logger.info({ client, share: shownAddress(address) }, "shared");
  }

  unshared(client: string, address: PublicAddress): void {
    this.#logger.info({ client, share: shownAddress(address) }, "no longer shared");
  }

  connectionOpened(): void {}

  connectionClosed(): void {}

  requestStarted(): void {}

  requestEnded(end: ServedEnd): void {
    const failed = end.error !== undefined && end.error !== "cancelled";
    if (!this.#logger.enabled(failed ? "info" : "debug")) return;
    const fields = {
      share: end.address && shownAddress(end.address),
      client: end.client,
      source: end.source,
      method: end.method,
      status: end.status,
      duration_ms: Math.round(end.ms),
      bytes_in: end.bytesIn,
      bytes_out: end.bytesOut,
      error: end.error,
    };
    if (failed) this.#logger.info(fields, "a request failed");
    else this.#logger.debug(fields, "a request ended");
  }

  problem(what: string, error: Error): void {
    this.#logger.error({ err: error }, what);
  }

  certificatesReloaded(listener: string, certificates: readonly CertificateInForce[]): void {
    for (const { file, names, validUntil } of certificates)
      this.#logger.info(
        { listener, file, names, valid_until: validUntil.toISOString() },
        "a certificate was read again",
      );
  }

  /** `others`: refusals of the span before that have no line of their own. */
  #refused(fields: object, message: string): void {
    const now = this.#now();
    let others: number | undefined;
    if (now - this.#spanBegan > SPAN_MS) {
      others = Math.max(0, this.#refusals - REFUSALS_A_SPAN) || undefined;
      this.#spanBegan = now;
      this.#refusals = 0;
    }
    if (++this.#refusals <= REFUSALS_A_SPAN) this.#logger.warn({ ...fields, others }, message);
  }

  draining(deadlineMs: number): void {
    this.#logger.info({ duration_ms: deadlineMs }, "the relay drains");
  }
}
