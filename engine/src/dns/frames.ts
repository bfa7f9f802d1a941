import { MAX_MESSAGE_BYTES } from "./message.ts";

/** A message as it goes over a stream: after its length in two bytes (RFC 1035 §4.2.2), in one piece (RFC 7766 §8). */
export function writeFrame(message: Buffer): Buffer {
  if (message.length > MAX_MESSAGE_BYTES) throw new RangeError("a DNS message has at most 65,535 bytes");
  const frame = Buffer.allocUnsafe(2 + message.length);
  frame.writeUInt16BE(message.length, 0);
  message.copy(frame, 2);
  return frame;
}

/** Cuts the bytes of a stream into messages, however they were cut on the way. Keeps less than one message. */
export class FrameReader {
  #kept: Buffer[] = [];
  #keptBytes = 0;
  /** With so many bytes there is something to do. */
  #wanted = 2;

  /** @returns the messages that `chunk` completes, as copies, so that none keeps its chunk alive. */
  push(chunk: Buffer): Buffer[] {
    this.#kept.push(chunk);
    this.#keptBytes += chunk.length;
    if (this.#keptBytes < this.#wanted) return [];
    let bytes = this.#kept.length === 1 ? chunk : Buffer.concat(this.#kept);
    const messages: Buffer[] = [];
    this.#wanted = 2;
    while (bytes.length >= 2) {
      const end = 2 + bytes.readUInt16BE(0);
      this.#wanted = end;
      if (bytes.length < end) break;
      messages.push(Buffer.from(bytes.subarray(2, end)));
      bytes = bytes.subarray(end);
      this.#wanted = 2;
    }
    this.#kept = bytes.length > 0 ? [Buffer.from(bytes)] : [];
    this.#keptBytes = bytes.length;
    return messages;
  }
}
