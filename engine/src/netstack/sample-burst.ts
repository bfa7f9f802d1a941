import { Checksum, type PacketBurst } from "./device.ts";

/** Packets as a device hands them over: one after the other in memory that is used again. For tests. */
export class SampleBurst implements PacketBurst {
  bytes: Buffer = Buffer.alloc(0);
  count = 0;
  starts = new Uint32Array(0);
  lengths = new Uint32Array(0);
  checksums = new Uint8Array(0);

  static of(...packets: readonly Buffer[]): SampleBurst {
    const burst = new SampleBurst();
    burst.bytes = Buffer.concat(packets);
    burst.count = packets.length;
    burst.lengths = Uint32Array.from(packets, (packet) => packet.length);
    burst.checksums = new Uint8Array(packets.length).fill(Checksum.unknown);
    burst.starts = new Uint32Array(packets.length);
    for (let i = 1; i < packets.length; i++) burst.starts[i] = burst.starts[i - 1]! + burst.lengths[i - 1]!;
    return burst;
  }
}
