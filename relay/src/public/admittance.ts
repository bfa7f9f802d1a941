import { headerValue } from "@sockeye/wire/http-head";
import type { PublicRequest } from "@sockeye/wire/request-head";
import type { Verdict } from "../auth/authoriser.ts";
import type { Found, Route } from "../dispatch/dispatch.ts";
import type { Slot } from "../limits/limits.ts";
import type { PublicAddress } from "../names/registry.ts";
import type { Refused } from "./pages.ts";
import { nameOf, type PublicContext } from "./public-context.ts";
import * as refusals from "./refusals.ts";

/** Who hears how it went: one of the two, once for each time it was asked, and neither after `leave`. */
export interface AdmittanceHost {
  admitted(route: Route): void;
  turnedAway(refused: Refused): void;
}

/**
 * Who answers one request, and whether it may be asked: the limits, the name, a client that may be on its way back, what its
 * credential allows, and whom the share lets in. Where nothing has to be waited for, the host hears before the call returns.
 */
export class Admittance {
  /** Undefined where the host is no name of ours. */
  readonly address: PublicAddress | undefined;
  readonly #context: PublicContext;
  readonly #request: PublicRequest;
  readonly #source: string;
  readonly #host: AdmittanceHost;
  #route: Route | undefined;
  #slot: Slot | undefined;
  /** For a wait that ends with the request; most never wait. */
  #abort: AbortController | undefined;
  #left = false;

  /** @param source whose request it is, as it is counted. */
  constructor(context: PublicContext, request: PublicRequest, source: string, host: AdmittanceHost) {
    this.#context = context;
    this.#request = request;
    this.#source = source;
    this.#host = host;
    const name = nameOf(request.hostname, context.domains);
    this.address = name === undefined ? undefined : { kind: "http", name };
  }

  /** The last that was found, let in or not. */
  get route(): Route | undefined {
    return this.#route;
  }

  ask(): void {
    const { method, hostname } = this.#request;
    if (method === "CONNECT") {
      this.#turnAway(refusals.noConnect);
      return;
    }
    const refusal = this.#context.limits.request({ source: this.#source });
    if (refusal !== undefined) this.#turnAway(refusals.limited(refusal));
    else if (this.address === undefined) this.#turnAway(refusals.unknownName(hostname));
    else this.#find(this.address);
  }

  /** The client that was found has gone. */
  askAgain(): void {
    this.#find(this.address!);
  }

  /** The request is over: its place is given back, and nobody is told of anything more. */
  leave(): void {
    this.#left = true;
    this.#abort?.abort();
    this.#slot?.release();
  }

  #find(address: PublicAddress): void {
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
    if (this.#left) return;
    switch (found.state) {
      case "held": {
        this.#authorise(found.route);
        return;
      }
      case "unknown": {
        this.#turnAway(refusals.unknownName(this.#request.hostname));
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
    const holdMs = this.#context.config.names.hold * 1000;
    this.#abort = new AbortController();
    this.#context.dispatch.waitFor(address, holdMs, this.#abort.signal).then(
      (route) => {
        if (this.#left) return;
        if (route === undefined) this.#turnAway(refusals.away(this.#request.hostname));
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
      this.#turnAway(refusals.limited(refusal));
      return;
    }
    const verdict = this.#context.authoriser.authorise(route.grant, route.address);
    if (!(verdict instanceof Promise)) {
      this.#onVerdict(verdict, route);
      return;
    }
    verdict.then(
      (later) => {
        if (!this.#left) this.#onVerdict(later, route);
      },
      (error: unknown) => this.#onFailure("authorising a request", error),
    );
  }

  #onVerdict(verdict: Verdict, route: Route): void {
    if (!verdict.allowed) {
      this.#turnAway(refusals.notAuthorised);
      return;
    }
    const closed = route.gate?.refuses(this.#source, headerValue(this.#request.headers, "authorization"));
    if (closed !== undefined) {
      this.#turnAway(closed === "address" ? refusals.notFromHere : refusals.notLetIn);
      return;
    }
    if (this.#slot === undefined) {
      const admission = this.#context.limits.tunnel(route.client);
      if ("refusal" in admission) {
        this.#turnAway(refusals.limited(admission.refusal));
        return;
      }
      this.#slot = admission.slot;
    }
    this.#host.admitted(route);
  }

  #onFailure(what: string, error: unknown): void {
    if (this.#left) return;
    this.#context.observer.problem(what, error instanceof Error ? error : new Error(String(error)));
    this.#turnAway(refusals.unavailable);
  }

  #turnAway(refused: Refused): void {
    this.#host.turnedAway(refused);
  }
}
