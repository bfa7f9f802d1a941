/**
 * The server side of a SOCKS handshake without I/O: bytes in, events and the bytes to answer out.
 * SOCKS5 (RFC 1928, RFC 1929), and SOCKS4 and 4a CONNECT, told apart by the first byte.
 */
import {
  Command,
  Method,
  readAddress,
  readName,
  Reply,
  SOCKS_VERSION,
  Socks5Error,
  type SocksAddress,
  writeAddress,
} from "./socks5.ts";

const SOCKS4_VERSION = 0x04;
/** RFC 1929 §2. */
const AUTH_VERSION = 0x01;

/**
 * The most bytes that a handshake may take: the longest greeting (257), password message (513) and request (262) of
 * SOCKS5. SOCKS4, whose strings have no length of their own, is held to the same.
 */
export const MAX_HANDSHAKE_BYTES = 257 + 513 + 262;

/** SOCKS4's answers. */
export const Socks4Reply = { granted: 90, rejected: 91 } as const;

export type SocksVersion = 4 | 5;

/** What one step of the handshake came to. After `request` or `error` there is nothing more to push. */
export type ServerEvent =
  /** Answer with methodReply(method). */
  | { readonly kind: "method"; readonly method: number }
  /** Check, answer with authReply(), and end the connection if they are wrong; events after this one count only if they are right. */
  | { readonly kind: "credentials"; readonly username: string; readonly password: string }
  /** `rest` came after the request: data sent without waiting for the answer. */
  | {
      readonly kind: "request";
      readonly version: SocksVersion;
      readonly command: "connect" | "associate";
      readonly address: SocksAddress;
      readonly rest: Buffer;
    }
  /** Send `answer`, where the protocol has one for this, and end the connection. */
  | { readonly kind: "error"; readonly error: Socks5Error; readonly answer: Buffer | undefined };

type State = "version" | "greeting" | "password" | "request" | "socks4" | "done";

const NOTHING = Buffer.alloc(0);

/**
 * Reads one client's handshake. However the bytes are split, the events are the same. It never throws, is done after at
 * most MAX_HANDSHAKE_BYTES, and looks at a wrong message only as far as it takes to know that it is wrong.
 */
export class SocksServerParser {
  #state: State = "version";
  #bytes: Buffer = NOTHING;
  readonly #passwordRequired: boolean;

  /** @param passwordRequired only clients that offer a username and password (RFC 1929) may go on. */
  constructor(passwordRequired: boolean) {
    this.#passwordRequired = passwordRequired;
  }

  /** Takes the next bytes. What follows a `request` is in its `rest`; once done, pushing does nothing. */
  push(chunk: Buffer): ServerEvent[] {
    const events: ServerEvent[] = [];
    if (this.#state === "done") return events;
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    for (;;) {
      const event = this.#step();
      if (event === undefined) break;
      if (event !== "again") events.push(event);
    }
    return events;
  }

  /** One message. Returns undefined when bytes are missing, "again" when only the state moved on. */
  #step(): ServerEvent | "again" | undefined {
    switch (this.#state) {
      case "version":
        return this.#readVersion();
      case "greeting":
        return this.#readGreeting();
      case "password":
        return this.#readPassword();
      case "request":
        return this.#readRequest();
      case "socks4":
        return this.#readSocks4();
      case "done":
        return undefined;
    }
  }

  #readVersion(): ServerEvent | "again" | undefined {
    if (this.#bytes.length === 0) return undefined;
    const version = this.#bytes[0]!;
    if (version === SOCKS_VERSION) this.#state = "greeting";
    else if (version === SOCKS4_VERSION) this.#state = "socks4";
    else return this.#fail("version", notSocks(version));
    return "again";
  }

  /** RFC 1928 §3. A client that offers only a password is let in with any, where none is required. */
  #readGreeting(): ServerEvent | undefined {
    const bytes = this.#bytes;
    if (bytes.length < 2 || bytes.length < 2 + bytes[1]!) return undefined;
    const methods = bytes.subarray(2, 2 + bytes[1]!);
    const acceptable = this.#passwordRequired ? [Method.password] : [Method.none, Method.password];
    const method = acceptable.find((candidate) => methods.includes(candidate));
    if (method === undefined) {
      const wanted = this.#passwordRequired ? "a username and password" : "a method known here";
      return this.#fail("method", `the client does not offer ${wanted}`, methodReply(Method.unacceptable));
    }
    this.#advance(2 + methods.length, method === Method.password ? "password" : "request");
    return { kind: "method", method };
  }

  /** RFC 1929 §2. */
  #readPassword(): ServerEvent | undefined {
    const bytes = this.#bytes;
    if (bytes.length < 1) return undefined;
    if (bytes[0] !== AUTH_VERSION)
      return this.#fail(
        "auth-version",
        `version ${bytes[0]!} of password authentication is unknown`,
        authReply(false),
      );
    if (bytes.length < 2) return undefined;
    const passwordAt = 2 + bytes[1]! + 1;
    if (bytes.length < passwordAt) return undefined;
    const end = passwordAt + bytes[passwordAt - 1]!;
    if (bytes.length < end) return undefined;
    const username = bytes.toString("utf8", 2, passwordAt - 1);
    const password = bytes.toString("utf8", passwordAt, end);
    this.#advance(end, "request");
    return { kind: "credentials", username, password };
  }

  /** RFC 1928 §4. */
  #readRequest(): ServerEvent | undefined {
    const bytes = this.#bytes;
    if (bytes.length >= 1 && bytes[0] !== SOCKS_VERSION)
      return this.#fail(
        "version",
        `the request has version ${bytes[0]!}, not 5`,
        connectReply(5, Reply.generalFailure),
      );
    if (bytes.length >= 2 && bytes[1] !== Command.connect && bytes[1] !== Command.associate)
      return this.#fail(
        "command",
        `command ${bytes[1]!} is not supported`,
        connectReply(5, Reply.commandNotSupported),
      );
    if (bytes.length >= 3 && bytes[2] !== 0)
      return this.#fail("reserved", "the reserved byte is not zero", connectReply(5, Reply.generalFailure));
    if (bytes.length < 4) return undefined;
    try {
      const read = readAddress(bytes, 3);
      if (read === undefined) return undefined;
      const command = bytes[1] === Command.connect ? "connect" : "associate";
      return this.#finish({ version: 5, command, address: read.address, end: read.end });
    } catch (error) {
      if (!(error instanceof Socks5Error)) throw error;
      const code = error.code === "address-type" ? Reply.addressTypeNotSupported : Reply.generalFailure;
      return this.#fail(error.code, error.message, connectReply(5, code));
    }
  }

  /**
   * SOCKS4: version, command, port, address, user id, NUL; 4a puts a name and NUL after it when the address is 0.0.0.x.
   * The user id proves nothing, so where a password is required the client is refused.
   */
  #readSocks4(): ServerEvent | undefined {
    const bytes = this.#bytes;
    const refusal = connectReply(4, Socks4Reply.rejected);
    if (bytes.length >= 2 && bytes[1] !== Command.connect)
      return this.#fail("command", `SOCKS4 command ${bytes[1]!} is not supported`, refusal);
    if (this.#passwordRequired && bytes.length >= 2)
      return this.#fail("method", "SOCKS4 has no passwords, and one is required", refusal);
    if (bytes.length < 8) return undefined;
    const capped = bytes.subarray(0, MAX_HANDSHAKE_BYTES);
    const userEnd = capped.indexOf(0, 8);
    const isName = bytes[4] === 0 && bytes[5] === 0 && bytes[6] === 0 && bytes[7] !== 0;
    const end = isName && userEnd !== -1 ? capped.indexOf(0, userEnd + 1) : userEnd;
    if (end === -1) {
      if (bytes.length < MAX_HANDSHAKE_BYTES) return undefined;
      return this.#fail("too-long", `the request is longer than ${MAX_HANDSHAKE_BYTES} bytes`, refusal);
    }
    const port = bytes.readUInt16BE(2);
    if (!isName) {
      const host = `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}`;
      return this.#finish({ version: 4, command: "connect", address: { host, port }, end: end + 1 });
    }
    try {
      const host = readName(bytes.subarray(userEnd + 1, end));
      return this.#finish({ version: 4, command: "connect", address: { host, port }, end: end + 1 });
    } catch (error) {
      if (!(error instanceof Socks5Error)) throw error;
      return this.#fail(error.code, error.message, refusal);
    }
  }

  #advance(bytes: number, state: State): void {
    this.#bytes = this.#bytes.length === bytes ? NOTHING : this.#bytes.subarray(bytes);
    this.#state = state;
  }

  #finish(request: {
    version: SocksVersion;
    command: "connect" | "associate";
    address: SocksAddress;
    end: number;
  }): ServerEvent {
    const rest = this.#bytes.length === request.end ? NOTHING : this.#bytes.subarray(request.end);
    this.#state = "done";
    this.#bytes = NOTHING;
    return {
      kind: "request",
      version: request.version,
      command: request.command,
      address: request.address,
      rest,
    };
  }

  #fail(code: Socks5Error["code"], message: string, answer?: Buffer): ServerEvent {
    this.#state = "done";
    this.#bytes = NOTHING;
    return { kind: "error", error: new Socks5Error(code, message), answer };
  }
}

/** RFC 1928 §3. */
export function methodReply(method: number): Buffer {
  return Buffer.of(SOCKS_VERSION, method);
}

/** RFC 1929 §2. After a failure the connection must be closed. */
export function authReply(ok: boolean): Buffer {
  return Buffer.of(AUTH_VERSION, ok ? 0 : 1);
}

const UNSPECIFIED: SocksAddress = { host: "0.0.0.0", port: 0 };

/**
 * The answer to a request: a SOCKS5 reply (RFC 1928 §6) with the address that the server bound, or SOCKS4's eight bytes.
 * @param code one of Reply for version 5, of Socks4Reply for version 4.
 */
export function connectReply(version: SocksVersion, code: number, bound = UNSPECIFIED): Buffer {
  if (version === 4) return Buffer.of(0, code, 0, 0, 0, 0, 0, 0);
  return Buffer.concat([Buffer.of(SOCKS_VERSION, code, 0), writeAddress(bound)]);
}

/** What a first byte other than 4 and 5 is, for those that people mix up with SOCKS. */
function notSocks(first: number): string {
  // RFC 9110 §9.1: methods are written in capital letters.
  if (first >= 0x41 && first <= 0x5a)
    return "this is HTTP, and here is SOCKS: an HTTP proxy has another address";
  if (first === 0x16) return "this is TLS, and here is SOCKS";
  return `the first byte is ${first}: this is not SOCKS`;
}
