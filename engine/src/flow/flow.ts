import type { Duplex } from "node:stream";
import { type Endpoint, formatEndpoint } from "../endpoint.ts";
import { DialError, type DialErrorCode } from "../errors.ts";
import type { InboundKind } from "../inbound/request.ts";
import type { Place } from "@sockeye/wire/row";
import type { Decision } from "../router/route.ts";
import { Splice } from "./splice.ts";

export type FlowState = "dialing" | "open" | "half-closed" | "ended";

/** A program on this machine. */
export interface FlowProcess {
  readonly pid: number;
  /** Of its executable file. */
  readonly name: string;
}

export interface FlowOrigin {
  readonly inbound: InboundKind;
  readonly protocol: "tcp" | "udp";
  readonly source: Endpoint;
  readonly target: Endpoint;
}

/** A flow as people see it. Times in milliseconds since the epoch, sizes in bytes. */
export interface FlowRecord {
  readonly id: number;
  readonly kind: "tcp" | "udp";
  readonly inbound: InboundKind;
  readonly source: string;
  readonly target: string;
  readonly upstream: string;
  readonly rule?: number;
  readonly state: FlowState;
  readonly process?: FlowProcess;
  readonly startedAt: number;
  readonly up: number;
  readonly down: number;
  readonly endedAt?: number;
  readonly error?: { readonly code: DialErrorCode; readonly message: string };
}

/** One connection from an application, from its request to its last byte. */
export class Flow {
  readonly id: number;
  readonly origin: FlowOrigin;
  /** Where the router sent it. */
  readonly decision: Decision;
  /** Milliseconds since the epoch. */
  readonly startedAt = Date.now();
  /** On the monotonic clock. */
  readonly #startedTicks = performance.now();
  #splice: Splice | undefined;
  /** Bytes counted outside a splice: datagrams, and the totals of a flow that has ended. */
  #countedUp = 0;
  #countedDown = 0;
  #end: (error: DialError) => void;
  #endedAt: number | undefined;
  #error: Error | undefined;

  /** The program that opened it; null where it was looked for and not found, undefined before. */
  process: FlowProcess | null | undefined;

  /** In the table of live flows; undefined until it is there. */
  place: Place<Flow> | undefined;

  /** For the sweep: since when nothing has happened (monotonic milliseconds), and the bytes already in the metrics. */
  quietSince = performance.now();
  reportedUp = 0;
  reportedDown = 0;
  #seenBytes = 0;
  #seenState: FlowState = "dialing";

  /** @param end what ends the flow while nothing is spliced: aborts the dial, or closes the UDP association. */
  constructor(id: number, origin: FlowOrigin, decision: Decision, end: (error: DialError) => void) {
    this.id = id;
    this.origin = origin;
    this.decision = decision;
    this.#end = end;
  }

  get state(): FlowState {
    if (this.#endedAt !== undefined) return "ended";
    if (this.#splice) return this.#splice.halfClosed ? "half-closed" : "open";
    return this.origin.protocol === "udp" ? "open" : "dialing";
  }

  get bytesUp(): number {
    return this.#splice?.bytesUp ?? this.#countedUp;
  }

  get bytesDown(): number {
    return this.#splice?.bytesDown ?? this.#countedDown;
  }

  /** Milliseconds since the request. */
  get ageMs(): number {
    return performance.now() - this.#startedTicks;
  }

  /** Joins the two sides; `onDone` as in Splice. */
  open(application: Duplex, upstream: Duplex, onDone: (error: Error | undefined) => void): void {
    this.#splice = new Splice(application, upstream, onDone);
  }

  /** True when a byte moved, or the state changed, since the last time this was asked. */
  hasStirred(): boolean {
    const bytes = this.bytesUp + this.bytesDown;
    const state = this.state;
    const stirred = bytes !== this.#seenBytes || state !== this.#seenState;
    this.#seenBytes = bytes;
    this.#seenState = state;
    return stirred;
  }

  countDatagram(up: number, down: number): void {
    this.#countedUp += up;
    this.#countedDown += down;
  }

  /** Ends it now; its owner hears of it in the usual way. */
  close(error: DialError = new DialError("closed", "the flow was closed on request")): void {
    if (this.#splice) this.#splice.abort(error);
    else this.#end(error);
  }

  /** It is over: keeps the totals, and lets go of the streams. */
  finish(error: Error | undefined): void {
    this.#countedUp = this.bytesUp;
    this.#countedDown = this.bytesDown;
    this.#splice = undefined;
    this.#end = () => {};
    this.#endedAt = Date.now();
    this.#error = error;
  }

  describe(): FlowRecord {
    return {
      id: this.id,
      kind: this.origin.protocol,
      inbound: this.origin.inbound,
      source: formatEndpoint(this.origin.source),
      target: formatEndpoint(this.origin.target),
      upstream: this.decision.to,
      ...(this.decision.rule !== undefined && { rule: this.decision.rule }),
      state: this.state,
      ...(this.process && { process: this.process }),
      startedAt: this.startedAt,
      up: this.bytesUp,
      down: this.bytesDown,
      ...(this.#endedAt !== undefined && { endedAt: this.#endedAt }),
      ...(this.#error && { error: { code: codeOf(this.#error), message: this.#error.message } }),
    };
  }
}

/** A stream's own error reaches a flow as the operating system named it; people get the engine's word for it. */
function codeOf(error: Error): DialErrorCode {
  if (error instanceof DialError) return error.code;
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ETIMEDOUT" ? "timeout" : "closed";
}
