import { enterShared, leaveShared, type SharedChunk } from "../../release.ts";
import type { GcmCipher, GcmDecipher } from "./internals.ts";

/** Our compiled module (native/sshcrypto), where it could be loaded. */
export interface NativeGcm {
  readonly AesGcmSealer: new (key: Uint8Array, nonce: Uint8Array) => Sealer;
  readonly AesGcmOpener: new (key: Uint8Array, nonce: Uint8Array, maxLength: number) => Opener;
}

interface Sealer {
  seal(packet: Uint8Array, out: Uint8Array, at: number): number;
  sealData(
    channel: number,
    data: Uint8Array,
    from: number,
    to: number,
    maxData: number,
    out: Uint8Array,
    at: number,
  ): number;
  free(): void;
}

interface Opener {
  open(data: Uint8Array, from: number, to: number, records: Uint32Array): number;
  begin(length: Uint8Array): number;
  update(data: Uint8Array, from: number, to: number, out: Uint8Array, at: number): void;
  verify(tag: Uint8Array): boolean;
  free(): void;
}

/** The longest packet we take: what OpenSSH takes. RFC 4253 §6.1 asks for at least 35,000. */
const MAX_PACKET_LENGTH = 256 * 1024;
const TAG_BYTES = 16;
/** Length, padding length, message, channel, data length; at most 19 of padding; tag. */
const DATA_PACKET_OVERHEAD = 4 + 1 + 1 + 4 + 4 + 19 + TAG_BYTES;
const SLAB_BYTES = 256 * 1024;

/**
 * Seals outgoing packets one after the other into a slab, so that what one turn of the event loop produces leaves in one
 * write to the socket, and data is encrypted from where it lies to where it is written from.
 */
export class GcmSender {
  readonly #host: GcmCipher;
  readonly #sealer: Sealer;
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #written = 0;
  #sealed = 0;
  #freed = false;

  constructor(native: NativeGcm, host: GcmCipher) {
    this.#host = host;
    this.#sealer = new native.AesGcmSealer(host._encKey, host._encIV);
    host._encKey.fill(0);
  }

  /** Seals a plain packet, after everything that was sealed before it, and writes all of it to the socket. */
  sendPacket(packet: Uint8Array): void {
    if (this.#freed) return;
    this.sealPacket(packet);
    this.flush();
  }

  /** As sendPacket, but leaves the writing to the next flush. */
  sealPacket(packet: Uint8Array): void {
    if (this.#freed) return;
    this.#reserve(packet.length + TAG_BYTES);
    this.#sealed = this.#sealer.seal(packet, this.#slab, this.#sealed);
    this.#count(1);
  }

  /** Seals data[from, to) for a channel, in packets of at most `maxData` bytes; the caller flushes. */
  // eslint-disable-next-line @typescript-eslint/max-params -- a call per chunk: no object is made for it
  sealData(peerId: number, data: Uint8Array, from: number, to: number, maxData: number): void {
    if (this.#freed) return;
    const perSlab = Math.max(1, Math.floor(SLAB_BYTES / (maxData + DATA_PACKET_OVERHEAD))) * maxData;
    while (from < to) {
      const end = Math.min(to, from + perSlab);
      const packets = Math.ceil((end - from) / maxData);
      this.#reserve(end - from + packets * DATA_PACKET_OVERHEAD);
      this.#sealed = this.#sealer.sealData(peerId, data, from, end, maxData, this.#slab, this.#sealed);
      this.#count(packets);
      from = end;
    }
  }

  /** Bytes sealed and not yet written. */
  get pending(): number {
    return this.#sealed - this.#written;
  }

  flush(): void {
    if (this.#sealed === this.#written || this.#freed) return;
    const chunk = this.#slab.subarray(this.#written, this.#sealed);
    this.#written = this.#sealed;
    this.#host._onWrite(chunk);
  }

  /** Nothing holds what was written: the slab can be filled again from its start. */
  reuse(): void {
    if (this.#sealed !== this.#written) return;
    this.#sealed = 0;
    this.#written = 0;
  }

  free(): void {
    if (this.#freed) return;
    this.flush();
    this.#freed = true;
    this.#sealer.free();
    this.#slab = Buffer.alloc(0);
  }

  #reserve(bytes: number): void {
    if (this.#slab.length - this.#sealed >= bytes) return;
    this.flush();
    // The socket still holds the old slab: it goes when the last write from it is done.
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
    this.#written = 0;
    this.#sealed = 0;
  }

  #count(packets: number): void {
    this.#host.outSeqno = (this.#host.outSeqno + packets) >>> 0;
  }
}

/** Why Opener.open stopped; the C++ side has the same list. */
const STOPPED = { more: 0, badLength: 1, badTag: 2, badPadding: 3, keyExchange: 4, full: 5 } as const;
const RECORDS = 64;

/**
 * Opens incoming packets. Those that lie whole in what the socket read are decrypted there, many in one call; one that is
 * split between reads is decrypted piece by piece into a buffer of its own. Nothing is copied, and no payload leaves before
 * its tag is verified. What the socket read must belong to us: it is overwritten.
 */
export class GcmReceiver {
  readonly #host: GcmDecipher;
  readonly #opener: Opener;
  readonly #records = new Uint32Array(2 + 2 * RECORDS);
  readonly #head = Buffer.alloc(4);
  #headBytes = 0;
  #body: Buffer | undefined;
  #bodyBytes = 0;
  readonly #tag = Buffer.alloc(TAG_BYTES);
  #tagBytes = 0;
  #freed = false;
  readonly #sharedRead: SharedChunk = { memory: undefined, users: 0 };
  readonly #sharedBody: SharedChunk = { memory: undefined, users: 0 };

  constructor(native: NativeGcm, host: GcmDecipher) {
    this.#host = host;
    this.#opener = new native.AesGcmOpener(host._decipherKey, host._decipherIV, MAX_PACKET_LENGTH);
    host._decipherKey.fill(0);
  }

  /** As GcmDecipher.decrypt. @throws {Error} for a packet that the peer did not seal, or not rightly. */
  receive(data: Buffer, from: number, to: number): number | undefined {
    const outer = enterShared(this.#sharedRead, data);
    let result: number | undefined = from;
    try {
      result = this.#receive(data, from, to);
    } finally {
      // What came before `from` went out under the keys before, and its users are not counted here.
      leaveShared(outer, from === 0 && result === undefined ? data : undefined);
    }
    return result;
  }

  #receive(data: Buffer, from: number, to: number): number | undefined {
    let at = from;
    while (at < to && !this.#freed) {
      if (this.#headBytes > 0) {
        at = this.#continue(data, at, to);
        if (this.#tagBytes < TAG_BYTES) return undefined;
        const result = this.#deliverBody();
        if (result !== undefined) return result === false ? at : result;
        continue;
      }
      const count = this.#opener.open(data, at, to, this.#records);
      at = this.#records[0]!;
      const stopped = this.#records[1]!;
      for (let i = 0; i < count; i++) {
        const offset = this.#records[2 + 2 * i]!;
        this.#sharedRead.users++;
        const result = this.#deliver(data.subarray(offset, offset + this.#records[3 + 2 * i]!));
        if (result !== undefined) return result === false ? at : result;
        if (this.#wasFreed()) return undefined;
      }
      if (stopped === STOPPED.badLength) throw new Error("Bad packet length");
      if (stopped === STOPPED.badTag) throw new Error("Bad packet: its tag does not match");
      if (stopped === STOPPED.badPadding) throw new Error("Bad padding length");
      if (stopped === STOPPED.more && at < to) at = this.#continue(data, at, to);
    }
    return undefined;
  }

  free(): void {
    this.#freed = true;
    this.#opener.free();
    this.#body = undefined;
  }

  /** A handler may have ended the connection. */
  #wasFreed(): boolean {
    return this.#freed;
  }

  #deliver(payload: Buffer): undefined | false | number {
    this.#host.inSeqno = (this.#host.inSeqno + 1) >>> 0;
    // Looked up each time: ssh2 replaces it during a key exchange.
    return this.#host._onPayload(payload);
  }

  /** Takes what data[at, to) has of the packet that is arriving in pieces. @returns where it stopped. */
  #continue(data: Buffer, at: number, to: number): number {
    while (this.#headBytes < 4) {
      if (at === to) return at;
      this.#head[this.#headBytes++] = data[at++]!;
      if (this.#headBytes < 4) continue;
      const length = this.#opener.begin(this.#head);
      if (length === 0) throw new Error("Bad packet length");
      this.#body = length < 4096 ? Buffer.allocUnsafe(length) : Buffer.allocUnsafeSlow(length);
    }
    const body = this.#body!;
    if (this.#bodyBytes < body.length) {
      const bytes = Math.min(body.length - this.#bodyBytes, to - at);
      this.#opener.update(data, at, at + bytes, body, this.#bodyBytes);
      this.#bodyBytes += bytes;
      at += bytes;
    }
    while (at < to && this.#tagBytes < TAG_BYTES && this.#bodyBytes === body.length) {
      this.#tag[this.#tagBytes++] = data[at++]!;
    }
    return at;
  }

  #deliverBody(): undefined | false | number {
    if (!this.#opener.verify(this.#tag)) throw new Error("Bad packet: its tag does not match");
    const body = this.#body!;
    const padding = body[0]!;
    if (padding < 4 || padding + 1 > body.length) throw new Error("Bad padding length");
    this.#headBytes = 0;
    this.#bodyBytes = 0;
    this.#tagBytes = 0;
    this.#body = undefined;
    const outer = enterShared(this.#sharedBody, body);
    this.#sharedBody.users++;
    try {
      return this.#deliver(body.subarray(1, body.length - padding));
    } finally {
      leaveShared(outer, body);
    }
  }
}
