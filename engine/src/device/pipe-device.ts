import type { Socket } from "node:net";
import { connectPipe, PACKET_PIPE } from "../helper/windows-pipe.ts";
import { MAX_PIECES, type PacketBurst, type PacketDevice } from "../netstack/device.ts";
import { loadNative, type NativeModule } from "./tun-device.ts";

/** Bytes of a batch's packets with their lengths: kMaxBatch of native/helper/windows/adapter.h. */
const MAX_BATCH = 256 * 1024;
const BATCH_HEAD = 4;
const PACKET_HEAD = 2;
const MAX_PACKET = 0xffff;
/** Packets of one burst, and of one batch that is sent. */
const MAX_PACKETS = 256;
const PACKET_FIELDS = 4;
/** A packet's headers and the small payload behind them always have this room, far more than MAX_HEAD. */
const HEAD_ROOM = 4096;
/** Batches that the pipe has not taken yet; the packets of further ones are lost. */
const MAX_WAITING = 16;

export interface PipeDeviceOptions {
  readonly name: string;
  readonly mtu: number;
  /** Default: the helper's on Windows. */
  readonly path?: string;
}

/**
 * The device of a system whose TUN device can't be handed over, Windows: the helper carries its packets through a pipe, in
 * batches, without looking at them. Checksums are verified and completed here, by native code, where there is no privilege; a
 * large MTU does what segmentation does elsewhere. Packets that come before start() are lost.
 *
 * A batch is a u32 length of what follows, and packets, each behind a u16 with its length; little-endian.
 * @throws a system error, or an Error with a sentence.
 */
export async function openPipeDevice(options: PipeDeviceOptions): Promise<PacketDevice> {
  const native = loadNative();
  const opened: { device?: PipeDevice } = {};
  const socket = await connectPipe(options.path ?? PACKET_PIPE, {
    buffer: Buffer.alloc(BATCH_HEAD + MAX_BATCH),
    callback: (count, bytes) => {
      opened.device?.receive(bytes, count);
      return true;
    },
  });
  // At once: no bytes come between the two, as both are the same turn of the event loop.
  opened.device = new PipeDevice(socket, native, options);
  return opened.device;
}

class PipeDevice implements PacketDevice {
  readonly name: string;
  readonly mtu: number;
  readonly segmentation = false;
  readonly heads = Buffer.alloc(HEAD_ROOM);
  /** Packets so far that were not sent. */
  lost = 0;

  readonly #socket: Socket;
  readonly #native: NativeModule;
  #onBurst: ((burst: PacketBurst) => void) | undefined;
  #onClose: ((error?: Error) => void) | undefined;
  #closed = false;

  /** The batch that is coming. */
  readonly #burst: PacketBurst = {
    bytes: Buffer.alloc(BATCH_HEAD + MAX_BATCH),
    count: 0,
    starts: new Uint32Array(MAX_PACKETS),
    lengths: new Uint32Array(MAX_PACKETS),
    checksums: new Uint8Array(MAX_PACKETS),
  };
  #filled = 0;

  /** The batch that is being made, and those that the pipe has or has had. */
  #batch = Buffer.alloc(BATCH_HEAD + MAX_BATCH);
  #size = BATCH_HEAD;
  #count = 0;
  readonly #packets = new Int32Array(MAX_PACKETS * PACKET_FIELDS);
  readonly #waiting: Buffer<ArrayBuffer>[] = [];
  readonly #free: Buffer<ArrayBuffer>[] = [];

  /** The pieces of the packet that has begun. */
  readonly #views: (Uint8Array | undefined)[] = new Array<undefined>(MAX_PIECES).fill(undefined);
  readonly #ranges = new Uint32Array(2 * MAX_PIECES);
  #pieces = 0;

  constructor(socket: Socket, native: NativeModule, { name, mtu }: PipeDeviceOptions) {
    this.name = name;
    this.mtu = mtu;
    this.#socket = socket;
    this.#native = native;
    socket.on("close", () => this.#end());
    socket.on("end", () => socket.destroy());
  }

  start(onBurst: (burst: PacketBurst) => void, onClose: (error?: Error) => void): void {
    if (this.#closed || this.#onBurst) throw new Error(`${this.name} is closed, or has been started before`);
    this.#onBurst = onBurst;
    this.#onClose = onClose;
  }

  /** Takes bytes of the pipe, however they are cut. */
  receive(bytes: Uint8Array, count: number): void {
    const { bytes: batch } = this.#burst;
    for (let at = 0; at < count && !this.#closed;) {
      const size = this.#filled < BATCH_HEAD ? BATCH_HEAD : BATCH_HEAD + batch.readUInt32LE();
      const end = Math.min(count, at + size - this.#filled);
      batch.set(bytes.subarray(at, end), this.#filled);
      this.#filled += end - at;
      at = end;
      if (this.#filled < BATCH_HEAD) continue;
      const length = batch.readUInt32LE();
      if (length === 0 || length > MAX_BATCH) this.#socket.destroy();
      if (this.#socket.destroyed) return;
      if (this.#filled < BATCH_HEAD + length) continue;
      this.#filled = 0;
      this.#deliver(BATCH_HEAD + length);
    }
  }

  #deliver(end: number): void {
    const burst = this.#burst;
    const { bytes, starts, lengths, checksums } = burst;
    for (let at = BATCH_HEAD; at < end && !this.#closed;) {
      let count = 0;
      for (; at < end && count < MAX_PACKETS; count++) {
        const length = end - at < PACKET_HEAD ? 0 : bytes.readUInt16LE(at);
        if (length === 0 || length > end - at - PACKET_HEAD) {
          this.#socket.destroy();
          return;
        }
        starts[count] = at + PACKET_HEAD;
        lengths[count] = length;
        at += PACKET_HEAD + length;
      }
      this.#native.verifyAll(bytes, starts, lengths, checksums, count);
      burst.count = count;
      this.#onBurst?.(burst);
    }
  }

  begin(): number {
    return 0;
  }

  piece(bytes: Uint8Array, from: number, to: number): void {
    if (to <= from) return;
    if (this.#pieces === MAX_PIECES) throw new RangeError(`a packet has at most ${MAX_PIECES} pieces`);
    this.#views[this.#pieces] = bytes;
    this.#ranges[2 * this.#pieces] = from;
    this.#ranges[2 * this.#pieces + 1] = to;
    this.#pieces++;
  }

  end(headLength: number, transportAt: number, checksumAt: number): void {
    if (headLength > HEAD_ROOM) throw new RangeError(`a packet's head has at most ${HEAD_ROOM} bytes`);
    let length = headLength;
    for (let i = 0; i < this.#pieces; i++) length += this.#ranges[2 * i + 1]! - this.#ranges[2 * i]!;
    const needed = PACKET_HEAD + length;
    if (this.#size + needed > BATCH_HEAD + MAX_BATCH || this.#count === MAX_PACKETS) this.flush();
    if (length <= MAX_PACKET) this.#append(headLength, length, transportAt, checksumAt);
    else this.lost++;
    for (let i = 0; i < this.#pieces; i++) this.#views[i] = undefined;
    this.#pieces = 0;
  }

  #append(headLength: number, length: number, transportAt: number, checksumAt: number): void {
    const batch = this.#batch;
    const start = batch.writeUInt16LE(length, this.#size);
    this.heads.copy(batch, start, 0, headLength);
    let at = start + headLength;
    for (let i = 0; i < this.#pieces; i++) {
      const [from, to] = [this.#ranges[2 * i]!, this.#ranges[2 * i + 1]!];
      batch.set(this.#views[i]!.subarray(from, to), at);
      at += to - from;
    }
    const fields = this.#count * PACKET_FIELDS;
    this.#packets[fields] = start;
    this.#packets[fields + 1] = length;
    this.#packets[fields + 2] = transportAt;
    this.#packets[fields + 3] = checksumAt;
    this.#count++;
    this.#size = at;
  }

  flush(): void {
    const [count, size] = [this.#count, this.#size];
    if (count === 0) return;
    this.#count = 0;
    this.#size = BATCH_HEAD;
    if (this.#closed || this.#waiting.length === MAX_WAITING) {
      this.lost += count;
      return;
    }
    const batch = this.#batch;
    this.#native.completeAll(batch, this.#packets, count);
    batch.writeUInt32LE(size - BATCH_HEAD);
    this.#waiting.push(batch);
    this.#batch = this.#free.pop() ?? Buffer.alloc(BATCH_HEAD + MAX_BATCH);
    this.#socket.write(batch.subarray(0, size), this.#onWritten);
  }

  /** Batches are written in their order. */
  readonly #onWritten = (): void => {
    const batch = this.#waiting.shift();
    if (batch) this.#free.push(batch);
  };

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.destroy();
    const onClose = this.#onClose;
    if (onClose) setImmediate(onClose);
  }

  /** The helper ended it. */
  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose?.(new Error(`the privileged helper carries no packets of ${this.name} any more`));
  }
}
