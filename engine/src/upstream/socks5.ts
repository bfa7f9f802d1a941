import type { Duplex } from "node:stream";
import {
  encodeCredentials,
  Socks5ClientError,
  Socks5Greeting,
  Socks5Request,
  type GreetingStep,
} from "@sockeye/wire/socks5-client";
import { Reply, Socks5Error, type SocksAddress } from "@sockeye/wire/socks5";
import type { Socks5UpstreamConfig } from "../config/config.ts";
import type { Endpoint } from "../endpoint.ts";
import { DialError, type DialErrorCode, type DialStep } from "../errors.ts";
import type { DialOptions, UdpAssociation, UdpDialer, UdpReceiver } from "./dialer.ts";
import { exchange, type Conversation, type ExchangeStep } from "./exchange.ts";
import { proxyTarget } from "./proxy-target.ts";
import { ProxyUpstream, type ProxyProtocol, type ProxyUpstreamOptions } from "./proxy-upstream.ts";
import { openSocks5Association } from "./socks5-udp.ts";
import type { Upstream } from "./upstream.ts";

export type Socks5UpstreamOptions = ProxyUpstreamOptions<Socks5UpstreamConfig>;

/** A SOCKS5 proxy (RFC 1928) with no authentication or with username and password (RFC 1929); TCP, and UDP where `via` has it. */
export function createSocks5Upstream(options: Socks5UpstreamOptions): Upstream {
  return new Socks5Upstream(options);
}

class Socks5Upstream extends ProxyUpstream implements UdpDialer {
  readonly #udpAllowed: boolean;

  constructor(options: Socks5UpstreamOptions) {
    super(options, new Socks5Protocol(options));
    this.#udpAllowed = options.config.udp;
  }

  /** Datagrams go beside the control connection, so whatever carries that must carry them too. */
  get udp(): UdpDialer | undefined {
    return this.#udpAllowed && this.via.udp ? this : undefined;
  }

  associate(receiver: UdpReceiver, options: DialOptions): Promise<UdpAssociation> {
    const viaUdp = this.via.udp;
    if (!viaUdp) return Promise.reject(new DialError("unsupported", `upstream ${this.name} has no UDP`));
    return this.request(async (control) => {
      const target = { host: "0.0.0.0", port: 0 };
      const bound = await sendRequest(
        control,
        { command: "associate", target, resultOf: (address) => address },
        options,
      );
      return openSocks5Association(
        { control, bound, proxyHost: this.address.host, receiver },
        viaUdp,
        options,
      );
    }, options);
  }
}

class Socks5Protocol implements ProxyProtocol {
  readonly type = "socks5";
  readonly defaultPort = 1080;
  readonly prepareRoundTrips: number;
  readonly #options: Socks5UpstreamOptions;
  readonly authenticates = "preparation";
  /** Absent until read, and after a refusal of them. */
  #credentials: Buffer | undefined;

  constructor(options: Socks5UpstreamOptions) {
    this.#options = options;
    this.prepareRoundTrips = options.config.auth ? 2 : 1;
  }

  prepare(stream: Duplex, options: DialOptions): Promise<Duplex> {
    options.onStep?.("handshake");
    const lacksCredentials = this.#options.config.auth && !this.#credentials;
    return lacksCredentials ? this.#readAndGreet(stream, options) : this.#greet(stream, options);
  }

  async #readAndGreet(stream: Duplex, options: DialOptions): Promise<Duplex> {
    try {
      this.#credentials = await this.#readCredentials();
    } catch (error) {
      stream.destroy();
      throw error;
    }
    return this.#greet(stream, options);
  }

  #greet(stream: Duplex, options: DialOptions): Promise<Duplex> {
    const greeting = new GreetingConversation(stream, this.#credentials, options.onStep);
    const greeted = exchange(stream, greeting, { signal: options.signal, step: "handshake" });
    return this.#credentials ? this.#judged(greeted) : greeted;
  }

  /** A password that was changed in the meantime is taken up with the next connection. */
  async #judged(greeted: Promise<Duplex>): Promise<Duplex> {
    try {
      return await greeted;
    } catch (error) {
      if (error instanceof DialError && error.code === "auth") this.#credentials = undefined;
      throw error;
    }
  }

  /** The greeting has shown all that a proxy shows without a target. */
  async check(stream: Duplex): Promise<void> {
    stream.destroy();
  }

  connect(stream: Duplex, target: Endpoint, options: DialOptions): Promise<Duplex> {
    return sendRequest(stream, { command: "connect", target, resultOf: () => stream }, options);
  }

  async #readCredentials(): Promise<Buffer> {
    const { username, password } = this.#options.config.auth!;
    try {
      return encodeCredentials(username, await this.#options.readSecret(password));
    } catch (error) {
      const words = `the credentials can't be used: ${error instanceof Error ? error.message : String(error)}`;
      throw new DialError("auth", words, { cause: error, step: "auth", scope: "upstream" });
    }
  }
}

/** The greeting as a conversation; it ends when the proxy is ready for a request, with the stream. */
class GreetingConversation implements Conversation<Duplex> {
  readonly opening: Buffer;
  readonly #greeting: Socks5Greeting;
  readonly #stream: Duplex;
  readonly #onStep: DialOptions["onStep"];
  #step: DialStep = "handshake";

  constructor(stream: Duplex, credentials: Buffer | undefined, onStep: DialOptions["onStep"]) {
    this.#greeting = new Socks5Greeting(credentials);
    this.#stream = stream;
    this.#onStep = onStep;
    this.opening = this.#greeting.opening;
  }

  push(chunk: Buffer): ExchangeStep<Duplex> {
    let next: GreetingStep;
    try {
      next = this.#greeting.push(chunk);
    } catch (error) {
      throw greetingError(error, this.#step);
    }
    if (next === "wait") return undefined;
    if (next === "ready") return { result: this.#stream, rest: NOTHING };
    this.#step = "auth";
    this.#onStep?.("auth");
    return next;
  }
}

const NOTHING = Buffer.alloc(0);

interface RequestParts<Result> {
  readonly command: "connect" | "associate";
  readonly target: Endpoint;
  /** What comes of it, with the address that the proxy bound. */
  readonly resultOf: (bound: SocksAddress) => Result;
}

/** Asks on a ready connection. */
function sendRequest<Result>(
  stream: Duplex,
  parts: RequestParts<Result>,
  { signal, onStep }: DialOptions,
): Promise<Result> {
  onStep?.("dial");
  try {
    return exchange(stream, new RequestConversation(parts), { signal, step: "dial" });
  } catch (error) {
    stream.destroy();
    return Promise.reject(requestError(error));
  }
}

class RequestConversation<Result> implements Conversation<Result> {
  readonly opening: Buffer;
  readonly #request: Socks5Request;
  readonly #resultOf: (bound: SocksAddress) => Result;

  /** @throws {DialError | Socks5Error} where the target can't be told to a proxy. */
  constructor({ command, target, resultOf }: RequestParts<Result>) {
    this.#request = new Socks5Request(command, proxyTarget(target));
    this.#resultOf = resultOf;
    this.opening = this.#request.opening;
  }

  push(chunk: Buffer): ExchangeStep<Result> {
    try {
      const read = this.#request.push(chunk);
      return read && { result: this.#resultOf(read.bound), rest: read.rest };
    } catch (error) {
      throw requestError(error);
    }
  }
}

function greetingError(error: unknown, step: DialStep): Error {
  if (!(error instanceof Socks5ClientError)) return asError(error);
  const code = error.code === "no-method" || error.code === "auth-refused" ? "auth" : "protocol";
  return new DialError(code, error.message, {
    cause: error,
    step: code === "auth" ? "auth" : step,
    scope: "upstream",
  });
}

function requestError(error: unknown): Error {
  if (error instanceof Socks5ClientError && error.reply !== undefined) {
    const words = `the proxy answered: ${error.message}`;
    return new DialError(replyCode(error.reply), words, { cause: error, step: "dial" });
  }
  if (error instanceof Socks5ClientError || error instanceof Socks5Error)
    return new DialError("protocol", error.message, { cause: error, step: "dial", scope: "upstream" });
  return asError(error);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** Proxies answer with the general failure mostly when they can't connect, so it is read as that. */
function replyCode(reply: number): DialErrorCode {
  switch (reply) {
    case Reply.generalFailure:
    case Reply.networkUnreachable:
    case Reply.hostUnreachable:
      return "unreachable";
    case Reply.notAllowed:
      return "forbidden";
    case Reply.refused:
      return "refused";
    case Reply.ttlExpired:
      return "timeout";
    case Reply.commandNotSupported:
    case Reply.addressTypeNotSupported:
      return "unsupported";
    default:
      return "protocol";
  }
}
