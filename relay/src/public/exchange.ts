import { performance } from "node:perf_hooks";
import { BodyReader, HttpBodyError } from "@sockeye/wire/http-body";
import { headerValue, HttpHeadError, type ResponseHead } from "@sockeye/wire/http-head";
import type { ResetReason } from "@sockeye/wire/mux-frames";
import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";
import type { PublicRequest } from "@sockeye/wire/request-head";
import { keepAliveSeconds, serverKeepsAlive } from "@sockeye/wire/response-head";
import type { Route } from "../dispatch/dispatch.ts";
import type { CarriedBytes, ErrorKind } from "../observer.ts";
import { Account } from "./account.ts";
import { Admittance, type AdmittanceHost } from "./admittance.ts";
import { Answer, type AnswerHost } from "./answer.ts";
import type { Origin } from "./forwarded.ts";
import { forwardedRequestHead, isIdempotent } from "./heads.ts";
import type { Refused } from "./pages.ts";
import { openPending } from "./pending.ts";
import type { PublicContext } from "./public-context.ts";
import * as refusals from "./refusals.ts";
import { SecondTry } from "./second-try.ts";

/** What an exchange needs of the public connection that it is part of. */
export interface ExchangeHost {
  /** @returns false where it should wait until `drained`. */
  write(bytes: Buffer): boolean;
  /** The request's body may be handed over, or again after a wait. */
  wantsBody(): void;
  /** The answer is complete. */
  done(keepAlive: boolean): void;
  /** Nothing was answered yet: say this. */
  refuse(refused: Refused): void;
  /** The answer can't be completed: the public client is to see that. */
  cut(): void;
  /** The connection now belongs to the tunnel. `rest` came from it already. */
  upgraded(stream: TunnelStream, rest: Buffer): void;
}

const MEANS_OFFLINE: ReadonlySet<ErrorKind> = new Set(["away", "local-refused", "local-unreachable"]);

/**
 * One request and its answer: found a client, sent on from the first byte, answered from the first byte. What the public side
 * can't take yet stays in the tunnel, and the other way round.
 */
export class Exchange implements StreamReceiver, AdmittanceHost, AnswerHost {
  readonly request: PublicRequest;
  readonly #origin: Origin;
  readonly #context: PublicContext;
  readonly #host: ExchangeHost;
  readonly #admittance: Admittance;
  readonly #account: Account;
  readonly #requestBody: BodyReader;
  readonly #secondTry: SecondTry;
  #answer: Answer | undefined;
  #stream: TunnelStream | undefined;
  #openedAt = 0;
  #reused = false;
  #state: "routing" | "head" | "body" | "over" = "routing";
  /** Bytes of the tunnel that the public has not taken yet. */
  #owed = 0;
  /** The tunnel takes no more of the body for now. */
  bodyBlocked = false;
  /** By `performance.now()`. */
  #lastActive: number;

  constructor(context: PublicContext, host: ExchangeHost, request: PublicRequest, origin: Origin) {
    this.#context = context;
    this.#host = host;
    this.request = request;
    this.#origin = origin;
    this.#requestBody = new BodyReader(request.framing);
    this.#secondTry = new SecondTry(request.method);
    this.#admittance = new Admittance(context, request, origin.source, this);
    this.#account = new Account(context, this.#admittance.address, request, origin.source);
    this.#lastActive = this.#account.startedAt;
  }

  get requestComplete(): boolean {
    return this.#requestBody.done;
  }

  /** Finds out who answers, and sends the head on. */
  start(): void {
    this.#admittance.ask();
  }

  /** Hands over the next bytes of the body. @returns how many were taken; 0 where it has to wait for `wantsBody`. */
  takeBody(bytes: Buffer): number {
    if (this.#stream === undefined || this.#requestBody.done || this.#state === "over") return 0;
    let taken: number;
    try {
      taken = this.#requestBody.push(bytes);
    } catch (error) {
      if (!(error instanceof HttpBodyError)) throw error;
      this.#fail("bad-request", refusals.badBody(error));
      return 0;
    }
    const part = taken === bytes.length ? bytes : bytes.subarray(0, taken);
    this.#account.bytesIn += taken;
    this.#lastActive = performance.now();
    this.#secondTry.keep(part);
    this.bodyBlocked = !this.#stream.write(part);
    return taken;
  }

  /** The public connection takes bytes again. */
  drained(): void {
    const owed = this.#owed;
    this.#owed = 0;
    if (owed > 0) this.#stream?.consumed(owed);
  }

  /** The public client has gone. */
  cancel(): void {
    this.#account.error ??= "cancelled";
    this.#stream?.reset("cancelled");
    this.#over();
  }

  /** To be called about every second: ends what takes longer than it may. */
  sweep(now: number): void {
    this.tellBytes(now);
    const { pending_timeout, response_timeout, idle_timeout, total_timeout } = this.#context.config.limits;
    if (this.#stream?.untaken === true && now - this.#openedAt > pending_timeout * 1000) {
      this.#fail("not-taken", refusals.notTaken);
      return;
    }
    const waited = now - this.#lastActive;
    if (this.#state === "head" && response_timeout > 0 && waited > response_timeout * 1000) {
      this.#fail("local-timeout", refusals.slow);
      return;
    }
    const tooIdle = this.#state === "body" && idle_timeout > 0 && waited > idle_timeout * 1000;
    const tooLong = total_timeout > 0 && now - this.#account.startedAt > total_timeout * 1000;
    if (tooIdle || tooLong) this.#fail("idle", refusals.slow);
  }

  // ── the request

  admitted(route: Route): void {
    const { request } = this;
    const idle =
      request.upgrade === undefined && !this.#secondTry.isRetry
        ? route.idle.take(isIdempotent(request.method))
        : undefined;
    this.#reused = idle !== undefined;
    const opening =
      idle === undefined ? openPending(this.#context.limits, route, "", this) : { stream: idle };
    if ("refusal" in opening) {
      this.turnedAway(refusals.limited(opening.refusal));
      return;
    }
    const { stream } = opening;
    if (stream === undefined) {
      this.turnedAway(refusals.tooManyStreams);
      return;
    }
    stream.receiver = this;
    this.#stream = stream;
    this.#state = "head";
    this.#openedAt = this.#lastActive = performance.now();
    if (this.#answer === undefined) this.#answer = new Answer(request, this);
    else this.#answer.restart();
    const head = forwardedRequestHead(request, {
      origin: this.#origin,
      host: route.host ?? request.host,
      trace: this.#account.trace,
      withoutAuthorization: route.gate?.usesAuthorization ?? false,
    });
    stream.write(Buffer.from(head, "latin1"));
    for (const part of this.#secondTry.kept) stream.write(part);
    if (!this.#requestBody.done) this.#host.wantsBody();
  }

  turnedAway(refused: Refused): void {
    this.#fail(refused.kind, refused);
  }

  /**
   * The tunnel failed before a byte of the answer. A request that may be sent again is: the local service may have closed
   * an idle connection just now, or the client may be on its way back.
   */
  #retry(): boolean {
    if (this.#state !== "head" || !this.#secondTry.take()) return false;
    this.#stream = undefined;
    this.bodyBlocked = false;
    this.#state = "routing";
    this.#admittance.askAgain();
    return true;
  }

  // ── what the tunnel tells

  data(chunk: Buffer): void {
    if (this.#state === "over") return;
    this.#lastActive = performance.now();
    this.#owed += chunk.length;
    try {
      if (this.#answer!.push(chunk)) this.drained();
    } catch (error) {
      if (!(error instanceof HttpHeadError) && !(error instanceof HttpBodyError)) throw error;
      this.#fail("bad-response", refusals.badResponse(error));
    }
  }

  end(): void {
    if (this.#state === "head") {
      if (this.#reused && this.#retry()) return;
      this.#fail("local-closed", refusals.localClosed);
      return;
    }
    if (this.#state !== "body") return;
    try {
      this.#answer!.end();
    } catch (error) {
      if (!(error instanceof HttpBodyError)) throw error;
      this.#fail("local-closed", refusals.localClosed);
      return;
    }
    this.#finish(false, undefined);
  }

  reset(reason: ResetReason): void {
    const stream = this.#stream;
    this.#stream = undefined;
    if ((this.#reused || reason === "lost") && this.#retry()) return;
    this.#stream = stream;
    const { kind, refused } = refusals.ofReset(reason);
    this.#fail(kind, refused);
  }

  drain(): void {
    this.bodyBlocked = false;
    if (!this.#requestBody.done) this.#host.wantsBody();
  }

  // ── what the answer tells

  answered({ status }: ResponseHead): void {
    this.#account.status = status;
    this.#secondTry.giveUp();
    this.#state = "body";
  }

  pass(bytes: Buffer): boolean {
    this.#account.bytesOut += bytes.length;
    return this.#host.write(bytes);
  }

  complete(head: ResponseHead, clean: boolean): void {
    this.#finish(clean && serverKeepsAlive(head), head);
  }

  changed(rest: Buffer): void {
    this.#owed -= rest.length;
    this.drained();
    const stream = this.#stream!;
    this.#stream = undefined;
    this.#state = "over";
    this.#host.upgraded(stream, rest);
  }

  // ── ends

  /** The answer is complete. @param reusable its stream takes another request. */
  #finish(reusable: boolean, head: ResponseHead | undefined): void {
    const stream = this.#stream!;
    this.drained();
    const { requestComplete } = this;
    if (reusable && requestComplete && head !== undefined)
      this.#admittance.route!.idle.put(stream, keepAliveSeconds(head));
    else if (requestComplete) stream.end();
    else stream.reset("cancelled");
    this.#stream = undefined;
    this.#over();
    this.#host.done(this.#answer!.keepAlive && requestComplete);
  }

  #fail(kind: ErrorKind, refusal: Refused): void {
    if (this.#state === "over") return;
    const refused = this.#withPage(refusal);
    const answered = this.#state === "body";
    this.#account.error = kind;
    this.#account.limit = refused.limit;
    this.#stream?.reset("cancelled");
    this.#stream = undefined;
    if (!answered) this.#account.status = refused.status;
    this.#over();
    if (answered) this.#host.cut();
    else this.#host.refuse(refused);
  }

  /** Where nobody is there to answer, the page of whoever shares the name takes the place of ours. */
  #withPage(refused: Refused): Refused {
    const { address, route } = this.#admittance;
    if (!MEANS_OFFLINE.has(refused.kind) || address === undefined) return refused;
    const page = route?.offlinePage ?? this.#context.offlinePages.of(address);
    return page === undefined ? refused : { ...refused, status: 503, page };
  }

  #over(): void {
    this.#state = "over";
    this.report();
  }

  /** Tells the observer of bytes as they flow. To be called several times a second. @param tunnel as `report` takes it. */
  tellBytes(now: number, tunnel?: CarriedBytes): void {
    this.#account.tellBytes(now, this.#admittance.route, tunnel);
  }

  /** Tells the observer of the end, once; an upgraded exchange ends with its tunnel. */
  report(tunnel?: CarriedBytes): void {
    this.#admittance.leave();
    this.#account.close(this.#admittance.route, tunnel);
  }
}

/** The request's Accept, for whoever writes an answer of the relay's own. */
export function acceptOf(request: PublicRequest): string | undefined {
  return headerValue(request.headers, "accept");
}
