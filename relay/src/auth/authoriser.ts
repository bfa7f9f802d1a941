/** Who may do what: a client shows a credential once, and every stream through it is asked about again. */

/** Inclusive, 1 to 65535. */
export interface PortRange {
  readonly low: number;
  readonly high: number;
}

/** What a client showed when it connected. */
export interface Credential {
  /** As the client sent it; a bearer token of any kind. */
  readonly token?: string | undefined;
  /** Who its certificate names, where the listener asked for one and has verified it. */
  readonly certificate?: string | undefined;
  /** The client's address, without a port. */
  readonly source: string;
}

/** Tighter than the relay's own limits; what is absent is the relay's. */
export interface GrantLimits {
  readonly maxNames?: number;
  readonly maxPorts?: number;
  readonly maxTunnels?: number;
  readonly requestsPerSecond?: number;
}

/** What a credential is good for. It is data: whether it still holds, only its authoriser says. */
export interface Grant {
  /** Who this is; the same for every connection of one client. It owns the names. */
  readonly identity: string;
  /** Patterns of names (names/pattern.ts); none: no name. */
  readonly names: readonly string[];
  /** TCP ports; none: no port. */
  readonly ports: readonly PortRange[];
  readonly limits: GrantLimits;
  /** When it ends by itself, in milliseconds since 1970; absent: never. */
  readonly expiresAt?: number;
  /** The authoriser that gave it, and what it knows it by; never logged. */
  readonly origin: GrantOrigin;
}

export interface GrantOrigin {
  readonly authoriser: string;
  /** A digest or a number, never the credential itself. */
  readonly reference: string;
}

/** What is asked about. `session`: staying connected, asked at each heartbeat. */
export type Purpose =
  | { readonly kind: "session" }
  | { readonly kind: "http"; readonly name: string }
  | { readonly kind: "tcp"; readonly port: number };

export type AuthErrorCode =
  | "missing" // no credential that anyone here reads
  | "refused" // unknown, wrong, or for somebody else
  | "expired"
  | "revoked"
  | "unavailable"; // whoever decides gives no answer; this is a denial

/** What the relay's operator is told of a refusal besides, and nobody else. It holds no secret. */
export interface AuthErrorAbout {
  readonly cause?: unknown;
  /** What the credential goes by: a token's id, whom a JWT that was signed here is for. */
  readonly credential?: string | undefined;
  /** What exactly is wrong, where the client is told less. */
  readonly detail?: string | undefined;
}

/** A credential that is not accepted. Its sentence goes to the client: it tells nothing that helps to guess. */
export class AuthError extends Error {
  override readonly name = "AuthError";
  readonly code: AuthErrorCode;
  readonly credential: string | undefined;
  readonly detail: string | undefined;
  constructor(code: AuthErrorCode, message: string, { cause, credential, detail }: AuthErrorAbout = {}) {
    super(message, { cause });
    this.code = code;
    this.credential = credential;
    this.detail = detail;
  }
}

export type Verdict =
  | { readonly allowed: true }
  | {
      readonly allowed: false;
      /** `scope`: the grant holds, and does not reach so far. */
      readonly code: AuthErrorCode | "scope";
      readonly reason: string;
    };

export interface Authoriser {
  /**
   * Whose credential this is, and what it is good for.
   * @throws {AuthError} for every other one; the signal's reason when it fires.
   */
  authenticate(credential: Credential, signal: AbortSignal): Promise<Grant>;
  /**
   * Whether `grant` is good for this now. Asked for each stream, and answered at once where the answer is known: a
   * revoked credential ends here, whatever the handshake said. No grant is no permission.
   */
  authorise(grant: Grant | undefined, purpose: Purpose): Verdict | Promise<Verdict>;
  /**
   * Tells that grants may have been revoked: whoever holds open streams asks about them again.
   * @returns stops telling.
   */
  onRevocation(listener: () => void): () => void;
  close(): void;
}
