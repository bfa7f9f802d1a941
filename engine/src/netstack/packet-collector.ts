import { addBytes, finish, fold, pseudoHeaderSum } from "./ip/checksum.ts";
import { MAX_HEAD, MAX_PIECES, type PacketWriter } from "./device.ts";
import { Protocol } from "./ip/packet.ts";

export interface CollectorOptions {
  /** Default 1500. */
  readonly mtu?: number;
  /** Default false. */
  readonly segmentation?: boolean;
  /** Packets that wait at most before begin() flushes by itself. Default 64. */
  readonly depth?: number;
}

/**
 * A device that keeps what is written to it, as the system would see it: whole packets, checksums complete, large TCP packets
 * cut into segments. It reads a payload only in flush(), as a real device does, and throws where a packet breaks the
 * contract of PacketWriter.
 */
export class PacketCollector implements PacketWriter {
  readonly heads: Buffer;
  readonly mtu: number;
  readonly segmentation: boolean;
  readonly #depth: number;
  #waiting: Waiting[] = [];
  #open: Piece[] | undefined;
  #packets: Buffer[] = [];

  constructor(options: CollectorOptions = {}) {
    this.mtu = options.mtu ?? 1500;
    this.segmentation = options.segmentation ?? false;
    this.#depth = options.depth ?? 64;
    this.heads = Buffer.alloc(this.#depth * MAX_HEAD);
  }

  /** The packets that were flushed since the last call, each in memory of its own. */
  take(): Buffer[] {
    const packets = this.#packets;
    this.#packets = [];
    return packets;
  }

  begin(): number {
    if (this.#open) throw new Error("begin() before the end() of the packet before");
    if (this.#waiting.length === this.#depth) this.flush();
    this.#open = [];
    return this.#waiting.length * MAX_HEAD;
  }

  piece(bytes: Uint8Array, from: number, to: number): void {
    const pieces = this.#open;
    if (!pieces) throw new Error("piece() outside of a packet");
    if (pieces.length === MAX_PIECES) throw new Error(`more than ${MAX_PIECES} pieces`);
    if (!(from >= 0 && from < to && to <= bytes.length)) throw new Error(`no such bytes: ${from} to ${to}`);
    pieces.push({ bytes, from, to });
  }

  end(headLength: number, transportAt: number, checksumAt: number, segment: number): void {
    const pieces = this.#open;
    if (!pieces) throw new Error("end() without begin()");
    if (headLength > MAX_HEAD) throw new Error(`${headLength} bytes of headers`);
    if (segment > 0 && !this.segmentation) throw new Error("a packet to be cut, on a device that does not");
    this.#open = undefined;
    this.#waiting.push({ headLength, transportAt, checksumAt, segment, pieces });
  }

  flush(): void {
    if (this.#open) throw new Error("flush() within a packet");
    for (const [index, waiting] of this.#waiting.entries()) this.#emit(waiting, index * MAX_HEAD);
    this.#waiting = [];
    // Whoever counts on headers that it wrote earlier finds them gone.
    this.heads.fill(0xa5);
  }

  #emit({ headLength, transportAt, checksumAt, segment, pieces }: Waiting, headAt: number): void {
    const packet = Buffer.concat([
      this.heads.subarray(headAt, headAt + headLength),
      ...pieces.map(({ bytes, from, to }) => {
        if (to > bytes.length) throw new Error("a payload was taken away before flush()");
        return bytes.subarray(from, to);
      }),
    ]);
    checkLength(packet);
    if (checksumAt !== -1) {
      const partial = packet.readUInt16BE(transportAt + checksumAt);
      const pseudo = pseudoSum(packet, transportAt);
      if (partial % 0xffff !== fold(pseudo) % 0xffff) throw new Error("not the pseudo-header's sum");
    }
    const dataAt = transportAt + (segment > 0 ? (packet[transportAt + 12]! >> 4) * 4 : 0);
    if (segment > 0 && packet.length - dataAt > segment) {
      this.#cut(packet, transportAt, dataAt, segment);
      return;
    }
    if (packet.length > this.mtu) throw new Error(`a packet of ${packet.length} bytes, MTU ${this.mtu}`);
    if (checksumAt !== -1) complete(packet, transportAt, checksumAt);
    this.#packets.push(packet);
  }

  /** As the kernel cuts a TCP packet: each segment has the headers, and FIN and PSH only the last. */
  #cut(packet: Buffer, transportAt: number, dataAt: number, segment: number): void {
    for (let at = dataAt; at < packet.length; at += segment) {
      const end = Math.min(at + segment, packet.length);
      const part = Buffer.concat([packet.subarray(0, dataAt), packet.subarray(at, end)]);
      if (part.length > this.mtu) throw new Error(`a segment of ${part.length} bytes, MTU ${this.mtu}`);
      if (part[0]! >> 4 === 4) {
        part.writeUInt16BE(part.length, 2);
        part.writeUInt16BE((part.readUInt16BE(4) + (at - dataAt) / segment) & 0xffff, 4);
        part.writeUInt16BE(0, 10);
        part.writeUInt16BE(finish(addBytes(0, part, 0, (part[0]! & 15) * 4)), 10);
      } else {
        part.writeUInt16BE(part.length - 40, 4);
      }
      part.writeUInt32BE((packet.readUInt32BE(transportAt + 4) + at - dataAt) >>> 0, transportAt + 4);
      if (end < packet.length) part[transportAt + 13]! &= ~(FIN | PSH);
      part.writeUInt16BE(fold(pseudoSum(part, transportAt)), transportAt + TCP_CHECKSUM_AT);
      complete(part, transportAt, TCP_CHECKSUM_AT);
      this.#packets.push(part);
    }
  }
}

interface Piece {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

interface Waiting {
  readonly headLength: number;
  readonly transportAt: number;
  readonly checksumAt: number;
  readonly segment: number;
  readonly pieces: readonly Piece[];
}

const FIN = 1;
const PSH = 8;
const TCP_CHECKSUM_AT = 16;

function checkLength(packet: Buffer): void {
  const said = packet[0]! >> 4 === 4 ? packet.readUInt16BE(2) : packet.readUInt16BE(4) + 40;
  if (said !== packet.length)
    throw new Error(`the header says ${said} bytes, the packet has ${packet.length}`);
}

function pseudoSum(packet: Buffer, transportAt: number): number {
  const length = packet.length - transportAt;
  if (packet[0]! >> 4 === 4) return pseudoHeaderSum(packet, 12, 4, { protocol: packet[9]!, length });
  // Behind extension headers the transport is told by what it can be: the next header of the last of them.
  const protocol = transportAt === 40 ? packet[6]! : Protocol.tcp;
  return pseudoHeaderSum(packet, 8, 16, { protocol, length });
}

function complete(packet: Buffer, transportAt: number, checksumAt: number): void {
  const sum = finish(addBytes(0, packet, transportAt, packet.length));
  // RFC 768: to UDP, 0 means no checksum; both are zero in one's complement.
  packet.writeUInt16BE(sum || 0xffff, transportAt + checksumAt);
}
