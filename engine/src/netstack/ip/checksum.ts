/**
 * The Internet checksum (RFC 1071) of `bytes` from `from` to `to`, added to `sum`: a one's complement sum, not yet folded to
 * 16 bits or complemented. An odd last byte counts as the high byte of a word.
 */
export function addBytes(sum: number, bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  for (const even = to - ((to - from) & 1); at < even; at += 2) sum += (bytes[at]! << 8) | bytes[at + 1]!;
  if (at < to) sum += bytes[at]! << 8;
  return sum;
}

/** Folds a sum of at most 2^52 to 16 bits. */
export function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** The checksum field for a sum: its complement. */
export function finish(sum: number): number {
  return ~fold(sum) & 0xffff;
}

/**
 * The sum of the pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1), not complemented.
 * @param addresses where source and destination stand one after the other, `addressBytes` each (4 or 16), from `at` on.
 */
export function pseudoHeaderSum(
  addresses: Uint8Array,
  at: number,
  addressBytes: 4 | 16,
  transport: { readonly protocol: number; readonly length: number },
): number {
  const { protocol, length } = transport;
  return addBytes(protocol + (length >>> 16) + (length & 0xffff), addresses, at, at + 2 * addressBytes);
}
