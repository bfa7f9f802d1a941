/*
 * Packets made and read by hand, and a TCP peer that knows just enough to talk with the kernel over a link that loses nothing:
 * what tests of a packet device put above it, in the place of a stack.
 */
import { isIPv4 } from "node:net";
import { addBytes, finish, pseudoHeaderSum } from "@sockeye/engine/netstack/ip/checksum";
import type { PacketBurst, PacketWriter } from "@sockeye/engine/netstack/device";

export const TCP = 6;
export const UDP = 17;
export const FLAGS = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const;

export interface Party {
  readonly address: string;
  readonly port: number;
}

/** A packet that came, its bytes copied. */
export interface RawPacket {
  readonly version: 4 | 6;
  readonly protocol: number;
  readonly from: Party;
  readonly to: Party;
  readonly checksum: number;
  readonly bytes: Buffer;
  readonly transport: Buffer;
}

/** The packets of a burst that are whole TCP, UDP or ICMP packets of either version. */
export function readBurst(burst: PacketBurst): RawPacket[] {
  return Array.from({ length: burst.count }, (_, i) => {
    const start = burst.starts[i]!;
    const bytes = Buffer.from(burst.bytes.subarray(start, start + burst.lengths[i]!));
    const version = bytes[0]! >> 4 === 4 ? 4 : 6;
    const protocol = version === 4 ? bytes[9]! : bytes[6]!;
    const transport = bytes.subarray(version === 4 ? (bytes[0]! & 15) * 4 : 40);
    const [addressesAt, addressBytes] = version === 4 ? [12, 4] : [8, 16];
    const address = (at: number) => formatAddress(bytes.subarray(at, at + addressBytes));
    const hasPorts = protocol === TCP || protocol === UDP;
    return {
      version,
      protocol,
      from: { address: address(addressesAt), port: hasPorts ? transport.readUInt16BE(0) : 0 },
      to: { address: address(addressesAt + addressBytes), port: hasPorts ? transport.readUInt16BE(2) : 0 },
      checksum: burst.checksums[i]!,
      bytes,
      transport,
    };
  });
}

function formatAddress(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  return groups.join(":");
}

/** The bytes of an address; of IPv6 the full form, or one `::`. */
export function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split(".").map(Number));
  const [left = "", right] = address.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const head = groups(left);
  const tail = right === undefined ? [] : groups(right);
  const all = [...head, ...Array<string>(8 - head.length - tail.length).fill("0"), ...tail];
  const bytes = Buffer.alloc(16);
  all.forEach((group, i) => bytes.writeUInt16BE(parseInt(group, 16), 2 * i));
  return bytes;
}

let identification = 0;

/** Writes an IP header at `at`. @returns where the transport begins, and the sum of its pseudo-header. */
export function putIpHeader(
  heads: Buffer,
  at: number,
  { from, to }: { readonly from: string; readonly to: string },
  { protocol, length }: { readonly protocol: number; readonly length: number },
): { readonly transportAt: number; readonly sum: number } {
  const addresses = Buffer.concat([addressBytes(from), addressBytes(to)]);
  const addressLength = addresses.length === 8 ? 4 : 16;
  const sum = pseudoHeaderSum(addresses, 0, addressLength, { protocol, length });
  if (addressLength === 4) {
    heads.fill(0, at, at + 20);
    heads[at] = 0x45;
    heads.writeUInt16BE(20 + length, at + 2);
    heads.writeUInt16BE((identification = (identification + 1) & 0xffff), at + 4);
    heads[at + 8] = 64;
    heads[at + 9] = protocol;
    addresses.copy(heads, at + 12);
    heads.writeUInt16BE(finish(addBytes(0, heads, at, at + 20)), at + 10);
    return { transportAt: 20, sum };
  }
  heads.fill(0, at, at + 8);
  heads[at] = 0x60;
  heads.writeUInt16BE(length, at + 4);
  heads[at + 6] = protocol;
  heads[at + 7] = 64;
  addresses.copy(heads, at + 8);
  return { transportAt: 40, sum };
}

/**
 * Queues a UDP datagram.
 * @param pieces the payload, in any parts.
 * @param complete computes the checksum here, and leaves nothing to the device.
 */
export function sendUdp(
  device: PacketWriter,
  [from, to]: readonly [Party, Party],
  pieces: readonly Uint8Array[],
  complete = false,
): void {
  const length = 8 + pieces.reduce((sum, piece) => sum + piece.length, 0);
  const at = device.begin();
  const { heads } = device;
  const { transportAt, sum } = putIpHeader(
    heads,
    at,
    { from: from.address, to: to.address },
    { protocol: UDP, length },
  );
  const udp = at + transportAt;
  heads.writeUInt16BE(from.port, udp);
  heads.writeUInt16BE(to.port, udp + 2);
  heads.writeUInt16BE(length, udp + 4);
  heads.writeUInt16BE(complete ? 0 : fold(sum), udp + 6);
  if (complete) {
    const body = Buffer.concat([heads.subarray(udp, udp + 8), ...pieces]);
    heads.writeUInt16BE(finish(addBytes(sum, body, 0, body.length)) || 0xffff, udp + 6);
  }
  for (const piece of pieces) device.piece(piece, 0, piece.length);
  device.end(transportAt + 8, transportAt, complete ? -1 : 6, 0);
}

function fold(sum: number): number {
  return ~finish(sum) & 0xffff;
}

/** How much payload one packet carries where the device cuts it. */
const SUPER_PACKET = 60_000;
/** A window of 256 KB: fewer packets than the device's queue holds. */
const MY_WINDOW_SCALE = 2;

/** The far end of one TCP connection that the kernel opens through the device. It acknowledges all that comes in order. */
export class RawTcp {
  readonly #device: PacketWriter;
  readonly #mss: number;
  #ends: readonly [Party, Party] | undefined;
  #next = 0;
  #expected = 0;
  #acknowledged = 0;
  #window = 0;
  #windowScale = 0;
  #waiting: Buffer = Buffer.alloc(0);
  #finished = false;
  /** What came, in order. */
  readonly received: Buffer[] = [];
  /** The largest packet that came. */
  largest = 0;
  /** Segments that did not come in their turn. */
  astray = 0;

  constructor(device: PacketWriter, mss: number) {
    this.#device = device;
    this.#mss = mss;
  }

  /** Queues bytes to be sent as the peer's window allows. @param finish whether FIN follows them. */
  send(bytes: Buffer, finish = false): void {
    this.#waiting = bytes;
    this.#finished = finish;
    this.#pump();
  }

  take(packet: RawPacket): void {
    const tcp = packet.transport;
    const flags = tcp[13]!;
    const sequence = tcp.readUInt32BE(4);
    const payload = tcp.subarray((tcp[12]! >> 4) * 4);
    if (flags & FLAGS.syn) {
      this.#ends = [packet.to, packet.from];
      this.#windowScale = windowScaleOf(tcp);
      this.#window = tcp.readUInt16BE(14);
      this.#expected = (sequence + 1) >>> 0;
      this.#next = this.#acknowledged = 1000;
      this.#put(FLAGS.syn | FLAGS.ack, undefined);
      this.#next += 1;
      this.#acknowledged += 1;
      return;
    }
    // A connection of an earlier device may still repeat its FIN.
    if (packet.from.port !== this.#ends?.[1].port || flags & FLAGS.rst) return;
    this.largest = Math.max(this.largest, packet.bytes.length);
    this.#window = tcp.readUInt16BE(14) << this.#windowScale;
    this.#acknowledged = tcp.readUInt32BE(8);
    if (payload.length > 0 || flags & FLAGS.fin) {
      if (sequence === this.#expected) {
        this.#expected = (this.#expected + payload.length + (flags & FLAGS.fin ? 1 : 0)) >>> 0;
        if (payload.length > 0) this.received.push(payload);
      } else this.astray++;
      this.#put(FLAGS.ack, undefined);
    }
    this.#pump();
  }

  #pump(): void {
    if (this.#ends === undefined) return;
    while (this.#waiting.length > 0) {
      const room = this.#window - (this.#next - this.#acknowledged);
      const bytes = Math.min(SUPER_PACKET, this.#waiting.length, room);
      if (bytes <= 0) break;
      this.#put(FLAGS.ack | FLAGS.psh, this.#waiting.subarray(0, bytes));
      this.#next += bytes;
      this.#waiting = this.#waiting.subarray(bytes);
    }
    if (this.#finished && this.#waiting.length === 0) {
      this.#finished = false;
      this.#put(FLAGS.ack | FLAGS.fin, undefined);
      this.#next += 1;
    }
    this.#device.flush();
  }

  #put(flags: number, payload: Buffer | undefined): void {
    const { heads } = this.#device;
    const [from, to] = this.#ends!;
    const optionBytes = flags & FLAGS.syn ? 8 : 0;
    const headLength = 20 + optionBytes;
    const at = this.#device.begin();
    const { transportAt, sum } = putIpHeader(
      heads,
      at,
      { from: from.address, to: to.address },
      { protocol: TCP, length: headLength + (payload?.length ?? 0) },
    );
    const tcp = at + transportAt;
    heads.fill(0, tcp, tcp + headLength);
    heads.writeUInt16BE(from.port, tcp);
    heads.writeUInt16BE(to.port, tcp + 2);
    heads.writeUInt32BE(this.#next, tcp + 4);
    heads.writeUInt32BE(this.#expected, tcp + 8);
    heads[tcp + 12] = (headLength / 4) << 4;
    heads[tcp + 13] = flags;
    heads.writeUInt16BE(0xffff, tcp + 14);
    heads.writeUInt16BE(fold(sum), tcp + 16);
    if (optionBytes > 0) {
      heads.writeUInt32BE(0x02040000 | this.#mss, tcp + 20);
      heads.writeUInt32BE(0x01030300 | MY_WINDOW_SCALE, tcp + 24);
    }
    // In three parts, of which two are odd.
    if (payload) {
      this.#device.piece(payload, 0, 1);
      this.#device.piece(payload, 1, Math.min(1000, payload.length));
      this.#device.piece(payload, Math.min(1000, payload.length), payload.length);
    }
    this.#device.end(transportAt + headLength, transportAt, 16, payload ? this.#mss : 0);
    this.#device.flush();
  }
}

function windowScaleOf(tcp: Buffer): number {
  for (let at = 20; at < (tcp[12]! >> 4) * 4;) {
    const kind = tcp[at]!;
    if (kind === 0) break;
    if (kind === 3) return tcp[at + 2]!;
    at += kind === 1 ? 1 : tcp[at + 1]!;
  }
  return 0;
}
