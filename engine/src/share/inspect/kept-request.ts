import type { HttpHeaders, ResponseHead } from "@sockeye/wire/http-head";
import type { PublicRequest } from "@sockeye/wire/request-head";
import { KeptBody } from "./kept-body.ts";

/** One request to the local service and its answer, while it runs and after. */
export class KeptRequest {
  readonly id: number;
  readonly request: PublicRequest;
  /** Who asked, as the relay says. */
  readonly remote: string;
  /** The request that this one repeats. */
  readonly replayOf: number | undefined;
  /** By the clock on the wall. */
  readonly startedAt: number;
  readonly requestBody = new KeptBody();
  readonly responseBody = new KeptBody();
  readonly #onChange: (keptBytes: number) => void;
  readonly #start: number;
  #response: ResponseHead | undefined;
  #state: "open" | "done" | "failed" = "open";
  #failure: string | undefined;
  #requestComplete = false;
  #firstByteMs: number | undefined;
  #totalMs: number | undefined;

  /** @param start by `performance.now()`: when the first byte of the request came. */
  constructor(about: NewRequest, onChange: (keptBytes: number) => void, start: number) {
    this.id = about.id;
    this.request = about.request;
    this.remote = about.remote ?? remoteOf(about.request.headers);
    this.replayOf = about.replayOf;
    this.startedAt = Date.now() - (performance.now() - start);
    this.#start = start;
    this.#onChange = onChange;
  }

  get response(): ResponseHead | undefined {
    return this.#response;
  }

  get state(): "open" | "done" | "failed" {
    return this.#state;
  }

  /** Why it is `failed`, in words. */
  get failure(): string | undefined {
    return this.#failure;
  }

  get requestComplete(): boolean {
    return this.#requestComplete;
  }

  /** Milliseconds to the first byte of the answer's head. */
  get firstByteMs(): number | undefined {
    return this.#firstByteMs;
  }

  get totalMs(): number | undefined {
    return this.#totalMs;
  }

  /** The protocol that the connection went over to, where it did. */
  get upgrade(): string | undefined {
    return this.#response?.status === 101 ? (this.request.upgrade ?? "unknown") : undefined;
  }

  /** What it holds, about: heads are counted at twice their length. */
  get size(): number {
    return (
      this.requestBody.kept +
      this.responseBody.kept +
      2 * (lengthOf(this.request.headers) + lengthOf(this.#response?.headers ?? []))
    );
  }

  takeRequestBody(chunk: Buffer): void {
    this.#onChange(this.requestBody.take(chunk));
  }

  takeResponseBody(chunk: Buffer): void {
    this.#onChange(this.responseBody.take(chunk));
  }

  requestEnded(): void {
    this.#requestComplete = true;
  }

  answerBegan(): void {
    this.#firstByteMs ??= performance.now() - this.#start;
  }

  answered(head: ResponseHead): void {
    this.#response = head;
    this.#onChange(2 * lengthOf(head.headers));
  }

  done(): void {
    if (this.#state !== "open") return;
    this.#state = "done";
    this.#totalMs = performance.now() - this.#start;
    this.#onChange(0);
  }

  failed(why: string): void {
    if (this.#state !== "open") return;
    this.#state = "failed";
    this.#failure = why;
    this.#totalMs = performance.now() - this.#start;
    this.#onChange(0);
  }
}

export interface NewRequest {
  readonly id: number;
  readonly request: PublicRequest;
  readonly remote?: string | undefined;
  readonly replayOf?: number | undefined;
}

/** The relay writes X-Forwarded-For anew; what a trusted proxy before it says comes first. */
function remoteOf(headers: HttpHeaders): string {
  const chain = headers.find(({ name }) => name.toLowerCase() === "x-forwarded-for")?.value ?? "";
  return chain.split(",", 1)[0]!.trim();
}

function lengthOf(headers: HttpHeaders): number {
  return headers.reduce((sum, { name, value }) => sum + name.length + value.length, 0);
}
