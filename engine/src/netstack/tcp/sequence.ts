/*
 * Sequence numbers and timestamps are numbers modulo 2^32, kept as signed 32-bit integers, which the engine holds without
 * allocation. They are compared by the sign of their difference (RFC 9293 §3.4, RFC 7323 §5.2).
 */

/** a - b, from -2^31 to 2^31 - 1. */
export function distance(a: number, b: number): number {
  return (a - b) | 0;
}

/** True when `a` comes before `b`. */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** The later of the two. */
export function later(a: number, b: number): number {
  return ((a - b) | 0) < 0 ? b : a;
}

/** The earlier of the two. */
export function earlier(a: number, b: number): number {
  return ((a - b) | 0) < 0 ? a : b;
}

export function read32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

export function read16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

export function write32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export function write16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}
