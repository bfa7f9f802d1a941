import { domainToASCII } from "node:url";

/**
 * An IP address as 32-bit words, first word first: one word for IPv4, four for IPv6. An IPv4 address mapped into IPv6
 * (`::ffff:10.0.0.1`, RFC 4291 §2.5.5.2) is the IPv4 address.
 */
export type AddressWords = readonly number[];

/** @returns undefined when `host` is a name. A zone (`fe80::1%eth0`, RFC 4007 §11) is left aside. */
export function parseAddress(host: string): AddressWords | undefined {
  const first = host.charCodeAt(0);
  if (host.includes(":")) return parseIPv6(host);
  return first >= 0x30 && first <= 0x39 ? parseIPv4(host) : undefined;
}

/** The dotted form with four decimal numbers and no leading zeros (RFC 6943 §3.1.1, "strict"). */
function parseIPv4(host: string): AddressWords | undefined {
  const length = host.length;
  if (length < 7 || length > 15) return undefined;
  let word = 0;
  let octet = -1;
  let dots = 0;
  for (let i = 0; i < length; i++) {
    const code = host.charCodeAt(i);
    if (code === 0x2e) {
      if (octet === -1 || ++dots > 3) return undefined;
      word = (word << 8) | octet;
      octet = -1;
    } else if (code >= 0x30 && code <= 0x39 && octet !== 0) {
      octet = (octet === -1 ? 0 : octet * 10) + code - 0x30;
      if (octet > 255) return undefined;
    } else return undefined;
  }
  if (dots !== 3 || octet === -1) return undefined;
  return [((word << 8) | octet) >>> 0];
}

/** RFC 4291 §2.2, with the IPv4 tail of its form 3. */
function parseIPv6(host: string): AddressWords | undefined {
  const zone = host.indexOf("%");
  const text = zone === -1 ? host : host.slice(0, zone);
  if (text.length > 45) return undefined;
  const gap = text.indexOf("::");
  const head = readGroups(gap === -1 ? text : text.slice(0, gap), gap === -1);
  const tail = gap === -1 ? [] : readGroups(text.slice(gap + 2), true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (gap === -1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const words = [0, 2, 4, 6].map((i) => ((groups[i]! << 16) | groups[i + 1]!) >>> 0);
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff ? [words[3]!] : words;
}

function readGroups(text: string, mayEndInIPv4: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else {
      const ipv4 = mayEndInIPv4 && i === parts.length - 1 ? parseIPv4(part) : undefined;
      if (ipv4 === undefined) return undefined;
      groups.push(ipv4[0]! >>> 16, ipv4[0]! & 0xffff);
    }
  }
  return groups;
}

/** The usual text form; IPv6 by RFC 5952. */
export function formatAddress(words: AddressWords): string {
  if (words.length === 1) {
    const word = words[0]!;
    return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
  }
  const groups = words.flatMap((word) => [(word >>> 16).toString(16), (word & 0xffff).toString(16)]);
  // The host parser of URLs writes addresses as RFC 5952 has them.
  return domainToASCII(`[${groups.join(":")}]`).slice(1, -1);
}

/** `words` with all but the first `bits` bits zero. */
export function maskAddress(words: AddressWords, bits: number): AddressWords {
  return words.map((word, i) => (word & wordMask(bits - 32 * i)) >>> 0);
}

/** The mask of a word's first `bits` bits; any number below 0 counts as 0, any above 32 as 32. */
export function wordMask(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0;
}

/**
 * A name in the form in which names are compared: lower case, no final dot, letters beyond ASCII as Punycode (RFC 5891).
 * A name that system resolvers read as an IPv4 address (`0x7f.1`, `2130706433`; RFC 6943 §3.1.1, "loose") becomes that
 * address, so that no spelling slips past a rule.
 */
export function normalizeHost(host: string): string {
  let name = host.toLowerCase();
  if (name.endsWith(".")) name = name.slice(0, -1);
  if (!needsHostParser(name)) return name;
  return domainToASCII(name) || name;
}

/** True where a letter is beyond ASCII, or the last label begins with a digit. */
function needsHostParser(name: string): boolean {
  const code = name.charCodeAt(name.lastIndexOf(".") + 1);
  return (code >= 0x30 && code <= 0x39) || /[^\x00-\x7f]/.test(name);
}
