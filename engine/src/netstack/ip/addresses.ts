import { formatAddress, parseAddress } from "../../router/address.ts";

/** The address that stands at `at`, as text; IPv6 by RFC 5952. */
export function readAddress(bytes: Buffer, at: number, addressBytes: 4 | 16): string {
  if (addressBytes === 4) return `${bytes[at]!}.${bytes[at + 1]!}.${bytes[at + 2]!}.${bytes[at + 3]!}`;
  return formatAddress([0, 4, 8, 12].map((offset) => bytes.readUInt32BE(at + offset)));
}

/** The bytes of an address, 4 or 16; undefined for what is none. An IPv4 address mapped into IPv6 is the IPv4 address. */
export function addressBytesOf(host: string): Buffer | undefined {
  const words = parseAddress(host);
  if (!words) return undefined;
  const bytes = Buffer.alloc(words.length * 4);
  for (const [i, word] of words.entries()) bytes.writeUInt32BE(word, i * 4);
  return bytes;
}

/** What an address may be used for. */
export const AddressKind = {
  /** A host. */
  unicast: 0,
  multicast: 1,
  /** Never on a wire: unspecified, loopback, broadcast, reserved, IPv4 mapped into IPv6 (RFC 1122 §3.2.1.3, RFC 4291 §2.5). */
  martian: 2,
} as const;

export function kindOfIpv4(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  if (first === 0 || first === 127 || first >= 240) return AddressKind.martian;
  return first >= 224 ? AddressKind.multicast : AddressKind.unicast;
}

export function kindOfIpv6(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  if (first === 0xff) return AddressKind.multicast;
  if (first !== 0) return AddressKind.unicast;
  for (let i = 1; i < 10; i++) if (bytes[at + i] !== 0) return AddressKind.unicast;
  const [a, b] = [bytes[at + 10]!, bytes[at + 11]!];
  if (a === 0xff && b === 0xff) return AddressKind.martian;
  // Among ::/96 stand the unspecified address, loopback, and the IPv4-compatible addresses, which are no more.
  return a === 0 && b === 0 ? AddressKind.martian : AddressKind.unicast;
}
