import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import {
  connect,
  createSecureContext,
  getCACertificates,
  type ConnectionOptions,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import { abortReason, DialError } from "../errors.ts";
import { readNamedFile } from "../named-file.ts";
import type { DialOptions } from "./dialer.ts";
import { ignoreError } from "./egress.ts";

/** A system's whole list of authorities takes a fifth of a megabyte. */
const MAX_CA_BYTES = 4 * 1024 * 1024;

/** TLS to a proxy: its certificate must be for the proxy's name, in date, and from an authority that is trusted. */
export class ProxyTls {
  readonly #serverName: string;
  readonly #caFile: string | undefined;
  /** Parsed once: the system's list of authorities takes milliseconds. */
  #context: SecureContext | undefined;

  /**
   * @param serverName sent to the proxy (unless it is an address) and verified in its certificate.
   * @param caFile PEM file with authorities to trust beside the usual ones.
   */
  constructor(serverName: string, caFile?: string) {
    this.#serverName = serverName;
    this.#caFile = caFile;
  }

  /**
   * Makes a TLS connection on a stream, which is destroyed with it.
   * @throws {DialError} `tls` with a sentence that says what is wrong with the certificate.
   */
  async connect(stream: Duplex, options: DialOptions): Promise<TLSSocket> {
    options.onStep?.("tls");
    try {
      this.#context ??= await this.#makeContext();
    } catch (error) {
      stream.destroy();
      throw error;
    }
    const secureContext = this.#context;
    const serverName = this.#serverName;
    return new Promise((resolve, reject) => {
      const { signal } = options;
      if (signal.aborted) {
        stream.destroy();
        reject(abortReason(signal));
        return;
      }
      const settings: ConnectionOptions = {
        socket: stream,
        secureContext,
        host: serverName,
        servername: isIP(serverName) === 0 ? serverName : "",
        ALPNProtocols: ["http/1.1"],
      };
      const socket = connect(settings);
      const stop = () => {
        signal.removeEventListener("abort", onAbort);
        socket.removeListener("secureConnect", onSecure);
        socket.removeListener("error", onError);
        socket.removeListener("close", onClose);
        socket.on("error", ignoreError);
      };
      const fail = (error: DialError) => {
        stop();
        socket.destroy();
        stream.destroy();
        reject(error);
      };
      const onSecure = () => {
        stop();
        socket.pause();
        resolve(socket);
      };
      const onError = (error: Error) => fail(this.#failure(error));
      const onClose = () => fail(this.#failure(new Error("the proxy closed the connection")));
      const onAbort = () => fail(abortReason(signal));
      signal.addEventListener("abort", onAbort);
      socket.on("secureConnect", onSecure).on("error", onError).on("close", onClose);
    });
  }

  async #makeContext(): Promise<SecureContext> {
    if (this.#caFile === undefined) return createSecureContext();
    try {
      const further = await readNamedFile(this.#caFile, MAX_CA_BYTES);
      return createSecureContext({ ca: [...getCACertificates("default"), further] });
    } catch (error) {
      const words = `tls_ca_file can't be used: ${error instanceof Error ? error.message : String(error)}`;
      throw new DialError("tls", words, { cause: error, step: "tls", scope: "upstream" });
    }
  }

  #failure(error: Error & { readonly code?: string }): DialError {
    const words = this.#sentence(error);
    return new DialError("tls", words, { cause: error, step: "tls", scope: "upstream" });
  }

  #sentence(error: Error & { readonly code?: string }): string {
    switch (error.code) {
      case "CERT_HAS_EXPIRED":
        return "the proxy's certificate has expired";
      case "CERT_NOT_YET_VALID":
        return "the proxy's certificate is not valid yet";
      case "DEPTH_ZERO_SELF_SIGNED_CERT":
        return "the proxy's certificate is self-signed; to trust it, name it in tls_ca_file";
      case "SELF_SIGNED_CERT_IN_CHAIN":
      case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      case "UNABLE_TO_GET_ISSUER_CERT":
      case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
        return "the proxy's certificate is from an authority that is not trusted; to trust it, name it in tls_ca_file";
      case "ERR_TLS_CERT_ALTNAME_INVALID":
        return `the proxy's certificate is not for ${this.#serverName}; set tls_server_name where it has another name`;
      case "ERR_SSL_WRONG_VERSION_NUMBER":
      case "ERR_SSL_PACKET_LENGTH_TOO_LONG":
      case "EPROTO":
        return "the proxy does not speak TLS on this port";
      default:
        return `TLS with the proxy failed: ${error.message}`;
    }
  }
}
