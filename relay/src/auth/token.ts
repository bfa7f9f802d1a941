import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/**
 * A client's token: `showoff_ID_SECRET`. The id finds its entry in the tokens file and is no secret; the secret is 32 random
 * bytes, so that its SHA-256 is as good as any slow hash: there is nothing to guess through.
 */
export interface Token {
  readonly id: string;
  readonly secret: string;
}

const PREFIX = "showoff";
const SECRET_BYTES = 32;
const FORM = /^showoff_([a-z0-9]{12})_([A-Za-z0-9_-]{43})$/;

export function createToken(): Token {
  const id = Array.from(randomBytes(12), (byte) => (byte % 32).toString(32)).join("");
  return { id, secret: randomBytes(SECRET_BYTES).toString("base64url") };
}

export function formatToken({ id, secret }: Token): string {
  return `${PREFIX}_${id}_${secret}`;
}

/** Undefined for what is no such token. */
export function parseToken(text: string): Token | undefined {
  const match = FORM.exec(text);
  return match ? { id: match[1]!, secret: match[2]! } : undefined;
}

/** The SHA-256 of a secret, as the tokens file has it: 64 hexadecimal digits. */
export function hashSecret(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

/** Compares in a time that does not tell how much is right. */
export function isSecret(secret: string, hash: string): boolean {
  const [given, wanted] = [Buffer.from(hashSecret(secret), "hex"), Buffer.from(hash, "hex")];
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}
