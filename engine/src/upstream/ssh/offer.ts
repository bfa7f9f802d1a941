/** What a server offers to agree on (SSH_MSG_KEXINIT, RFC 4253 §7.1), read from its first bytes. No I/O here. */

/** A server's version line and its SSH_MSG_KEXINIT together are some two kilobytes. */
export const maxOfferBytes = 8192;

const kexInit = 20;
const cookieBytes = 16;

/** The name-lists of the message that a person may have to know, in its order. */
const lists = [
  "key exchange algorithm",
  "host key format",
  "C->S cipher",
  "S->C cipher",
  "C->S MAC",
  "S->C MAC",
];

const names: ReadonlyMap<string, string> = new Map([
  ["key exchange algorithm", "key exchange"],
  ["host key format", "type of host key"],
  ["C->S cipher", "cipher"],
  ["S->C cipher", "cipher"],
  ["C->S MAC", "MAC"],
  ["S->C MAC", "MAC"],
]);

/**
 * Nothing in common, in words that say what the server would take.
 * @param reason as ssh2 has it: `Handshake failed: no matching C->S cipher`.
 * @param heard the server's first bytes, from its version on, as far as they came.
 * @returns undefined where the reason is another.
 */
export function nothingInCommon(reason: string, heard: Buffer): string | undefined {
  const [, list = ""] = /no matching (.*)$/.exec(reason) ?? [];
  const name = names.get(list);
  if (name === undefined) return undefined;
  const offered = readOffer(heard)?.[lists.indexOf(list)];
  return `no ${name} in common${offered === undefined ? "" : `; the server takes ${printable(offered)}`}`;
}

/** The lists in their order, each with commas; undefined where the message has not come whole, or is none. */
function readOffer(heard: Buffer): string[] | undefined {
  const version = /^SSH-[^\n]*\n/m.exec(heard.toString("latin1"));
  if (version === null) return undefined;
  const packet = heard.subarray(version.index + version[0].length);
  // A length of four bytes, one of padding, then the message.
  let at = 5;
  if (packet[at] !== kexInit) return undefined;
  at += 1 + cookieBytes;
  const offer: string[] = [];
  while (offer.length < lists.length) {
    if (at + 4 > packet.length) return undefined;
    const length = packet.readUInt32BE(at);
    at += 4;
    if (at + length > packet.length) return undefined;
    offer.push(packet.toString("latin1", at, (at += length)));
  }
  return offer;
}

/** What stands among the key exchanges without being one (RFC 8308 §2.1) is left out. A list is as long as a server likes, and its bytes are what it likes. */
const maxPrinted = 300;

function printable(list: string): string {
  const algorithms = list.split(",").filter((name) => !/^(?:ext-info|kex-strict)-/.test(name));
  const text = algorithms.join(", ").replaceAll(/[^\x20-\x7e]/g, "?");
  if (text === "") return "none";
  return text.length > maxPrinted ? `${text.slice(0, maxPrinted)}…` : text;
}
