/**
 * The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt, 2020/03/05): a header before all else on a connection,
 * by which a proxy says whose connection it is. Bytes in, a header out; no I/O.
 */

export type ProxyVersion = "v1" | "v2";

export interface ProxyEndpoint {
  /** An IP address in its usual text form. */
  readonly host: string;
  readonly port: number;
}

/** `local`: the proxy itself asks (LOCAL, §2.2), or knows no address (UNKNOWN, UNSPEC): the connection's own ones hold. */
export type ProxyHeader =
  | { readonly kind: "local"; readonly version: ProxyVersion }
  | {
      readonly kind: "proxied";
      readonly version: ProxyVersion;
      readonly transport: "tcp" | "udp";
      readonly source: ProxyEndpoint;
      readonly destination: ProxyEndpoint;
    };

export type ProxyProtocolErrorCode =
  | "missing" // the first bytes are those of no version that is accepted here
  | "malformed"
  | "too-large"; // a v1 line of more than 107 bytes, or a v2 header above the cap

/** A peer's first bytes are not the header that must be there. */
export class ProxyProtocolError extends Error {
  override readonly name = "ProxyProtocolError";
  readonly code: ProxyProtocolErrorCode;
  constructor(code: ProxyProtocolErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** §2.1: "PROXY TCP6 " with two full addresses, two ports and CR LF. */
const V1_MAX_BYTES = 107;
const V1_BEGINS = Buffer.from("PROXY ");
/** §2.2. No text protocol begins so. */
const V2_SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const V2_FIXED_BYTES = 16;
/** A header with TLVs for TLS and the like has some hundred bytes; its length field allows 64 KB. */
const V2_MAX_BYTES = 4_096;

const LF = 0x0a;

/** Reads the header that a connection begins with, however its bytes are cut into chunks. */
export class ProxyHeaderReader {
  readonly #accepts: readonly ProxyVersion[];
  #held: Buffer = Buffer.alloc(0);

  constructor(accept: ProxyVersion | "any") {
    this.#accepts = accept === "any" ? ["v1", "v2"] : [accept];
  }

  /**
   * Takes the next bytes.
   * @returns the header and the bytes after it, or undefined while it has no end. TLVs (§2.2) are skipped.
   * @throws {ProxyProtocolError} as soon as the bytes can't become a header; the reader is of no more use then.
   */
  push(chunk: Buffer): { header: ProxyHeader; rest: Buffer } | undefined {
    // Both versions are capped, so what is held and copied here is little.
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const version = this.#accepts.find((version) => beginsAs(bytes, version));
    if (version === undefined)
      throw new ProxyProtocolError(
        "missing",
        `the connection does not begin with ${this.#accepts.join(" or ")}`,
      );
    const read = version === "v1" ? readV1(bytes) : readV2(bytes);
    if (read === undefined) {
      this.#held = bytes;
      return undefined;
    }
    this.#held = Buffer.alloc(0);
    return { header: read.header, rest: bytes.subarray(read.end) };
  }
}

function beginsAs(bytes: Buffer, version: ProxyVersion): boolean {
  const beginning = version === "v1" ? V1_BEGINS : V2_SIGNATURE;
  const known = Math.min(bytes.length, beginning.length);
  return bytes.compare(beginning, 0, known, 0, known) === 0;
}

interface Read {
  readonly header: ProxyHeader;
  /** Where the connection's own bytes begin. */
  readonly end: number;
}

/** §2.1. */
function readV1(bytes: Buffer): Read | undefined {
  const lf = bytes.subarray(0, V1_MAX_BYTES).indexOf(LF);
  if (lf === -1) {
    if (bytes.length >= V1_MAX_BYTES)
      throw new ProxyProtocolError("too-large", `the PROXY line is longer than ${V1_MAX_BYTES} bytes`);
    return undefined;
  }
  const line = bytes.toString("latin1", 0, lf);
  if (!line.endsWith("\r")) throw malformed("the PROXY line ends in LF without CR");
  const end = lf + 1;
  // §2.1: what follows UNKNOWN is ignored.
  if (/^PROXY UNKNOWN(?: [\x20-\x7e]*)?\r$/.test(line))
    return { header: { kind: "local", version: "v1" }, end };
  const match = V1_LINE.exec(line);
  if (!match) throw malformed("the PROXY line does not name two addresses and two ports");
  const [, family, source, destination, sourcePort, destinationPort] = match as unknown as V1Match;
  const isAddress = family === "4" ? isIPv4 : isIPv6;
  if (!isAddress(source) || !isAddress(destination)) throw malformed(`an address is not one of IPv${family}`);
  const ports = [sourcePort, destinationPort].map(Number) as [number, number];
  if (ports.some((port) => port > 65_535)) throw malformed("a port is above 65535");
  const header: ProxyHeader = {
    kind: "proxied",
    version: "v1",
    transport: "tcp",
    source: { host: source.toLowerCase(), port: ports[0] },
    destination: { host: destination.toLowerCase(), port: ports[1] },
  };
  return { header, end };
}

type V1Match = [string, "4" | "6", string, string, string, string];

/** One space between parts, no leading zeros in ports. */
const V1_LINE = /^PROXY TCP([46]) ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r$/;

const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);

function isIPv4(text: string): boolean {
  return IPV4.test(text);
}

/** RFC 4291 §2.2, an IPv4 tail included. */
function isIPv6(text: string): boolean {
  const tail = /^(.*:)([^:]*\.[^:]*)$/.exec(text);
  if (tail && !isIPv4(tail[2]!)) return false;
  const groups = (tail ? `${tail[1]!}0:0` : text).split("::");
  if (groups.length > 2) return false;
  const parts = groups.map((side) => (side === "" ? [] : side.split(":")));
  const count = parts.flat().length;
  if (!parts.flat().every((part) => /^[0-9a-fA-F]{1,4}$/.test(part))) return false;
  return groups.length === 2 ? count <= 7 : count === 8;
}

const Command = { local: 0x0, proxy: 0x1 } as const;
const Family = { unspecified: 0x0, ipv4: 0x1, ipv6: 0x2, unix: 0x3 } as const;
const Transport = { unspecified: 0x0, stream: 0x1, datagram: 0x2 } as const;
/** Bytes of both addresses and ports, by family. */
const ADDRESS_BYTES: Readonly<Record<number, number>> = {
  [Family.ipv4]: 12,
  [Family.ipv6]: 36,
  [Family.unix]: 216,
};

/** §2.2. */
function readV2(bytes: Buffer): Read | undefined {
  if (bytes.length > 12) checkV2Command(bytes[12]!);
  if (bytes.length > 13) checkV2Family(bytes[13]!);
  if (bytes.length < V2_FIXED_BYTES) return undefined;
  const [command, family, transport] = [bytes[12]! & 0xf, bytes[13]! >> 4, bytes[13]! & 0xf];
  const length = bytes.readUInt16BE(14);
  const end = V2_FIXED_BYTES + length;
  if (end > V2_MAX_BYTES)
    throw new ProxyProtocolError("too-large", `the PROXY header has ${end} bytes, more than ${V2_MAX_BYTES}`);
  const addressBytes = ADDRESS_BYTES[family] ?? 0;
  if (command === Command.proxy && length < addressBytes)
    throw malformed("the PROXY header is too short for its addresses");
  if (bytes.length < end) return undefined;
  // A proxy that speaks of a Unix socket or of no protocol knows no address that would say anything here.
  const isKnown = family === Family.ipv4 || family === Family.ipv6;
  if (command === Command.local || !isKnown || transport === Transport.unspecified)
    return { header: { kind: "local", version: "v2" }, end };
  const size = family === Family.ipv4 ? 4 : 16;
  const host = (offset: number) => formatAddress(bytes.subarray(offset, offset + size));
  const at = V2_FIXED_BYTES;
  const header: ProxyHeader = {
    kind: "proxied",
    version: "v2",
    transport: transport === Transport.stream ? "tcp" : "udp",
    source: { host: host(at), port: bytes.readUInt16BE(at + 2 * size) },
    destination: { host: host(at + size), port: bytes.readUInt16BE(at + 2 * size + 2) },
  };
  return { header, end };
}

function checkV2Command(byte: number): void {
  if (byte >> 4 !== 2) throw malformed(`version ${byte >> 4} of the binary PROXY header is unknown`);
  const command = byte & 0xf;
  if (command !== Command.local && command !== Command.proxy)
    throw malformed(`PROXY command ${command} is unassigned`);
}

function checkV2Family(byte: number): void {
  if (byte >> 4 > Family.unix || (byte & 0xf) > Transport.datagram)
    throw malformed(`PROXY family and transport 0x${byte.toString(16).padStart(2, "0")} are unassigned`);
}

function malformed(message: string): ProxyProtocolError {
  return new ProxyProtocolError("malformed", message);
}

/** RFC 5952 for IPv6. */
function formatAddress(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  const [start, length] = longestZeros(groups);
  if (length < 2) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

/** The first of the longest runs of zero groups (RFC 5952 §4.2.3). */
function longestZeros(groups: readonly string[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === "0") end++;
    if (end - start > best[1]) best = [start, end - start];
  }
  return best;
}

/**
 * The header that tells `source` and `destination` of a TCP connection. Where the two are of different families, or one is
 * no address, it says that it knows none (UNKNOWN; LOCAL).
 */
export function writeProxyHeader(
  version: ProxyVersion,
  source: ProxyEndpoint,
  destination: ProxyEndpoint,
): Buffer {
  const addresses = addressesOf(source, destination);
  if (version === "v1") {
    if (addresses === undefined) return Buffer.from("PROXY UNKNOWN\r\n");
    const family = addresses[0].length === 4 ? "TCP4" : "TCP6";
    const [from, to] = addresses.map(formatAddress);
    return Buffer.from(`PROXY ${family} ${from} ${to} ${source.port} ${destination.port}\r\n`);
  }
  if (addresses === undefined) return Buffer.concat([V2_SIGNATURE, Buffer.of(0x20 | Command.local, 0, 0, 0)]);
  const family = addresses[0].length === 4 ? Family.ipv4 : Family.ipv6;
  const body = Buffer.concat([...addresses, Buffer.alloc(4)]);
  body.writeUInt16BE(source.port, body.length - 4);
  body.writeUInt16BE(destination.port, body.length - 2);
  const fixed = Buffer.of(
    0x20 | Command.proxy,
    (family << 4) | Transport.stream,
    body.length >> 8,
    body.length & 0xff,
  );
  return Buffer.concat([V2_SIGNATURE, fixed, body]);
}

function addressesOf(source: ProxyEndpoint, destination: ProxyEndpoint): [Buffer, Buffer] | undefined {
  const [from, to] = [source, destination].map(({ host }) => parseAddress(host));
  return from && to?.length === from.length ? [from, to] : undefined;
}

/** A zone is left aside; IPv4 within IPv6 (`::ffff:1.2.3.4`), as dual-stack listeners tell it, is IPv4. */
function parseAddress(host: string): Buffer | undefined {
  if (isIPv4(host)) return Buffer.from(host.split(".").map(Number));
  const text = host.split("%", 1)[0]!;
  if (!isIPv6(text)) return undefined;
  const mapped = /^::ffff:([\d.]+)$/i.exec(text);
  if (mapped) return parseAddress(mapped[1]!);
  const plain = text.replace(/:(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...octets: string[]) => {
    const [a, b, c, d] = octets.map(Number) as [number, number, number, number];
    return `:${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [head = [], tail = []] = plain.split("::").map((side) => (side === "" ? [] : side.split(":")));
  const zeros = new Array<string>(8 - head.length - tail.length).fill("0");
  const groups = [...head, ...zeros, ...tail].map((group) => Number.parseInt(group, 16));
  return Buffer.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}
