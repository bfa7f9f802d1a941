import assert from "node:assert/strict";
import { ACK, decode, FIN, RST, SYN, type Wire } from "./test-wire.ts";

/**
 * Watches one connection of the stack at its device: every segment that it sends, and every one that reaches it. What must
 * hold, whatever the link and the peer do:
 *
 *  1. Checksums and lengths are right; IPv4 has DF. (decode, PacketCollector)
 *  2. The first segment is the SYN-ACK; it acknowledges the SYN, has an MSS option, and other options only if the SYN had.
 *     It comes again with the same sequence number only.
 *  3. Every later segment has ACK and no SYN. Where timestamps were agreed on, all have them, and they never go back.
 *  4. No payload is larger than the peer's MSS less the options.
 *  5. No byte and no FIN is sent beyond the furthest right edge that reached the stack.
 *  6. A sequence number stands for the same byte for ever; nothing has a number behind the FIN's; the FIN's never changes.
 *  7. New data follows on the last: there are no gaps.
 *  8. The acknowledgement never goes back, and never passes what reached the stack without gaps.
 *  9. The right edge that is offered never goes back by as much as one unit of the window scale.
 * 10. SACK blocks lie above the acknowledgement, within what reached the stack, and are not empty.
 */
export class Watch {
  /** Payload of the stack's application, as it was first sent. */
  sent: Buffer = Buffer.alloc(0);
  #iss = -1;
  #syn: Wire | undefined;
  #synAck: Wire | undefined;
  #peerScale = 0;
  #ourScale = 0;
  #timestamps = false;
  #lastTimestamp = 0;
  #fin = -1;
  #edge = 0;
  #ack = 0;
  #offered = 0;
  #finTaken = -1;
  /** The peer's bytes that reached the stack, as ranges of offsets from its first byte, apart and sorted. */
  #reached: [number, number][] = [];

  /** A packet is about to reach the stack. */
  reaches(packet: Buffer): void {
    const wire = decode(packet);
    if (!wire || wire.flags & RST) return;
    if (wire.flags & SYN) {
      this.#syn ??= wire;
      return;
    }
    const peerIss = this.#syn!.seq;
    const from = (wire.seq - peerIss - 1) | 0;
    this.#note(from, from + wire.payload.length);
    if (wire.flags & FIN) this.#finTaken = from + wire.payload.length;
    if (wire.flags & ACK && this.#iss !== -1) {
      const ack = (wire.ack - this.#iss) | 0;
      this.#edge = Math.max(this.#edge, ack + wire.window * 2 ** this.#peerScale);
    }
  }

  /** A packet that the stack sent. */
  sends(packet: Buffer): void {
    const wire = decode(packet);
    assert.ok(wire, "1: a wrong checksum");
    if (packet[0]! >> 4 === 4) assert.equal(packet[6]! & 0x40, 0x40, "1: DF");
    if (wire.flags & RST) return;
    if (wire.flags & SYN) this.#checkSynAck(wire);
    else this.#check(wire);
  }

  #checkSynAck(wire: Wire): void {
    const syn = this.#syn;
    assert.ok(syn, "2: a SYN-ACK without a SYN");
    assert.equal(wire.flags, SYN | ACK, "2");
    assert.equal(wire.ack, (syn.seq + 1) >>> 0, "2");
    assert.ok(wire.mss, "2: the MSS option");
    assert.equal(wire.windowScale !== undefined, syn.windowScale !== undefined, "2: window scale");
    assert.equal(wire.sackPermitted, syn.sackPermitted, "2: SACK permitted");
    assert.equal(wire.timestamps !== undefined, syn.timestamps !== undefined, "2: timestamps");
    if (this.#synAck) {
      assert.equal(wire.seq, this.#synAck.seq, "2: the same number");
      return;
    }
    this.#synAck = wire;
    this.#iss = wire.seq;
    this.#timestamps = wire.timestamps !== undefined;
    this.#lastTimestamp = wire.timestamps?.[0] ?? 0;
    if (wire.windowScale !== undefined) {
      this.#ourScale = wire.windowScale;
      this.#peerScale = syn.windowScale!;
    }
    this.#offered = wire.window;
  }

  #check(wire: Wire): void {
    const syn = this.#syn!;
    assert.ok(this.#synAck, "2: something before the SYN-ACK");
    assert.ok(wire.flags & ACK, "3: no ACK");
    assert.equal(wire.timestamps !== undefined, this.#timestamps, "3: timestamps");
    if (wire.timestamps) {
      assert.ok(((wire.timestamps[0] - this.#lastTimestamp) | 0) >= 0, "3: a timestamp went back");
      this.#lastTimestamp = wire.timestamps[0];
    }
    const optionBytes = (this.#timestamps ? 12 : 0) + (wire.sacks?.length ? 4 + 8 * wire.sacks.length : 0);
    assert.ok(wire.payload.length <= Math.max(64, syn.mss ?? 536) - optionBytes, "4: too large");
    this.#checkNumbers(wire);
    this.#checkAck(wire);
  }

  #checkNumbers(wire: Wire): void {
    const from = (wire.seq - this.#iss) | 0;
    const to = from + wire.payload.length;
    const fin = (wire.flags & FIN) >> 0;
    if (to + fin > from) assert.ok(to + fin <= this.#edge, `5: ${to + fin} is beyond ${this.#edge}`);
    if (this.#fin !== -1) assert.ok(to <= this.#fin || from === to, "6: behind the FIN");
    if (fin) {
      if (this.#fin !== -1) assert.equal(to, this.#fin, "6: the FIN's number");
      this.#fin = to;
    }
    if (wire.payload.length === 0) return;
    assert.ok(from >= 1 && from - 1 <= this.sent.length, "7: a gap");
    const known = Math.min(wire.payload.length, this.sent.length - (from - 1));
    const again = this.sent.subarray(from - 1, from - 1 + known);
    assert.ok(again.equals(wire.payload.subarray(0, known)), "6: other bytes than before");
    if (known < wire.payload.length) this.sent = Buffer.concat([this.sent, wire.payload.subarray(known)]);
  }

  #checkAck(wire: Wire): void {
    const ack = (wire.ack - this.#syn!.seq - 1) | 0;
    assert.ok(ack >= this.#ack, `8: the acknowledgement went back from ${this.#ack} to ${ack}`);
    const whole = this.#reached[0]?.[0] === 0 ? this.#reached[0][1] : 0;
    assert.ok(ack <= (this.#finTaken === whole ? whole + 1 : whole), "8: acknowledged what never came");
    this.#ack = ack;
    const edge = ack + wire.window * 2 ** this.#ourScale;
    assert.ok(
      edge > this.#offered - 2 ** this.#ourScale,
      `9: the edge went from ${this.#offered} to ${edge}`,
    );
    this.#offered = Math.max(this.#offered, edge);
    for (const [start, end] of wire.sacks ?? []) {
      const from = (start - this.#syn!.seq - 1) | 0;
      const to = (end - this.#syn!.seq - 1) | 0;
      assert.ok(from > ack && to > from, "10: not above the acknowledgement");
      assert.ok(
        this.#reached.some((range) => range[0] <= from && to <= range[1]),
        "10: reported what never came",
      );
    }
  }

  #note(from: number, to: number): void {
    if (from >= to) return;
    const apart = this.#reached.filter((range) => range[1] < from || range[0] > to);
    const touching = this.#reached.filter((range) => !(range[1] < from || range[0] > to));
    apart.push([
      Math.min(from, ...touching.map((range) => range[0])),
      Math.max(to, ...touching.map((range) => range[1])),
    ]);
    this.#reached = apart.sort((a, b) => a[0] - b[0]);
  }
}
