import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { getSystemErrorMessage, getSystemErrorName } from "node:util";
import { MAX_PIECES, type PacketBurst, type PacketDevice } from "../netstack/device.ts";

export interface TunOptions {
  /**
   * The device's MTU, in bytes, from whoever has set it. Default: what the system says of the device of that name in this
   * network namespace, or 1500 where it knows none.
   */
  readonly mtu?: number;
  /**
   * How much of the kernel's offload to use; `none` and `checksum` are for tests of what happens where a kernel refuses.
   * Default: `segments`, all that the kernel and the device offer.
   */
  readonly offload?: "segments" | "checksum" | "none";
}

export interface TunDevice extends PacketDevice {
  /**
   * Whether the kernel is given TCP segments to cut; what it does not cut, our native code does. It joins those that it hands
   * over where it can.
   */
  readonly offloaded: boolean;
  /** Packets so far that the kernel did not take, or that were not right. */
  readonly lost: number;
}

/**
 * An open TUN device (IFF_TUN and IFF_NO_PI, best with IFF_VNET_HDR) as a packet device.
 * @param descriptor its number: the device's from now on, which closes it; still the caller's where this throws.
 * @throws Error with a plain sentence: the native module is not built, or this is no TUN device.
 */
export function openTunDevice(descriptor: number, options: TunOptions = {}): TunDevice {
  return new NativeTunDevice(descriptor, options);
}

/**
 * Creates a TUN device, or attaches to a persistent one, which takes CAP_NET_ADMIN. The engine itself is handed its descriptor.
 * @param header false for a device without the header that offload needs.
 * @param manyQueues Linux: each call for the same name opens one more queue of the device (IFF_MULTI_QUEUE), each for a device of
 *   its own in a thread of its own. The kernel keeps the packets of a flow to one queue. One thread gains nothing by it, so the
 *   engine, whose flows share their upstreams' connections in one thread, is handed a single queue.
 * @returns the descriptor.
 */
export function createTun(name: string, header = true, manyQueues = false): number {
  return loadNative().create(name, header, manyQueues);
}

/** native/tun/module.cc. The arrays are views of memory that native code reads and fills. */
interface NativeTun {
  readonly name: string;
  /** 0 where the system did not say. */
  readonly mtu: number;
  readonly segments: boolean;
  readonly starts: Uint32Array;
  readonly lengths: Uint32Array;
  readonly checksums: Uint8Array;
  readonly bytes: Uint8Array;
  readonly packets: Int32Array;
  readonly pieces: Uint32Array;
  readonly heads: Uint8Array;
  /** Bytes before each packet's headers that native code writes. */
  readonly headroom: number;
  start(callback: (count: number, error: number) => void): void;
  flush(count: number, views: readonly (Uint8Array | undefined)[]): number;
  lost(): number;
  close(): void;
}

export interface NativeModule {
  /** Fills `checksums` in for packets that came; native/tun/software.h. */
  verifyAll(
    bytes: Uint8Array,
    ...burst: [starts: Uint32Array, lengths: Uint32Array, checksums: Uint8Array, count: number]
  ): void;
  /** Completes checksums of whole packets: for each its offset, length, transportAt and checksumAt. */
  completeAll(bytes: Uint8Array, packets: Int32Array, count: number): void;
  readonly TunDevice: new (
    descriptor: number,
    wishes: { readonly checksums: boolean; readonly segments: boolean },
  ) => NativeTun;
  create(name: string, header: boolean, manyQueues: boolean): number;
}

/** The fields of a packet and of a piece, in native/tun/burst.h's order. */
const PACKET_FIELDS = 6;
const PIECE_FIELDS = 3;
const DEFAULT_MTU = 1500;
/** In the place of a system's error number, where it has none: kDeviceEnded of native/tun/device.h. */
const DEVICE_ENDED = -3;
/** A packet's headers and the small payload behind them always have this room, far more than MAX_HEAD. */
const HEAD_ROOM = 4096;

class NativeTunDevice implements TunDevice {
  readonly name: string;
  readonly mtu: number;
  /** Where the kernel does not cut, native code does. */
  readonly segmentation = true;
  readonly offloaded: boolean;
  readonly heads: Buffer;

  readonly #native: NativeTun;
  readonly #burst: PacketBurst;
  readonly #packets: Int32Array;
  readonly #pieces: Uint32Array;
  /** The arrays that pieces lie in; the same one twice in a row stands here once. */
  readonly #views: (Uint8Array | undefined)[] = [];
  readonly #maxPackets: number;
  readonly #maxPieces: number;

  #packetCount = 0;
  #pieceCount = 0;
  #viewCount = 0;
  /** Of the packet that has begun. */
  #headAt: number;
  #firstPiece = 0;

  #onBurst: ((burst: PacketBurst) => void) | undefined;
  #onClose: ((error?: Error) => void) | undefined;
  #closed = false;

  constructor(descriptor: number, { mtu, offload = "segments" }: TunOptions) {
    const { TunDevice } = loadNative();
    const native = new TunDevice(descriptor, {
      checksums: offload !== "none",
      segments: offload === "segments",
    });
    this.#native = native;
    this.name = native.name;
    this.mtu = mtu ?? (native.mtu || DEFAULT_MTU);
    this.offloaded = native.segments;
    this.heads = asBuffer(native.heads);
    this.#burst = {
      bytes: asBuffer(native.bytes),
      count: 0,
      starts: native.starts,
      lengths: native.lengths,
      checksums: native.checksums,
    };
    this.#packets = native.packets;
    this.#pieces = native.pieces;
    this.#maxPackets = native.packets.length / PACKET_FIELDS;
    this.#maxPieces = native.pieces.length / PIECE_FIELDS;
    this.#headAt = native.headroom;
  }

  get lost(): number {
    return this.#native.lost();
  }

  start(onBurst: (burst: PacketBurst) => void, onClose: (error?: Error) => void): void {
    if (this.#closed || this.#onBurst) throw new Error(`${this.name} is closed, or has been started before`);
    this.#onBurst = onBurst;
    this.#onClose = onClose;
    this.#native.start((count, error) => {
      if (error !== 0) this.#end(error);
      else if (!this.#closed) {
        this.#burst.count = count;
        onBurst(this.#burst);
      }
    });
  }

  begin(): number {
    if (
      this.#packetCount === this.#maxPackets ||
      this.#pieceCount + MAX_PIECES > this.#maxPieces ||
      this.#headAt + HEAD_ROOM > this.heads.length
    ) {
      this.flush();
    }
    this.#firstPiece = this.#pieceCount;
    return this.#headAt;
  }

  piece(bytes: Uint8Array, from: number, to: number): void {
    if (to <= from) return;
    const count = this.#pieceCount;
    if (count - this.#firstPiece === MAX_PIECES)
      throw new RangeError(`a packet has at most ${MAX_PIECES} pieces`);
    if (this.#viewCount === 0 || this.#views[this.#viewCount - 1] !== bytes) {
      this.#views[this.#viewCount++] = bytes;
    }
    const at = count * PIECE_FIELDS;
    this.#pieces[at] = this.#viewCount - 1;
    this.#pieces[at + 1] = from;
    this.#pieces[at + 2] = to;
    this.#pieceCount = count + 1;
  }

  end(headLength: number, transportAt: number, checksumAt: number, segment: number): void {
    if (headLength > HEAD_ROOM) throw new RangeError(`a packet's head has at most ${HEAD_ROOM} bytes`);
    const packets = this.#packets;
    const at = this.#packetCount * PACKET_FIELDS;
    packets[at] = this.#headAt;
    packets[at + 1] = headLength;
    packets[at + 2] = transportAt;
    packets[at + 3] = checksumAt;
    packets[at + 4] = segment;
    packets[at + 5] = this.#pieceCount - this.#firstPiece;
    this.#packetCount++;
    // The next head stands on a multiple of 16 bytes, with headroom.
    this.#headAt = ((this.#headAt + headLength + 15) & ~15) + this.#native.headroom;
    this.#firstPiece = this.#pieceCount;
  }

  flush(): void {
    if (this.#packetCount === 0) return;
    const error = this.#closed ? 0 : this.#native.flush(this.#packetCount, this.#views);
    for (let i = 0; i < this.#viewCount; i++) this.#views[i] = undefined;
    this.#viewCount = 0;
    this.#packetCount = 0;
    this.#pieceCount = 0;
    this.#headAt = this.#native.headroom;
    // Whoever flushes is in the middle of its work: it hears of the end when that is done.
    if (error !== 0) setImmediate(() => this.#end(error));
  }

  close(): void {
    this.#native.close();
    if (this.#closed) return;
    this.#closed = true;
    const onClose = this.#onClose;
    if (onClose) setImmediate(onClose);
  }

  /** The device went away by itself. */
  #end(error: number): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose?.(goneError(this.name, error));
  }
}

function asBuffer(view: Uint8Array): Buffer {
  return Buffer.from(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength);
}

/** Why a device is gone; `code` is the system's name for the error, where it has one. */
function goneError(name: string, error: number): Error {
  if (error === DEVICE_ENDED) return new Error(`the TUN device ${name} was deleted`);
  if (error < 0) return new Error(`the TUN device ${name} can't be read any more`);
  const code = getSystemErrorName(-error);
  const sentences: Record<string, string> = {
    EIO: `the TUN device ${name} was taken down`,
    ENODEV: `the TUN device ${name} was deleted`,
  };
  const sentence = sentences[code] ?? `the TUN device ${name} failed: ${getSystemErrorMessage(-error)}`;
  return Object.assign(new Error(sentence), { code });
}

/** @throws {Error} with a sentence, where the module is not there. */
export function loadNative(): NativeModule {
  const path = fileURLToPath(new URL("../../../native/tun/build/Release/tun.node", import.meta.url));
  if (!existsSync(path)) {
    throw new Error("TUN mode needs a compiled module that is not there: `npm run build:native` makes it");
  }
  try {
    return createRequire(import.meta.url)(path) as NativeModule;
  } catch (cause) {
    throw new Error("TUN mode's compiled module does not load: `npm run build:native` makes it anew", {
      cause,
    });
  }
}
