import { BodyReader, HttpBodyError } from "@sockeye/wire/http-body";
import { keepGiven } from "@sockeye/wire/given-memory";
import { HeadReader, headerValue, HttpHeadError, type ResponseHead } from "@sockeye/wire/http-head";
import type { ResetReason } from "@sockeye/wire/mux-frames";
import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";
import { protocolsIn, type PublicRequest } from "@sockeye/wire/request-head";
import { keepAliveSeconds, responseFraming, serverKeepsAlive } from "@sockeye/wire/response-head";
import type { Verdict } from "../auth/authoriser.ts";
import type { Found, Route } from "../dispatch/dispatch.ts";
import type { Slot } from "../limits/limits.ts";
import type { PublicAddress } from "../names/registry.ts";
import type { CarriedBytes, ErrorKind, ServedStart } from "../observer.ts";
import type { Origin } from "./forwarded.ts";
import { forwardedRequestHead, forwardedResponseHead, isIdempotent } from "./heads.ts";
import type { Refused } from "./pages.ts";
import { openPending } from "./pending.ts";
import { Progress } from "./progress.ts";
import { nameOf, type PublicContext } from "./public-context.ts";
import * as refusals from "./refusals.ts";

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

/** Bytes of a request's body that are kept for a second try. */
const MAX_REPLAY_BYTES = 65_536;
/** How often a request is sent again, after the first time. */
const MAX_RETRIES = 2;
/** Interim answers before the final one; each is passed on, whether or not its reader keeps up. */
const MAX_INTERIM = 16;
/** Of an answer's head. */
const MAX_RESPONSE_HEAD_BYTES = 65_536;

const MEANS_OFFLINE: ReadonlySet<ErrorKind> = new Set(["away", "local-refused", "local-unreachable"]);

/**
 * One request and its answer: found a client, sent on from the first byte, answered from the first byte. What the public side
 * can't take yet stays in the tunnel, and the other way round.
 */
export class Exchange implements StreamReceiver {
  readonly request: PublicRequest;
  readonly origin: Origin;
  readonly #context: PublicContext;
  readonly #host: ExchangeHost;
  readonly #startedAt = performance.now();
  /** From the first look on; most are over before. */
  #progress: Progress | undefined;
  readonly #requestBody: BodyReader;
  /** For a wait that ends with the exchange; most never wait. */
  #abort: AbortController | undefined;
  #address: PublicAddress | undefined;
  #started: ServedStart | undefined;
  #route: Route | undefined;
  #slot: Slot | undefined;
  #stream: TunnelStream | undefined;
  #openedAt = 0;
  #reused = false;
  #retries = 0;
  #interim = 0;
  /** What was sent of the body; undefined once it can't be sent again. */
  #replay: Buffer[] | undefined = [];
  #replayBytes = 0;
  #state: "routing" | "waiting" | "head" | "body" | "over" = "routing";
  #headReader: HeadReader<"response"> | undefined;
  #head: ResponseHead | undefined;
  #responseBody: BodyReader | undefined;
  /** Chunks are taken apart for a client that knows none (HTTP/1.0). */
  #unchunk = false;
  #keepAlive = false;
  #owed = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  #error: ErrorKind | undefined;
  #limit: string | undefined;
  #status = 0;
  #reported = false;
  /** The tunnel takes no more of the body for now. */
  bodyBlocked = false;
  /** By `performance.now()`. */
  lastActive = this.#startedAt;

  constructor(context: PublicContext, host: ExchangeHost, request: PublicRequest, origin: Origin) {
    this.#context = context;
    this.#host = host;
    this.request = request;
    this.origin = origin;
    this.#requestBody = new BodyReader(request.framing);
  }

  get requestComplete(): boolean {
    return this.#requestBody.done;
  }

  /** Finds out who answers, and sends the head on. */
  start(): void {
    const { request, origin } = this;
    const name = nameOf(request.hostname, this.#context.domains);
    this.#address = name === undefined ? undefined : { kind: "http", name };
    this.#tellStart();
    if (request.method === "CONNECT") {
      this.#refuse(refusals.noConnect);
      return;
    }
    const refusal = this.#context.limits.request({ source: origin.source });
    if (refusal !== undefined) {
      this.#refuse(refusals.limited(refusal));
      return;
    }
    if (this.#address === undefined) {
      this.#refuse(refusals.unknownName(request.hostname));
      return;
    }
    this.#findRoute(this.#address);
  }

  #tellStart(): void {
    const { observer, tracer } = this.#context;
    const { method, target, headers } = this.request;
    const start: ServedStart = { address: this.#address, source: this.origin.source, method, target };
    const trace = tracer?.begin(start, headerValue(headers, "traceparent"));
    this.#started = trace === undefined ? start : { ...start, trace };
    observer.requestStarted(this.#started);
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
    this.#bytesIn += taken;
    this.lastActive = performance.now();
    this.#remember(part);
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
    this.#error ??= "cancelled";
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
    const waited = now - Math.max(this.lastActive, this.#startedAt);
    if (this.#state === "head" && response_timeout > 0 && waited > response_timeout * 1000) {
      this.#fail("local-timeout", refusals.slow);
      return;
    }
    const tooIdle = this.#state === "body" && idle_timeout > 0 && waited > idle_timeout * 1000;
    const tooLong = total_timeout > 0 && now - this.#startedAt > total_timeout * 1000;
    if (tooIdle || tooLong) this.#fail("idle", refusals.slow);
  }

  // ── who answers

  #findRoute(address: PublicAddress): void {
    this.#state = "routing";
    const found = this.#context.dispatch.find(address);
    if (!(found instanceof Promise)) {
      this.#onFound(found, address);
      return;
    }
    found.then(
      (later) => this.#onFound(later, address),
      (error: unknown) => this.#onFailure("finding a name", error),
    );
  }

  #onFound(found: Found, address: PublicAddress): void {
    if (this.#isOver()) return;
    switch (found.state) {
      case "held": {
        this.#authorise(found.route);
        return;
      }
      case "unknown": {
        this.#refuse(refusals.unknownName(this.request.hostname));
        return;
      }
      case "away": {
        this.#waitForClient(address);
        return;
      }
    }
  }

  /** Its client was here lately: whoever asks now should not have to notice that it comes back. */
  #waitForClient(address: PublicAddress): void {
    this.#state = "waiting";
    const holdMs = this.#context.config.names.hold * 1000;
    this.#abort = new AbortController();
    this.#context.dispatch.waitFor(address, holdMs, this.#abort.signal).then(
      (route) => {
        if (this.#isOver()) return;
        if (route === undefined) this.#refuse(refusals.away(this.request.hostname));
        else this.#authorise(route);
      },
      (error: unknown) => this.#onFailure("waiting for a client", error),
    );
  }

  /** Each request is asked about: a credential may have been revoked, or never have reached so far. */
  #authorise(route: Route): void {
    this.#route = route;
    const refusal = this.#context.limits.request({ source: "", client: route.client });
    if (refusal !== undefined) {
      this.#refuse(refusals.limited(refusal));
      return;
    }
    const address = route.address;
    const verdict = this.#context.authoriser.authorise(route.grant, address);
    if (!(verdict instanceof Promise)) {
      this.#onVerdict(verdict, route);
      return;
    }
    verdict.then(
      (later) => {
        if (!this.#isOver()) this.#onVerdict(later, route);
      },
      (error: unknown) => this.#onFailure("authorising a request", error),
    );
  }

  #onVerdict(verdict: Verdict, route: Route): void {
    if (!verdict.allowed) {
      this.#refuse(refusals.notAuthorised);
      return;
    }
    const closed = route.gate?.refuses(
      this.origin.source,
      headerValue(this.request.headers, "authorization"),
    );
    if (closed !== undefined) {
      this.#refuse(closed === "address" ? refusals.notFromHere : refusals.notLetIn);
      return;
    }
    if (this.#slot === undefined) {
      const admission = this.#context.limits.tunnel(route.client);
      if ("refusal" in admission) {
        this.#refuse(refusals.limited(admission.refusal));
        return;
      }
      this.#slot = admission.slot;
    }
    this.#send(route);
  }

  #onFailure(what: string, error: unknown): void {
    if (this.#isOver()) return;
    this.#context.observer.problem(what, error instanceof Error ? error : new Error(String(error)));
    this.#refuse(refusals.unavailable);
  }

  // ── the request

  #send(route: Route): void {
    const { request } = this;
    const idle =
      request.upgrade === undefined && this.#retries === 0
        ? route.idle.take(isIdempotent(request.method))
        : undefined;
    this.#reused = idle !== undefined;
    const opening =
      idle === undefined ? openPending(this.#context.limits, route, "", this) : { stream: idle };
    if ("refusal" in opening) {
      this.#refuse(refusals.limited(opening.refusal));
      return;
    }
    const { stream } = opening;
    if (stream === undefined) {
      this.#refuse(refusals.tooManyStreams);
      return;
    }
    stream.receiver = this;
    this.#stream = stream;
    this.#state = "head";
    this.#openedAt = this.lastActive = performance.now();
    this.#headReader = new HeadReader("response", MAX_RESPONSE_HEAD_BYTES);
    const { origin } = this;
    const head = forwardedRequestHead(request, {
      origin,
      host: route.host ?? request.host,
      trace: this.#started?.trace,
      withoutAuthorization: route.gate?.usesAuthorization ?? false,
    });
    stream.write(Buffer.from(head, "latin1"));
    for (const part of this.#replay ?? []) stream.write(part);
    if (!this.#requestBody.done) this.#host.wantsBody();
  }

  #remember(part: Buffer): void {
    this.#replayBytes += part.length;
    if (this.#replayBytes > MAX_REPLAY_BYTES || !isIdempotent(this.request.method)) this.#replay = undefined;
    if (this.#replay === undefined) return;
    keepGiven(part);
    this.#replay.push(part);
  }

  /**
   * The tunnel failed before a byte of the answer. A request that may be sent again is: the local service may have closed
   * an idle connection just now, or the client may be on its way back.
   */
  #retry(): boolean {
    const { request } = this;
    const mayRepeat = this.#replay !== undefined && isIdempotent(request.method);
    if (this.#state !== "head" || this.#head !== undefined || !mayRepeat || this.#retries >= MAX_RETRIES)
      return false;
    this.#retries++;
    this.#stream = undefined;
    this.bodyBlocked = false;
    this.#findRoute(this.#address!);
    return true;
  }

  // ── the answer: what the tunnel tells

  data(chunk: Buffer): void {
    this.lastActive = performance.now();
    this.#owed += chunk.length;
    try {
      if (this.#state === "head") this.#onHeadBytes(chunk);
      else if (this.#state === "body") this.#onBodyBytes(chunk, undefined);
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
      this.#responseBody!.end();
    } catch (error) {
      if (!(error instanceof HttpBodyError)) throw error;
      this.#fail("local-closed", refusals.localClosed);
      return;
    }
    this.#finish(false);
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

  #onHeadBytes(chunk: Buffer): void {
    let bytes = chunk;
    for (;;) {
      const read = this.#headReader!.push(bytes);
      if (read === undefined) {
        this.drained();
        return;
      }
      const { head, rest } = read;
      if (head.status >= 200 || head.status === 101) {
        this.#onHead(head, rest);
        return;
      }
      if (++this.#interim > MAX_INTERIM)
        throw new HttpHeadError("too-large", `there are more than ${MAX_INTERIM} interim answers`);
      this.#headReader = new HeadReader("response", MAX_RESPONSE_HEAD_BYTES);
      // An HTTP/1.0 client does not know interim answers (RFC 9110 §15.2).
      if (this.request.minorVersion === 1) {
        const text = forwardedResponseHead(head, { connection: undefined, chunked: false });
        this.#write(Buffer.from(text, "latin1"));
      }
      bytes = rest;
      if (bytes.length === 0) {
        this.drained();
        return;
      }
    }
  }

  #onHead(head: ResponseHead, rest: Buffer): void {
    const { request } = this;
    this.#head = head;
    this.#status = head.status;
    this.#replay = undefined;
    if (head.status === 101) {
      this.#onUpgrade(head, rest);
      return;
    }
    const framing = responseFraming(head, request.method);
    this.#responseBody = new BodyReader(framing);
    this.#unchunk = framing.kind === "chunked" && request.minorVersion === 0;
    // Bytes of the body that are still to come would be read as the next request.
    this.#keepAlive =
      request.keepAlive && framing.kind !== "until-close" && !this.#unchunk && this.#requestBody.done;
    const text = forwardedResponseHead(head, {
      connection: this.#keepAlive ? (request.minorVersion === 0 ? "keep-alive" : undefined) : "close",
      chunked: framing.kind === "chunked" && !this.#unchunk,
    });
    this.#state = "body";
    this.#onBodyBytes(rest, Buffer.from(text, "latin1"));
  }

  #onUpgrade(head: ResponseHead, rest: Buffer): void {
    const asked = this.request.upgrade?.toLowerCase().split(", ") ?? [];
    const given = protocolsIn(head.headers);
    if (given.length === 0 || !given.every((protocol) => asked.includes(protocol.toLowerCase())))
      throw new HttpHeadError("start-line", "the answer changes the protocol, which nobody asked for");
    const text = forwardedResponseHead(head, { connection: "upgrade", chunked: false });
    this.#host.write(Buffer.from(text, "latin1"));
    this.#owed -= rest.length;
    this.drained();
    const stream = this.#stream!;
    this.#stream = undefined;
    this.#state = "over";
    this.#host.upgraded(stream, rest);
  }

  /** @param before the head, which leaves together with the first bytes. */
  #onBodyBytes(chunk: Buffer, before: Buffer | undefined): void {
    const body = this.#responseBody!;
    const parts: Buffer[] = before === undefined ? [] : [before];
    const taken = this.#unchunk ? body.push(chunk, (bytes) => parts.push(bytes)) : body.push(chunk);
    if (!this.#unchunk && taken > 0) parts.push(taken === chunk.length ? chunk : chunk.subarray(0, taken));
    let flowing = true;
    if (parts.length === 1) flowing = this.#write(parts[0]!);
    else if (parts.length > 1) flowing = this.#write(Buffer.concat(parts));
    if (flowing) this.drained();
    // What comes after the answer's end was asked for by nobody: that connection is not used again.
    if (body.done) this.#finish(taken === chunk.length);
  }

  #write(bytes: Buffer): boolean {
    this.#bytesOut += bytes.length;
    return this.#host.write(bytes);
  }

  // ── ends

  /** The answer is complete. */
  #finish(clean: boolean): void {
    const stream = this.#stream!;
    const head = this.#head!;
    this.drained();
    if (clean && this.#requestBody.done && serverKeepsAlive(head))
      this.#route!.idle.put(stream, keepAliveSeconds(head));
    else if (this.#requestBody.done) stream.end();
    else stream.reset("cancelled");
    const keepAlive = this.#keepAlive && this.#requestBody.done;
    this.#stream = undefined;
    this.#over();
    this.#host.done(keepAlive);
  }

  #refuse(refused: Refused): void {
    this.#fail(refused.kind, refused);
  }

  #fail(kind: ErrorKind, refusal: Refused): void {
    if (this.#isOver()) return;
    const refused = this.#withPage(refusal);
    const answered = this.#state === "body";
    this.#error = kind;
    this.#limit = refused.limit;
    this.#stream?.reset("cancelled");
    this.#stream = undefined;
    if (!answered) this.#status = refused.status;
    this.#over();
    if (answered) this.#host.cut();
    else this.#host.refuse(refused);
  }

  /** Where nobody is there to answer, the page of whoever shares the name takes the place of ours. */
  #withPage(refused: Refused): Refused {
    if (!MEANS_OFFLINE.has(refused.kind) || this.#address === undefined) return refused;
    const page = this.#route?.offlinePage ?? this.#context.offlinePages.of(this.#address);
    return page === undefined ? refused : { ...refused, status: 503, page };
  }

  #isOver(): boolean {
    return this.#state === "over";
  }

  #over(): void {
    this.#state = "over";
    this.#abort?.abort();
    this.report();
  }

  /** Tells the observer of bytes as they flow. To be called several times a second. @param tunnel as `report` takes it. */
  tellBytes(now: number, tunnel?: CarriedBytes): void {
    this.#progress ??= new Progress(this.#context.observer, this.#startedAt);
    this.#progress.sweep(now, this.#route, () => this.#bytes(tunnel));
  }

  #bytes(tunnel: CarriedBytes | undefined): CarriedBytes {
    return {
      bytesIn: this.#bytesIn + (tunnel?.bytesIn ?? 0),
      bytesOut: this.#bytesOut + (tunnel?.bytesOut ?? 0),
    };
  }

  /** Tells the observer of the end, once; an upgraded exchange ends with its tunnel. */
  report(tunnel?: CarriedBytes): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#slot?.release();
    const ms = performance.now() - this.#startedAt;
    const { method, target } = this.request;
    this.#route?.seen({ method, target, status: this.#status, ms });
    this.#context.observer.requestEnded({
      ...this.#started!,
      client: this.#route?.client,
      identity: this.#route?.grant.identity,
      status: this.#status,
      ms,
      ...this.#bytes(tunnel),
      told: this.#progress?.told,
      error: this.#error,
      limit: this.#limit,
    });
  }
}

/** The request's Accept, for whoever writes an answer of the relay's own. */
export function acceptOf(request: PublicRequest): string | undefined {
  return headerValue(request.headers, "accept");
}
