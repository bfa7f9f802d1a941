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
