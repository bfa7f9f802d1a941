import type { Duplex } from "node:stream";
import {
  encodeCredentials,
  Socks5ClientError,
  Socks5Greeting,
  Socks5Request,
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
      const bound = await sendRequest(control, "associate", { host: "0.0.0.0", port: 0 }, options);
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

  async prepare(stream: Duplex, options: DialOptions): Promise<Duplex> {
    options.onStep?.("handshake");
    if (this.#options.config.auth && !this.#credentials) {
      try {
        this.#credentials = await this.#readCredentials();
      } catch (error) {
        stream.destroy();
        throw error;
      }
    }
    const greeting = new GreetingConversation(this.#credentials, options);
    try {
      await exchange(stream, greeting, { signal: options.signal, step: greeting.step });
    } catch (error) {
      const failed = greetingError(error, greeting.step);
      // A password that was changed in the meantime is taken up with the next connection.
      if (failed instanceof DialError && failed.code === "auth") this.#credentials = undefined;
      throw failed;
    }
    return stream;
  }

  /** The greeting has shown all that a proxy shows without a target. */
  async check(stream: Duplex): Promise<void> {
    stream.destroy();
  }

  connect(stream: Duplex, target: Endpoint, options: DialOptions): Promise<SocksAddress> {
    return sendRequest(stream, "connect", target, options);
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

/** The greeting as a conversation; it ends when the proxy is ready for a request. */
class GreetingConversation implements Conversation<undefined> {
  readonly opening: Buffer;
  step: DialStep = "handshake";
  readonly #greeting: Socks5Greeting;
  readonly #options: DialOptions;

  constructor(credentials: Buffer | undefined, options: DialOptions) {
    this.#greeting = new Socks5Greeting(credentials);
    this.#options = options;
    this.opening = this.#greeting.opening;
  }

  push(chunk: Buffer): ExchangeStep<undefined> {
    const next = this.#greeting.push(chunk);
    if (next === "wait") return undefined;
    if (next === "ready") return READY;
    this.step = "auth";
    this.#options.onStep?.("auth");
    return next;
  }
}

const READY = { result: undefined, rest: Buffer.alloc(0) };

/** Asks for `target` on a ready connection. @returns the address that the proxy bound. */
async function sendRequest(
  stream: Duplex,
  command: "connect" | "associate",
  target: Endpoint,
  options: DialOptions,
): Promise<SocksAddress> {
  options.onStep?.("dial");
  try {
    const request = new Socks5Request(command, proxyTarget(target));
    const conversation = {
      opening: request.opening,
      push(chunk: Buffer): ExchangeStep<SocksAddress> {
        const read = request.push(chunk);
        return read && { result: read.bound, rest: read.rest };
      },
    };
    return await exchange(stream, conversation, { signal: options.signal, step: "dial" });
  } catch (error) {
    stream.destroy();
    throw requestError(error);
  }
}

function greetingError(error: unknown, step: DialStep): unknown {
  if (!(error instanceof Socks5ClientError)) return error;
  const code = error.code === "no-method" || error.code === "auth-refused" ? "auth" : "protocol";
  return new DialError(code, error.message, {
    cause: error,
    step: code === "auth" ? "auth" : step,
    scope: "upstream",
  });
}

function requestError(error: unknown): unknown {
  if (error instanceof Socks5ClientError && error.reply !== undefined) {
    const words = `the proxy answered: ${error.message}`;
    return new DialError(replyCode(error.reply), words, { cause: error, step: "dial" });
  }
  if (error instanceof Socks5ClientError || error instanceof Socks5Error)
    return new DialError("protocol", error.message, { cause: error, step: "dial", scope: "upstream" });
  return error;
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
