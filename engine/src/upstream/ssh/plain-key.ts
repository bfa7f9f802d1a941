import { createPrivateKey } from "node:crypto";
import ssh2, { type ParsedKey } from "ssh2";

/** A private key of any format that ssh2 reads; an Error says why it is none, or that it wants a passphrase. */
export function parseKey(text: string, passphrase?: string): ParsedKey | Error {
  try {
    const parsed: unknown = ssh2.utils.parseKey(text, passphrase);
    // The type says one key; what ssh2 gives for OpenSSH's own format is a list, of one.
    return (Array.isArray(parsed) ? parsed[0] : parsed) as ParsedKey | Error;
  } catch (error) {
    return error as Error;
  }
}

/** An opened key as a text that parseKey() takes without a passphrase; undefined where the passphrase does not open it. */
export function plainKeyText(text: string, passphrase: string): string | undefined {
  const key = parseKey(text, passphrase);
  if (key instanceof Error) return undefined;
  const pem = key.getPrivatePEM();
  // ssh2 writes this one kind as PKCS #8, which it does not read.
  return pem.startsWith("-----BEGIN PRIVATE KEY-----") ? ed25519Text(pem, key) : pem;
}

/** The format of OpenSSH's PROTOCOL.key, with the cipher "none". */
function ed25519Text(pem: string, key: ParsedKey): string {
  const { d } = createPrivateKey(pem).export({ format: "jwk" });
  const publicKey = key.getPublicSSH();
  const point = publicKey.subarray(-32);
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
