import { isIP, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { readUdpHeader, writeAddress, writeUdpHeader, type SocksAddress } from "@sockeye/wire/socks5";
import type { Endpoint } from "../endpoint.ts";
import { DialError } from "../errors.ts";
import type { DialOptions, UdpAssociation, UdpDialer, UdpReceiver } from "./dialer.ts";
import { plainHost } from "./plain-host.ts";
import { proxyTarget } from "./proxy-target.ts";

export interface Socks5AssociationOptions {
  /** The connection on which UDP ASSOCIATE was answered; the association lives as long as it does (RFC 1928 §7). */
  readonly control: Duplex;
  /** The address in the answer. */
  readonly bound: SocksAddress;
  /** The proxy as configured, a name or an address. */
  readonly proxyHost: string;
  readonly receiver: UdpReceiver;
}

/**
 * Carries datagrams through the relay that a SOCKS5 proxy has opened.
 * @param via sends and receives the wrapped datagrams.
 * @throws {DialError} and the control connection is destroyed then.
 */
export async function openSocks5Association(
  association: Socks5AssociationOptions,
  via: UdpDialer,
  options: DialOptions,
): Promise<UdpAssociation> {
  const opened = new Socks5Association(association);
  try {
    opened.start(await via.associate(opened, { ...options, peer: opened.peer }));
  } catch (error) {
    association.control.destroy();
    throw error;
  }
  return opened;
}

const ENDED = "the proxy ended the UDP association";

class Socks5Association implements UdpAssociation, UdpReceiver {
  readonly #control: Duplex;
  readonly #receiver: UdpReceiver;
  /** Where datagrams go. Once a datagram has come back from a relay known by name, the address it came from. */
  #relay: Endpoint;
  #relayBytes: Buffer | undefined;
  #inner: UdpAssociation | undefined;
  #closed = false;
  /** The header of the last target: most datagrams of an application go where the one before went. */
  #lastTarget: Endpoint | undefined;
  #lastHeader: Buffer = Buffer.alloc(0);
  /** The header of the last datagram that came, and what it says: most come from where the one before came from. */
  #cameHeader: Buffer | undefined;
  #cameFrom: SocksAddress | undefined;

  constructor(options: Socks5AssociationOptions) {
    this.#control = options.control;
    this.#receiver = options.receiver;
    this.#relay = relayEndpoint(options);
    if (isIP(this.#relay.host) !== 0) this.#relayBytes = writeAddress(this.#relay);
  }

  /** The relay, where its address is known. */
  get peer(): Endpoint | undefined {
    return this.#relayBytes && this.#relay;
  }

  start(inner: UdpAssociation): void {
    const control = this.#control;
    if (control.destroyed || control.readableEnded) {
      this.#closed = true; // the caller hears it from this exception, not from onClose
      inner.close();
      throw new DialError("closed", ENDED, { step: "dial" });
    }
    this.#inner = inner;
    control.on("close", () => this.#end(new DialError("closed", ENDED)));
    control.on("end", () => control.destroy());
    // Nothing is said on it any more; reading is what shows its end.
    control.resume();
  }

  send(target: Endpoint, payload: Buffer): void {
    if (this.#closed) return;
    const header = this.#headerFor(target);
    if (header) this.#inner?.send(this.#relay, Buffer.concat([header, payload]));
  }

  close(): void {
    this.#end(undefined);
  }

  /** From the relay, wrapped; anything else is no concern of the application. */
  onDatagram(source: Endpoint, wrapped: Buffer): void {
    if (this.#closed || !this.#isRelay(source)) return;
    if (this.#cameHeader && this.#cameFrom && startsWith(wrapped, this.#cameHeader)) {
      this.#receiver.onDatagram(this.#cameFrom, wrapped.subarray(this.#cameHeader.length));
      return;
    }
    let read: { address: SocksAddress; payload: Buffer };
    try {
      read = readUdpHeader(wrapped);
    } catch {
      return;
    }
    const { address, payload } = read;
    this.#cameHeader = Buffer.from(wrapped.subarray(0, wrapped.length - payload.length));
    this.#cameFrom = address;
    this.#receiver.onDatagram(address, payload);
  }

  onClose(error?: Error): void {
    this.#end(error ?? new DialError("closed", "the way to the proxy's relay was closed"));
  }

  #headerFor(target: Endpoint): Buffer | undefined {
    const last = this.#lastTarget;
    if (last === target || (last?.host === target.host && last.port === target.port)) return this.#lastHeader;
    try {
      this.#lastHeader = writeUdpHeader(proxyTarget(target));
    } catch {
      return undefined; // no proxy can send there
    }
    this.#lastTarget = target;
    return this.#lastHeader;
  }

  #isRelay(source: Endpoint): boolean {
    if (source.port !== this.#relay.port) return false;
    if (source.host === this.#relay.host) return true;
    if (this.#relayBytes)
      return writeAddress({ ...source, host: plainHost(source.host) }).equals(this.#relayBytes);
    // The relay is known by a name that somebody else resolves: the first to answer from its port is held to be it.
    this.#relay = source;
    this.#relayBytes = writeAddress(source);
    return true;
  }

  #end(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#control.destroy();
    this.#inner?.close();
    this.#receiver.onClose(error);
  }
}

function startsWith(bytes: Buffer, beginning: Buffer): boolean {
  if (bytes.length < beginning.length) return false;
  for (let i = 0; i < beginning.length; i++) if (bytes[i] !== beginning[i]) return false;
  return true;
}

/** An unspecified address means the proxy's own host, which the control connection knows best. */
function relayEndpoint({ control, bound, proxyHost }: Socks5AssociationOptions): Endpoint {
  const host = plainHost(bound.host);
  if (host !== "0.0.0.0" && host !== "::") return { host, port: bound.port };
  const isName = isIP(proxyHost) === 0;
  const peer = isName && control instanceof Socket ? control.remoteAddress : undefined;
  return { host: plainHost(peer ?? proxyHost), port: bound.port };
}
