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
  for (const header of headers) if (isNamed(header.name, name)) return header.value;
  return undefined;
}

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const RESPONSE_BEGINS = Buffer.from("HTTP/");
const NOTHING: Buffer = Buffer.alloc(0);

/** What a reader has read. */
export interface HeadRead<Kind extends "request" | "response"> {
  readonly head: HeadOfKind[Kind];
  /** The bytes after the head: a view of the last chunk. */
  readonly rest: Buffer;
  /**
   * The bytes of the head are those that would be written for it (HTTP/1.1, one space where white space may be), and all of
   * them came in the last chunk.
   */
  readonly plain: boolean;
}

/** Reads heads, one after the other, however their bytes are cut into chunks. */
export class HeadReader<Kind extends "request" | "response"> {
  readonly #kind: Kind;
  readonly #maxBytes: number;
  #held = NOTHING;
  #length = 0;
  /** Where the line that is being received begins. */
  #lineStart = 0;

  /** @param maxBytes of a head with its empty line; counted as the bytes arrive. */
  constructor(kind: Kind, maxBytes = 32_768) {
    this.#kind = kind;
    this.#maxBytes = maxBytes;
  }

  /**
   * Takes the next bytes.
   * @returns the head, or undefined while it has no end.
   * @throws {HttpHeadError} after which the reader is of no more use.
   */
  push(chunk: Buffer): HeadRead<Kind> | undefined {
    const before = this.#length;
    this.#append(chunk, Math.min(chunk.length, this.#maxBytes - before));
    if (this.#kind === "response" && before < RESPONSE_BEGINS.length) this.#checkBeginning();
    const end = this.#findEnd(before);
    if (end === undefined) {
      if (this.#length === this.#maxBytes)
        throw new HttpHeadError("too-large", `the head is longer than ${this.#maxBytes} bytes`);
      // The chunk is its giver's again.
      if (before === 0) this.#held = Buffer.from(this.#held);
      return undefined;
    }
    const bytes = this.#held;
    this.#held = NOTHING;
    this.#length = 0;
    this.#lineStart = 0;
    const { head, plain } = new HeadParser(bytes, end - 2).parse(this.#kind);
    const after = end - before;
    return {
      head,
      rest: after === chunk.length ? NOTHING : chunk.subarray(after),
      plain: plain && before === 0,
    };
  }

  #append(chunk: Buffer, taken: number): void {
    if (this.#length === 0) {
      this.#held = taken === chunk.length ? chunk : chunk.subarray(0, taken);
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
    for (let at = 0; at < known; at++)
      if (this.#held[at] !== RESPONSE_BEGINS[at])
        throw new HttpHeadError("start-line", "the first bytes are not those of an HTTP status line");
  }

  /** The offset after the empty line, looking at bytes from `from` on. */
  #findEnd(from: number): number | undefined {
    const held = this.#held;
    const length = this.#length;
    for (let at = from; at < length; at++) {
      if (held[at] !== LF) continue;
      if (at === this.#lineStart || held[at - 1] !== CR)
        throw new HttpHeadError("line-ending", "a line ends in LF without CR");
      const empty = at - 1 === this.#lineStart;
      if (empty && this.#lineStart === 0)
        throw new HttpHeadError("start-line", "the message begins with an empty line");
      if (empty) return at + 1;
      this.#lineStart = at + 1;
    }
    return undefined;
  }
}

const IN_TOKEN = 1;
/** RFC 9110 §5.5: visible characters, space, tab and the bytes above ASCII. */
const IN_VALUE = 2;
/** Of a request's target: visible ASCII. */
const IN_TARGET = 4;

/** By byte: where it may stand. */
const PLACES = Uint8Array.from({ length: 256 }, (_, byte) => {
  const isVisible = byte > 0x20 && byte < 0x7f;
  const isValue = isVisible || byte === 0x20 || byte === 0x09 || byte >= 0x80;
  const isToken = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(byte));
  return (isToken ? IN_TOKEN : 0) | (isValue ? IN_VALUE : 0) | (isVisible ? IN_TARGET : 0);
});

/** One pass over the bytes of a head, each of whose lines is known to end in CR LF. */
class HeadParser {
  readonly #bytes: Buffer;
  /** The same, one char a byte. */
  readonly #text: string;
  readonly #end: number;
  #at = 0;
  #plain = true;

  /** @param end the offset of the empty line. */
  constructor(bytes: Buffer, end: number) {
    this.#bytes = bytes;
    this.#text = bytes.toString("latin1", 0, end);
    this.#end = end;
  }

  parse<Kind extends "request" | "response">(kind: Kind): { head: HeadOfKind[Kind]; plain: boolean } {
    const lineEnd = this.#text.indexOf("\r\n");
    const head: RequestHead | ResponseHead =
      kind === "request" ? this.#request(lineEnd) : this.#response(lineEnd);
    return { head: head as HeadOfKind[Kind], plain: this.#plain };
  }

  /** RFC 9112 §3. */
  #request(lineEnd: number): RequestHead {
    const method = this.#word(IN_TOKEN);
    const target = this.#word(IN_TARGET);
    const version = this.#text.slice(this.#at, lineEnd);
    if (method === undefined || target === undefined || !VERSION.test(version))
      throw new HttpHeadError("start-line", "the first line is not an HTTP request line");
    const minorVersion = this.#minorVersion(version);
    return { kind: "request", method, target, minorVersion, headers: this.#headers(lineEnd + 2) };
  }

  /** A word of a request line, and the space after it; undefined where it has not both. */
  #word(places: number): string | undefined {
    const start = this.#at;
    const end = this.#skip(start, places);
    this.#at = end + 1;
    return end > start && this.#bytes[end] === 0x20 ? this.#text.slice(start, end) : undefined;
  }

  /** RFC 9112 §4; the reason may be missing together with its space, as many servers send it. */
  #response(lineEnd: number): ResponseHead {
    const match = STATUS_LINE.exec(this.#text.slice(0, lineEnd));
    if (!match) throw new HttpHeadError("start-line", "the first line is not an HTTP status line");
    const [, version, status, reason] = match;
    if (reason === undefined) this.#plain = false;
    const minorVersion = this.#minorVersion(version!);
    const headers = this.#headers(lineEnd + 2);
    return { kind: "response", status: Number(status), reason: reason ?? "", minorVersion, headers };
  }

  #minorVersion(version: string): 0 | 1 {
    if (version === "HTTP/1.1") return 1;
    if (version !== "HTTP/1.0") throw new HttpHeadError("version", `${version} is not HTTP/1.0 or HTTP/1.1`);
    this.#plain = false;
    return 0;
  }

  #headers(from: number): HttpHeaders {
    const headers: Header[] = [];
    this.#at = from;
    while (this.#at < this.#end) headers.push(this.header());
    checkFraming(headers);
    return headers;
  }

  /** The next header line. */
  header(): Header {
    const [bytes, text, start] = [this.#bytes, this.#text, this.#at];
    if (isSpace(bytes[start])) throw new HttpHeadError("folded", "a header is folded over several lines");
    const colon = this.#skip(start, IN_TOKEN);
    if (colon === start || bytes[colon] !== COLON)
      throw new HttpHeadError("header-name", "a header's name is not a token");
    const name = text.slice(start, colon);
    let from = colon + 1;
    while (isSpace(bytes[from])) from++;
    const lineEnd = this.#skip(from, IN_VALUE);
    if (bytes[lineEnd] !== CR)
      throw new HttpHeadError("header-value", `the value of ${name} has control bytes`);
    if (bytes[lineEnd + 1] !== LF)
      throw new HttpHeadError("line-ending", "a line has a CR that no LF follows");
    let to = lineEnd;
    while (to > from && isSpace(bytes[to - 1])) to--;
    if (from !== colon + 2 || bytes[colon + 1] !== 0x20 || to !== lineEnd) this.#plain = false;
    this.#at = lineEnd + 2;
    return { name, value: text.slice(from, to) };
  }

  /** @returns the offset of the first byte from `at` on that may not stand there; a line's end at the latest. */
  #skip(at: number, places: number): number {
    const bytes = this.#bytes;
    let end = at;
    while ((PLACES[bytes[end]!]! & places) !== 0) end++;
    return end;
  }
}

interface Header {
  readonly name: string;
  readonly value: string;
}

const STATUS_LINE = /^(HTTP\/\d\.\d) ([1-5]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const VERSION = /^HTTP\/\d\.\d$/;

/** A line that stands alone, without its end. @throws {HttpHeadError} */
export function parseHeader(line: string): Header {
  const bytes = Buffer.from(`${line}\r\n`, "latin1");
  return new HeadParser(bytes, line.length).header();
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09;
}

/** RFC 9112 §3.2 and §6: what would let two readers see two different messages. */
function checkFraming(headers: HttpHeaders): void {
  let length: string | undefined;
  let hasHost = false;
  let hasTransferEncoding = false;
  for (const { name, value } of headers) {
    if (isNamed(name, "host")) {
      if (hasHost) throw new HttpHeadError("duplicate-host", "there are two Host headers");
      hasHost = true;
    } else if (isNamed(name, "content-length")) {
      if (!/^\d{1,15}$/.test(value))
        throw new HttpHeadError("content-length", "Content-Length is not a number");
      if (length !== undefined && length !== value)
        throw new HttpHeadError("content-length", "there are two Content-Length headers that differ");
      length = value;
    } else if (isNamed(name, "transfer-encoding")) hasTransferEncoding = true;
  }
  if (length !== undefined && hasTransferEncoding)
    throw new HttpHeadError("ambiguous-length", "there are both Content-Length and Transfer-Encoding");
}

/** Whether a field's name is this one, which is in lower case. */
export function isNamed(name: string, wanted: string): boolean {
  return name.length === wanted.length && (name === wanted || name.toLowerCase() === wanted);
}
