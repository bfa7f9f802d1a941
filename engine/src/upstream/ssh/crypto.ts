import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { CipherAlgorithm, CompressionAlgorithm } from "ssh2";
import { GcmReceiver, GcmSender, type NativeGcm } from "./gcm.ts";
import { createGcmStreams, type GcmCipher, type GcmDecipher, ssh2HasOwnBinding } from "./internals.ts";

export interface SshCrypto {
  /** native: our compiled module encrypts and decrypts. javascript: ssh2 does, through node:crypto, at about half the speed. */
  readonly kind: "native" | "javascript";
  /** Why it is not native, or whose native code it is. */
  readonly reason?: string;
}

let chosen: SshCrypto | undefined;

/**
 * Which cryptography SSH connections use. The first call decides for the process: it loads our compiled module, tries it
 * against node:crypto, and puts it under ssh2's AES-GCM streams. Connections made before keep what they have until their
 * next key exchange. `SOCKEYE_SSH_CRYPTO=javascript` keeps to JavaScript.
 */
export function sshCrypto(): SshCrypto {
  chosen ??= choose();
  return chosen;
}

/**
 * The ciphers to offer, best first: AES-GCM carries the most wherever the processor has AES. And no compression: GcmReceiver
 * reads what is in a packet, and every server has to do without (RFC 4253 §6.2).
 */
export function preferredAlgorithms(): { cipher: CipherAlgorithm[]; compress: CompressionAlgorithm[] } {
  sshCrypto();
  return {
    cipher: [
      "aes128-gcm@openssh.com",
      "aes256-gcm@openssh.com",
      "chacha20-poly1305@openssh.com",
      "aes128-ctr",
      "aes192-ctr",
      "aes256-ctr",
    ],
    compress: ["none"],
  };
}

function choose(): SshCrypto {
  if (process.env["SOCKEYE_SSH_CRYPTO"] === "javascript") {
    return { kind: "javascript", reason: "SOCKEYE_SSH_CRYPTO asks for it" };
  }
  if (ssh2HasOwnBinding()) return { kind: "native", reason: "the one compiled with ssh2" };
  const native = loadNative();
  if (typeof native === "string") return { kind: "javascript", reason: native };
  if (!agreesWithNode(native)) {
    return { kind: "javascript", reason: "the compiled module disagrees with node:crypto on this runtime" };
  }
  install(native);
  return { kind: "native" };
}

/** Our compiled module, or why there is none. */
export function loadNative(): NativeGcm | string {
  const path = fileURLToPath(
    new URL("../../../../native/sshcrypto/build/Release/sshcrypto.node", import.meta.url),
  );
  if (!existsSync(path)) return "the compiled module is not there: `npm run build:native` makes it";
  try {
    const loaded = createRequire(import.meta.url)(path) as NativeGcm & { unavailable?: string };
    return loaded.unavailable ?? loaded;
  } catch (cause) {
    return `the compiled module does not load: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}

/** Seals a packet natively and opens it with node:crypto, and the other way round, with both key sizes. */
export function agreesWithNode(native: NativeGcm): boolean {
  try {
    return [16, 32].every((keyBytes) => agreesOnKey(native, randomBytes(keyBytes)));
  } catch {
    return false;
  }
}

function agreesOnKey(native: NativeGcm, key: Buffer): boolean {
  const algorithm = key.length === 16 ? "aes-128-gcm" : "aes-256-gcm";
  const nonce = randomBytes(12);
  const packet = Buffer.concat([Buffer.from([0, 0, 0, 64, 9]), randomBytes(63)]);

  const sealed = Buffer.alloc(packet.length + 16);
  new native.AesGcmSealer(key, nonce).seal(packet, sealed, 0);
  const decipher = createDecipheriv(algorithm, key, nonce);
  decipher.setAAD(packet.subarray(0, 4)).setAuthTag(sealed.subarray(68));
  const opened = Buffer.concat([decipher.update(sealed.subarray(4, 68)), decipher.final()]);
  if (!opened.equals(packet.subarray(4))) return false;

  const cipher = createCipheriv(algorithm, key, nonce);
  cipher.setAAD(packet.subarray(0, 4));
  const body = Buffer.concat([cipher.update(packet.subarray(4)), cipher.final()]);
  if (!sealed.equals(Buffer.concat([packet.subarray(0, 4), body, cipher.getAuthTag()]))) return false;

  const forged = Buffer.from(sealed);
  forged[20]! ^= 1;
  const records = new Uint32Array(8);
  const out = Buffer.alloc(256);
  const refused = new native.AesGcmOpener(key, nonce, 1024).open(forged, 0, forged.length, out, 0, records);
  const accepted = new native.AesGcmOpener(key, nonce, 1024).open(sealed, 0, sealed.length, out, 0, records);
  const payload = packet.subarray(5, -9);
  return refused === 0 && accepted === 1 && out.subarray(0, payload.length).equals(payload);
}

const senders = new WeakMap<object, GcmSender>();

/** The native sender under a connection's present cipher; undefined where ssh2's own JavaScript seals. */
export function senderOf(cipher: object): GcmSender | undefined {
  return (
    senders.get(cipher) ?? (chosenNative && isGcmCipher(cipher) ? adopt(chosenNative, cipher) : undefined)
  );
}

const receivers = new WeakMap<object, GcmReceiver>();

/** Whether a connection's present decipher keeps nothing of what it was given once it has returned. */
export function opensIntoOwnMemory(decipher: object): boolean {
  return receivers.has(decipher);
}

let chosenNative: NativeGcm | undefined;
let cipherPrototype: object | undefined;

function isGcmCipher(cipher: object): cipher is GcmCipher {
  return Object.getPrototypeOf(cipher) === cipherPrototype;
}

function adopt(native: NativeGcm, cipher: GcmCipher): GcmSender {
  const sender = new GcmSender(native, cipher);
  senders.set(cipher, sender);
  return sender;
}

/**
 * Puts our streams under ssh2's: its two AES-GCM classes keep making and holding the keys, and their methods become ours.
 * They are reached through an instance, because ssh2 exports neither.
 */
function install(native: NativeGcm): void {
  const { cipher, decipher } = createGcmStreams({
    key: Buffer.alloc(16),
    nonce: Buffer.alloc(12),
    onWrite: () => undefined,
    onPayload: () => undefined,
  });
  chosenNative = native;
  cipherPrototype = Object.getPrototypeOf(cipher) as object;

  Object.assign(cipherPrototype, {
    encrypt(this: GcmCipher, packet: Buffer) {
      if (!this._dead) senderOf(this)?.sendPacket(packet);
    },
    free(this: GcmCipher & { _dead: boolean }) {
      this._dead = true;
      senders.get(this)?.free();
    },
  });
  const decipherPrototype = Object.getPrototypeOf(decipher) as GcmDecipher;
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its own `this` below
  const decryptInJavaScript = decipherPrototype.decrypt;
  Object.assign(decipherPrototype, {
    decrypt(this: GcmDecipher, data: Buffer, from: number, to: number) {
      let receiver = receivers.get(this);
      if (!receiver) {
        // A connection from before may be in the middle of a packet: nothing can take that over.
        if (this._lenBytes > 0) return decryptInJavaScript.call(this, data, from, to);
        receivers.set(this, (receiver = new GcmReceiver(native, this)));
      }
      return receiver.receive(data, from, to);
    },
    free(this: GcmDecipher) {
      receivers.get(this)?.free();
    },
  });
}
