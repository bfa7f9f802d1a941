import { AddressKind, kindOfIpv4, kindOfIpv6 } from "./addresses.ts";
import { addBytes, fold } from "./checksum.ts";
import { type IpPacket, Protocol } from "./packet.ts";

/** What became of a packet's headers. */
export const Reading = {
  /** The packet describes it: a whole one, or a fragment. */
  ok: 0,
  /** Not an IP packet, or one whose lengths or sum contradict it. */
  malformed: 1,
  /** From or to an address that no host has, or to its own source. */
  martian: 2,
  /** To a group: nothing that we carry. */
  multicast: 3,
  /** Sound, and to be dropped in silence, as its sender asked. */
  discarded: 4,
  /** To be answered by an ICMPv6 parameter problem: see IpReader.problemCode. */
  problem: 5,
} as const;

/** ICMPv6 parameter problems (RFC 4443 §3.4). */
export const ProblemCode = { field: 0, nextHeader: 1, option: 2 } as const;

/** Extension headers in one packet, and their bytes in all (RFC 8504 §5.3 asks for a limit, and leaves it open). */
const MAX_EXTENSION_HEADERS = 8;
const MAX_EXTENSION_BYTES = 1024;

const NextHeader = { hopByHop: 0, routing: 43, fragment: 44, none: 59, destination: 60 } as const;

const FIXED_IPV6_HEADER = 40;

/** Reads IPv4 (RFC 791, RFC 1122 §3.2.1) and IPv6 headers (RFC 8200) up to the transport's. */
export class IpReader {
  /** After Reading.problem: one of ProblemCode, and the offset in the packet's bytes of what is not understood. */
  problemCode = 0;
  problemAt = 0;
  /** After Reading.ok: the offset in the packet's bytes of the field that names the transport. */
  protocolAt = 0;

  /**
   * Reads the headers of the packet that stands in `packet.bytes` from `packet.start` to `packet.end`, and fills in the rest of
   * `packet`; `end` shrinks to the header's own length. The transport's checksum is not looked at.
   * @returns one of Reading. Unless it is ok or problem, the other fields mean nothing.
   */
  read(packet: IpPacket): number {
    const length = packet.end - packet.start;
    if (packet.start < 0 || packet.end > packet.bytes.length || length < 20) return Reading.malformed;
    packet.fragmentAt = -1;
    // Until the walk has come to a transport, there is none.
    packet.transportAt = packet.end;
    switch (packet.bytes[packet.start]! >>> 4) {
      case 4:
        return this.#readIpv4(packet, length);
      case 6:
        return length < FIXED_IPV6_HEADER ? Reading.malformed : this.#readIpv6(packet, length);
      default:
        return Reading.malformed;
    }
  }

  #readIpv4(packet: IpPacket, length: number): number {
    const { bytes, start } = packet;
    const headerLength = (bytes[start]! & 15) * 4;
    const totalLength = (bytes[start + 2]! << 8) | bytes[start + 3]!;
    if (headerLength < 20 || totalLength < headerLength || totalLength > length) return Reading.malformed;
    if (fold(addBytes(0, bytes, start, start + headerLength)) !== 0xffff) return Reading.malformed;
    packet.version = 4;
    packet.addressesAt = start + 12;
    packet.addressBytes = 4;
    const source = kindOfIpv4(bytes, start + 12);
    const target = kindOfIpv4(bytes, start + 16);
    const judged = judgeAddresses(source, target, sameBytes(bytes, start + 12, 4));
    if (judged !== Reading.ok) return judged;
    packet.hopLimit = bytes[start + 8]!;
    packet.protocol = bytes[start + 9]!;
    this.protocolAt = start + 9;
    packet.transportAt = start + headerLength;
    packet.end = start + totalLength;
    const fragment = (bytes[start + 6]! << 8) | bytes[start + 7]!;
    if ((fragment & 0x3fff) !== 0) packet.fragmentAt = start;
    return Reading.ok;
  }

  #readIpv6(packet: IpPacket, length: number): number {
    const { bytes, start } = packet;
    const payloadLength = (bytes[start + 4]! << 8) | bytes[start + 5]!;
    if (FIXED_IPV6_HEADER + payloadLength > length) return Reading.malformed;
    packet.version = 6;
    packet.addressesAt = start + 8;
    packet.addressBytes = 16;
    const source = kindOfIpv6(bytes, start + 8);
    const target = kindOfIpv6(bytes, start + 24);
    const judged = judgeAddresses(source, target, sameBytes(bytes, start + 8, 16));
    if (judged !== Reading.ok) return judged;
    packet.hopLimit = bytes[start + 7]!;
    packet.end = start + FIXED_IPV6_HEADER + payloadLength;
    return this.#walkExtensions(packet);
  }

  /** RFC 8200 §4. Behind a first fragment's header the walk goes on, since the whole chain must be in it (RFC 7112). */
  #walkExtensions(packet: IpPacket): number {
    const { bytes, start, end } = packet;
    let next = bytes[start + 6]!;
    let nextAt = start + 6;
    let at = start + FIXED_IPV6_HEADER;
    let fragmented = false;
    for (let headers = 0; isExtension(next); headers++) {
      if (at + 8 > end || headers >= MAX_EXTENSION_HEADERS) return Reading.malformed;
      let size = 8;
      if (next === NextHeader.fragment) {
        if (fragmented) return Reading.malformed;
        fragmented = true;
        const offsetAndMore = ((bytes[at + 2]! << 8) | bytes[at + 3]!) & 0xfff9;
        // A fragment that is the whole packet is just a packet (RFC 6946).
        if (offsetAndMore !== 0) {
          packet.fragmentAt = at;
          packet.protocol = bytes[at]!;
          packet.transportAt = at + 8;
        }
        if (offsetAndMore > 7) return Reading.ok;
      } else {
        size = (bytes[at + 1]! + 1) * 8;
        if (at + size > end || at + size - start > MAX_EXTENSION_BYTES) return Reading.malformed;
        // Hop-by-hop options stand first or not at all.
        if (next === NextHeader.hopByHop && headers > 0) return this.#problem(ProblemCode.nextHeader, nextAt);
        const judged =
          next === NextHeader.routing
            ? this.#judgeRouting(bytes, at)
            : this.#judgeOptions(bytes, at + 2, at + size);
        if (judged !== Reading.ok) return judged;
      }
      next = bytes[at]!;
      nextAt = at;
      at += size;
    }
    if (next === NextHeader.none) return Reading.discarded;
    if (packet.fragmentAt !== -1) {
      return at + smallestTransport(next) > end ? Reading.malformed : Reading.ok;
    }
    packet.protocol = next;
    this.protocolAt = nextAt;
    packet.transportAt = at;
    return Reading.ok;
  }

  /** No routing header is ours to follow (RFC 5095): one that has been followed to its end is skipped. */
  #judgeRouting(bytes: Buffer, at: number): number {
    return bytes[at + 3] === 0 ? Reading.ok : this.#problem(ProblemCode.field, at + 2);
  }

  /** Options unknown to us are skipped or not as their type says (RFC 8200 §4.2). */
  #judgeOptions(bytes: Buffer, from: number, to: number): number {
    let at = from;
    while (at < to) {
      const type = bytes[at]!;
      if (type === 0) {
        at++;
        continue;
      }
      if (at + 2 > to || at + 2 + bytes[at + 1]! > to) return Reading.malformed;
      if (type >= 0x80) return this.#problem(ProblemCode.option, at);
      if (type >= 0x40) return Reading.discarded;
      at += 2 + bytes[at + 1]!;
    }
    return Reading.ok;
  }

  #problem(code: number, at: number): number {
    this.problemCode = code;
    this.problemAt = at;
    return Reading.problem;
  }
}

function judgeAddresses(source: number, target: number, same: boolean): number {
  if (source !== AddressKind.unicast || target === AddressKind.martian || same) return Reading.martian;
  return target === AddressKind.multicast ? Reading.multicast : Reading.ok;
}

/** True when the `size` bytes at `at` are equal to those that follow them. */
function sameBytes(bytes: Buffer, at: number, size: number): boolean {
  for (let i = 0; i < size; i++) if (bytes[at + i] !== bytes[at + size + i]) return false;
  return true;
}

function isExtension(header: number): boolean {
  return (
    header === NextHeader.hopByHop ||
    header === NextHeader.routing ||
    header === NextHeader.fragment ||
    header === NextHeader.destination
  );
}

/** Bytes of the smallest header of a transport. */
function smallestTransport(protocol: number): number {
  if (protocol === Protocol.tcp) return 20;
  return protocol === Protocol.udp || protocol === Protocol.icmp6 ? 8 : 0;
}
