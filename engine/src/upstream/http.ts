import type { Duplex } from "node:stream";
import { HeadReader, headerValue, HttpHeadError, type ResponseHead } from "@sockeye/wire/http-head";
import type { HttpUpstreamConfig } from "../config/config.ts";
import { formatEndpoint, parseEndpoint, type Endpoint } from "../endpoint.ts";
import { DialError, type DialErrorCode } from "../errors.ts";
import type { DialOptions } from "./dialer.ts";
import { exchange, type Conversation, type ExchangeStep } from "./exchange.ts";
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
/** Of the proxy's own words, as many characters stand in an error. */
const MAX_WORDS = 200;
/** Interim answers (1xx) that are read past before the answer itself. */
const MAX_INTERIM = 8;

class HttpProtocol implements ProxyProtocol {
  readonly type = "http";
  readonly defaultPort: number;
  readonly prepareRoundTrips: number;
  readonly #options: HttpUpstreamOptions;
  readonly #tls: ProxyTls | undefined;
  /** The header line with the credentials; empty where there are none. */
  #authorization: string | undefined;

  constructor(options: HttpUpstreamOptions) {
    const { config } = options;
    this.#options = options;
    this.defaultPort = config.tls ? 443 : 8080;
    const { host } = parseEndpoint(config.address, this.defaultPort);
    this.#tls = config.tls ? new ProxyTls(config.tls_server_name ?? host, config.tls_ca_file) : undefined;
    this.prepareRoundTrips = config.tls ? 1 : 0;
    if (!config.auth) this.#authorization = "";
  }

  async prepare(stream: Duplex, options: DialOptions): Promise<Duplex> {
    if (this.#authorization === undefined) {
      try {
        this.#authorization = await this.#readAuthorization();
      } catch (error) {
        stream.destroy();
        throw error;
      }
    }
    return this.#tls ? this.#tls.connect(stream, options) : stream;
  }

  async connect(stream: Duplex, target: Endpoint, options: DialOptions): Promise<void> {
    options.onStep?.("dial");
    try {
      const authority = formatEndpoint(proxyTarget(target));
      const request = `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${this.#authorization}\r\n`;
      const answer = new ConnectConversation(Buffer.from(request, "latin1"));
      const head = await exchange(stream, answer, { signal: options.signal, step: "dial" });
      if (head.status >= 300) throw refusal(head);
    } catch (error) {
      // The words of a refusal's body are not waited for.
      stream.destroy();
      if (!(error instanceof HttpHeadError)) throw error;
      const words = `the proxy's answer is not HTTP as it should be: ${error.message}`;
      throw new DialError("protocol", words, { cause: error, step: "dial", scope: "upstream" });
    }
  }

  async #readAuthorization(): Promise<string> {
    const { username, password } = this.#options.config.auth!;
    try {
      if (username.includes(":")) throw new Error("a user name in HTTP has no colon");
      const token = Buffer.from(`${username}:${await this.#options.readSecret(password)}`, "utf8");
      return `Proxy-Authorization: Basic ${token.toString("base64")}\r\n`;
    } catch (error) {
      const words = `the credentials can't be used: ${error instanceof Error ? error.message : String(error)}`;
      throw new DialError("auth", words, { cause: error, step: "auth", scope: "upstream" });
    }
  }
}

/** CONNECT and the head of its answer, past any interim ones. */
class ConnectConversation implements Conversation<ResponseHead> {
  readonly opening: Buffer;
  #reader = new HeadReader("response", MAX_HEAD_BYTES);
  #interim = 0;

  constructor(opening: Buffer) {
    this.opening = opening;
  }

  push(chunk: Buffer): ExchangeStep<ResponseHead> {
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

function refusal(head: ResponseHead): DialError {
  const answer = `the proxy answered ${head.status} ${brief(head.reason)}`.trimEnd();
  // 407, and 401 by those who take it for that, as tinyproxy does.
  if (head.status === 407 || head.status === 401) {
    const wanted = headerValue(head.headers, "proxy-authenticate")?.split(/[\s,]/, 1)[0];
    const words = wanted ? `${answer}; it wants ${brief(wanted)} credentials` : answer;
    return new DialError("auth", words, { step: "auth", scope: "upstream" });
  }
  // Squid answers most failures with 503 and says in a header which it was, with the system's error number.
  const squid = headerValue(head.headers, "x-squid-error");
  const code = squidCode(squid) ?? statusCode(head.status);
  const words = squid ? `${answer} (${brief(squid)})` : answer;
  return new DialError(code, words, { step: "dial", scope: head.status === 405 ? "upstream" : "target" });
}

/** The proxy's own words, no longer than a sentence of ours can hold. */
function brief(words: string): string {
  return words.length > MAX_WORDS ? `${words.slice(0, MAX_WORDS)}…` : words;
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
