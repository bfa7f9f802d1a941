import { BodyReader } from "@sockeye/wire/http-body";
import { type HeadRead, HeadReader, HttpHeadError, type ResponseHead } from "@sockeye/wire/http-head";
import { protocolsIn, type PublicRequest } from "@sockeye/wire/request-head";
import { responseFraming } from "@sockeye/wire/response-head";
import { forwardedResponseHead, passesAsItCame, type ResponseWays } from "./heads.ts";

/** Where an answer goes. */
export interface AnswerHost {
  /** The whole of the request has been sent on. */
  readonly requestComplete: boolean;
  /** The final head has come, and can be passed on; its bytes follow. */
  answered(head: ResponseHead): void;
  /** Bytes for the public. @returns false where it should wait. */
  pass(bytes: Buffer): boolean;
  /** The last byte was passed. @param clean nothing came after it that nobody asked for. */
  complete(head: ResponseHead, clean: boolean): void;
  /** The connection has another protocol from here on. `rest` is the first of it. */
  changed(rest: Buffer): void;
}

/** Interim answers before the final one; each is passed on, whether or not its reader keeps up. */
const MAX_INTERIM = 16;
/** Of an answer's head. */
const MAX_HEAD_BYTES = 65_536;

/** The answer to one request: heads are read and written anew, bodies passed on as they come, and their end is found. */
export class Answer {
  readonly #request: PublicRequest;
  readonly #host: AnswerHost;
  #headReader = new HeadReader("response", MAX_HEAD_BYTES);
  #interim = 0;
  #head: ResponseHead | undefined;
  #body: BodyReader | undefined;
  /** Chunks are taken apart for a client that knows none (HTTP/1.0). */
  #unchunk = false;
  #keepAlive = false;

  constructor(request: PublicRequest, host: AnswerHost) {
    this.#request = request;
    this.#host = host;
  }

  /** The public connection can serve another request after this answer. */
  get keepAlive(): boolean {
    return this.#keepAlive;
  }

  /** The request is sent again, on another stream. */
  restart(): void {
    this.#headReader = new HeadReader("response", MAX_HEAD_BYTES);
  }

  /**
   * Takes the next bytes.
   * @returns false where the public should be waited for.
   * @throws {HttpHeadError | HttpBodyError} it can't be passed on.
   */
  push(chunk: Buffer): boolean {
    return this.#head === undefined ? this.#pushHead(chunk) : this.#pushBody(chunk);
  }

  /** The local service sends no more. @throws {HttpBodyError} where the body has no end. */
  end(): void {
    this.#body!.end();
  }

  #pushHead(chunk: Buffer): boolean {
    let bytes = chunk;
    for (;;) {
      const read = this.#headReader.push(bytes);
      if (read === undefined) return true;
      const { head, rest } = read;
      if (head.status === 101) {
        this.#change(head, rest);
        return true;
      }
      if (head.status >= 200) return this.#onHead(read, bytes);
      this.#passInterim(head);
      bytes = rest;
      if (bytes.length === 0) return true;
    }
  }

  #passInterim(head: ResponseHead): void {
    if (++this.#interim > MAX_INTERIM)
      throw new HttpHeadError("too-large", `there are more than ${MAX_INTERIM} interim answers`);
    // An HTTP/1.0 client does not know interim answers (RFC 9110 §15.2).
    if (this.#request.minorVersion === 0) return;
    const text = forwardedResponseHead(head, { connection: undefined, chunked: false });
    this.#host.pass(Buffer.from(text, "latin1"));
  }

  /** @param chunk in which the end of the head came. */
  #onHead({ head, rest, plain }: HeadRead<"response">, chunk: Buffer): boolean {
    const request = this.#request;
    const framing = responseFraming(head, request.method);
    this.#body = new BodyReader(framing);
    this.#unchunk = framing.kind === "chunked" && request.minorVersion === 0;
    // Bytes of the body that are still to come would be read as the next request.
    this.#keepAlive =
      request.keepAlive && framing.kind !== "until-close" && !this.#unchunk && this.#host.requestComplete;
    const ways: ResponseWays = {
      connection: this.#keepAlive ? (request.minorVersion === 0 ? "keep-alive" : undefined) : "close",
      chunked: framing.kind === "chunked" && !this.#unchunk,
    };
    const asItCame = plain && passesAsItCame(head, ways);
    const text = asItCame ? "" : forwardedResponseHead(head, ways);
    this.#head = head;
    this.#host.answered(head);
    return asItCame ? this.#passWhole(chunk, rest) : this.#passBoth(text, rest);
  }

  /** What nothing is changed of is not copied. */
  #passWhole(chunk: Buffer, rest: Buffer): boolean {
    const left = rest.length - this.#body!.push(rest);
    const flowing = this.#host.pass(left === 0 ? chunk : chunk.subarray(0, chunk.length - left));
    return this.#passed(flowing, left);
  }

  /** The head, together with the first bytes of the body. */
  #passBoth(text: string, rest: Buffer): boolean {
    const parts: Buffer[] = [];
    const left = this.#take(rest, parts);
    const bytes = Buffer.allocUnsafe(text.length + parts.reduce((sum, { length }) => sum + length, 0));
    let at = bytes.write(text, "latin1");
    for (const part of parts) at += part.copy(bytes, at);
    return this.#passed(this.#host.pass(bytes), left);
  }

  #change(head: ResponseHead, rest: Buffer): void {
    const asked = this.#request.upgrade?.toLowerCase().split(", ") ?? [];
    const given = protocolsIn(head.headers);
    if (given.length === 0 || !given.every((protocol) => asked.includes(protocol.toLowerCase())))
      throw new HttpHeadError("start-line", "the answer changes the protocol, which nobody asked for");
    const text = forwardedResponseHead(head, { connection: "upgrade", chunked: false });
    this.#head = head;
    this.#host.answered(head);
    this.#host.pass(Buffer.from(text, "latin1"));
    this.#host.changed(rest);
  }

  #pushBody(chunk: Buffer): boolean {
    const parts: Buffer[] = [];
    const left = this.#take(chunk, parts);
    let flowing = true;
    if (parts.length === 1) flowing = this.#host.pass(parts[0]!);
    else if (parts.length > 1) flowing = this.#host.pass(Buffer.concat(parts));
    return this.#passed(flowing, left);
  }

  /** Adds what is to be passed on of the body to `parts`. @returns how many bytes came after its end. */
  #take(chunk: Buffer, parts: Buffer[]): number {
    const body = this.#body!;
    if (this.#unchunk) return chunk.length - body.push(chunk, (bytes) => parts.push(bytes));
    const taken = body.push(chunk);
    if (taken > 0) parts.push(taken === chunk.length ? chunk : chunk.subarray(0, taken));
    return chunk.length - taken;
  }

  /** @param left bytes after the answer's end, which nobody asked for: that connection is not used again. */
  #passed(flowing: boolean, left: number): boolean {
    if (this.#body!.done) this.#host.complete(this.#head!, left === 0);
    return flowing;
  }
}
