import type { Duplex } from "node:stream";
import { Cancel } from "../cancel.ts";
import { formatEndpoint } from "../endpoint.ts";
import { abortReason, DialError, type DialStep } from "../errors.ts";
import type { ConnectRequest } from "../inbound/request.ts";
import type { LogFields, Logger } from "../observe/log.ts";
import type { Observer } from "../observe/observer.ts";
import type { RouteHits } from "../router/hits.ts";
import type { Decision, Router } from "../router/route.ts";
import { type Deadline, DeadlineQueue } from "../deadline-queue.ts";
import type { Dialer } from "../upstream/dialer.ts";
import { Flow, type FlowOrigin } from "./flow.ts";
import type { FlowTable } from "./table.ts";

/** What carrying a request needs of the engine; read afresh for each request, so that a reload takes effect at once. */
export interface FlowContext {
  readonly table: FlowTable;
  readonly observer: Observer;
  readonly log: Logger;
  router(): Router;
  readonly hits: RouteHits;
  /** The dialer of a configured upstream or of `direct`; undefined for a name that a reload has just removed. */
  dialer(name: string): Dialer | undefined;
  dialTimeoutMs(): number;
  readonly dialDeadlines: DialDeadlines;
  requestId(flow: number): string;
}

interface TimedDial {
  timedOut(): void;
}

/** The deadlines of all dials under way: at thousands a second a timer for each would show. */
export class DialDeadlines extends DeadlineQueue<TimedDial> {
  constructor() {
    super(0, (dial) => dial.timedOut());
  }
}

/**
 * Carries one request: route, dial, answer, splice. The application hears "connected" only once its target is, and
 * otherwise hears why not. Never throws; the flow is in the table from here until its last byte.
 */
export function connect(context: FlowContext, request: ConnectRequest): void {
  const decision = context.router().route(request.target);
  context.hits.count(decision);
  if (decision.to === "block") {
    refuseBlocked(context, request, decision);
    return;
  }
  const dialer = context.dialer(decision.to);
  if (!dialer) {
    request.reject(new DialError("internal", `the upstream ${decision.to} is not there any more`));
    return;
  }
  void new Connecting(context, request, decision).run(dialer);
}

/** Our own routes say no. It is remembered among the ended flows as a dial that failed. */
function refuseBlocked(context: FlowContext, request: ConnectRequest, decision: Decision): void {
  const target = formatEndpoint(request.target);
  const error = new DialError("blocked", `${target} is blocked by ${ruleName(decision)}`);
  const flow = new Flow(context.table.nextId(), originOf(request), decision, () => {});
  context.table.add(flow);
  context.table.remove(flow, error);
  context.observer.dialed("block", 0, "blocked");
  context.log.sparingly(
    "info",
    { upstream: "block", target, seq: flow.id, request_id: context.requestId(flow.id) },
    "blocked",
  );
  request.reject(error);
}

function originOf({ inbound, source, target }: ConnectRequest): FlowOrigin {
  return { inbound, source, target, protocol: "tcp" };
}

function ruleName(decision: Decision): string {
  return decision.rule === undefined ? "the default route" : `route ${decision.rule + 1}`;
}

/** The dial of one request, with its deadline. */
class Connecting {
  readonly #context: FlowContext;
  readonly #request: ConnectRequest;
  readonly #cancel = new Cancel();
  readonly #flow: Flow;
  readonly #deadline: Deadline<TimedDial>;
  #step: DialStep | undefined;

  constructor(context: FlowContext, request: ConnectRequest, decision: Decision) {
    this.#context = context;
    this.#request = request;
    const end = (error: DialError): void => this.#cancel.abort(error);
    this.#flow = new Flow(context.table.nextId(), originOf(request), decision, end);
    context.table.add(this.#flow);
    context.dialDeadlines.setLength(context.dialTimeoutMs());
    this.#deadline = context.dialDeadlines.add(this);
    request.onCancel(() => this.#cancel.abort(new DialError("cancelled", "the application went away")));
  }

  async run(dialer: Dialer): Promise<void> {
    const upstream = this.#flow.decision.to;
    let stream: Duplex;
    try {
      stream = await dialer.dial(this.#request.target, {
        signal: this.#cancel,
        flow: this.#flow.id,
        source: this.#request.source.host,
        onStep: (step) => {
          this.#step = step;
        },
      });
    } catch (error) {
      this.#context.dialDeadlines.lift(this.#deadline);
      const failure = asDialError(error);
      this.#context.table.remove(this.#flow, failure);
      this.#context.observer.dialed(upstream, this.#flow.ageMs, failure.code);
      this.#logFailure(failure);
      this.#request.reject(failure);
      return;
    }
    this.#context.dialDeadlines.lift(this.#deadline);
    if (this.#cancel.aborted) {
      // The application went away, or the flow was closed, in the moment between the dial's end and here.
      stream.on("error", () => {}).destroy();
      const reason = abortReason(this.#cancel);
      this.#context.table.remove(this.#flow, reason);
      this.#request.reject(reason);
      return;
    }
    this.#context.observer.dialed(upstream, this.#flow.ageMs, "ok");
    this.#flow.open(this.#request.accept(), stream, (error) => this.#done(error));
    if (this.#context.log.enabled("debug")) this.#context.log.debug(this.#fields(), "connected");
  }

  /** Its time is over. */
  timedOut(): void {
    const seconds = this.#context.dialTimeoutMs() / 1000;
    const where = this.#step === undefined ? "" : ` at the step "${this.#step}"`;
    const sentence = `no connection to ${formatEndpoint(this.#request.target)} within ${seconds} s${where}`;
    const scope = this.#step === undefined || this.#step === "dial" ? "target" : "upstream";
    this.#cancel.abort(new DialError("timeout", sentence, { step: this.#step, scope }));
  }

  #done(error: Error | undefined): void {
    this.#context.table.remove(this.#flow, error);
    const { log } = this.#context;
    if (!log.enabled("debug")) return;
    const bytes = { bytes_up: this.#flow.bytesUp, bytes_down: this.#flow.bytesDown };
    log.debug(
      { ...this.#fields(), ...bytes, ...(error && { error: error.message }) },
      error ? "flow cut" : "flow ended",
    );
  }

  #logFailure(failure: DialError): void {
    const { log } = this.#context;
    const level = failure.code === "cancelled" ? "debug" : failure.code === "internal" ? "error" : "warn";
    if (!log.enabled(level)) return;
    log.sparingly(
      level,
      { ...this.#fields(), code: failure.code, step: failure.step, error: failure.message },
      "dial failed",
    );
  }

  #fields(): LogFields {
    return {
      upstream: this.#flow.decision.to,
      target: formatEndpoint(this.#request.target),
      seq: this.#flow.id,
      request_id: this.#context.requestId(this.#flow.id),
      duration_ms: Math.round(this.#flow.ageMs * 10) / 10,
    };
  }
}

/** What a dialer threw, as the engine's own error; anything else is a defect and says so. */
function asDialError(error: unknown): DialError {
  if (error instanceof DialError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new DialError("internal", `unexpected failure: ${message}`, { cause: error });
}
