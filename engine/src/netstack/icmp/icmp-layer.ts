import { IpPacket } from "../ip/packet.ts";
import { sumIsRight } from "../ip/verify.ts";
import type { EchoReplies } from "./echo.ts";
import { readQuoted } from "./quoted.ts";

/** What an ICMP error, come from outside, says of a packet of ours. */
export interface IcmpListener {
  /** Nobody listens where the packet went. */
  portUnreachable(quoted: IpPacket): void;
  /** Packets of more than `mtu` bytes do not pass on the packet's way. */
  packetTooBig(quoted: IpPacket, mtu: number): void;
}

const Type4 = { unreachable: 3, echo: 8 } as const;
const Type6 = { unreachable: 1, packetTooBig: 2, echo: 128 } as const;
const PORT_UNREACHABLE_4 = 3;
const FRAGMENTATION_NEEDED = 4;
const PORT_UNREACHABLE_6 = 4;

/** ICMP (RFC 792) and ICMPv6 (RFC 4443) as they come in: echo requests, and errors about what we sent. */
export class IcmpLayer {
  readonly #echo: EchoReplies;
  readonly #listener: IcmpListener;
  readonly #quoted = new IpPacket();
  /** Messages that were malformed. */
  dropped = 0;

  constructor(echo: EchoReplies, listener: IcmpListener) {
    this.#echo = echo;
    this.#listener = listener;
  }

  /** @param packet a whole one, of the ICMP that goes with its version. */
  arrive(packet: IpPacket, now: number): void {
    const { bytes, transportAt, end } = packet;
    if (end - transportAt < 8 || !sumIsRight(packet, end - transportAt)) {
      this.dropped++;
      return;
    }
    const type = bytes[transportAt]!;
    const code = bytes[transportAt + 1]!;
    if (packet.version === 4) {
      if (type === Type4.echo && code === 0) this.#echo.request(packet, now);
      else if (type === Type4.unreachable) this.#unreachable4(packet, code);
    } else if (type === Type6.echo && code === 0) this.#echo.request(packet, now);
    else if (type === Type6.packetTooBig) {
      if (this.#readQuoted(packet))
        this.#listener.packetTooBig(this.#quoted, bytes.readUInt32BE(transportAt + 4));
    } else if (type === Type6.unreachable && code === PORT_UNREACHABLE_6 && this.#readQuoted(packet)) {
      this.#listener.portUnreachable(this.#quoted);
    }
  }

  #unreachable4(packet: IpPacket, code: number): void {
    if (code !== PORT_UNREACHABLE_4 && code !== FRAGMENTATION_NEEDED) return;
    if (!this.#readQuoted(packet)) return;
    if (code === PORT_UNREACHABLE_4) {
      this.#listener.portUnreachable(this.#quoted);
      return;
    }
    // 0: a router from before RFC 1191, which does not say.
    const mtu = packet.bytes.readUInt16BE(packet.transportAt + 6);
    if (mtu > 0) this.#listener.packetTooBig(this.#quoted, mtu);
  }

  /** Reads the packet that an error quotes, at least to the first 8 bytes of its transport. */
  #readQuoted({ bytes, version, transportAt, end }: IpPacket): boolean {
    const quoted = this.#quoted;
    quoted.bytes = bytes;
    quoted.start = transportAt + 8;
    quoted.end = end;
    return readQuoted(quoted) && quoted.version === version;
  }
}
