import assert from "node:assert/strict";
import { isIPv6 } from "node:net";
import { IpPacket } from "../ip/packet.ts";
import { Checksum } from "../device.ts";

/*
 * TCP segments for tests, read and written plainly and apart from the stack's own code, so that one checks the other.
 */

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;
export const URG = 32;

export interface Wire {
  source: string;
  sourcePort: number;
  target: string;
  targetPort: number;
  seq: number;
  ack: number;
  flags: number;
  window: number;
  mss?: number | undefined;
  windowScale?: number | undefined;
  sackPermitted?: boolean | undefined;
  timestamps?: readonly [number, number] | undefined;
  sacks?: readonly (readonly [number, number])[] | undefined;
  payload: Buffer;
}

/** The whole packet, with right checksums. */
export function encode(wire: Wire): Buffer {
  const options: number[] = [];
  if (wire.mss !== undefined) options.push(2, 4, wire.mss >> 8, wire.mss & 255);
  if (wire.windowScale !== undefined) options.push(1, 3, 3, wire.windowScale);
  if (wire.sackPermitted) options.push(1, 1, 4, 2);
  if (wire.timestamps)
    options.push(1, 1, 8, 10, ...bytes32(wire.timestamps[0]), ...bytes32(wire.timestamps[1]));
  if (wire.sacks?.length) {
    options.push(1, 1, 5, 2 + 8 * wire.sacks.length);
    for (const [start, end] of wire.sacks) options.push(...bytes32(start), ...bytes32(end));
  }
  const tcp = Buffer.concat([Buffer.alloc(20), Buffer.from(options), wire.payload]);
  tcp.writeUInt16BE(wire.sourcePort, 0);
  tcp.writeUInt16BE(wire.targetPort, 2);
  tcp.writeUInt32BE(wire.seq >>> 0, 4);
  tcp.writeUInt32BE(wire.ack >>> 0, 8);
  tcp.writeUInt8((20 + options.length) << 2, 12);
  tcp.writeUInt8(wire.flags, 13);
  tcp.writeUInt16BE(wire.window, 14);
  const addresses = Buffer.concat([addressBytes(wire.source), addressBytes(wire.target)]);
  tcp.writeUInt16BE(0xffff - sum(pseudo(addresses, tcp.length), tcp), 16);
  if (addresses.length === 32) {
    const ip = Buffer.alloc(8);
    ip.writeUInt8(0x60, 0);
    ip.writeUInt16BE(tcp.length, 4);
    ip.writeUInt8(6, 6);
    ip.writeUInt8(64, 7);
    return Buffer.concat([ip, addresses, tcp]);
  }
  const ip = Buffer.concat([Buffer.alloc(12), addresses]);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(20 + tcp.length, 2);
  ip.writeUInt8(64, 8);
  ip.writeUInt8(6, 9);
  ip.writeUInt16BE(0xffff - sum(ip), 10);
  return Buffer.concat([ip, tcp]);
}

/** @returns undefined where a checksum is wrong. Fails where a packet that has right checksums is no good TCP packet. */
export function decode(packet: Buffer): Wire | undefined {
  const v4 = packet[0]! >> 4 === 4;
  const at = v4 ? 20 : 40;
  if (packet.length < at + 20) return undefined;
  const addresses = v4 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  const tcp = packet.subarray(at);
  if (sum(pseudo(addresses, tcp.length), tcp) !== 0xffff) return undefined;
  if (v4 && sum(packet.subarray(0, 20)) !== 0xffff) return undefined;
  assert.equal(v4 ? packet.readUInt16BE(2) : packet.readUInt16BE(4) + 40, packet.length);
  assert.equal(packet[v4 ? 9 : 6], 6);
  const half = addresses.length / 2;
  const dataAt = (tcp[12]! >> 4) * 4;
  assert.ok(dataAt >= 20 && dataAt <= tcp.length);
  const wire: Wire = {
    source: addressText(addresses.subarray(0, half)),
    target: addressText(addresses.subarray(half)),
    sourcePort: tcp.readUInt16BE(0),
    targetPort: tcp.readUInt16BE(2),
    seq: tcp.readUInt32BE(4),
    ack: tcp.readUInt32BE(8),
    flags: tcp[13]!,
    window: tcp.readUInt16BE(14),
    payload: Buffer.from(tcp.subarray(dataAt)),
  };
  for (let i = 20; i < dataAt;) {
    const kind = tcp[i]!;
    if (kind === 0) break;
    if (kind === 1) {
      i++;
      continue;
    }
    const length = tcp[i + 1]!;
    assert.ok(length >= 2 && i + length <= dataAt, "an option of a wrong length");
    if (kind === 2) wire.mss = tcp.readUInt16BE(i + 2);
    if (kind === 3) wire.windowScale = tcp[i + 2]!;
    if (kind === 4) wire.sackPermitted = true;
    if (kind === 8) wire.timestamps = [tcp.readUInt32BE(i + 2), tcp.readUInt32BE(i + 6)];
    if (kind === 5) {
      wire.sacks = Array.from({ length: (length - 2) / 8 }, (_, n) => [
        tcp.readUInt32BE(i + 2 + 8 * n),
        tcp.readUInt32BE(i + 6 + 8 * n),
      ]);
    }
    i += length;
  }
  return wire;
}

/** What the IP layer makes of a packet without extension headers. */
export function asIpPacket(bytes: Buffer, checksum: number = Checksum.unknown): IpPacket {
  const packet = new IpPacket();
  const v4 = bytes[0]! >> 4 === 4;
  packet.bytes = bytes;
  packet.version = v4 ? 4 : 6;
  packet.addressesAt = v4 ? 12 : 8;
  packet.addressBytes = v4 ? 4 : 16;
  packet.protocol = 6;
  packet.transportAt = v4 ? 20 : 40;
  packet.end = bytes.length;
  packet.hopLimit = 64;
  packet.checksum = checksum;
  return packet;
}

function bytes32(value: number): number[] {
  return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function pseudo(addresses: Buffer, length: number): Buffer {
  const rest = Buffer.from([0, 6, 0, 0]);
  rest.writeUInt16BE(length, 2);
  return Buffer.concat([addresses, rest]);
}

function sum(...parts: Buffer[]): number {
  let total = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) total += i % 2 === 0 ? part[i]! << 8 : part[i]!;
  }
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return total;
}

const known = new Map<string, Buffer>();

function addressBytes(text: string): Buffer {
  let bytes = known.get(text);
  if (!bytes) known.set(text, (bytes = parseAddress(text)));
  return bytes;
}

function parseAddress(text: string): Buffer {
  if (!isIPv6(text)) return Buffer.from(text.split(".").map(Number));
  const [head, tail] = text.split("::");
  const groups = (part: string | undefined): string[] => (part ? part.split(":") : []);
  const before = groups(head);
  const after = groups(tail);
  const zeros = new Array<string>(8 - before.length - after.length).fill("0");
  return Buffer.from([...before, ...zeros, ...after].map((group) => group.padStart(4, "0")).join(""), "hex");
}

/** IPv6 addresses of tests are written with one `::` behind their first groups. */
function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return [...bytes].join(".");
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  return groups.join(":").replace(/:0(:0)+:/, "::");
}
