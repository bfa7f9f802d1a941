import type { RelayObserver, RequestTrace, ServedStart } from "../observer.ts";

/** Makes spans of what the relay does. Nothing here throws or waits. */
export interface RelayTracer {
  /** For the spans of clients and their shares, and the ends of requests. */
  readonly observer: RelayObserver;
  /** @param traceparent as it came; where it can't be read the request begins a trace of its own. */
  begin(start: ServedStart, traceparent: string | undefined): RequestTrace;
}
