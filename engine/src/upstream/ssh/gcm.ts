import { enterShared, leaveShared, releaseChunk, type SharedChunk } from "../../release.ts";
import type { GcmCipher, GcmDecipher } from "./internals.ts";

/** Our compiled module (native/sshcrypto), where it could be loaded. */
export interface NativeGcm {
  readonly AesGcmSealer: new (key: Uint8Array, nonce: Uint8Array) => Sealer;
  readonly AesGcmOpener: new (key: Uint8Array, nonce: Uint8Array, maxLength: number) => Opener;
}

interface Sealer {
  seal(packet: Uint8Array, out: Uint8Array, at: number): number;
  sealPayload(payload: Uint8Array, out: Uint8Array, at: number): number;
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
  open(data: Uint8Array, from: number, to: number, out: Uint8Array, at: number, records: Uint32Array): number;
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

  /** Seals a message without its packet's frame; the caller flushes. */
  sealPayload(payload: Uint8Array): void {
    if (this.#freed) return;
    this.#reserve(payload.length + DATA_PACKET_OVERHEAD);
    this.#sealed = this.#sealer.sealPayload(payload, this.#slab, this.#sealed);
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
/** What Opener.open tells in its records: five words, then three for each payload. */
const RECORD = { at: 0, stopped: 1, packets: 2, restBytes: 3, rest: 4, head: 5, words: 3 } as const;
const RECORDS = 64;
/** What comes before the data in a payload of CHANNEL_DATA. */
const PAYLOAD_HEADER = 9;
const ROUND_BYTES = 16 * 1024;

/**
 * Opens incoming packets: decrypts them, however the stream is cut, out of what the socket read into memory of its own, in
 * one call. The data of adjacent packets for one channel lies there in one piece and goes out as one payload. No payload
 * leaves before its tags are verified. Memory whose users have all released it serves for the next read.
 */
export class GcmReceiver {
  readonly #host: GcmDecipher;
  readonly #opener: Opener;
  readonly #records = new Uint32Array(RECORD.head + RECORD.words * RECORDS);
  readonly #shared: SharedChunk = { memory: undefined, users: 0 };
  /** Payloads lie here; between two calls, of a packet that is not complete its decrypted bytes from PAYLOAD_HEADER on. */
  #slab: Buffer = EMPTY;
  #restBytes = 0;
  #freed = false;

  constructor(native: NativeGcm, host: GcmDecipher) {
    this.#host = host;
    this.#opener = new native.AesGcmOpener(host._decipherKey, host._decipherIV, MAX_PACKET_LENGTH);
    host._decipherKey.fill(0);
  }

  /**
   * As GcmDecipher.decrypt. Holds nothing of `data` when it returns, and gives its memory back where that was all of it.
   * @throws {Error} for a packet that the peer did not seal, or not rightly.
   */
  receive(data: Buffer, from: number, to: number): number | undefined {
    const needed = PAYLOAD_HEADER + this.#restBytes + (to - from);
    if (this.#slab.length < needed) this.#replaceSlab(needed, PAYLOAD_HEADER);
    const slab = this.#slab;
    const outer = enterShared(this.#shared, slab);
    let result: number | undefined;
    try {
      result = this.#receive(data, from, to);
    } catch (error) {
      leaveShared(outer);
      throw error;
    }
    const allReleased = leaveShared(outer);
    if (this.#freed) return result;
    const rest = this.#records[RECORD.rest]!;
    if (!allReleased) this.#replaceSlab(PAYLOAD_HEADER + this.#restBytes, rest);
    else if (this.#restBytes > 0) slab.copyWithin(PAYLOAD_HEADER, rest, rest + this.#restBytes);
    // Under the keys before, ssh2 may have kept parts of what came before `from`.
    if (from === 0 && result === undefined) releaseChunk(data);
    return result;
  }

  #receive(data: Buffer, from: number, to: number): number | undefined {
    const slab = this.#slab;
    const records = this.#records;
    let at = from;
    let out = 0;
    while (at < to) {
      const count = this.#opener.open(data, at, to, slab, out, records);
      at = records[RECORD.at]!;
      this.#restBytes = records[RECORD.restBytes]!;
      this.#host.inSeqno = (this.#host.inSeqno + records[RECORD.packets]!) >>> 0;
      const stopped = records[RECORD.stopped]!;
      for (let i = 0, record: number = RECORD.head; i < count; i++, record += RECORD.words) {
        const offset = records[record]!;
        out = offset + records[record + 1]!;
        const result = this.#deliver(slab.subarray(offset, out), records[record + 2] === 1);
        if (result !== undefined) return result === false ? at : result;
        if (this.#freed) return undefined;
      }
      if (stopped === STOPPED.badLength) throw new Error("Bad packet length");
      if (stopped === STOPPED.badTag) throw new Error("Bad packet: its tag does not match");
      if (stopped === STOPPED.badPadding) throw new Error("Bad padding length");
    }
    return undefined;
  }

  free(): void {
    this.#freed = true;
    this.#opener.free();
    this.#slab = EMPTY;
  }

  #deliver(payload: Buffer, isChannelData: boolean): undefined | false | number {
    // All but channel data is small, and what ssh2 keeps of it must not keep the slab.
    if (!isChannelData) return this.#host._onPayload(Buffer.from(payload));
    this.#shared.users++;
    // Looked up each time: ssh2 replaces it during a key exchange.
    return this.#host._onPayload(payload);
  }

  /** Moves what there is of an incomplete packet, from `rest`, into a slab of at least so many bytes. */
  #replaceSlab(bytes: number, rest: number): void {
    const old = this.#slab;
    this.#slab = Buffer.allocUnsafeSlow(Math.ceil(bytes / ROUND_BYTES) * ROUND_BYTES);
    if (this.#restBytes > 0) old.copy(this.#slab, PAYLOAD_HEADER, rest, rest + this.#restBytes);
  }
}

const EMPTY = Buffer.alloc(0);
