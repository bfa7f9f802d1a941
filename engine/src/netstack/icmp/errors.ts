import type { Refusal } from "../handler.ts";
import { ProblemCode } from "../ip/reader.ts";
import { IpHead, type IpOutput, MIN_MTU } from "../ip/output.ts";
import { IpPacket, Protocol } from "../ip/packet.ts";
import { RateLimit } from "./rate-limit.ts";

/** Types and codes of RFC 792, RFC 1812 §5.2.7.1 and RFC 4443. */
const Type4 = { unreachable: 3 } as const;
const Type6 = { unreachable: 1, parameterProblem: 4 } as const;

const CODE4: Record<Refusal | "protocol", number> = {
  refused: 3,
  unreachable: 1,
  prohibited: 13,
  protocol: 2,
};
const CODE6: Record<Refusal, number> = { refused: 4, unreachable: 3, prohibited: 1 };

/** An error message is at most as large as every link must carry (RFC 1812 §4.3.2.3, RFC 4443 §2.4 c). */
const MAX_MESSAGE_IPV4 = 576;

export interface IcmpErrorLimits {
  /** Error messages a second, and at once after a quiet time (RFC 4443 §2.4 f). */
  readonly perSecond: number;
  readonly burst: number;
}

export const ICMP_ERROR_LIMITS: IcmpErrorLimits = { perSecond: 1000, burst: 200 };

/**
 * Tells senders why their packets went nowhere, from the address that they were sent to. Nothing is said of an ICMP error, nor
 * of a fragment other than the first, and no more often than the limit allows (RFC 1122 §3.2.2, RFC 4443 §2.4 e, f). Groups
 * and addresses that no host has never come as far as here.
 */
export class IcmpErrors {
  readonly #output: IpOutput;
  readonly #rate: RateLimit;
  readonly #header = Buffer.alloc(8);
  sent = 0;
  /** Kept back by the limit. */
  suppressed = 0;

  constructor(output: IpOutput, limits: IcmpErrorLimits = ICMP_ERROR_LIMITS) {
    this.#output = output;
    this.#rate = new RateLimit(limits.perSecond, limits.burst);
  }

  /** Destination unreachable. The packet is quoted from where it is: it must not change before the device is flushed. */
  unreachable(offender: IpPacket, why: Refusal, now: number): void {
    const isIpv4 = offender.version === 4;
    this.#send(
      offender,
      isIpv4 ? [Type4.unreachable, CODE4[why], 0] : [Type6.unreachable, CODE6[why], 0],
      now,
    );
  }

  /**
   * Destination unreachable, for a packet that came a while ago.
   * @param offender from its IP header on, perhaps cut short. Its bytes must not change before the device is flushed.
   */
  unreachableOf(offender: Buffer, why: Refusal, now: number): void {
    const packet = new IpPacket();
    packet.bytes = offender;
    packet.end = offender.length;
    const isIpv4 = offender[0]! >>> 4 === 4;
    packet.version = isIpv4 ? 4 : 6;
    packet.addressesAt = isIpv4 ? 12 : 8;
    packet.addressBytes = isIpv4 ? 4 : 16;
    packet.transportAt = packet.end;
    this.unreachable(packet, why, now);
  }

  /** The transport is none that we know: protocol unreachable, or ICMPv6's unrecognized next header. */
  unknownProtocol(offender: IpPacket, protocolAt: number, now: number): void {
    if (offender.version === 6) this.problem(offender, ProblemCode.nextHeader, protocolAt, now);
    else this.#send(offender, [Type4.unreachable, CODE4.protocol, 0], now);
  }

  /** An ICMPv6 parameter problem (RFC 4443 §3.4). @param at offset of what is wrong, in the packet's bytes. */
  problem(offender: IpPacket, code: number, at: number, now: number): void {
    this.#send(offender, [Type6.parameterProblem, code, at - offender.start], now);
  }

  #send(offender: IpPacket, [type, code, rest]: readonly [number, number, number], now: number): void {
    if (!mayBeToldOf(offender)) return;
    if (!this.#rate.take(now)) {
      this.suppressed++;
      return;
    }
    const { bytes, start, end, addressesAt, addressBytes } = offender;
    const middle = addressesAt + addressBytes;
    const protocol = addressBytes === 4 ? Protocol.icmp : Protocol.icmp6;
    const mtu = addressBytes === 4 ? MAX_MESSAGE_IPV4 : MIN_MTU;
    const head = new IpHead(
      protocol,
      mtu,
      bytes.subarray(middle, middle + addressBytes),
      bytes.subarray(addressesAt, middle),
    );
    const header = this.#header;
    header[0] = type;
    header[1] = code;
    header[2] = header[3] = 0;
    header.writeUInt32BE(rest, 4);
    const quoted = Math.min(end - start, mtu - head.bytes.length - header.length);
    this.#output.send(head, header, 2, bytes.subarray(start, start + quoted));
    this.sent++;
  }
}

function mayBeToldOf(offender: IpPacket): boolean {
  const { bytes, version, fragmentAt, protocol, transportAt } = offender;
  if (fragmentAt !== -1) {
    const offset =
      version === 4
        ? bytes.readUInt16BE(fragmentAt + 6) & 0x1fff
        : bytes.readUInt16BE(fragmentAt + 2) & 0xfff8;
    if (offset !== 0) return false;
  }
  if (transportAt >= offender.end) return true;
  const type = bytes[transportAt]!;
  if (version === 4 && protocol === Protocol.icmp) return type === 8;
  return version === 4 || protocol !== Protocol.icmp6 || type >= 128;
}
