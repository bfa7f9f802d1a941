import { isHost } from "../endpoint.ts";
import { type AddressWords, formatAddress, maskAddress, normalizeHost, parseAddress } from "./address.ts";

/** Inclusive, 0 to 65535. */
export interface PortRange {
  readonly low: number;
  readonly high: number;
}

export const allPorts: PortRange = { low: 0, high: 65_535 };

/** `bits` leading bits of `address` are fixed: 0 to 32 for IPv4, 0 to 128 for IPv6. A single address fixes all of them. */
export interface Network {
  readonly address: AddressWords;
  readonly bits: number;
}

/** What a rule matches. Names are lower case, Punycode, without a final dot. */
export type Pattern = { readonly ports: PortRange } & (
  | { readonly kind: "any" }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "suffix"; /** `corp.internal` for `*.corp.internal` */ readonly suffix: string }
  | { readonly kind: "network"; readonly network: Network }
);

/**
 * Reads one match: a network (`10.0.0.0/8`, `fd00::/8`), an address, a name, `*.suffix` (any depth below the suffix, not
 * the suffix itself), or `*`; each with an optional `:port` or `:low-high`, before which IPv6 stands in brackets.
 * @throws {SyntaxError} with a sentence that says what would be right.
 */
export function parsePattern(text: string): Pattern {
  const { host, port } = splitPort(text);
  const ports = port === undefined ? allPorts : parsePorts(port, text);
  if (host === "*") return { kind: "any", ports };
  if (host.includes("/") || host.includes(":"))
    return { kind: "network", network: parseNetwork(host), ports };
  if (host.startsWith("*.")) return { kind: "suffix", suffix: parseName(host.slice(2), text), ports };
  const address = parseAddress(host);
  if (address) return { kind: "network", network: { address, bits: address.length * 32 }, ports };
  return { kind: "name", name: parseName(host, text), ports };
}

/**
 * Reads `address/bits` or a single address.
 * @throws {SyntaxError} with a sentence that says what would be right.
 */
export function parseNetwork(text: string): Network {
  const [host, digits, ...rest] = text.split("/") as [string, ...string[]];
  const given = parseAddress(host);
  if (given === undefined || host.includes("%") || rest.length > 0) {
    throw new SyntaxError(`"${text}" is not a network; write ADDRESS/BITS, such as 10.0.0.0/8 or fd00::/8`);
  }
  // A network of IPv4 addresses mapped into IPv6 is written with the 96 bits of the mapping.
  const mapped = host.includes(":") && given.length === 1;
  const wide = host.includes(":") ? 128 : 32;
  const written = digits === undefined ? wide : /^\d{1,3}$/.test(digits) ? Number(digits) : Infinity;
  if (written > wide) {
    throw new SyntaxError(
      `"${text}" has a wrong prefix length; for IPv${wide === 32 ? 4 : 6} it is a number from 0 to ${wide}`,
    );
  }
  if (mapped && written < 96) {
    throw new SyntaxError(
      `"${text}" is wider than IPv4 within IPv6; write the IPv4 network, such as 0.0.0.0/0`,
    );
  }
  const bits = mapped ? written - 96 : written;
  const address = maskAddress(given, bits);
  if (address.some((word, i) => word !== given[i])) {
    throw new SyntaxError(
      `"${text}" has bits set beyond its prefix; the network is ${formatAddress(address)}/${bits}`,
    );
  }
  return { address, bits };
}

/** Whether an address lies in a network; never where they are of different families. */
export function holds({ address: network, bits }: Network, address: AddressWords): boolean {
  if (network.length !== address.length) return false;
  return maskAddress(address, bits).every((word, i) => word === network[i]);
}

function splitPort(text: string): { host: string; port: string | undefined } {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    throw new SyntaxError(`"${text}" is a URL; write its host, with :PORT if the port matters`);
  }
  const bracketed = /^\[([^\]]*)\](\/\d+)?(?::(.*))?$/.exec(text);
  if (bracketed) {
    const host = bracketed[1]! + (bracketed[2] ?? "");
    if (!host.includes(":")) throw new SyntaxError(`"${text}": brackets are for IPv6; write it without them`);
    return { host, port: bracketed[3] };
  }
  const colon = text.indexOf(":");
  if (colon === -1) return { host: text, port: undefined };
  if (text.includes(":", colon + 1)) {
    const misplaced = /^([0-9a-f:.]+\/\d+):(\d[\d-]*)$/i.exec(text);
    if (misplaced) {
      throw new SyntaxError(`"${text}": a port after IPv6 is written [${misplaced[1]!}]:${misplaced[2]!}`);
    }
    return { host: text, port: undefined };
  }
  if (colon === 0) throw new SyntaxError(`"${text}" has no host; write *${text} for a port of every host`);
  return { host: text.slice(0, colon), port: text.slice(colon + 1) };
}

function parsePorts(text: string, whole: string): PortRange {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const low = Number(match?.[1]);
  const high = Number(match?.[2] ?? match?.[1]);
  if (!match || low > 65_535 || high > 65_535) {
    throw new SyntaxError(
      `"${whole}": "${text}" is not a port; write a number from 1 to 65535, or a range such as 8000-8999`,
    );
  }
  if (low === 0 && high === 0) {
    throw new SyntaxError(
      `"${whole}": nothing connects to port 0, so this can never match; leave it out for all ports`,
    );
  }
  if (low > high) throw new SyntaxError(`"${whole}": the range runs backwards; write ${high}-${low}`);
  return { low, high };
}

function parseName(text: string, whole: string): string {
  if (text.includes("*")) {
    throw new SyntaxError(
      `"${whole}": a * stands alone, or before the first dot as in *.example.com, and nowhere else`,
    );
  }
  const name = normalizeHost(text);
  const lastLabel = name.slice(name.lastIndexOf(".") + 1);
  if (/^\d+$/.test(lastLabel) || /^0x[0-9a-f]*$/.test(lastLabel)) {
    throw new SyntaxError(
      `"${whole}" is not an address; IPv4 is four numbers from 0 to 255, such as 10.0.0.1`,
    );
  }
  if (!isHost(name)) throw new SyntaxError(`"${whole}" is neither a name, an address nor a network`);
  return name;
}
