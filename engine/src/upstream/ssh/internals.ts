import { createRequire } from "node:module";
import type { Duplex } from "node:stream";
import type { Client } from "ssh2";

/*
 * What we use of ssh2's inside. The package is pinned, and its version is checked before any of this is touched:
 * another version has to be read before VERSION moves.
 */
const VERSION = "1.17.0";
const require = createRequire(import.meta.url);

/** Seals outgoing packets; replaced by ssh2 at each key exchange. */
export interface PacketCipher {
  encrypt(packet: Buffer): void;
}

/** The connection protocol's messages, by their number's name in RFC 4254. `undefined` data is never passed. */
export interface MessageHandlers {
  GLOBAL_REQUEST(protocol: Protocol, name: string, wantReply: boolean): void;
  CHANNEL_OPEN(protocol: Protocol, info: { readonly sender: number }): void;
  CHANNEL_OPEN_CONFIRMATION(protocol: Protocol, info: OpenConfirmation): void;
  CHANNEL_OPEN_FAILURE(protocol: Protocol, id: number, reason: number, description: string): void;
  CHANNEL_DATA(protocol: Protocol, id: number, data: Buffer): void;
  CHANNEL_EXTENDED_DATA(protocol: Protocol, id: number, data: Buffer, type: number): void;
  CHANNEL_WINDOW_ADJUST(protocol: Protocol, id: number, bytes: number): void;
  CHANNEL_EOF(protocol: Protocol, id: number): void;
  CHANNEL_CLOSE(protocol: Protocol, id: number): void;
  CHANNEL_REQUEST(protocol: Protocol, id: number, type: string, wantReply: boolean, data: unknown): void;
}

export interface OpenConfirmation {
  /** Our number for the channel. */
  readonly recipient: number;
  /** The peer's number for it. */
  readonly sender: number;
  readonly window: number;
  readonly packetSize: number;
}

export interface Protocol {
  /** Set while keys are exchanged: then packets are queued without bound, so nothing but a few may be sent. */
  readonly _kexinit: unknown;
  /** Unset once the protocol has ended: then every send throws. */
  readonly _destruct: (() => void) | undefined;
  readonly _cipher: PacketCipher;
  readonly _decipher: object;
  /** `allocStart` is 0 where packets are compressed. */
  readonly _packetRW: { readonly write: { readonly allocStart: number } };
  readonly _handlers: MessageHandlers;
  directTcpip(
    id: number,
    window: number,
    maxPacket: number,
    route: { srcIP: string; srcPort: number; dstIP: string; dstPort: number },
  ): void;
  requestFailure(): void;
  channelOpenFail(peerId: number, reason: number, description: string): void;
  channelData(peerId: number, data: Buffer): void;
  channelEOF(peerId: number): void;
  channelClose(peerId: number): void;
  channelFailure(peerId: number): void;
  channelWindowAdjust(peerId: number, bytes: number): void;
}

export interface ConnectedClient {
  readonly _protocol: Protocol;
  readonly _sock: Duplex;
  /** Hands out our channel numbers, one series for ssh2's own channels and ours. -1: none is left. */
  readonly _chanMgr: { add(value: object): number; remove(id: number): void; get(id: number): unknown };
}

/** The inside of a client that has connected. */
export function internalsOf(client: Client): ConnectedClient {
  checkVersion();
  const inside = client as unknown as Partial<ConnectedClient>;
  if (!inside._protocol || !inside._sock || !inside._chanMgr)
    throw new Error("the SSH client is not connected");
  return inside as ConnectedClient;
}

/** What a client does with messages, from connect() on. */
export function handlersOf(client: Client): MessageHandlers {
  checkVersion();
  const { _protocol: protocol } = client as unknown as Partial<ConnectedClient>;
  if (!protocol) throw new Error("the SSH client was not told to connect");
  return protocol._handlers;
}

/** An outgoing AES-GCM stream of ssh2's, written with node:crypto. */
export interface GcmCipher extends PacketCipher {
  outSeqno: number;
  readonly _dead: boolean;
  readonly _encKey: Buffer;
  readonly _encIV: Buffer;
  _onWrite(data: Uint8Array): void;
  free(): void;
}

/** An incoming AES-GCM stream of ssh2's, written with node:crypto. */
export interface GcmDecipher {
  inSeqno: number;
  readonly _decipherKey: Buffer;
  readonly _decipherIV: Buffer;
  /** How much of the next packet's length ssh2's own code has read. */
  readonly _lenBytes: number;
  /** Anything but undefined ends the reading: false where the rest is under new keys, Infinity where it is lost. */
  _onPayload(payload: Buffer): undefined | false | number;
  /** Takes data[from, to). @returns undefined when all was taken, or where the next decipher goes on. */
  decrypt(data: Buffer, from: number, to: number): number | undefined;
  free(): void;
}

interface CryptoModule {
  readonly bindingAvailable: boolean;
  readonly CIPHER_INFO: Readonly<Record<string, object>>;
  createCipher(config: { outbound: object }): GcmCipher;
  createDecipher(config: { inbound: object }): GcmDecipher;
}

export interface GcmStreams {
  readonly cipher: GcmCipher;
  readonly decipher: GcmDecipher;
}

/** True where somebody compiled ssh2's own native crypto. */
export function ssh2HasOwnBinding(): boolean {
  return cryptoModule().bindingAvailable;
}

/** A pair of ssh2's own AES-GCM streams in JavaScript. */
export function createGcmStreams(options: {
  readonly key: Buffer;
  readonly nonce: Buffer;
  readonly onWrite: (data: Uint8Array) => void;
  readonly onPayload: (payload: Buffer) => undefined | false | number;
}): GcmStreams {
  const module = cryptoModule();
  const info =
    module.CIPHER_INFO[options.key.length === 16 ? "aes128-gcm@openssh.com" : "aes256-gcm@openssh.com"];
  const common = { seqno: 0, forceNative: true };
  return {
    cipher: module.createCipher({
      outbound: {
        ...common,
        cipherInfo: info,
        // A copy each: whoever takes the key over wipes it.
        cipherKey: Buffer.from(options.key),
        cipherIV: Buffer.from(options.nonce),
        onWrite: options.onWrite,
      },
    }),
    decipher: module.createDecipher({
      inbound: {
        ...common,
        decipherInfo: info,
        decipherKey: Buffer.from(options.key),
        decipherIV: Buffer.from(options.nonce),
        onPayload: options.onPayload,
      },
    }),
  };
}

function cryptoModule(): CryptoModule {
  checkVersion();
  return require("ssh2/lib/protocol/crypto.js") as CryptoModule;
}

let checked = false;

function checkVersion(): void {
  if (checked) return;
  const { version } = require("ssh2/package.json") as { version: string };
  if (version !== VERSION) {
    throw new Error(`ssh2 ${version} is installed; Sockeye's SSH channels are written for ssh2 ${VERSION}`);
  }
  checked = true;
}
