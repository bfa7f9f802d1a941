import { Checksum } from "../device.ts";
import { addressBytesOf } from "./addresses.ts";
import { IpPacket } from "./packet.ts";

/*
 * Packets for tests, built plainly and apart from the code under test: sums are added word by word, headers written field by
 * field.
 */

export interface SampleHeader {
  readonly source: string;
  readonly target: string;
  readonly protocol: number;
  readonly id?: number;
  /** In bytes. Together with `more` it makes the packet a fragment. */
  readonly offset?: number;
  readonly more?: boolean;
  /** IPv4 options, padded by the caller to a multiple of 4. */
  readonly options?: Buffer;
}

export function ipv4(header: SampleHeader, payload: Buffer): Buffer {
  const options = header.options ?? Buffer.alloc(0);
  const head = Buffer.concat([Buffer.alloc(20), options]);
  head[0] = 0x40 | (head.length / 4);
  head.writeUInt16BE((head.length + payload.length) & 0xffff, 2);
  head.writeUInt16BE(header.id ?? 7, 4);
  head.writeUInt16BE((header.more === true ? 0x2000 : 0) | ((header.offset ?? 0) >> 3), 6);
  head[8] = 64;
  head[9] = header.protocol;
  head.set(addressBytesOf(header.source)!, 12);
  head.set(addressBytesOf(header.target)!, 16);
  head.writeUInt16BE(internetSum([head]), 10);
  return Buffer.concat([head, payload]);
}

/** `payload` may begin with extension headers, which `protocol` then names. */
export function ipv6(header: SampleHeader, payload: Buffer): Buffer {
  const isFragment = header.offset !== undefined || header.more !== undefined;
  const fragment = Buffer.alloc(isFragment ? 8 : 0);
  if (isFragment) {
    fragment[0] = header.protocol;
    fragment.writeUInt16BE((header.offset ?? 0) | (header.more === true ? 1 : 0), 2);
    fragment.writeUInt32BE(header.id ?? 7, 4);
  }
  const head = Buffer.alloc(40);
  head[0] = 0x60;
  head.writeUInt16BE(fragment.length + payload.length, 4);
  head[6] = isFragment ? 44 : header.protocol;
  head[7] = 64;
  head.set(addressBytesOf(header.source)!, 8);
  head.set(addressBytesOf(header.target)!, 24);
  return Buffer.concat([head, fragment, payload]);
}

export function ip(header: SampleHeader, payload: Buffer): Buffer {
  return header.source.includes(":") ? ipv6(header, payload) : ipv4(header, payload);
}

export interface SampleFlow {
  readonly source: string;
  readonly sourcePort: number;
  readonly target: string;
  readonly targetPort: number;
}

/** A UDP datagram with its header, its sum complete. */
export function udpDatagram(flow: SampleFlow, payload: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(flow.sourcePort, 0);
  head.writeUInt16BE(flow.targetPort, 2);
  head.writeUInt16BE(8 + payload.length, 4);
  const pseudo = pseudoHeader(flow, 17, 8 + payload.length);
  head.writeUInt16BE(internetSum([pseudo, head, payload]) || 0xffff, 6);
  return Buffer.concat([head, payload]);
}

export function udp(flow: SampleFlow, payload: Buffer | string = "hello"): Buffer {
  return ip({ ...flow, protocol: 17 }, udpDatagram(flow, Buffer.from(payload)));
}

/** An ICMP message of the family of `source`: 8 bytes of header, of which the last 4 are `rest`, then the payload. */
export function icmp(
  way: { readonly source: string; readonly target: string },
  [type, code, rest]: readonly [number, number, number],
  payload: Buffer,
): Buffer {
  const isIpv6 = way.source.includes(":");
  const message = Buffer.concat([Buffer.of(type, code, 0, 0, 0, 0, 0, 0), payload]);
  message.writeUInt32BE(rest, 4);
  const pseudo = isIpv6 ? pseudoHeader(way, 58, message.length) : Buffer.alloc(0);
  message.writeUInt16BE(internetSum([pseudo, message]), 2);
  return ip({ ...way, protocol: isIpv6 ? 58 : 1 }, message);
}

export function pseudoHeader(
  way: { readonly source: string; readonly target: string },
  protocol: number,
  length: number,
): Buffer {
  const rest = Buffer.alloc(8);
  rest.writeUInt32BE(length, 0);
  rest.writeUInt32BE(protocol, 4);
  return Buffer.concat([addressBytesOf(way.source)!, addressBytesOf(way.target)!, rest]);
}

/** RFC 1071, one word after the other; each part but the last must be of even length. */
export function internetSum(parts: readonly Buffer[]): number {
  const all = Buffer.concat([...parts, Buffer.alloc(1)]);
  let sum = 0;
  for (let at = 0; at + 1 < all.length; at += 2) {
    sum += all.readUInt16BE(at);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum ^ 0xffff;
}

/** The packet as the stack is given it, before its headers are read. */
export function packetOf(bytes: Buffer, checksum: number = Checksum.unknown): IpPacket {
  const packet = new IpPacket();
  packet.bytes = bytes;
  packet.end = bytes.length;
  packet.checksum = checksum;
  return packet;
}
