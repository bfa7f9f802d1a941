import { performance } from "node:perf_hooks";
import { headerValue } from "@sockeye/wire/http-head";
import type { PublicRequest } from "@sockeye/wire/request-head";
import type { Route } from "../dispatch/dispatch.ts";
import type { PublicAddress } from "../names/registry.ts";
import type { CarriedBytes, ErrorKind, RequestTrace, ServedStart } from "../observer.ts";
import { Progress } from "./progress.ts";
import type { PublicContext } from "./public-context.ts";

/** What observers are told of one request: its beginning, its bytes while it lasts, and its end, once. */
export class Account {
  /** By `performance.now()`. */
  readonly startedAt = performance.now();
  /** From the public, and to it. */
  bytesIn = 0;
  bytesOut = 0;
  /** Of the answer; 0 where the public client went before there was one. */
  status = 0;
  error: ErrorKind | undefined;
  /** The key of the configuration that refused it. */
  limit: string | undefined;
  readonly #context: PublicContext;
  readonly #start: ServedStart;
  /** From the first look on; most are over before. */
  #progress: Progress | undefined;
  #closed = false;

  /** @param source whose request it is, as it is counted and logged. */
  constructor(
    context: PublicContext,
    address: PublicAddress | undefined,
    { method, target, headers }: PublicRequest,
    source: string,
  ) {
    this.#context = context;
    const start: ServedStart = { address, source, method, target };
    const trace = context.tracer?.begin(start, headerValue(headers, "traceparent"));
    this.#start = trace === undefined ? start : { ...start, trace };
    context.observer.requestStarted(this.#start);
  }

  get trace(): RequestTrace | undefined {
    return this.#start.trace;
  }

  /** Tells of bytes as they flow. To be called several times a second. @param tunnel as `close` takes it. */
  tellBytes(now: number, route: Route | undefined, tunnel: CarriedBytes | undefined): void {
    this.#progress ??= new Progress(this.#context.observer, this.startedAt);
    this.#progress.sweep(now, route, () => this.#bytes(tunnel));
  }

  /** Tells of the end. @param tunnel the bytes of what the request's connection became. */
  close(route: Route | undefined, tunnel: CarriedBytes | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    const ms = performance.now() - this.startedAt;
    const { address, source, method, target, trace } = this.#start;
    route?.seen({ method: method!, target: target!, status: this.status, ms });
    const { bytesIn, bytesOut } = this.#bytes(tunnel);
    // Each by its name: to copy all that there are costs several times as much.
    this.#context.observer.requestEnded({
      address,
      source,
      method,
      target,
      trace,
      bytesIn,
      bytesOut,
      ms,
      client: route?.client,
      identity: route?.grant.identity,
      status: this.status,
      told: this.#progress?.told,
      error: this.error,
      limit: this.limit,
    });
  }

  #bytes(tunnel: CarriedBytes | undefined): CarriedBytes {
    return {
      bytesIn: this.bytesIn + (tunnel?.bytesIn ?? 0),
      bytesOut: this.bytesOut + (tunnel?.bytesOut ?? 0),
    };
  }
}
