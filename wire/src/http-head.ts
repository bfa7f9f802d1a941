/**
 * The head of an HTTP/1.x message (RFC 9112 §§2–5), read strictly: what a careful peer never sends is refused, because two
 * readers who disagree about a head are how one person's request reaches another's server. Bytes in, a head out; no I/O.
 */

export type HttpHeadErrorCode =
  | "too-large" // no end within the cap
  | "line-ending" // a bare LF, or a CR that no LF follows
  | "start-line"
  | "version" // HTTP, and neither 1.0 nor 1.1
  | "folded" // a header line that begins with a space (RFC 9112 §5.2)
  | "header-name"
  | "header-value"
  | "duplicate-host"
  | "content-length" // not a number, or several that differ
  | "ambiguous-length" // Content-Length together with Transfer-Encoding (RFC 9112 §6.1)
  | "transfer-coding" // a Transfer-Encoding that is not `chunked`, or in HTTP/1.0
  | "target" // not in the form that is served (RFC 9112 §3.2)
  | "host"; // none, or not the name of a host

/** A peer's bytes are not an HTTP head that is safe to read. */
export class HttpHeadError extends Error {
  override readonly name = "HttpHeadError";
  readonly code: HttpHeadErrorCode;
  constructor(code: HttpHeadErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** In the order and the letters in which they came, values without the white space around them, one char a byte (latin1). */
export type HttpHeaders = readonly { readonly name: string; readonly value: string }[];

export interface RequestHead {
  readonly kind: "request";
  readonly method: string;
  /** As sent: origin-form, absolute-form, authority-form or `*`. */
  readonly target: string;
  readonly minorVersion: 0 | 1;
  readonly headers: HttpHeaders;
}

export interface ResponseHead {
  readonly kind: "response";
  /** 100 to 599. */
  readonly status: number;
  readonly reason: string;
  readonly minorVersion: 0 | 1;
  readonly headers: HttpHeaders;
}

interface HeadOfKind {
  readonly request: RequestHead;
  readonly response: ResponseHead;
}

/** The first value under `name` (lower case), or undefined. */
export function headerValue(headers: HttpHeaders, name: string): string | undefined {
  for (const header of headers)
    if (header.name.length === name.length && header.name.toLowerCase() === name) return header.value;
  return undefined;
}

const LF = 0x0a;
const CR = 0x0d;
const RESPONSE_BEGINS = Buffer.from("HTTP/");

/** Reads one head, however its bytes are cut into chunks. */
export class HeadReader<Kind extends "request" | "response"> {
  readonly #kind: Kind;
  readonly #maxBytes: number;
  #held: Buffer = Buffer.alloc(0);
  #length = 0;
  /** Where the line that is being received begins. */
  #lineStart = 0;

  /** @param maxBytes of the head with its empty line; counted as the bytes arrive. */
  constructor(kind: Kind, maxBytes = 32_768) {
    this.#kind = kind;
    this.#maxBytes = maxBytes;
  }

  /**
   * Takes the next bytes.
   * @returns the head and the bytes after it (a view of `chunk`), or undefined while the head has no end.
   * @throws {HttpHeadError} after which the reader is of no more use.
   */
  push(chunk: Buffer): { head: HeadOfKind[Kind]; rest: Buffer } | undefined {
    const before = this.#length;
    const taken = Math.min(chunk.length, this.#maxBytes - before);
    this.#append(chunk, taken);
    if (this.#kind === "response" && before < RESPONSE_BEGINS.length) this.#checkBeginning();
    const end = this.#findEnd(before);
    if (end === undefined) {
      if (this.#length === this.#maxBytes)
        throw new HttpHeadError("too-large", `the head is longer than ${this.#maxBytes} bytes`);
      return undefined;
    }
    const text = this.#held.toString("latin1", 0, end - 4);
    this.#held = Buffer.alloc(0);
    return { head: parseHead(this.#kind, text), rest: chunk.subarray(end - before) };
  }

  #append(chunk: Buffer, taken: number): void {
    if (this.#length === 0) {
      this.#held = chunk.subarray(0, taken);
    } else {
      if (this.#held.length < this.#length + taken || this.#length === this.#held.length) {
        // Doubling keeps a head that comes byte by byte linear in its length.
        const grown = Buffer.allocUnsafe(Math.min(this.#maxBytes, 2 * (this.#length + taken)));
        this.#held.copy(grown, 0, 0, this.#length);
        this.#held = grown;
      }
      chunk.copy(this.#held, this.#length, 0, taken);
    }
    this.#length += taken;
  }

  /** Another protocol is told by its first bytes, for it may never send the end that a head has. */
  #checkBeginning(): void {
    const known = Math.min(this.#length, RESPONSE_BEGINS.length);
    if (this.#held.compare(RESPONSE_BEGINS, 0, known, 0, known) !== 0)
      throw new HttpHeadError("start-line", "the first bytes are not those of an HTTP status line");
  }

  /** The offset after the empty line, looking at bytes from `from` on. */
  #findEnd(from: number): number | undefined {
    for (let at = from; ; at++) {
      at = this.#held.indexOf(LF, at);
      if (at === -1 || at >= this.#length) return undefined;
      if (at === this.#lineStart || this.#held[at - 1] !== CR)
        throw new HttpHeadError("line-ending", "a line ends in LF without CR");
      const empty = at - 1 === this.#lineStart;
      if (empty && this.#lineStart === 0)
        throw new HttpHeadError("start-line", "the message begins with an empty line");
      if (empty) return at + 1;
      this.#lineStart = at + 1;
    }
  }
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 §5.5: visible characters, space, tab and the bytes above ASCII. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const STATUS_LINE = /^HTTP\/(\d)\.(\d) ([1-5]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP\/(\d)\.(\d)$/;

function parseHead<Kind extends "request" | "response">(kind: Kind, text: string): HeadOfKind[Kind] {
  const lines = text.split("\r\n");
  const startLine = lines[0]!;
  const headers = lines.slice(1).map(parseHeader);
  checkFraming(headers);
  const head: RequestHead | ResponseHead =
    kind === "request" ? parseRequestLine(startLine, headers) : parseStatusLine(startLine, headers);
  return head as HeadOfKind[Kind];
}

/** RFC 9112 §4; the reason may be missing together with its space, as many servers send it. */
function parseStatusLine(line: string, headers: HttpHeaders): ResponseHead {
  const match = STATUS_LINE.exec(line);
  if (!match) throw new HttpHeadError("start-line", "the first line is not an HTTP status line");
  const [, major, minor, status, reason] = match;
  return {
    kind: "response",
    status: Number(status),
    reason: reason ?? "",
    minorVersion: minorVersion(major, minor),
    headers,
  };
}

/** RFC 9112 §3. */
function parseRequestLine(line: string, headers: HttpHeaders): RequestHead {
  const match = REQUEST_LINE.exec(line);
  if (!match) throw new HttpHeadError("start-line", "the first line is not an HTTP request line");
  const [, method, target, major, minor] = match;
  return {
    kind: "request",
    method: method!,
    target: target!,
    minorVersion: minorVersion(major, minor),
    headers,
  };
}

function minorVersion(major: string | undefined, minor: string | undefined): 0 | 1 {
  if (major !== "1" || (minor !== "0" && minor !== "1"))
    throw new HttpHeadError("version", `HTTP/${major}.${minor} is not HTTP/1.0 or HTTP/1.1`);
  return minor === "0" ? 0 : 1;
}

/** @throws {HttpHeadError} */
export function parseHeader(line: string): { name: string; value: string } {
  if (line.startsWith(" ") || line.startsWith("\t"))
    throw new HttpHeadError("folded", "a header is folded over several lines");
  const colon = line.indexOf(":");
  const name = line.slice(0, Math.max(colon, 0));
  if (!TOKEN.test(name)) throw new HttpHeadError("header-name", "a header's name is not a token");
  const value = trimSpace(line.slice(colon + 1));
  if (value.includes("\r")) throw new HttpHeadError("line-ending", "a line has a CR that no LF follows");
  if (!FIELD_VALUE.test(value))
    throw new HttpHeadError("header-value", `the value of ${name} has control bytes`);
  return { name, value };
}

/** Without the spaces and tabs around it. A loop: a pattern that ends in `\s*$` is quadratic in a hostile value. */
function trimSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** RFC 9112 §3.2 and §6: what would let two readers see two different messages. */
function checkFraming(headers: HttpHeaders): void {
  let length: string | undefined;
  let hasHost = false;
  let hasTransferEncoding = false;
  for (const { name, value } of headers) {
    switch (name.toLowerCase()) {
      case "host":
        if (hasHost) throw new HttpHeadError("duplicate-host", "there are two Host headers");
        hasHost = true;
        break;
      case "content-length":
        if (!/^\d{1,15}$/.test(value))
          throw new HttpHeadError("content-length", "Content-Length is not a number");
        if (length !== undefined && length !== value)
          throw new HttpHeadError("content-length", "there are two Content-Length headers that differ");
        length = value;
        break;
      case "transfer-encoding":
        hasTransferEncoding = true;
        break;
    }
  }
  if (length !== undefined && hasTransferEncoding)
    throw new HttpHeadError("ambiguous-length", "there are both Content-Length and Transfer-Encoding");
}
