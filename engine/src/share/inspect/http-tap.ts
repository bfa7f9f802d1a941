import { BodyReader, HttpBodyError } from "@sockeye/wire/http-body";
import { HeadReader, HttpHeadError, type ResponseHead } from "@sockeye/wire/http-head";
import { type PublicRequest, PublicRequestReader } from "@sockeye/wire/request-head";
import { responseFraming } from "@sockeye/wire/response-head";
import type { LocalFailure } from "../local-failure.ts";
import type { StreamTap } from "../tapped-carry.ts";
import type { KeptRequest } from "./kept-request.ts";

/** Of a head; the relay has added to what the public sent. */
const MAX_HEAD_BYTES = 65_536;

/**
 * Reads the requests of one stream and their answers while they pass. The relay sends the next request when the answer to
 * the one before is complete. What can't be read is carried all the same, and only not seen.
 */
export class HttpTap implements StreamTap {
  readonly #begin: (request: PublicRequest, start: number) => KeptRequest;
  #requestReader: PublicRequestReader | undefined;
  #requestBody: BodyReader | undefined;
  #responseReader: HeadReader<"response"> | undefined;
  #responseBody: BodyReader | undefined;
  #headBeganAt = 0;
  #current: KeptRequest | undefined;
  #state: "http" | "upgraded" | "blind" = "http";

  constructor(begin: (request: PublicRequest, start: number) => KeptRequest) {
    this.#begin = begin;
  }

  toLocal(chunk: Buffer): void {
    if (this.#state === "upgraded") this.#current?.takeRequestBody(chunk);
    if (this.#state === "http") this.#reading(() => this.#readRequests(chunk));
  }

  toPublic(chunk: Buffer): void {
    if (this.#state === "upgraded") this.#current?.takeResponseBody(chunk);
    if (this.#state === "http") this.#reading(() => this.#readAnswer(chunk));
  }

  localEnded(): void {
    const current = this.#current;
    if (this.#state === "upgraded" || current === undefined) return;
    this.#reading(() => {
      if (this.#responseBody === undefined) return;
      this.#responseBody.end();
      this.#answerEnded(current);
    });
  }

  ended(failure: LocalFailure | undefined): void {
    const current = this.#current;
    this.#current = undefined;
    if (current === undefined) return;
    if (failure !== undefined) current.failed(failure.message);
    else if (this.#state === "upgraded") current.done();
    else current.failed(current.response === undefined ? NO_ANSWER : CUT);
  }

  #reading(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof HttpHeadError) && !(error instanceof HttpBodyError)) throw error;
      this.#state = "blind";
      this.#current?.failed(error.message);
      this.#current = undefined;
    }
  }

  #readRequests(chunk: Buffer): void {
    let bytes = chunk;
    while (bytes.length > 0) {
      const current = this.#current;
      if (current === undefined) {
        const head = this.#readRequestHead(bytes);
        if (head === undefined) return;
        bytes = head;
      } else if (current.requestComplete || this.#requestBody === undefined) {
        throw new HttpHeadError("start-line", "a request came before the answer to the one before");
      } else {
        const taken = this.#requestBody.push(bytes, (part) => current.takeRequestBody(part));
        if (this.#requestBody.done) current.requestEnded();
        bytes = bytes.subarray(taken);
      }
    }
  }

  /** @returns what came after the head; undefined while it has no end. */
  #readRequestHead(bytes: Buffer): Buffer | undefined {
    if (this.#requestReader === undefined) {
      this.#requestReader = new PublicRequestReader(MAX_HEAD_BYTES);
      this.#headBeganAt = performance.now();
    }
    const read = this.#requestReader.push(bytes);
    if (read === undefined) return undefined;
    this.#requestReader = undefined;
    this.#current = this.#begin(read.request, this.#headBeganAt);
    this.#requestBody = new BodyReader(read.request.framing);
    if (this.#requestBody.done) this.#current.requestEnded();
    return read.rest;
  }

  #readAnswer(chunk: Buffer): void {
    const current = this.#current;
    if (current === undefined) throw new HttpHeadError("start-line", "an answer came to no request");
    current.answerBegan();
    let bytes = chunk;
    while (this.#responseBody === undefined) {
      this.#responseReader ??= new HeadReader("response", MAX_HEAD_BYTES);
      const read = this.#responseReader.push(bytes);
      if (read === undefined) return;
      this.#responseReader = undefined;
      bytes = read.rest;
      if (read.head.status >= 200 || read.head.status === 101) {
        this.#onAnswer(current, read.head, bytes);
        return;
      }
      if (bytes.length === 0) return;
    }
    this.#readAnswerBody(current, bytes);
  }

  #onAnswer(current: KeptRequest, head: ResponseHead, rest: Buffer): void {
    current.answered(head);
    if (head.status === 101) {
      this.#state = "upgraded";
      if (rest.length > 0) current.takeResponseBody(rest);
      return;
    }
    this.#responseBody = new BodyReader(responseFraming(head, current.request.method));
    this.#readAnswerBody(current, rest);
  }

  #readAnswerBody(current: KeptRequest, bytes: Buffer): void {
    const body = this.#responseBody!;
    const taken = body.push(bytes, (part) => current.takeResponseBody(part));
    if (!body.done) return;
    this.#answerEnded(current);
    if (taken < bytes.length) throw new HttpHeadError("start-line", "more came than the answer");
  }

  #answerEnded(current: KeptRequest): void {
    current.done();
    this.#responseBody = undefined;
    this.#current = undefined;
    // The relay gives the stream up where the request has not ended.
    if (!current.requestComplete) this.#state = "blind";
  }
}

const NO_ANSWER = "the connection ended before an answer";
const CUT = "the connection ended before the answer was complete";
