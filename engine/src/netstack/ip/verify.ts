import { Checksum } from "../device.ts";
import { addBytes, fold, pseudoHeaderSum } from "./checksum.ts";
import { type IpPacket, Protocol } from "./packet.ts";

/**
 * True when the transport's checksum is right, by the device's word or by our own sum.
 * @param length the bytes that it covers, from the transport's header on.
 */
export function sumIsRight(packet: IpPacket, length: number): boolean {
  if (packet.checksum !== Checksum.unknown) return packet.checksum === Checksum.good;
  const { bytes, addressesAt, addressBytes, protocol, transportAt } = packet;
  // ICMP of IPv4 alone counts no pseudo-header (RFC 792).
  const pseudo =
    protocol === Protocol.icmp ? 0 : pseudoHeaderSum(bytes, addressesAt, addressBytes, { protocol, length });
  return fold(addBytes(pseudo, bytes, transportAt, transportAt + length)) === 0xffff;
}
