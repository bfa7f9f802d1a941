import type { LogFields, Logger } from "@sockeye/engine/observe/log";
import { type PublicAddress, shownAddress } from "@sockeye/relay/names/registry";
import type {
  CertificateInForce,
  ClientRefusal,
  ConnectionRefusal,
  ListenerName,
  RelayObserver,
  ServedEnd,
  ShareRefusal,
} from "@sockeye/relay/observer";

/**
 * What the relay tells of itself, as log records. `client` is a session, `identity` whose it is, `source` an address, `share`
 * a name or port, `code` why something was not done, of a closed list.
 *
 * Each request is a record at debug; one that failed is one at info. What the public or strangers can cause by the thousand is
 * told sparingly: the first of a kind, and then how many more there were.
 */
export class LogObserver implements RelayObserver {
  readonly #logger: Logger;
  readonly #clients = new Map<string, { readonly identity: string; readonly at: number }>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  clientConnected(client: string, identity: string, source: string): void {
    this.#clients.set(client, { identity, at: performance.now() });
    this.#logger.info({ client, identity, source }, "a client connected");
  }

  clientDisconnected(client: string, reason: string): void {
    const known = this.#clients.get(client);
    this.#clients.delete(client);
    const duration_ms = known && Math.round(performance.now() - known.at);
    this.#logger.info({ client, identity: known?.identity, reason, duration_ms }, "a client has gone");
  }

  connectionRefused(listener: ListenerName, source: string, why: ConnectionRefusal): void {
    this.#logger.sparingly("warn", { listener, source, ...why }, "a connection was refused");
  }

  clientRefused(source: string, { code, reason, detail, credential }: ClientRefusal): void {
    this.#logger.sparingly("warn", { source, code, reason, detail, credential }, "a client was refused");
  }

  shareRefused(client: string, { code, reason, wanted }: ShareRefusal): void {
    const identity = this.#clients.get(client)?.identity;
    this.#logger.sparingly("warn", { share: wanted, client, identity, code, reason }, "a share was refused");
  }

  shared(client: string, address: PublicAddress): void {
    this.#logger.info(this.#shareFields(client, address), "a share is public");
  }

  unshared(client: string, address: PublicAddress): void {
    this.#logger.info(this.#shareFields(client, address), "a share is no longer public");
  }

  connectionOpened(): void {}

  connectionClosed(): void {}

  requestStarted(): void {}

  carried(): void {}

  requestEnded(end: ServedEnd): void {
    const failed = end.error !== undefined && end.error !== "cancelled";
    if (!this.#logger.enabled(failed ? "info" : "debug")) return;
    const fields = requestFields(end);
    if (failed) this.#logger.sparingly("info", fields, "a request failed");
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

  draining(deadlineMs: number): void {
    this.#logger.info({ clients: this.#clients.size, deadline_ms: deadlineMs }, "the relay drains");
  }

  #shareFields(client: string, address: PublicAddress): LogFields {
    return { share: shownAddress(address), client, identity: this.#clients.get(client)?.identity };
  }
}

function requestFields(end: ServedEnd): LogFields {
  return {
    share: end.address && shownAddress(end.address),
    client: end.client,
    identity: end.identity,
    source: end.source,
    method: end.method,
    // What follows a question mark is often a secret.
    path: end.target?.split("?", 1)[0],
    status: end.method === undefined ? undefined : end.status,
    duration_ms: Math.round(end.ms),
    bytes_in: end.bytesIn,
    bytes_out: end.bytesOut,
    code: end.error,
    limit: end.limit,
    trace_id: end.trace?.traceId,
  };
}
