import { givePart } from "./given-memory.ts";

/**
 * The frames of the connection between relay and client: eight bytes of header, then the payload.
 *
 * ```
 *  stream id, 32 bits │ type, 8 bits │ length of the payload, 24 bits
 * ```
 */

/** Why a stream was cut; the number is what crosses the wire, so the order is for ever. */
export const RESET_REASONS = [
  "closed", // cut without a reason, or by the far end's own reset
  "cancelled", // whoever wanted the answer has gone
  "refused", // the local service refused the connection
  "unreachable", // no way to the local service
  "timeout", // the local service did not answer the connection in time
  "overload", // more streams than allowed
  "unshared", // the share is no longer there
  "lost", // the connection between relay and client ended; never sent
] as const;
export type ResetReason = (typeof RESET_REASONS)[number];

export type MuxErrorCode = "protocol" | "limit";

/** The connection between relay and client can't go on. */
export class MuxError extends Error {
  override readonly name = "MuxError";
  readonly code: MuxErrorCode;
  constructor(code: MuxErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export const FrameType = {
  open: 1,
  data: 2,
  end: 3,
  reset: 4,
  window: 5,
  ping: 6,
  pong: 7,
  control: 8,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const MAX_CONTROL_BYTES = 65_536;
export const MAX_OPEN_BYTES = 512;
export const HEADER_BYTES = 8;

/** How long a payload may be, and the least it has to be. Data is passed on as it comes, so that only its field limits it. */
const LENGTHS: Readonly<Record<FrameType, readonly [least: number, most: number]>> = {
  [FrameType.open]: [0, MAX_OPEN_BYTES],
  [FrameType.data]: [0, 0xffffff],
  [FrameType.end]: [0, 0],
  [FrameType.reset]: [1, 1],
  [FrameType.window]: [4, 4],
  [FrameType.ping]: [4, 4],
  [FrameType.pong]: [4, 4],
  [FrameType.control]: [0, MAX_CONTROL_BYTES],
};

export interface Frame {
  readonly type: FrameType;
  readonly id: number;
  readonly payload: Buffer;
}

/** Writes the header of a frame at an offset of `into`. */
export function writeFrameHeader(
  into: Buffer,
  at: number,
  { type, id, length }: { readonly type: FrameType; readonly id: number; readonly length: number },
): void {
  into.writeUInt32BE(id, at);
  into.writeUInt32BE(((type << 24) | length) >>> 0, at + 4);
}

export function frame(type: FrameType, id: number, payload: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  writeFrameHeader(bytes, 0, { type, id, length: payload.length });
  payload.copy(bytes, HEADER_BYTES);
  return bytes;
}

/** A frame whose payload is one number of 32 bits. */
export function numberFrame(type: FrameType, id: number, value: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + 4);
  writeFrameHeader(bytes, 0, { type, id, length: 4 });
  bytes.writeUInt32BE(value, 8);
  return bytes;
}

export interface FrameSink {
  /** A part of a data frame, as it came: a view of the chunk, and given where the chunk is. */
  data(id: number, bytes: Buffer): void;
  /** Any other frame, whole. Its payload may be a view of the chunk. */
  frame(frame: Frame): void;
}

/** Reads frames, however their bytes are cut into chunks. Holds no data, and no more than one other frame. */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerLength = 0;
  #id = 0;
  #type: FrameType = FrameType.end;
  /** Bytes of the payload that have not come yet; -1 while the header has not. */
  #left = -1;
  #parts: Buffer[] = [];

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** @throws {MuxError} after which the reader is of no more use. */
  push(chunk: Buffer): void {
    let at = 0;
    for (;;) {
      if (this.#left < 0) {
        const next = this.#readHeader(chunk, at);
        if (next === undefined) return;
        at = next;
      }
      const available = Math.min(this.#left, chunk.length - at);
      if (this.#left > 0 && available === 0) return;
      const part = chunk.subarray(at, at + available);
      at += available;
      this.#left -= available;
      if (this.#type === FrameType.data) {
        if (available > 0) {
          givePart(chunk, part);
          this.#sink.data(this.#id, part);
        }
        if (this.#left === 0) this.#left = -1;
      } else if (this.#left > 0) {
        this.#parts.push(Buffer.from(part));
      } else {
        this.#left = -1;
        this.#sink.frame({ type: this.#type, id: this.#id, payload: this.#whole(part) });
      }
    }
  }

  #whole(last: Buffer): Buffer {
    if (this.#parts.length === 0) return last;
    const whole = Buffer.concat([...this.#parts, last]);
    this.#parts = [];
    return whole;
  }

  /** @returns the offset after the header, or undefined where the chunk ends within it. */
  #readHeader(chunk: Buffer, at: number): number | undefined {
    if (this.#headerLength === 0 && chunk.length - at >= HEADER_BYTES) {
      this.#begin(chunk, at);
      return at + HEADER_BYTES;
    }
    const taken = Math.min(HEADER_BYTES - this.#headerLength, chunk.length - at);
    chunk.copy(this.#header, this.#headerLength, at, at + taken);
    this.#headerLength += taken;
    if (this.#headerLength < HEADER_BYTES) return undefined;
    this.#headerLength = 0;
    this.#begin(this.#header, 0);
    return at + taken;
  }

  #begin(bytes: Buffer, at: number): void {
    this.#id = bytes.readUInt32BE(at);
    const word = bytes.readUInt32BE(at + 4);
    const length = word & 0xffffff;
    const type = word >>> 24;
    if (!isFrameType(type)) throw new MuxError("protocol", `there is no frame of type ${type}`);
    const [least, most] = LENGTHS[type];
    if (length < least || length > most)
      throw new MuxError("protocol", `a frame of type ${type} can't be ${length} bytes long`);
    this.#type = type;
    this.#left = length;
  }
}

function isFrameType(type: number): type is FrameType {
  return type in LENGTHS;
}
