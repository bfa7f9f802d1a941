import { Checksum } from "../device.ts";

/** Protocol numbers (IANA). */
export const Protocol = { icmp: 1, tcp: 6, udp: 17, icmp6: 58 } as const;

/**
 * One IP packet whose headers have been read: where its parts stand in `bytes`. The stack has one, and fills it anew for each
 * packet, so that reading allocates nothing.
 */
export class IpPacket {
  bytes: Buffer = Buffer.alloc(0);
  version: 4 | 6 = 4;
  /** Offset of the IP header. */
  start = 0;
  /** Offset of the source address, which the destination follows. */
  addressesAt = 0;
  addressBytes: 4 | 16 = 4;
  /** Of the transport: what follows the IP header and the extension headers that were read. */
  protocol = 0;
  transportAt = 0;
  /** Offset behind the packet's last byte, by the header's own length. */
  end = 0;
  /** Time to live, or hop limit. */
  hopLimit = 0;
  /** One of `Checksum`, of the transport. */
  checksum: number = Checksum.unknown;
  /** Offset of the fragment header (IPv6), or of the IP header (IPv4), where the packet is a fragment; else -1. */
  fragmentAt = -1;
}
