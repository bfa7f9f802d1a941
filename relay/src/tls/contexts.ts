import type { TlsOptions } from "node:tls";

/** The files of one listener, PEM; certificates and keys in pairs, the first for clients that name no host. */
export interface TlsFiles {
  readonly certificates: readonly string[];
  readonly keys: readonly string[];
  /** Authorities of client certificates; where it is given, a client without one is refused in the handshake. */
  readonly clientCa?: string | undefined;
}

export interface TlsWatchers {
  /** New files are in use from the next handshake on. */
  readonly onReload: (names: readonly string[]) => void;
  /** New files are not right, and the old ones stay; one sentence. */
  readonly onProblem: (sentence: string) => void;
}

export interface TlsContexts extends Disposable {
  /** For `tls.createServer`, `https.createServer` and `new TLSSocket(socket, { isServer: true, … })`. */
  readonly options: TlsOptions;
  close(): void;
}
