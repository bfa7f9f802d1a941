/**
 * What both sides of SOCKS5 share: constants, addresses and the UDP header (RFC 1928 §§4–7).
 * Bytes in, values out; nothing here does I/O.
 */
import { isUtf8 } from "node:buffer";

export const SOCKS_VERSION = 0x05;

/** RFC 1928 §3. */
export const Method = { none: 0x00, password: 0x02, unacceptable: 0xff } as const;

/** RFC 1928 §4. */
export const Command = { connect: 0x01, bind: 0x02, associate: 0x03 } as const;

/** RFC 1928 §6. */
export const Reply = {
  succeeded: 0x00,
  generalFailure: 0x01,
  notAllowed: 0x02,
  networkUnreachable: 0x03,
  hostUnreachable: 0x04,
  refused: 0x05,
  ttlExpired: 0x06,
  commandNotSupported: 0x07,
  addressTypeNotSupported: 0x08,
} as const;

/** A peer's bytes are not SOCKS, or ask for what is not offered. */
export class Socks5Error extends Error {
  override readonly name = "Socks5Error";
  readonly code:
    | "version"
    | "method"
    | "command"
    | "address-type"
    | "address"
    | "auth-version"
    | "reserved"
    | "fragment"
    | "truncated"
    | "too-long";
  constructor(code: Socks5Error["code"], message: string) {
    super(message);
    this.code = code;
  }
}

export interface SocksAddress {
  /** A name as sent, or an address in its usual text form (IPv6 by RFC 5952). */
  readonly host: string;
  readonly port: number;
}

const TYPE_IPV4 = 0x01;
const TYPE_NAME = 0x03;
const TYPE_IPV6 = 0x04;

/** The most bytes ATYP, address and port take: 1 + 1 + 255 + 2. */
export const MAX_ADDRESS_BYTES = 259;

/**
 * Reads ATYP, DST.ADDR and DST.PORT at `offset`.
 * @returns the address and the offset after it, or undefined when bytes are missing.
 * @throws {Socks5Error} `address-type` for an unknown ATYP; `address` for an empty name or one with control bytes.
 */
export function readAddress(
  bytes: Buffer,
  offset: number,
): { address: SocksAddress; end: number } | undefined {
  if (bytes.length <= offset) return undefined;
  const type = bytes[offset]!;
  switch (type) {
    case TYPE_IPV4: {
      const end = offset + 7;
      if (bytes.length < end) return undefined;
      const host = `${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}.${bytes[offset + 4]}`;
      return { address: { host, port: bytes.readUInt16BE(offset + 5) }, end };
    }
    case TYPE_IPV6: {
      const end = offset + 19;
      if (bytes.length < end) return undefined;
      return { address: { host: formatIPv6(bytes, offset + 1), port: bytes.readUInt16BE(offset + 17) }, end };
    }
    case TYPE_NAME: {
      if (bytes.length < offset + 2) return undefined;
      const length = bytes[offset + 1]!;
      const end = offset + 2 + length + 2;
      if (bytes.length < end) return undefined;
      const host = readName(bytes.subarray(offset + 2, offset + 2 + length));
      return { address: { host, port: bytes.readUInt16BE(end - 2) }, end };
    }
    default:
      throw new Socks5Error("address-type", `address type ${type} is none of SOCKS5's`);
  }
}

/**
 * A host name: ASCII as a rule, and UTF-8 where a client passes on what a person typed.
 * @throws {Socks5Error} `address` when it is empty, has control bytes or spaces, or is not UTF-8.
 */
export function readName(bytes: Buffer): string {
  const name = bytes.toString("utf8");
  if (name.length === 0) throw new Socks5Error("address", "the name is empty");
  if (/[\0-\x20\x7f]/.test(name)) throw new Socks5Error("address", "the name has control bytes or spaces");
  if (!isUtf8(bytes)) throw new Socks5Error("address", "the name is not UTF-8");
  return name;
}

/**
 * ATYP, address and port. What is not an IP address is written as a name.
 * @throws {Socks5Error} `too-long` for a name that is empty or has more than 255 bytes.
 */
export function writeAddress(address: SocksAddress): Buffer {
  const ipv4 = parseIPv4(address.host);
  if (ipv4 !== undefined) {
    const bytes = Buffer.allocUnsafe(7);
    bytes[0] = TYPE_IPV4;
    bytes.writeUInt32BE(ipv4, 1);
    bytes.writeUInt16BE(address.port, 5);
    return bytes;
  }
  const ipv6 = address.host.includes(":") ? parseIPv6(address.host) : undefined;
  if (ipv6) return Buffer.concat([Buffer.from([TYPE_IPV6]), ipv6, portBytes(address.port)]);
  const name = Buffer.from(address.host, "utf8");
  if (name.length > 255 || name.length === 0) {
    throw new Socks5Error("too-long", `a name in SOCKS5 has 1 to 255 bytes; this one has ${name.length}`);
  }
  return Buffer.concat([Buffer.from([TYPE_NAME, name.length]), name, portBytes(address.port)]);
}

/**
 * Reads a UDP request header (RFC 1928 §7).
 * @throws {Socks5Error} `truncated`, `reserved`, `fragment` (fragments are not supported, as §7 allows), and those of readAddress.
 */
export function readUdpHeader(datagram: Buffer): { address: SocksAddress; payload: Buffer } {
  if (datagram.length < 4) throw new Socks5Error("truncated", "the datagram ends in its header");
  if (datagram[0] !== 0 || datagram[1] !== 0)
    throw new Socks5Error("reserved", "the reserved bytes are not zero");
  if (datagram[2] !== 0) throw new Socks5Error("fragment", "fragments are not supported");
  const read = readAddress(datagram, 3);
  if (!read) throw new Socks5Error("truncated", "the datagram ends in its header");
  return { address: read.address, payload: datagram.subarray(read.end) };
}

/** The header that goes before a datagram's payload. */
export function writeUdpHeader(address: SocksAddress): Buffer {
  return Buffer.concat([Buffer.of(0, 0, 0), writeAddress(address)]);
}

function portBytes(port: number): Buffer {
  return Buffer.of(port >> 8, port & 0xff);
}

/** The 32 bits of four decimal numbers with dots. */
function parseIPv4(host: string): number | undefined {
  let bits = 0;
  let part = 0;
  let digits = 0;
  let dots = 0;
  for (let at = 0; at < host.length; at++) {
    const code = host.charCodeAt(at);
    if (code === DOT && digits > 0) {
      bits = bits * 256 + part;
      part = 0;
      digits = 0;
      dots++;
      continue;
    }
    const digit = code - ZERO;
    // A leading zero means octal to some resolvers: then it is left to them, as a name.
    if (digit < 0 || digit > 9 || (part === 0 && digits > 0)) return undefined;
    part = part * 10 + digit;
    digits++;
    if (part > 255) return undefined;
  }
  return dots === 3 && digits > 0 ? bits * 256 + part : undefined;
}

const DOT = 0x2e;
const ZERO = 0x30;

/** RFC 4291 §2.2, with the IPv4 tail of its form 3. */
function parseIPv6(host: string): Buffer | undefined {
  let text = host;
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (tail) {
    const ipv4 = parseIPv4(tail[2]!);
    if (ipv4 === undefined) return undefined;
    text = `${tail[1]}${(ipv4 >>> 16).toString(16)}:${(ipv4 & 0xffff).toString(16)}`;
  }
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const groupsOf = (part: string | undefined) => (part === undefined || part === "" ? [] : part.split(":"));
  const head = groupsOf(halves[0]);
  const rest = groupsOf(halves[1]);
  const missing = 8 - head.length - rest.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => "0"), ...rest];
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  const bytes = Buffer.alloc(16);
  groups.forEach((group, i) => bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2));
  return bytes;
}

/** RFC 5952 §4: lower case, no leading zeros, the longest run of two or more zero groups shortened. */
function formatIPv6(bytes: Buffer, offset: number): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(offset + i * 2));
  let bestStart = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > bestLength) {
      bestStart = start;
      bestLength = length;
    }
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (bestStart === -1) return hex(groups);
  return `${hex(groups.slice(0, bestStart))}::${hex(groups.slice(bestStart + bestLength))}`;
}
