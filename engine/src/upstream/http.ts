import type { Duplex } from "node:stream";
import { HeadReader, headerValue, HttpHeadError, type ResponseHead } from "@sockeye/wire/http-head";
import type { CancelSignal } from "../cancel.ts";
import type { HttpUpstreamConfig } from "../config/config.ts";
import { formatEndpoint, parseEndpoint, type Endpoint } from "../endpoint.ts";
import { DialError, type DialErrorCode, type DialStep } from "../errors.ts";
import type { DialOptions } from "./dialer.ts";
import { exchange, type Conversation, type ExchangeStep } from "./exchange.ts";
import { brief, quoteFirstWords } from "./first-words.ts";
import { proxyTarget } from "./proxy-target.ts";
import { ProxyUpstream, type ProxyProtocol, type ProxyUpstreamOptions } from "./proxy-upstream.ts";
import { ProxyTls } from "./proxy-tls.ts";
import type { Upstream } from "./upstream.ts";

export type HttpUpstreamOptions = ProxyUpstreamOptions<HttpUpstreamConfig>;

/** An HTTP proxy asked with CONNECT (RFC 9110 §9.3.6), over TCP or TLS, with Basic credentials (RFC 7617) where configured. */
export function createHttpUpstream(options: HttpUpstreamOptions): Upstream {
  return new ProxyUpstream(options, new HttpProtocol(options));
}

/** The most bytes of the proxy's answer that are read before its end. */
const MAX_HEAD_BYTES = 32_768;
/** Enough of an answer to say what it was instead of HTTP. */
const FIRST_WORDS = 64;
/** Interim answers (1xx) that are read past before the answer itself. */
const MAX_INTERIM = 8;

class HttpProtocol implements ProxyProtocol {
  readonly type = "http";
  readonly defaultPort: number;
  readonly prepareRoundTrips: number;
  readonly #options: HttpUpstreamOptions;
  readonly #tls: ProxyTls | undefined;
  /** The header line with the credentials; empty where there are none, absent until read and after a refusal of them. */
  #authorization: string | undefined;
  readonly authenticates = "request";

  constructor(options: HttpUpstreamOptions) {
    const { config } = options;
    this.#options = options;
    this.defaultPort = config.tls ? 443 : 8080;
    const { host } = parseEndpoint(config.address, this.defaultPort);
    this.#tls = config.tls ? new ProxyTls(config.tls_server_name ?? host, config.tls_ca_file) : undefined;
    this.prepareRoundTrips = config.tls ? 1 : 0;
  }

  async prepare(stream: Duplex, options: DialOptions): Promise<Duplex> {
    try {
      if (this.#authorization === undefined) await this.#readCredentials();
    } catch (error) {
      stream.destroy();
      throw error;
    }
    return this.#tls ? this.#tls.connect(stream, options) : stream;
  }

  async connect(stream: Duplex, target: Endpoint, options: DialOptions): Promise<Duplex> {
    options.onStep?.("dial");
    const step = { signal: options.signal, step: "dial" } as const;
    const head = await this.#ask(stream, step, () => formatEndpoint(proxyTarget(target)));
    if (head.status < 300) return stream;
    // The words of a refusal's body are not waited for.
    stream.destroy();
    throw refusal(head);
  }

  /**
   * Asks for a name that can't exist (RFC 6761 §6.4): proxies judge the credentials before they look for the target, and
   * answer requests of other kinds, such as `OPTIONS *`, without a look at either.
   */
  async check(stream: Duplex, options: DialOptions, note: (text: string) => void): Promise<void> {
    options.onStep?.("auth");
    const step = { signal: options.signal, step: "auth" } as const;
    const head = await this.#ask(stream, step, () => "sockeye-test.invalid:443");
    stream.destroy();
    if (head.status < 300) return;
    const refused = refusal(head);
    if (refused.scope === "upstream") throw refused;
    if (refused.code === "protocol")
      note(
        `the proxy answered a CONNECT with ${head.status} ${brief(head.reason)}, as a web server would`.trimEnd(),
      );
  }

  /** Sends CONNECT and reads the head of the answer. Destroys the stream when it throws. */
  async #ask(
    stream: Duplex,
    { signal, step }: { readonly signal: CancelSignal; readonly step: DialStep },
    authorityOf: () => string,
  ): Promise<ResponseHead> {
    let answer: ConnectConversation | undefined;
    try {
      const authority = authorityOf();
      const authorization = this.#authorization ?? (await this.#readCredentials());
      const request = `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization}\r\n`;
      answer = new ConnectConversation(Buffer.from(request, "latin1"));
      const head = await exchange(stream, answer, { signal, step });
      // A password that was changed in the meantime is taken up with the next request.
      if (wantsCredentials(head)) this.#authorization = undefined;
      return head;
    } catch (error) {
      stream.destroy();
      if (!(error instanceof HttpHeadError)) throw error;
      const words =
        error.code === "start-line"
          ? `what answers there does not speak HTTP: it says ${quoteFirstWords(answer!.heard)}`
          : `the proxy's answer is not HTTP as it should be: ${error.message}`;
      throw new DialError("protocol", words, { cause: error, step, scope: "upstream" });
    }
  }

  async #readCredentials(): Promise<string> {
    const { auth } = this.#options.config;
    if (!auth) return (this.#authorization = "");
    try {
      if (auth.username.includes(":")) throw new Error("a user name in HTTP has no colon");
      const token = Buffer.from(`${auth.username}:${await this.#options.readSecret(auth.password)}`, "utf8");
      return (this.#authorization = `Proxy-Authorization: Basic ${token.toString("base64")}\r\n`);
    } catch (error) {
      const words = `the credentials can't be used: ${error instanceof Error ? error.message : String(error)}`;
      throw new DialError("auth", words, { cause: error, step: "auth", scope: "upstream" });
    }
  }
}

/** CONNECT and the head of its answer, past any interim ones. */
class ConnectConversation implements Conversation<ResponseHead> {
  readonly opening: Buffer;
  /** The first chunk, for the sentence when it is no HTTP. */
  heard: Buffer = Buffer.alloc(0);
  #reader = new HeadReader("response", MAX_HEAD_BYTES);
  #interim = 0;

  constructor(opening: Buffer) {
    this.opening = opening;
  }

  push(chunk: Buffer): ExchangeStep<ResponseHead> {
    if (this.heard.length < FIRST_WORDS)
      this.heard = Buffer.concat([this.heard, chunk.subarray(0, FIRST_WORDS)]);
    for (let bytes = chunk; ;) {
      const read = this.#reader.push(bytes);
      if (!read) return undefined;
      const { head, rest } = read;
      if (head.status >= 200) return { result: head, rest };
      if (head.status === 101 || ++this.#interim > MAX_INTERIM) {
        const words = `the proxy answered CONNECT with ${head.status} ${brief(head.reason)}`;
        throw new DialError("protocol", words, { step: "dial", scope: "upstream" });
      }
      this.#reader = new HeadReader("response", MAX_HEAD_BYTES);
      bytes = rest;
    }
  }
}

/** 407, and 401 by those who take it for that, as tinyproxy does. */
function wantsCredentials(head: ResponseHead): boolean {
  return head.status === 407 || head.status === 401;
}

function refusal(head: ResponseHead): DialError {
  const answer = `the proxy answered ${head.status} ${brief(head.reason)}`.trimEnd();
  if (wantsCredentials(head)) {
    const wanted = headerValue(head.headers, "proxy-authenticate")?.split(/[\s,]/, 1)[0];
    const words = wanted ? `${answer}; it wants ${brief(wanted)} credentials` : answer;
    return new DialError("auth", words, { step: "auth", scope: "upstream" });
  }
  // Squid answers most failures with 503 and says in a header which it was, with the system's error number.
  const squid = headerValue(head.headers, "x-squid-error");
  const code = squidCode(squid) ?? statusCode(head.status);
  const words = squid ? `${answer} (${brief(squid)})` : answer;
  const scope = head.status === 405 || head.status === 501 ? "upstream" : "target";
  return new DialError(code, words, { step: "dial", scope });
}

function statusCode(status: number): DialErrorCode {
  switch (status) {
    case 403:
    case 451:
      return "forbidden";
    case 405: // it does not know CONNECT at all
    case 501:
      return "unsupported";
    case 429:
      return "limit";
    case 408:
    case 504:
      return "timeout";
    case 500: // tinyproxy's word for "can't connect"
    case 502:
    case 503: // Privoxy's and squid's
      return "unreachable";
    default:
      return "protocol";
  }
}

function squidCode(header: string | undefined): DialErrorCode | undefined {
  const [name, systemError] = (header ?? "").split(" ");
  switch (name) {
    case "ERR_DNS_FAIL":
      return "dns";
    case "ERR_ACCESS_DENIED":
      return "forbidden";
    case "ERR_CONNECT_FAIL":
      return systemError === "111" || systemError === "61" ? "refused" : "unreachable";
    default:
      return undefined;
  }
}
