import { createPrivateKey, type KeyObject } from "node:crypto";
import ssh2, { type ParsedKey } from "ssh2";

/**
 * A private key in the format of OpenSSH, PEM, PKCS #8 (RFC 5958) or PuTTY 2; an Error says why it is none, or that it wants a
 * passphrase.
 */
export function parseKey(text: string, passphrase?: string): ParsedKey | Error {
  try {
    const readable = /^-----BEGIN (?:ENCRYPTED )?PRIVATE KEY-----/m.test(text)
      ? knownFormat(openPkcs8(text, passphrase))
      : text;
    const parsed: unknown = ssh2.utils.parseKey(readable, passphrase);
    // The type says one key; what ssh2 gives for OpenSSH's own format is a list, of one.
    const key = (Array.isArray(parsed) ? parsed[0] : parsed) as ParsedKey | Error;
    return key instanceof Error && /unsupported key format/i.test(key.message) ? new Error(UNKNOWN) : key;
  } catch (error) {
    return error as Error;
  }
}

const UNKNOWN = "it is no private key in the format of OpenSSH, PEM, PKCS #8 or PuTTY 2";

/** An opened key as a text that parseKey() takes without a passphrase; undefined where the passphrase does not open it. */
export function plainKeyText(text: string, passphrase: string): string | undefined {
  const key = parseKey(text, passphrase);
  return key instanceof Error ? undefined : key.getPrivatePEM();
}

/** @throws {Error} in ssh2's words where it wants a passphrase. */
function openPkcs8(text: string, passphrase: string | undefined): KeyObject {
  if (text.includes("-----BEGIN ENCRYPTED") && passphrase === undefined)
    throw new Error("Encrypted PKCS #8 private key detected, but no passphrase given");
  return createPrivateKey({ key: text, passphrase });
}

/** PKCS #8, which ssh2 writes for Ed25519 and never reads, in a format that it reads. @throws {Error} for keys SSH has no use for. */
function knownFormat(key: KeyObject): string {
  switch (key.asymmetricKeyType) {
    case "rsa":
      return key.export({ type: "pkcs1", format: "pem" }).toString();
    case "ec":
      return key.export({ type: "sec1", format: "pem" }).toString();
    case "ed25519":
      return ed25519Text(key);
    default:
      throw new Error(`keys of the type ${key.asymmetricKeyType ?? "unknown"} are not supported`);
  }
}

/** The format of OpenSSH's PROTOCOL.key, with the cipher "none". */
function ed25519Text(key: KeyObject): string {
  const { d, x } = key.export({ format: "jwk" });
  const point = Buffer.from(x!, "base64url");
  const publicKey = Buffer.concat([counted("ssh-ed25519"), counted(point)]);
  // Two equal numbers, which only tell a reader that it deciphered right.
  const check = Buffer.alloc(8);
  const secret = Buffer.concat([Buffer.from(d!, "base64url"), point]);
  const inner = Buffer.concat([check, counted("ssh-ed25519"), counted(point), counted(secret), counted("")]);
  const padding = Buffer.from(Array.from({ length: -inner.length & 7 }, (_, index) => index + 1));
  const container = Buffer.concat([
    Buffer.from("openssh-key-v1\0", "latin1"),
    ...[counted("none"), counted("none"), counted("")],
    ...[Buffer.of(0, 0, 0, 1), counted(publicKey), counted(Buffer.concat([inner, padding]))],
  ]);
  const lines = container.toString("base64").replaceAll(/.{70}/g, "$&\n");
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

/** RFC 4251 §5, `string`. */
function counted(content: Buffer | string): Buffer {
  const bytes = Buffer.from(content);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
