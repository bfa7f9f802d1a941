import { randomBytes } from "node:crypto";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LOWER_CASE_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz";

/** 22 characters of 62 hold 131 bits. */
const ID_LENGTH = 22;

/** An id that nobody can guess: base62, from the system's random numbers, every character equally likely. */
export function randomId(length = ID_LENGTH): string {
  return randomText(ALPHABET, length);
}

/** The same as a label of a host name, which has one case: 26 characters of 36 hold 134 bits. */
export function randomLabel(length = 26): string {
  return randomText(LOWER_CASE_ALPHABET, length);
}

/** Bytes beyond the last whole multiple of the alphabet are thrown away: a remainder would favour its first letters. */
function randomText(alphabet: string, length: number): string {
  const usable = 256 - (256 % alphabet.length);
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(2 * (length - text.length))) {
      if (byte < usable && text.length < length) text += alphabet[byte % alphabet.length]!;
    }
  }
  return text;
}
