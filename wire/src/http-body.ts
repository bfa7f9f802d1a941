import { HttpHeadError, type HttpHeaders, parseHeader } from "./http-head.ts";

/** Where the body of an HTTP/1.x message ends (RFC 9112 §6). */
export type BodyFraming =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly length: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "until-close" };

export type HttpBodyErrorCode =
  | "chunk-size" // not a hexadecimal number that we can count to, or an extension with bytes that have no place there
  | "chunk-end" // a chunk is not followed by CR LF
  | "too-large" // a chunk's size line or the trailers are longer than their caps
  | "trailer" // a trailer that is no header, or that would change how the message is read
  | "cut"; // the connection ended before the body did

/** A body can't be read on; what came after it, if anything, is not to be trusted. */
export class HttpBodyError extends Error {
  override readonly name = "HttpBodyError";
  readonly code: HttpBodyErrorCode;
  constructor(code: HttpBodyErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Of a chunk's size line with its extensions and CR LF. */
const MAX_SIZE_LINE_BYTES = 256;
const MAX_TRAILER_BYTES = 16_384;

const CR = 0x0d;
const LF = 0x0a;

/** Finds the end of a body, however its bytes are cut into chunks. Holds none of it but an unfinished line. */
export class BodyReader {
  readonly #framing: BodyFraming["kind"];
  /** Bytes of the body, or of the current chunk, that have not come yet. */
  #left: number;
  #chunkState: "size" | "data" | "data-end" | "trailers" = "size";
  /** The line that is being received, latin1, without its end. */
  #line = "";
  #trailerBytes = 0;
  #trailers: { name: string; value: string }[] | undefined;
  #done: boolean;

  constructor(framing: BodyFraming) {
    this.#framing = framing.kind;
    this.#left = framing.kind === "length" ? framing.length : 0;
    this.#done = framing.kind === "none";
  }

  get done(): boolean {
    return this.#done;
  }

  /** What came after the last chunk; complete once the body is. */
  get trailers(): HttpHeaders {
    return this.#trailers ?? [];
  }

  /**
   * Takes the next bytes.
   * @param onData is given the body's bytes without their framing, as views of `chunk`.
   * @returns how many of the bytes belong to the message. What is left over, once `done`, comes after it.
   * @throws {HttpBodyError}
   */
  push(chunk: Buffer, onData?: (bytes: Buffer) => void): number {
    switch (this.#framing) {
      case "none":
        return 0;
      case "until-close":
        onData?.(chunk);
        return chunk.length;
      case "length":
        return this.#pushLength(chunk, onData);
      case "chunked":
        return this.#pushChunked(chunk, onData);
    }
  }

  /**
   * The connection has ended.
   * @throws {HttpBodyError} where the body had not.
   */
  end(): void {
    if (this.#framing === "until-close") this.#done = true;
    if (!this.#done) throw new HttpBodyError("cut", "the connection ended within the body");
  }

  #pushLength(chunk: Buffer, onData?: (bytes: Buffer) => void): number {
    const taken = Math.min(this.#left, chunk.length);
    this.#left -= taken;
    if (this.#left === 0) this.#done = true;
    if (taken > 0) onData?.(taken === chunk.length ? chunk : chunk.subarray(0, taken));
    return taken;
  }

  #pushChunked(chunk: Buffer, onData?: (bytes: Buffer) => void): number {
    let at = 0;
    while (at < chunk.length && !this.#done) {
      if (this.#chunkState === "data") {
        const taken = Math.min(this.#left, chunk.length - at);
        onData?.(chunk.subarray(at, at + taken));
        at += taken;
        this.#left -= taken;
        if (this.#left === 0) this.#chunkState = "data-end";
      } else {
        at = this.#takeLine(chunk, at);
      }
    }
    return at;
  }

  /** Adds to the unfinished line, and reads it once it has its end. @returns the offset after what was taken. */
  #takeLine(chunk: Buffer, from: number): number {
    const lf = chunk.indexOf(LF, from);
    const end = lf === -1 ? chunk.length : lf + 1;
    this.#checkLineLength(end - from);
    const ended = lf !== -1;
    this.#line += chunk.toString("latin1", from, end);
    if (!ended) return end;
    const line = this.#line;
    this.#line = "";
    if (line.charCodeAt(line.length - 2) !== CR || line.indexOf("\r") !== line.length - 2)
      throw new HttpBodyError("chunk-end", "a line within the body does not end in CR LF");
    this.#onLine(line.slice(0, -2));
    return end;
  }

  #checkLineLength(more: number): void {
    switch (this.#chunkState) {
      case "data-end":
        if (this.#line.length + more > 2)
          throw new HttpBodyError("chunk-end", "a chunk is not followed by CR LF");
        return;
      case "size":
        if (this.#line.length + more > MAX_SIZE_LINE_BYTES)
          throw new HttpBodyError(
            "too-large",
            `a chunk's size line is longer than ${MAX_SIZE_LINE_BYTES} bytes`,
          );
        return;
      case "trailers":
        this.#trailerBytes += more;
        if (this.#trailerBytes > MAX_TRAILER_BYTES)
          throw new HttpBodyError("too-large", `the trailers are longer than ${MAX_TRAILER_BYTES} bytes`);
        return;
      case "data":
    }
  }

  #onLine(line: string): void {
    switch (this.#chunkState) {
      case "size":
        this.#left = chunkSize(line);
        this.#chunkState = this.#left === 0 ? "trailers" : "data";
        return;
      case "data-end":
        if (line !== "") throw new HttpBodyError("chunk-end", "a chunk is not followed by CR LF");
        this.#chunkState = "size";
        return;
      case "trailers":
        if (line === "") this.#done = true;
        else (this.#trailers ??= []).push(trailer(line));
        return;
      case "data":
    }
  }
}

/** RFC 9112 §7.1: the size, and extensions, which nobody uses and which pass unread but for their letters. */
const SIZE_LINE = /^([0-9a-f]{1,12})(?:[ \t]*;[\t\x20-\x7e]*)?$/i;

function chunkSize(line: string): number {
  const digits = SIZE_LINE.exec(line)?.[1];
  if (digits === undefined)
    throw new HttpBodyError("chunk-size", "a chunk's size is not a hexadecimal number");
  return parseInt(digits, 16);
}

/** RFC 9110 §6.5.1: fields that say where a message goes, comes from or ends have no place after it. */
const NOT_IN_TRAILERS = new Set([
  "content-length",
  "transfer-encoding",
  "host",
  "connection",
  "upgrade",
  "trailer",
  "forwarded",
  "x-real-ip",
]);

function trailer(line: string): { name: string; value: string } {
  try {
    const field = parseHeader(line);
    const name = field.name.toLowerCase().replaceAll("_", "-");
    // Some servers put trailers among the headers, where these would be taken for a proxy's word.
    if (!NOT_IN_TRAILERS.has(name) && !name.startsWith("x-forwarded-")) return field;
  } catch (error) {
    if (!(error instanceof HttpHeadError)) throw error;
    throw new HttpBodyError("trailer", `a trailer can't be read: ${error.message}`);
  }
  throw new HttpBodyError("trailer", "a trailer has the name of a field that may only come before the body");
}
