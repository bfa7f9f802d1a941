import type { RelayObserver, ServedEnd, ServedStart } from "../observer.ts";

/** The span of one request or connection of the public. */
export interface RequestTrace {
  /** 32 hexadecimal digits; for logs. */
  readonly traceId: string;
  /** What whoever answers is to see as `traceparent` (W3C Trace Context §3.2). */
  readonly traceparent: string;
  /** The public's `traceparent` was read, and its `tracestate` belongs to this trace. */
  readonly continued: boolean;
  end(served: ServedEnd): void;
}

/** Makes spans of what the relay does. Nothing here throws or waits. */
export interface RelayTracer {
  /** For the spans of clients and their shares, and the ends of requests. */
  readonly observer: RelayObserver;
  /** @param traceparent as it came; where it can't be read the request begins a trace of its own. */
  begin(start: ServedStart, traceparent: string | undefined): RequestTrace;
}
