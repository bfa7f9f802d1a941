import { type IpPacket, Protocol } from "../ip/packet.ts";

const FRAGMENT_HEADER = 44;

/**
 * Reads the headers of a TCP or UDP packet that was cut short, from `packet.start` to `packet.end`, as ICMP errors quote it:
 * lengths and sums are of the whole and say nothing.
 * @returns false unless the first 8 bytes of its transport are there.
 */
export function readQuoted(packet: IpPacket): boolean {
  const { bytes, start, end } = packet;
  packet.fragmentAt = -1;
  if (start + 20 > end) return false;
  switch (bytes[start]! >>> 4) {
    case 4:
      if ((bytes.readUInt16BE(start + 6) & 0x1fff) !== 0) return false;
      packet.version = 4;
      packet.addressesAt = start + 12;
      packet.addressBytes = 4;
      packet.protocol = bytes[start + 9]!;
      packet.transportAt = start + (bytes[start]! & 15) * 4;
      break;
    case 6:
      if (start + 48 > end) return false;
      packet.version = 6;
      packet.addressesAt = start + 8;
      packet.addressBytes = 16;
      packet.protocol = bytes[start + 6]!;
      packet.transportAt = start + 40;
      // The one extension header that we send.
      if (packet.protocol === FRAGMENT_HEADER) {
        if ((bytes.readUInt16BE(start + 42) & 0xfff8) !== 0) return false;
        packet.protocol = bytes[start + 40]!;
        packet.transportAt = start + 48;
      }
      break;
    default:
      return false;
  }
  const known = packet.protocol === Protocol.tcp || packet.protocol === Protocol.udp;
  return known && packet.transportAt >= start + 20 && packet.transportAt + 8 <= end;
}
