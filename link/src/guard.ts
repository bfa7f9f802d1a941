import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { BlockList, isIP, isIPv6 } from "node:net";

/**
 * Who may come to a share. The client says it with its request for a name, and the relay sees to it at its edge, before a
 * stream to the client opens.
 */
export interface Guard {
  readonly basicAuth?: BasicAuthHash | undefined;
  /** Networks and addresses; without any, all may come. */
  readonly allow?: string[] | undefined;
}

/**
 * What a username and a password are checked by: SHA-256 over the salt and `username:password`, both in base64. It is fast
 * on purpose: it is checked at each request of the public, and a slow one would let anybody who guesses keep the relay busy.
 * It is kept in memory alone, by a relay that sees the password itself in every request that is right.
 */
export interface BasicAuthHash {
  readonly salt: string;
  readonly sha256: string;
}

/** Networks that one share may allow. */
export const MAX_ALLOWED_NETWORKS = 128;
/** Of an offline page, in UTF-8: in base64 it fits one control message with all else. */
export const MAX_OFFLINE_PAGE_BYTES = 32_768;

const SALT_BYTES = 16;

/** A new hash, with a salt of its own. */
export function hashBasicAuth(username: string, password: string): BasicAuthHash {
  const salt = randomBytes(SALT_BYTES);
  return {
    salt: salt.toString("base64"),
    sha256: digest(salt, `${username}:${password}`).toString("base64"),
  };
}

/** @param authorization the request's header (RFC 7617 §2), or undefined where there is none. */
export function isBasicAuthRight(hash: BasicAuthHash, authorization: string | undefined): boolean {
  const encoded = /^basic +([\w+/=-]+)$/i.exec(authorization ?? "")?.[1];
  if (encoded === undefined) return false;
  const given = digest(Buffer.from(hash.salt, "base64"), Buffer.from(encoded, "base64"));
  const wanted = Buffer.from(hash.sha256, "base64");
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function digest(salt: Buffer, text: string | Buffer): Buffer {
  return createHash("sha256").update(salt).update(text).digest();
}

/** True for an address, or a network as CIDR. */
export function isNetwork(text: string): boolean {
  return readNetwork(text) !== undefined;
}

/** @throws {RangeError} where one is no network. */
export function blockListOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of networks) {
    const network = readNetwork(text);
    if (network === undefined) throw new RangeError(`${text} is not a network`);
    list.addSubnet(network.address, network.bits, network.family);
  }
  return list;
}

/** @param address as a socket has it, an IPv4 one without the `::ffff:` of a socket of both families. */
export function isInside(list: BlockList, address: string): boolean {
  return isIP(address) !== 0 && list.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

function readNetwork(text: string): { address: string; bits: number; family: "ipv4" | "ipv6" } | undefined {
  const [address = "", digits, ...rest] = text.split("/");
  const version = isIP(address);
  // A zone names an interface of one machine, and means nothing on another.
  if (version === 0 || rest.length > 0 || address.includes("%")) return undefined;
  const wide = version === 4 ? 32 : 128;
  const bits = digits === undefined ? wide : /^\d{1,3}$/.test(digits) ? Number(digits) : Infinity;
  return bits > wide ? undefined : { address, bits, family: version === 4 ? "ipv4" : "ipv6" };
}
