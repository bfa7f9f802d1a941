import { createHash } from "node:crypto";
import { errors, jwtVerify } from "jose";
import { z } from "zod";
import {
  AuthError,
  type Authoriser,
  type Credential,
  type Grant,
  type Purpose,
  type Verdict,
} from "./authoriser.ts";
import { claims, identityText, limitsOf } from "./claims.ts";
import { Listeners } from "./listeners.ts";
import { expired, hasExpired, noGrant, revoked, withinScope } from "./scope.ts";
import { WatchedFile } from "./watched-file.ts";

export interface JwtOptions {
  /** A key a line; a token may be signed with any of them, so that one can follow another without a break. */
  readonly secretFile: string;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
}

/** RFC 7518 §3.2: a key is at least as long as the hash. */
const MIN_KEY_BYTES = 32;
const MAX_KEYS = 8;
const MAX_TOKEN_CHARACTERS = 8_192;
/** Clocks of issuers differ a little. */
const CLOCK_TOLERANCE_S = 5;
/** The algorithms that a shared key is for. `none`, and those of public keys, are refused. */
const ALGORITHMS = ["HS256", "HS384", "HS512"];

interface Key {
  readonly bytes: Uint8Array;
  /** Tells one from another without telling any. */
  readonly digest: string;
}

const payloadSchema = claims.extend({ sub: identityText, exp: z.number() });

/**
 * Tokens that somebody else issues, signed with a shared key (JWT, RFC 7519): `sub` is who it is, `names` and `ports` what it
 * is good for, `exp` must be there. They end by `exp`, or when their key leaves the file.
 */
export class JwtAuthoriser implements Authoriser {
  /** As it stands in `Grant.origin`. */
  static readonly kind = "jwt";
  readonly #options: JwtOptions;
  readonly #keys: WatchedFile<readonly Key[]>;
  readonly #listeners: Listeners;
  readonly #now: () => number;

  /** @throws {Error} when the file can't be read, or a key in it is too short. */
  static async open(
    options: JwtOptions,
    onProblem: (sentence: string) => void,
    now: () => number = Date.now,
  ): Promise<JwtAuthoriser> {
    const listeners = new Listeners();
    const keys = await WatchedFile.open(options.secretFile, {
      parse: (text) => parseKeys(options.secretFile, text),
      onChange: () => listeners.tell(),
      onProblem,
    });
    return new JwtAuthoriser(options, keys, listeners, now);
  }

  private constructor(
    options: JwtOptions,
    keys: WatchedFile<readonly Key[]>,
    listeners: Listeners,
    now: () => number,
  ) {
    this.#options = options;
    this.#keys = keys;
    this.#listeners = listeners;
    this.#now = now;
  }

  /** Three parts with dots between them (RFC 7515 §7.1), the first beginning as JSON in base64url does. */
  static reads({ token }: Credential): boolean {
    return token !== undefined && /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/.test(token);
  }

  async authenticate({ token }: Credential): Promise<Grant> {
    if (token === undefined) throw new AuthError("missing", "a token is needed");
    if (token.length > MAX_TOKEN_CHARACTERS) throw new AuthError("refused", "the token is too long");
    let failure: unknown;
    for (const key of this.#keys.value) {
      try {
        return await this.#verify(token, key);
      } catch (error) {
        failure = error;
        // Another key may fit, and nothing else is mended by one.
        if (!(error instanceof errors.JWSSignatureVerificationFailed)) break;
      }
    }
    const about = { cause: failure, credential: subjectOf(failure), detail: detailOf(failure) };
    if (failure instanceof errors.JWTExpired) throw new AuthError("expired", "the token has expired", about);
    throw new AuthError("refused", "the token is not valid here", about);
  }

  authorise(grant: Grant | undefined, purpose: Purpose): Verdict {
    if (grant?.origin.authoriser !== JwtAuthoriser.kind) return noGrant;
    if (!this.#keys.value.some(({ digest }) => digest === grant.origin.reference)) return revoked;
    return hasExpired(grant, this.#now()) ? expired : withinScope(grant, purpose);
  }

  onRevocation(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  close(): void {
    this.#keys.close();
    this.#listeners.clear();
  }

  async #verify(token: string, key: Key): Promise<Grant> {
    const { issuer, audience } = this.#options;
    const { payload } = await jwtVerify(token, key.bytes, {
      algorithms: ALGORITHMS,
      requiredClaims: ["exp", "sub"],
      clockTolerance: CLOCK_TOLERANCE_S,
      currentDate: new Date(this.#now()),
      ...(issuer !== undefined && { issuer }),
      ...(audience !== undefined && { audience }),
    });
    const given = payloadSchema.safeParse(payload);
    if (!given.success)
      throw new AuthError("refused", "the token's claims are not those of a client", {
        cause: given.error,
      });
    const { sub, exp, names, ports } = given.data;
    return {
      identity: `jwt:${sub}`,
      names,
      ports,
      limits: limitsOf(given.data),
      expiresAt: (exp + CLOCK_TOLERANCE_S) * 1000,
      origin: { authoriser: JwtAuthoriser.kind, reference: key.digest },
    };
  }
}

/** Whom a token is for that a key of ours has signed, and that is wrong otherwise. */
function subjectOf(failure: unknown): string | undefined {
  if (!(failure instanceof errors.JWTExpired || failure instanceof errors.JWTClaimValidationFailed))
    return undefined;
  return typeof failure.payload.sub === "string" ? failure.payload.sub : undefined;
}

/** The library's sentences name claims, and hold none of their values. */
function detailOf(failure: unknown): string | undefined {
  return failure instanceof errors.JOSEError || failure instanceof AuthError ? failure.message : undefined;
}

/** @throws {Error} */
function parseKeys(file: string, text: string): Key[] {
  const lines = text.split(/\r?\n/).filter((line) => line !== "");
  if (lines.length === 0) throw new Error(`${file} holds no key`);
  if (lines.length > MAX_KEYS) throw new Error(`${file} holds more than ${MAX_KEYS} keys, one a line`);
  return lines.map((line) => {
    const bytes = new TextEncoder().encode(line);
    if (bytes.length < MIN_KEY_BYTES)
      throw new Error(`${file}: a key has at least ${MIN_KEY_BYTES} bytes; one here has ${bytes.length}`);
    return { bytes, digest: createHash("sha256").update(bytes).digest("hex") };
  });
}
