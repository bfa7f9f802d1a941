import { isIP, isIPv6 } from "node:net";

/** A destination. A name stays a name until whoever dials last resolves it. IPv6 hosts carry no brackets. */
export interface Endpoint {
  readonly host: string;
  /** 0 to 65535; 0 only where a protocol says "any". */
  readonly port: number;
}

/** `host:port`, with brackets around an IPv6 address (RFC 3986 §3.2.2). */
export function formatEndpoint(endpoint: Endpoint): string {
  return isIPv6(endpoint.host) ? `[${endpoint.host}]:${endpoint.port}` : `${endpoint.host}:${endpoint.port}`;
}

/**
 * Reads `host:port`, `[v6]:port`, or, with a default port, a bare host.
 * @throws {SyntaxError} with a sentence that says what would be right.
 */
export function parseEndpoint(text: string, defaultPort?: number): Endpoint {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed) {
    const host = bracketed[1]!;
    if (!isIPv6(host)) throw new SyntaxError(`"${host}" in brackets is not an IPv6 address`);
    return { host, port: parsePort(bracketed[2], text, defaultPort) };
  }
  if (isIPv6(text)) {
    if (defaultPort !== undefined) return { host: text, port: defaultPort };
    throw new SyntaxError(`"${text}" has no port; write [${text}]:PORT`);
  }
  const colon = text.lastIndexOf(":");
  const host = colon === -1 ? text : text.slice(0, colon);
  if (host.includes(":"))
    throw new SyntaxError(`"${text}": an IPv6 address with a port is written [ADDRESS]:PORT`);
  if (host === "") throw new SyntaxError(`"${text}" has no host; write HOST:PORT`);
  if (!isHost(host)) throw new SyntaxError(`"${host}" is neither a host name nor an address`);
  return { host, port: parsePort(colon === -1 ? undefined : text.slice(colon + 1), text, defaultPort) };
}

/** True for an IP address, or a name of at most 253 letters, digits, hyphens, underscores and dots (RFC 1123 §2.1, as used). */
export function isHost(host: string): boolean {
  if (isIP(host) !== 0) return true;
  return host.length <= 253 && /^(?!-)[\p{L}\p{N}_-]{1,63}(\.[\p{L}\p{N}_-]{1,63})*\.?$/u.test(host);
}

function parsePort(digits: string | undefined, text: string, defaultPort?: number): number {
  if (digits === undefined) {
    if (defaultPort !== undefined) return defaultPort;
    throw new SyntaxError(`"${text}" has no port; write HOST:PORT`);
  }
  const port = Number(digits);
  if (!/^\d{1,5}$/.test(digits) || port > 65535) {
    throw new SyntaxError(`"${digits}" is not a port; a port is a number from 0 to 65535`);
  }
  return port;
}
