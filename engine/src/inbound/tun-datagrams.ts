import type { Endpoint } from "../endpoint.ts";
import { DialError } from "../errors.ts";
import type { Refusal, UdpSource } from "../netstack/handler.ts";
import type { DatagramPort } from "./request.ts";
import { named, type TunDns, type TunNames } from "./tun-names.ts";

/** Targets of one source that are remembered by the name behind their address, and without one. */
const MAX_NAMED_TARGETS = 64;
const MAX_PLAIN_TARGETS = 256;

/** DNS questions of one source that are being answered; more are dropped. */
const MAX_QUESTIONS = 64;

const DNS = 53;

/** A UDP socket of an application. */
export class TunDatagramPort implements DatagramPort {
  readonly inbound = "tun";
  onDatagram: (target: Endpoint, payload: Buffer) => void = ignore;
  onClose: () => void = ignore;

  readonly #source: UdpSource;
  readonly #names: TunNames | undefined;
  readonly #dns: TunDns | undefined;
  /** The addresses by which the application knows its named targets, by `name port`; each is held until the end. */
  readonly #aliases = new Map<string, Endpoint>();
  /** Its targets without a name, which answer under their own address. */
  readonly #plain = new Set<string>();
  /** The last address, and where it led: most datagrams go where the one before went. */
  #lastAddress: Endpoint | undefined;
  #lastTarget: Endpoint | undefined;
  #questions = 0;
  #closed = false;

  constructor(source: UdpSource, names: TunNames | undefined, dns: TunDns | undefined) {
    this.#source = source;
    this.#names = names;
    this.#dns = dns;
    source.onDatagram = (target, payload) => this.#take(target, payload);
    source.onClose = () => this.#end();
  }

  get source(): Endpoint {
    return this.#source.source;
  }

  deliver(from: Endpoint, payload: Buffer): void {
    if (!this.#closed) this.#source.deliver(this.#aliasOf(from), payload);
  }

  refuse(target: Endpoint, error: DialError): void {
    if (!this.#closed) this.#source.refuse(this.#aliasOf(target), refusalOfDatagram(error));
  }

  close(): void {
    if (this.#closed) return;
    this.#source.close();
    this.#end();
  }

  #take(address: Endpoint, payload: Buffer): void {
    if (this.#dns && address.port === DNS) {
      void this.#answer(this.#dns, address, payload);
      return;
    }
    if (!this.#names) {
      this.onDatagram(address, payload);
      return;
    }
    let target: Endpoint;
    try {
      target = this.#targetOf(address, this.#names);
    } catch (error) {
      if (!(error instanceof DialError)) throw error;
      this.#source.refuse(address, refusalOfDatagram(error));
      return;
    }
    this.onDatagram(target, payload);
  }

  async #answer(dns: TunDns, server: Endpoint, query: Buffer): Promise<void> {
    if (this.#questions >= MAX_QUESTIONS) return;
    this.#questions++;
    try {
      const answer = await dns.answerDatagram(query, server);
      if (answer && !this.#closed) this.#source.deliver(server, answer);
    } finally {
      this.#questions--;
    }
  }

  /** @throws {DialError} */
  #targetOf(address: Endpoint, names: TunNames): Endpoint {
    if (this.#lastAddress === address && this.#lastTarget) return this.#lastTarget;
    const target = named(address, names);
    const key = keyOf(target);
    if (target === address) {
      if (this.#plain.size < MAX_PLAIN_TARGETS) this.#plain.add(key);
    } else if (
      !this.#aliases.has(key) &&
      this.#aliases.size < MAX_NAMED_TARGETS &&
      names.hold(address.host)
    ) {
      this.#aliases.set(key, address);
    }
    this.#lastAddress = address;
    this.#lastTarget = target;
    return target;
  }

  /**
   * The address that the application wrote to: answers of a named target come under its name or under an address that only
   * the far end knows, and then the port must do.
   */
  #aliasOf(from: Endpoint): Endpoint {
    if (this.#aliases.size === 0) return from;
    const key = keyOf(from);
    const known = this.#aliases.get(key);
    if (known) return known;
    if (this.#plain.has(key)) return from;
    for (const alias of this.#aliases.values()) if (alias.port === from.port) return alias;
    return from;
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { host } of this.#aliases.values()) this.#names?.release(host);
    this.#aliases.clear();
    this.onClose();
  }
}

/**
 * Port unreachable is what a socket hears at once, on Linux even one that asked for no errors, so that QUIC falls back to TCP;
 * the same holds for what is prohibited.
 */
function refusalOfDatagram({ code }: DialError): Refusal {
  return code === "blocked" || code === "forbidden" ? "prohibited" : "refused";
}

function keyOf({ host, port }: Endpoint): string {
  return `${host} ${port}`;
}

function ignore(): void {}
