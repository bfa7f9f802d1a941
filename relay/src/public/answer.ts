import { BodyReader } from "@sockeye/wire/http-body";
import { HeadReader, HttpHeadError, type ResponseHead } from "@sockeye/wire/http-head";
import { protocolsIn, type PublicRequest } from "@sockeye/wire/request-head";
import { responseFraming } from "@sockeye/wire/response-head";
import { forwardedResponseHead } from "./heads.ts";

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
    return this.#head === undefined ? this.#pushHead(chunk) : this.#pushBody(chunk, undefined);
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
      if (head.status >= 200 || head.status === 101) return this.#onHead(head, rest);
      this.#passInterim(head);
      bytes = rest;
      if (bytes.length === 0) return true;
    }
  }

  #passInterim(head: ResponseHead): void {
    if (++this.#interim > MAX_INTERIM)
      throw new HttpHeadError("too-large", `there are more than ${MAX_INTERIM} interim answers`);
    this.#headReader = new HeadReader("response", MAX_HEAD_BYTES);
    // An HTTP/1.0 client does not know interim answers (RFC 9110 §15.2).
    if (this.#request.minorVersion === 0) return;
    const text = forwardedResponseHead(head, { connection: undefined, chunked: false });
    this.#host.pass(Buffer.from(text, "latin1"));
  }

  #onHead(head: ResponseHead, rest: Buffer): boolean {
    const request = this.#request;
    if (head.status === 101) {
      this.#change(head, rest);
      return true;
    }
    const framing = responseFraming(head, request.method);
    this.#body = new BodyReader(framing);
    this.#unchunk = framing.kind === "chunked" && request.minorVersion === 0;
    // Bytes of the body that are still to come would be read as the next request.
    this.#keepAlive =
      request.keepAlive && framing.kind !== "until-close" && !this.#unchunk && this.#host.requestComplete;
    const text = forwardedResponseHead(head, {
      connection: this.#keepAlive ? (request.minorVersion === 0 ? "keep-alive" : undefined) : "close",
      chunked: framing.kind === "chunked" && !this.#unchunk,
    });
    this.#head = head;
    this.#host.answered(head);
    return this.#pushBody(rest, Buffer.from(text, "latin1"));
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

  /** @param before the head, which leaves together with the first bytes. */
  #pushBody(chunk: Buffer, before: Buffer | undefined): boolean {
    const body = this.#body!;
    const parts: Buffer[] = before === undefined ? [] : [before];
    const taken = this.#unchunk ? body.push(chunk, (bytes) => parts.push(bytes)) : body.push(chunk);
    if (!this.#unchunk && taken > 0) parts.push(taken === chunk.length ? chunk : chunk.subarray(0, taken));
    let flowing = true;
    if (parts.length === 1) flowing = this.#host.pass(parts[0]!);
    else if (parts.length > 1) flowing = this.#host.pass(Buffer.concat(parts));
    // What comes after the answer's end was asked for by nobody: that connection is not used again.
    if (body.done) this.#host.complete(this.#head!, taken === chunk.length);
    return flowing;
  }
}
