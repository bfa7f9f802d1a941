/*
 * What the stack needs of the device below it. The stack knows no descriptor and no clock of its own: bursts of packets and
 * the time come in, packets go out. The TUN device is one implementation; a test's simulated link is another.
 */

/** What is known of a packet's transport checksum. */
export const Checksum = {
  /** Nobody looked: the stack does. */
  unknown: 0,
  /** Right, or still to be filled in by a kernel that made the packet itself and offloads the sum. */
  good: 1,
  bad: 2,
} as const;

/**
 * Packets as they came, several at a time. It belongs to the device, which fills it anew for the next burst: whoever keeps
 * bytes copies them.
 */
export interface PacketBurst {
  readonly bytes: Buffer;
  count: number;
  /** Offset in `bytes` of each packet's IP header. */
  readonly starts: Uint32Array;
  /** Bytes of each packet from its IP header on. A TCP packet may be larger than the MTU: segments that the kernel joined. */
  readonly lengths: Uint32Array;
  /** One of `Checksum` for each packet. */
  readonly checksums: Uint8Array;
}

/**
 * Where the stack puts packets. For each: begin(), the headers written at the returned offset of `heads`, a piece() for each
 * part of the payload in order, end(). Nothing leaves before flush(), until when the payload must not change; after it, the
 * device holds none of it. What the kernel does not take at once is lost, as packets may be.
 */
export interface PacketWriter {
  /** Room for headers. A packet's headers may have up to MAX_HEAD bytes; a small payload may be written behind them. */
  readonly heads: Buffer;
  /** @returns the offset in `heads` of the next packet's first byte. It may flush what waits, to make room. */
  begin(): number;
  /** Adds the bytes `from` to `to` of `bytes` to the packet. At most MAX_PIECES for each packet. */
  piece(bytes: Uint8Array, from: number, to: number): void;
  /**
   * Ends the packet.
   * @param headLength bytes that were written to `heads`.
   * @param transportAt offset of the transport header from the packet's first byte.
   * @param checksumAt offset of the checksum field from `transportAt`, which holds the sum of the pseudo-header
   *   (pseudoHeaderSum), to be completed by the device; -1 where the packet's checksum is complete.
   * @param segment the payload's bytes for each TCP segment (the MSS less options), where the device is to cut the packet
   *   into several; 0 for a packet that goes out as it is. Only where `segmentation` is true.
   */
  end(headLength: number, transportAt: number, checksumAt: number, segment: number): void;
  flush(): void;
}

export const MAX_HEAD = 256;
export const MAX_PIECES = 64;

export interface PacketDevice extends PacketWriter {
  /** As the system calls it. */
  readonly name: string;
  /** Largest IP packet, in bytes; 1280 (RFC 8200 §5) to 65,535. Packets that are cut by `segmentation` may be larger. */
  readonly mtu: number;
  /** True when it cuts large TCP packets into segments by itself (TSO). */
  readonly segmentation: boolean;
  /** Packets so far that the system did not take. Absent where it does not say. */
  readonly lost?: number;
  /** Begins to read. Each burst is handed over synchronously. `onClose` is called once, with the error that ended it, if any. */
  start(onBurst: (burst: PacketBurst) => void, onClose: (error?: Error) => void): void;
  /** Gives the descriptor back to the system; with the last one, the device is gone. */
  close(): void;
}
