import { X509Certificate, constants, createPrivateKey } from "node:crypto";
import {
  type SecureContext,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
  createSecureContext,
  createServer,
} from "node:tls";
import { readConfigText } from "@sockeye/config-kit/read-text";
import { type ConfigWatch, watchConfig } from "@sockeye/config-kit/watch";
import type { CertificateInForce } from "../observer.ts";

/** The files of one listener, PEM; certificates and keys in pairs, the first for clients that name no host. */
export interface TlsFiles {
  readonly certificates: readonly string[];
  readonly keys: readonly string[];
  /** Authorities of client certificates; where it is given, a client without one of theirs is refused in the handshake. */
  readonly clientCa?: string | undefined;
}

export interface TlsWatchers {
  /** New files are in use from the next handshake on. */
  readonly onReload: (certificates: readonly CertificateInForce[]) => void;
  /** New files are not right and the old ones stay, or a certificate has expired; one sentence. */
  readonly onProblem: (sentence: string) => void;
}

export interface TlsServerOptions {
  readonly handshakeTimeoutMs: number;
  readonly allowHalfOpen?: boolean;
  readonly alpn?: readonly string[];
}

/** Files are written one after the other: what follows within this time belongs to the same change. */
const SETTLE_MS = 200;

/** Certificates of a listener, kept true while their files change. */
export class TlsContexts implements Disposable {
  readonly #files: TlsFiles;
  readonly #watchers: TlsWatchers;
  readonly #watches: readonly ConfigWatch[];
  readonly #servers = new Set<Server>();
  #loaded: readonly Loaded[];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** @throws {Error} when a file can't be read or is wrong, or when a key is not its certificate's. */
  static async open(files: TlsFiles, watchers: TlsWatchers): Promise<TlsContexts> {
    const { loaded, texts } = await load(files);
    const contexts = new TlsContexts(files, watchers, { loaded, texts });
    for (const { file, certificate } of loaded)
      if (isExpired(certificate))
        watchers.onProblem(`${file}: the certificate expired on ${certificate.validTo}`);
    return contexts;
  }

  private constructor(files: TlsFiles, watchers: TlsWatchers, { loaded, texts }: LoadedFiles) {
    this.#files = files;
    this.#watchers = watchers;
    this.#loaded = loaded;
    // What was read is what runs: a change between the reading and the watching is seen.
    this.#watches = Array.from(texts, ([file, running]) =>
      watchConfig(file, () => this.#changed(), { running }),
    );
  }

  /**
   * A TLS server that does not listen: a plain connection, whose PROXY header has been read off, becomes one of its by
   * `server.emit("connection", socket)`. (A TLSSocket of one's own would not refuse a client without a certificate.)
   * A handshake that fails is told by `tlsClientError`, and its socket is closed.
   */
  createServer(options: TlsServerOptions, onConnection: (socket: TLSSocket) => void): Server {
    const { handshakeTimeoutMs, allowHalfOpen = false, alpn } = options;
    const server = createServer(
      {
        ...this.#loaded[0]!.options,
        ...(this.#files.clientCa !== undefined && { requestCert: true, rejectUnauthorized: true }),
        ...(alpn && { ALPNProtocols: [...alpn] }),
        allowHalfOpen,
        handshakeTimeout: handshakeTimeoutMs,
        SNICallback: (name, done) => done(null, this.#contextFor(name)),
      },
      onConnection,
    );
    server.on("tlsClientError", (_error, socket) => socket.destroy());
    this.#servers.add(server);
    return server;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const watch of this.#watches) watch.close();
    this.#servers.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #contextFor(name: string): SecureContext {
    const fitting = this.#loaded.find(({ certificate }) => certificate.checkHost(name) !== undefined);
    return (fitting ?? this.#loaded[0]!).context;
  }

  #changed(): void {
    clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = setTimeout(() => void this.#reload(), SETTLE_MS).unref();
  }

  async #reload(): Promise<void> {
    let loaded: readonly Loaded[];
    try {
      ({ loaded } = await load(this.#files));
      const late = loaded.find(({ certificate }) => isExpired(certificate));
      if (late) throw new Error(`${late.file}: the certificate expired on ${late.certificate.validTo}`);
    } catch (error) {
      if (!this.#closed)
        this.#watchers.onProblem(`${(error as Error).message}; the certificates that are in use stay`);
      return;
    }
    if (this.#closed) return;
    this.#loaded = loaded;
    for (const server of this.#servers) server.setSecureContext(loaded[0]!.options);
    this.#watchers.onReload(
      loaded.map(({ file, certificate }) => ({
        file,
        names: namesOf(certificate),
        validUntil: certificate.validToDate,
      })),
    );
  }
}

/** Who a client's certificate names: its one common name. Undefined where it has none, several, or was not verified. */
export function certificateIdentity(socket: TLSSocket): string | undefined {
  if (!socket.authorized) return undefined;
  // Typed as always there; a client without a certificate has an empty one, and several names come as a list.
  const subject = socket.getPeerCertificate().subject as { CN?: string | string[] } | undefined;
  const name = subject?.CN;
  return typeof name === "string" && name !== "" ? name : undefined;
}

interface Loaded {
  readonly file: string;
  readonly certificate: X509Certificate;
  readonly options: SecureContextOptions;
  readonly context: SecureContext;
}

interface LoadedFiles {
  readonly loaded: readonly Loaded[];
  readonly texts: ReadonlyMap<string, string>;
}

async function load({ certificates, keys, clientCa }: TlsFiles): Promise<LoadedFiles> {
  if (certificates.length === 0 || certificates.length !== keys.length)
    throw new Error("TLS needs certificates, each with its key");
  const texts = new Map<string, string>();
  for (const file of [...certificates, ...keys, ...(clientCa === undefined ? [] : [clientCa])])
    texts.set(file, await readFile(file));
  const ca = clientCa === undefined ? undefined : texts.get(clientCa)!;
  if (clientCa !== undefined) read(clientCa, "certificate", () => new X509Certificate(ca!));
  const loaded = certificates.map((file, i) => {
    const [cert, key] = [texts.get(file)!, texts.get(keys[i]!)!];
    const certificate = read(file, "certificate", () => new X509Certificate(cert));
    const privateKey = read(keys[i]!, "private key without a passphrase", () => createPrivateKey(key));
    if (!certificate.checkPrivateKey(privateKey))
      throw new Error(`${keys[i]!} is not the key of the certificate in ${file}`);
    const options: SecureContextOptions = {
      cert,
      key,
      minVersion: "TLSv1.2",
      // A resumed session would not look at the client's certificate again.
      ...(ca !== undefined && { ca, secureOptions: constants.SSL_OP_NO_TICKET }),
    };
    return {
      file,
      certificate,
      options,
      context: read(file, "certificate", () => createSecureContext(options)),
    };
  });
  return { loaded, texts };
}

async function readFile(file: string): Promise<string> {
  try {
    return await readConfigText(file);
  } catch (error) {
    throw new Error(`${file} can't be read: ${(error as NodeJS.ErrnoException).code}`, { cause: error });
  }
}

/** What OpenSSL says of a wrong file helps nobody. */
function read<T>(file: string, what: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    throw new Error(`${file} holds no PEM ${what}`, { cause: error });
  }
}

function isExpired(certificate: X509Certificate): boolean {
  return certificate.validToDate.getTime() <= Date.now();
}

function namesOf({ subjectAltName, subject }: X509Certificate): string[] {
  const names = subjectAltName
    ?.split(", ")
    .flatMap((entry) => /^(?:DNS|IP Address):(.*)$/.exec(entry)?.[1] ?? []);
  return names ?? [subject];
}
