import type { Duplex } from "node:stream";
import type { Config } from "../config/config.ts";
import { type Endpoint, formatEndpoint } from "../endpoint.ts";
import { DialError } from "../errors.ts";
import type { Router } from "../router/route.ts";
import type { Dialer } from "../upstream/dialer.ts";
import type { UpstreamLog } from "../upstream/upstream.ts";
import type { AnswerCache } from "./answer-cache.ts";
import { FakeAddresses } from "./fake-addresses.ts";
import { Forwarder } from "./forwarder.ts";
import {
  type Asked,
  fitDatagram,
  FLAG,
  RCODE,
  readMessage,
  TYPE,
  writeAnswer,
  writeBareError,
} from "./message.ts";
import { NameRules } from "./name-rules.ts";
import { DnsOverStream } from "./over-stream.ts";
import type { AskServer, DnsPath } from "./path.ts";
import { DEVICE_ADDRESSES, DNS_SERVERS } from "./plan.ts";
import { RoutedNames } from "./routed-names.ts";
import { serveStream } from "./serve-stream.ts";

/** Servers behind upstreams to which a connection is kept. */
export const MAX_CONNECTIONS = 64;

/** What follows from the configuration, and changes with it. */
export interface DnsRouting {
  readonly config: Pick<Config, "routes" | "default" | "tun">;
  /** Of the same configuration. */
  readonly router: Router;
}

export interface DnsServiceOptions extends DnsRouting {
  /** A configured upstream by its name. */
  readonly upstream: (name: string) => Dialer | undefined;
  /** Asks a server over the machine's own network, out of the device's reach. */
  readonly askDirectly: AskServer;
  /** The name servers that the system had before anything was changed. */
  readonly originals: DnsPath;
  readonly log: UpstreamLog;
  /** Whether the device has IPv6. Default true. */
  readonly ipv6?: boolean;
  /** For tests. */
  readonly fake?: FakeAddresses;
  readonly cache?: AnswerCache;
  readonly deadlineMs?: number;
}

/**
 * Answers the DNS questions that the TUN device captures: by TUN mode's `dns`, either all of them by asking the server that
 * was meant, the way its address is routed, or, with fake addresses, the names that routes mention with an address that
 * stands for the name. It has no sockets of its own.
 */
export class DnsService {
  /** Names that have a fake address keep it over a reload. */
  readonly fake: FakeAddresses;
  readonly #options: DnsServiceOptions;
  readonly #forwarder: Forwarder;
  readonly #connections = new Map<string, { readonly dialer: Dialer; readonly dns: DnsOverStream }>();
  #router!: Router;
  /** Undefined where every name is answered as the server that was asked has it. */
  #rules: NameRules | undefined;

  constructor(options: DnsServiceOptions) {
    this.#options = options;
    this.fake = options.fake ?? new FakeAddresses({ reserved: [...DNS_SERVERS, ...DEVICE_ADDRESSES] });
    this.#forwarder = new Forwarder({
      ...(options.cache && { cache: options.cache }),
      ...(options.deadlineMs !== undefined && { deadlineMs: options.deadlineMs }),
      onFailure: (name, path, err) =>
        options.log.debug({ err, path: path.key }, `${name} could not be asked for`),
    });
    this.update(options);
  }

  /** Takes over a new configuration; what is being answered is answered by the old one. */
  update({ config, router }: DnsRouting): void {
    this.#router = router;
    this.#forwarder.clear();
    const { ipv6 = true, log } = this.#options;
    this.#rules =
      config.tun.dns === "fake-ip"
        ? new NameRules({ names: new RoutedNames(config, router), fake: this.fake, ipv6, log })
        : undefined;
    for (const [key, { dns }] of this.#connections) {
      if (!dns.isIdle) continue;
      dns.close();
      this.#connections.delete(key);
    }
  }

  /**
   * Answers a datagram that was sent to port 53 of `server`. Never rejects.
   * @returns undefined for what gets no answer: a response, or bytes that are no DNS at all.
   */
  async answerDatagram(bytes: Buffer, server: Endpoint): Promise<Buffer | undefined> {
    const answer = await this.answer(bytes, server);
    const query = readMessage(bytes);
    return answer && query?.question ? fitDatagram(answer, query as Asked) : answer;
  }

  /** Serves a connection that was made to port 53 of `server`; the stream is the service's from now on. */
  serve(stream: Duplex, server: Endpoint): void {
    serveStream(stream, (query) => this.answer(query, server));
  }

  /** The whole answer, of any size: see answerDatagram(). */
  async answer(bytes: Buffer, server: Endpoint): Promise<Buffer | undefined> {
    const query = readMessage(bytes);
    if (query === undefined) return writeBareError(bytes, RCODE.FORMERR);
    if ((query.flags & FLAG.QR) !== 0) return undefined;
    if ((query.flags & FLAG.OPCODE) !== 0) return writeBareError(bytes, RCODE.NOTIMP);
    if (query.question === undefined) return writeBareError(bytes, RCODE.FORMERR);
    const asked = query as Asked;
    const { type } = asked.question;
    if (asked.edns && asked.edns.version > 0) return writeAnswer(asked, RCODE.BADVERS);
    // A zone is more than one message, and nothing that a stub resolver asks for.
    if (type === TYPE.AXFR || type === TYPE.IXFR) return writeAnswer(asked, RCODE.NOTIMP);
    const path = this.#pathTo(server);
    const ruled = this.#rules?.answer(asked, path?.knowsNames ?? false);
    if (ruled !== undefined) return ruled;
    if (path === undefined) return writeAnswer(asked, RCODE.REFUSED);
    const answer = await this.#forwarder.forward(asked, path.way);
    return this.#rules && this.#holdsFake(answer) ? writeAnswer(asked, RCODE.NOERROR) : answer;
  }

  /**
   * Where a connection to `host` leads: the name, if it is a fake address; else `host` itself.
   * @throws {DialError} `dns` for a fake address that stands for no name (any more), as one kept from before a restart.
   */
  targetOf(host: string): string {
    const name = this.fake.nameOf(host);
    if (name !== undefined) return name;
    if (!this.fake.includes(host)) return host;
    const sentence = `${host} stands for no name any more; the application has to look the name up again`;
    throw new DialError("dns", sentence, { step: "name" });
  }

  /** A flow to this fake address begins: see FakeAddresses. @returns false where it stands for no name. */
  hold(address: string): boolean {
    return this.fake.hold(address);
  }

  /** The flow ended. */
  release(address: string): void {
    this.fake.release(address);
  }

  close(): void {
    this.#forwarder.close();
    for (const { dns } of this.#connections.values()) dns.close();
    this.#connections.clear();
  }

  /** Fake addresses are ours to hand out: from anybody else, one would let a web page of theirs reach a name of ours. */
  #holdsFake(answer: Buffer): boolean {
    const records = readMessage(answer)?.records ?? [];
    return records.some(({ type, dataStart, dataEnd }) => {
      const data = answer.subarray(dataStart, dataEnd);
      if (type === TYPE.A) return this.fake.includes(data.join("."));
      return type === TYPE.AAAA && this.fake.includes((data.toString("hex").match(/.{4}/g) ?? []).join(":"));
    });
  }

  /** @returns undefined where the routes refuse the server; `knowsNames`: it is asked where the names are at home. */
  #pathTo(asked: Endpoint): { readonly way: DnsPath; readonly knowsNames: boolean } | undefined {
    if ((DNS_SERVERS as readonly string[]).includes(asked.host)) {
      return { way: this.#options.originals, knowsNames: false };
    }
    const name = this.fake.nameOf(asked.host);
    if (name === undefined && this.fake.includes(asked.host)) return undefined;
    const server = { host: name ?? asked.host, port: asked.port };
    const { to } = this.#router.route(server);
    if (to === "block") return undefined;
    const key = `${to} ${formatEndpoint(server)}`;
    if (to === "direct") {
      const ask: DnsPath["ask"] = (query, options) => this.#options.askDirectly(server, query, options);
      return { way: { key, tries: 2, ask }, knowsNames: false };
    }
    if (this.#options.upstream(to) === undefined) return undefined;
    const ask: DnsPath["ask"] = async (query, options) =>
      this.#connectionTo(server, key, to).ask(query, options);
    return { way: { key, tries: 2, ask }, knowsNames: true };
  }

  /** @throws {DialError} where the upstream is no more. */
  #connectionTo(server: Endpoint, key: string, upstream: string): DnsOverStream {
    const dialer = this.#options.upstream(upstream);
    if (dialer === undefined) throw new DialError("closed", `the upstream ${upstream} is no more`);
    const known = this.#connections.get(key);
    this.#connections.delete(key);
    const isSame = known?.dialer === dialer;
    // What it was asked is asked again of the upstream that a reload put in the place of the old one.
    if (known && !isSame) known.dns.close();
    const connection = known && isSame ? known : { dialer, dns: new DnsOverStream(server, dialer) };
    this.#connections.set(key, connection);
    if (this.#connections.size > MAX_CONNECTIONS) {
      const [oldest, { dns }] = this.#connections.entries().next().value!;
      this.#connections.delete(oldest);
      dns.close();
    }
    return connection.dns;
  }
}
