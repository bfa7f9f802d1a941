import type { Endpoint } from "../../endpoint.ts";
import type { Refusal, UdpSource } from "../handler.ts";
import { AddressKind, addressBytesOf, kindOfIpv4, kindOfIpv6, readAddress } from "../ip/addresses.ts";
import { Checksum } from "../device.ts";
import { addBytes, finish } from "../ip/checksum.ts";
import { IpHead, type IpOutput, MIN_MTU } from "../ip/output.ts";
import { IpPacket, Protocol } from "../ip/packet.ts";
import type { Host } from "./hosts.ts";

const CHECKSUM_AT = 6;

/** Shared by all: a header is copied as it is sent. */
const header = Buffer.alloc(8);

/** What a mapping needs of the layer that holds it. */
export interface MappingHolder {
  readonly around: { readonly output: IpOutput; readonly mtu: number; readonly onOutput: () => void };
  /** A datagram came for it: it is not idle. */
  heard(mapping: UdpMapping): void;
  /** It is over. */
  forget(mapping: UdpMapping): void;
  /** Its last datagram, or one like it, went nowhere. */
  refuse(offender: IpPacket, why: Refusal): void;
}

/** One source: an application's socket. */
export class UdpMapping implements UdpSource {
  readonly source: Endpoint;
  onDatagram: (target: Endpoint, payload: Buffer) => void = ignore;
  onClose: () => void = ignore;

  /** @internal */
  readonly host: Host<UdpMapping>;
  /** @internal */
  readonly port: number;
  /** @internal When a datagram last came or went, about. */
  heardAt = 0;
  /** @internal True while every datagram was for a name server. */
  asksOnly = false;
  /** @internal */
  over = false;

  readonly #layer: MappingHolder;
  #mtu: number;
  /** Where the last datagram went, as bytes and as the handler knows it: most go where the one before went. */
  readonly #targetAddress: Buffer;
  #target: Endpoint | undefined;
  /** The datagram that the handler is being told of. */
  #current: IpPacket | undefined;
  /** The way of the last answer. */
  #from: Endpoint | undefined;
  #head: IpHead | undefined;

  constructor(layer: MappingHolder, host: Host<UdpMapping>, port: number) {
    this.#layer = layer;
    this.host = host;
    this.port = port;
    this.source = { host: host.text, port };
    this.#mtu = layer.around.mtu;
    this.#targetAddress = Buffer.alloc(host.address.length);
  }

  deliver(from: Endpoint, payload: Buffer): void {
    if (this.over) return;
    const head = this.#headFrom(from);
    if (!head) return;
    this.#layer.heard(this);
    const length = 8 + payload.length;
    header[0] = from.port >>> 8;
    header[1] = from.port & 0xff;
    header[2] = this.port >>> 8;
    header[3] = this.port & 0xff;
    header[4] = length >>> 8;
    header[5] = length & 0xff;
    header[6] = header[7] = 0;
    const { output, onOutput } = this.#layer.around;
    if (output.send(head, header, CHECKSUM_AT, payload)) onOutput();
  }

  refuse(target: Endpoint, why: Refusal): void {
    if (this.over) return;
    const offender = this.#current && target === this.#target ? this.#current : this.#likenessOf(target);
    if (offender) this.#layer.refuse(offender, why);
  }

  close(): void {
    if (this.over) return;
    this.over = true;
    this.#layer.forget(this);
    this.onDatagram = ignore;
    this.onClose = ignore;
  }

  /** @internal Closes it, and tells the handler. */
  end(): void {
    const { onClose } = this;
    if (this.over) return;
    this.close();
    onClose();
  }

  /** @internal Hands a datagram over. @param length of the datagram with its header. */
  take(packet: IpPacket, length: number): void {
    const { bytes, addressesAt, addressBytes, transportAt } = packet;
    const at = addressesAt + addressBytes;
    const port = bytes.readUInt16BE(transportAt + 2);
    let target = this.#target;
    if (target?.port !== port || !this.#isTargetAddress(bytes, at)) {
      bytes.copy(this.#targetAddress, 0, at, at + addressBytes);
      target = this.#target = { host: readAddress(bytes, at, addressBytes), port };
    }
    const payload = Buffer.allocUnsafe(length - 8);
    bytes.copy(payload, 0, transportAt + 8, transportAt + length);
    this.#current = packet;
    this.onDatagram(target, payload);
    this.#current = undefined;
  }

  /** @internal */
  spokeLastWith(bytes: Buffer, at: number, port: number): boolean {
    return this.#target?.port === port && this.#isTargetAddress(bytes, at);
  }

  /** @internal */
  lowerMtu(mtu: number): void {
    this.#mtu = Math.max(MIN_MTU, Math.min(this.#mtu, mtu));
    if (this.#head) this.#head.mtu = this.#mtu;
  }

  #isTargetAddress(bytes: Buffer, at: number): boolean {
    const address = this.#targetAddress;
    for (let i = 0; i < address.length; i++) if (address[i] !== bytes[at + i]) return false;
    return true;
  }

  #headFrom(from: Endpoint): IpHead | undefined {
    if (this.#head && this.#from?.host === from.host) return this.#head;
    const address = addressBytesOf(from.host);
    if (address?.length !== this.host.address.length || !isHost(address)) return undefined;
    this.#from = from;
    this.#head = new IpHead(Protocol.udp, this.#mtu, address, this.host.address);
    return this.#head;
  }

  /** The headers of a datagram that is no longer there: RFC 792 and RFC 4443 ask for no less, and systems need no more. */
  #likenessOf(target: Endpoint): IpPacket | undefined {
    const address = addressBytesOf(target.host);
    if (address?.length !== this.host.address.length) return undefined;
    const { bytes: head } = new IpHead(Protocol.udp, this.#mtu, this.host.address, address);
    const packet = new IpPacket();
    packet.bytes = Buffer.concat([head, Buffer.alloc(8)]);
    packet.version = address.length === 4 ? 4 : 6;
    packet.addressBytes = address.length === 4 ? 4 : 16;
    packet.addressesAt = head.length - 2 * address.length;
    packet.protocol = Protocol.udp;
    packet.transportAt = head.length;
    packet.end = packet.bytes.length;
    packet.checksum = Checksum.good;
    if (packet.version === 4) {
      packet.bytes.writeUInt16BE(packet.end, 2);
      packet.bytes.writeUInt16BE(finish(addBytes(0, head, 0, 20) + packet.end), 10);
    } else packet.bytes.writeUInt16BE(8, 4);
    packet.bytes.writeUInt16BE(this.port, head.length);
    packet.bytes.writeUInt16BE(target.port, head.length + 2);
    packet.bytes.writeUInt16BE(8, head.length + 4);
    return packet;
  }
}

/** What an upstream says that a datagram came from is written into packets: loopback, say, it must not be. */
function isHost(address: Buffer): boolean {
  const kind = address.length === 4 ? kindOfIpv4(address, 0) : kindOfIpv6(address, 0);
  return kind === AddressKind.unicast;
}

function ignore(): void {}
