import type { PacketWriter } from "../device.ts";
import { addBytes, finish, fold } from "./checksum.ts";
import { Protocol } from "./packet.ts";

const HOP_LIMIT = 64;
const MAX_PACKET = 65_535;
const MORE_FRAGMENTS = 0x2000;
const FRAGMENT_HEADER = 44;

/** The smallest MTU that a link of IPv6 has (RFC 8200 §5). */
export const MIN_MTU = 1280;

/** The IP header from one address to another, filled in once and copied for each packet. */
export class IpHead {
  readonly protocol: number;
  /** 20 bytes for IPv4, 40 for IPv6; length, identification and checksum are still 0. */
  readonly bytes: Buffer;
  /** Sums of the header, and of the addresses with the protocol (the pseudo-header but for its length). */
  readonly headerSum: number;
  readonly addressSum: number;
  /** Largest packet that passes on this way, in bytes. */
  mtu: number;

  /** @param source and `target`: both of 4 or both of 16 bytes. They are copied. */
  constructor(protocol: number, mtu: number, source: Uint8Array, target: Uint8Array) {
    this.protocol = protocol;
    this.mtu = mtu;
    if (source.length === 4) {
      this.bytes = Buffer.alloc(20);
      this.bytes[0] = 0x45;
      this.bytes[8] = HOP_LIMIT;
      this.bytes[9] = protocol;
    } else {
      this.bytes = Buffer.alloc(40);
      this.bytes[0] = 0x60;
      this.bytes[6] = protocol;
      this.bytes[7] = HOP_LIMIT;
    }
    const addressesAt = this.bytes.length - 2 * source.length;
    this.bytes.set(source, addressesAt);
    this.bytes.set(target, addressesAt + source.length);
    this.headerSum = addBytes(0, this.bytes, 0, this.bytes.length);
    this.addressSum = addBytes(protocol, this.bytes, addressesAt, this.bytes.length);
  }

  get isIpv4(): boolean {
    return this.bytes.length === 20;
  }
}

/**
 * Sends the packets of everything but TCP: a header of 8 bytes and a payload, as UDP and ICMP have them. What is larger than
 * the way's MTU goes out in fragments, by us, as the source (RFC 791, RFC 8200 §4.5). IPv4 packets may be cut further
 * on their way: no DF.
 */
export class IpOutput {
  readonly #writer: PacketWriter;
  /** Of the next packet; of the next packet in fragments, for IPv6, begun anywhere (RFC 7739). */
  #id4 = 0;
  #id6: number;

  /** @param random from 0 to below 1. */
  constructor(writer: PacketWriter, random: () => number) {
    this.#writer = writer;
    this.#id6 = Math.floor(random() * 0x1_0000_0000);
  }

  /**
   * @param header the transport's 8 bytes, its checksum field 0; it is copied.
   * @param checksumAt offset of the checksum within `header`.
   * @param payload must not change before the device is flushed.
   * @returns false when the packet would be larger than a packet can be.
   */
  send(head: IpHead, header: Buffer, checksumAt: number, payload: Uint8Array): boolean {
    const length = header.length + payload.length;
    if (head.bytes.length + length <= head.mtu) this.#sendWhole(head, header, checksumAt, payload);
    else {
      if (length + (head.isIpv4 ? head.bytes.length : 0) > MAX_PACKET) return false;
      writeChecksum(header, checksumAt, wholeSum(head, header, payload));
      this.#sendFragments(head, header, payload);
    }
    return true;
  }

  #sendWhole(head: IpHead, header: Buffer, checksumAt: number, payload: Uint8Array): void {
    const writer = this.#writer;
    const offloaded = head.protocol === Protocol.udp;
    if (!offloaded) writeChecksum(header, checksumAt, wholeSum(head, header, payload));
    const at = writer.begin();
    const headLength = this.#writeHead(head, at, header.length + payload.length, 0);
    for (let i = 0; i < header.length; i++) writer.heads[at + headLength + i] = header[i]!;
    if (offloaded) {
      const sum = fold(head.addressSum + header.length + payload.length);
      writer.heads[at + headLength + checksumAt] = sum >>> 8;
      writer.heads[at + headLength + checksumAt + 1] = sum & 0xff;
    }
    if (payload.length > 0) writer.piece(payload, 0, payload.length);
    writer.end(headLength + header.length, headLength, offloaded ? checksumAt : -1, 0);
    this.#id4 = (this.#id4 + 1) & 0xffff;
  }

  #sendFragments(head: IpHead, header: Buffer, payload: Uint8Array): void {
    const writer = this.#writer;
    const overhead = head.bytes.length + (head.isIpv4 ? 0 : 8);
    const room = (head.mtu - overhead) & ~7;
    const length = header.length + payload.length;
    for (let offset = 0; offset < length; offset += room) {
      const size = Math.min(room, length - offset);
      const more = offset + size < length;
      const at = writer.begin();
      let headLength = head.isIpv4
        ? this.#writeHead(head, at, size, (more ? MORE_FRAGMENTS : 0) | (offset / 8))
        : this.#writeFragmentHeader(head, at, size, offset | (more ? 1 : 0));
      const transportAt = headLength;
      if (offset === 0) {
        writer.heads.set(header, at + headLength);
        headLength += header.length;
      }
      const from = Math.max(offset - header.length, 0);
      const to = offset + size - header.length;
      if (to > from) writer.piece(payload, from, to);
      writer.end(headLength, transportAt, -1, 0);
    }
    this.#id4 = (this.#id4 + 1) & 0xffff;
    this.#id6 = (this.#id6 + 1) >>> 0;
  }

  /** @returns the header's length. */
  #writeHead(head: IpHead, at: number, length: number, fragment: number): number {
    const { heads } = this.#writer;
    const { bytes } = head;
    heads.set(bytes, at);
    if (bytes.length === 40) {
      heads[at + 4] = length >>> 8;
      heads[at + 5] = length & 0xff;
      return 40;
    }
    const total = 20 + length;
    heads[at + 2] = total >>> 8;
    heads[at + 3] = total & 0xff;
    heads[at + 4] = this.#id4 >>> 8;
    heads[at + 5] = this.#id4 & 0xff;
    heads[at + 6] = fragment >>> 8;
    heads[at + 7] = fragment & 0xff;
    const sum = finish(head.headerSum + total + this.#id4 + fragment);
    heads[at + 10] = sum >>> 8;
    heads[at + 11] = sum & 0xff;
    return 20;
  }

  #writeFragmentHeader(head: IpHead, at: number, length: number, place: number): number {
    const { heads } = this.#writer;
    this.#writeHead(head, at, 8 + length, 0);
    heads[at + 6] = FRAGMENT_HEADER;
    heads[at + 40] = head.protocol;
    heads[at + 41] = 0;
    heads.writeUInt16BE(place, at + 42);
    heads.writeUInt32BE(this.#id6, at + 44);
    return 48;
  }
}

/** The checksum field of the whole: of ICMP in IPv4 without the pseudo-header (RFC 792), else with it. */
function wholeSum(head: IpHead, header: Buffer, payload: Uint8Array): number {
  const pseudo = head.protocol === Protocol.icmp ? 0 : head.addressSum + header.length + payload.length;
  const sum = finish(addBytes(addBytes(pseudo, header, 0, header.length), payload, 0, payload.length));
  // To UDP, a sum of 0 means that there is none (RFC 768).
  return sum === 0 && head.protocol === Protocol.udp ? 0xffff : sum;
}

function writeChecksum(header: Buffer, at: number, sum: number): void {
  header[at] = sum >>> 8;
  header[at + 1] = sum & 0xff;
}
