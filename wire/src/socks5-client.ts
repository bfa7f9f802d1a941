/**
 * The client's side of SOCKS5 (RFC 1928, RFC 1929) without I/O, in its two phases: a greeting, after which a connection can be
 * parked, and a request. Each takes the proxy's bytes, cut in any way, and says what comes next.
 */
import { Command, Method, readAddress, SOCKS_VERSION, writeAddress, type SocksAddress } from "./socks5.ts";

export type Socks5ClientErrorCode =
  | "version" // not SOCKS5
  | "no-method" // the proxy accepts none of the methods offered
  | "method" // it chose one that was not offered
  | "auth-refused" // the username and password are not accepted
  | "early-bytes" // it spoke before it was asked
  | "reply"; // it refused the request; `reply` says why

/** The proxy broke SOCKS5, or said no. */
export class Socks5ClientError extends Error {
  override readonly name = "Socks5ClientError";
  readonly code: Socks5ClientErrorCode;
  /** The REP byte of RFC 1928 §6, with code `reply`. */
  readonly reply: number | undefined;
  constructor(code: Socks5ClientErrorCode, message: string, reply?: number) {
    super(message);
    this.code = code;
    this.reply = reply;
  }
}

/** RFC 1929 §2, its version byte. */
const AUTH_VERSION = 0x01;
const NOTHING = Buffer.alloc(0);
const GREETING_PLAIN = Buffer.of(SOCKS_VERSION, 1, Method.none);
const GREETING_WITH_PASSWORD = Buffer.of(SOCKS_VERSION, 2, Method.none, Method.password);

/**
 * The message that carries username and password (RFC 1929 §2), as UTF-8.
 * @throws {RangeError} when either is empty or longer than 255 bytes.
 */
export function encodeCredentials(username: string, password: string): Buffer {
  return Buffer.concat([
    Buffer.of(AUTH_VERSION),
    counted("username", username),
    counted("password", password),
  ]);
}

function counted(what: string, text: string): Buffer {
  const bytes = Buffer.from(text, "utf8");
  if (bytes.length === 0 || bytes.length > 255)
    throw new RangeError(`a SOCKS5 ${what} has 1 to 255 bytes; this one has ${bytes.length}`);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

/** `wait` for more bytes; `send` these bytes; or the proxy is `ready` for a request. */
export type GreetingStep = "wait" | "ready" | { readonly send: Buffer };

/** The first phase: method selection, and username and password where the proxy wants them. */
export class Socks5Greeting {
  /** Send this first. */
  readonly opening: Buffer;
  readonly #credentials: Buffer | undefined;
  #state: "method" | "auth" | "ready" = "method";
  #held: Buffer = NOTHING;

  /** @param credentials from encodeCredentials(). */
  constructor(credentials?: Buffer) {
    this.#credentials = credentials;
    this.opening = credentials ? GREETING_WITH_PASSWORD : GREETING_PLAIN;
  }

  /** @throws {Socks5ClientError} after which the connection is of no more use. */
  push(chunk: Buffer): GreetingStep {
    if (chunk.length === 0) return "wait";
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    // Both answers have two bytes; a first wrong byte is told at once, so that no other protocol is waited for.
    if (this.#state === "method") checkVersion(bytes[0]!);
    if (this.#state === "auth" && bytes[0] !== AUTH_VERSION)
      throw new Socks5ClientError("version", `the answer to the password begins with ${bytes[0]}, not 1`);
    if (bytes.length > 2 || this.#state === "ready")
      throw new Socks5ClientError("early-bytes", "the proxy sent bytes that nobody had asked for");
    if (bytes.length < 2) {
      this.#held = bytes;
      return "wait";
    }
    this.#held = NOTHING;
    return this.#state === "method" ? this.#methodChosen(bytes[1]!) : this.#authAnswered(bytes[1]!);
  }

  #methodChosen(method: number): GreetingStep {
    if (method === Method.none) {
      this.#state = "ready";
      return "ready";
    }
    if (method === Method.password && this.#credentials) {
      this.#state = "auth";
      return { send: this.#credentials };
    }
    if (method === Method.unacceptable) {
      const words = this.#credentials
        ? "the proxy accepts neither a password nor a connection without one"
        : "the proxy wants credentials";
      throw new Socks5ClientError("no-method", words);
    }
    throw new Socks5ClientError("method", `the proxy chose method ${method}, which was not offered`);
  }

  #authAnswered(status: number): GreetingStep {
    if (status !== 0)
      throw new Socks5ClientError("auth-refused", "the proxy does not accept the username and password");
    this.#state = "ready";
    return "ready";
  }
}

/** The second phase: one request on a connection that is ready. */
export class Socks5Request {
  /** Send this first. */
  readonly opening: Buffer;
  #held: Buffer = NOTHING;

  /**
   * @param target the destination of CONNECT; for UDP ASSOCIATE where the client will send from, all zero when unknown.
   * @throws {Socks5Error} `too-long` for a name that SOCKS5 can't carry.
   */
  constructor(command: "connect" | "associate", target: SocksAddress) {
    const address = writeAddress(target);
    this.opening = Buffer.allocUnsafe(3 + address.length);
    this.opening[0] = SOCKS_VERSION;
    this.opening[1] = Command[command];
    this.opening[2] = 0;
    address.copy(this.opening, 3);
  }

  /**
   * @returns the address that the proxy bound and the bytes after its reply (of the target already), or undefined while
   * the reply has no end.
   * @throws {Socks5ClientError} `reply` as soon as the reply's code is there, `version`.
   * @throws {Socks5Error} when the bound address can't be read.
   */
  push(chunk: Buffer): { bound: SocksAddress; rest: Buffer } | undefined {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    if (bytes.length > 0) checkVersion(bytes[0]!);
    if (bytes.length > 1 && bytes[1] !== 0) {
      const reply = bytes[1]!;
      throw new Socks5ClientError("reply", describeReply(reply), reply);
    }
    // What comes before the end of a reply is at most 262 bytes, so this holds no more.
    const read = bytes.length > 3 ? readAddress(bytes, 3) : undefined;
    if (!read) {
      this.#held = bytes;
      return undefined;
    }
    return { bound: read.address, rest: read.end === bytes.length ? NOTHING : bytes.subarray(read.end) };
  }
}

function checkVersion(byte: number): void {
  if (byte === SOCKS_VERSION) return;
  throw new Socks5ClientError("version", `the answer begins with ${byte}, not 5: this is no SOCKS5 proxy`);
}

/** The words of RFC 1928 §6. */
const REPLY_WORDS = [
  "succeeded",
  "general SOCKS server failure",
  "connection not allowed by ruleset",
  "network unreachable",
  "host unreachable",
  "connection refused",
  "TTL expired",
  "command not supported",
  "address type not supported",
];

function describeReply(reply: number): string {
  return REPLY_WORDS[reply] ?? `unassigned reply code ${reply}`;
}
