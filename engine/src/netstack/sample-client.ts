import assert from "node:assert/strict";
import type { SampleFlow } from "./ip/sample-packets.ts";
import type { SampleDevice } from "./sample-device.ts";
import { ACK, decode, encode, FIN, RST, SYN, type Wire } from "./tcp/test-wire.ts";

const MSS = 1400;
const WINDOW = 60_000;

/**
 * An application's TCP for tests: a client on a link that loses nothing, so it never sends again. It acknowledges all that
 * comes in order, and sends as far as the window lets it.
 */
export class SampleClient {
  readonly received: Buffer[] = [];
  connected = false;
  reset = false;
  /** The stack's side has ended. */
  ended = false;
  readonly #device: SampleDevice;
  readonly #flow: SampleFlow;
  #seq = 1000;
  #acknowledged = 1001;
  #theirs = 0;
  #window = 0;
  #shift = 0;
  #queue = Buffer.alloc(0);
  #ending = false;
  #finSent = false;

  constructor(device: SampleDevice, flow: SampleFlow) {
    this.#device = device;
    this.#flow = flow;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.received);
  }

  connect(): void {
    this.#device.send(this.#segment({ flags: SYN, seq: 1000, ack: 0, mss: MSS, windowScale: 7 }));
  }

  write(bytes: Buffer): void {
    this.#queue = Buffer.concat([this.#queue, bytes]);
    this.#push();
  }

  end(): void {
    this.#ending = true;
    this.#push();
  }

  abort(): void {
    const seq = this.connected ? this.#seq : 1001;
    this.#device.send(this.#segment({ flags: RST, seq, ack: 0 }));
  }

  /** Takes a packet if it is a segment of this connection. */
  take(packet: Buffer): void {
    if (packet[packet[0]! >> 4 === 4 ? 9 : 6] !== 6) return;
    const wire = decode(packet);
    assert.ok(wire, "a wrong checksum");
    if (wire.targetPort !== this.#flow.sourcePort || wire.sourcePort !== this.#flow.targetPort) return;
    if (wire.flags & RST) {
      this.reset = true;
      return;
    }
    this.#window = wire.window << (wire.flags & SYN ? 0 : this.#shift);
    this.#acknowledged = wire.ack;
    if (wire.flags & SYN) {
      assert.ok(wire.mss !== undefined, "a SYN-ACK without an MSS");
      this.#shift = wire.windowScale ?? 0;
      this.connected = true;
      this.#seq = 1001;
      this.#theirs = (wire.seq + 1) >>> 0;
      this.#acknowledge();
    } else if (wire.seq === this.#theirs && (wire.payload.length > 0 || wire.flags & FIN)) {
      if (wire.payload.length > 0) this.received.push(wire.payload);
      this.#theirs = (this.#theirs + wire.payload.length + (wire.flags & FIN ? 1 : 0)) >>> 0;
      if (wire.flags & FIN) this.ended = true;
      this.#acknowledge();
    }
    this.#push();
  }

  #acknowledge(): void {
    this.#device.send(this.#segment({ flags: ACK }));
  }

  #push(): void {
    if (!this.connected) return;
    const segments: Buffer[] = [];
    while (this.#queue.length > 0) {
      const open = this.#acknowledged + this.#window - this.#seq;
      const size = Math.min(MSS, this.#queue.length, open);
      if (size <= 0) break;
      segments.push(this.#segment({ flags: ACK, payload: this.#queue.subarray(0, size) }));
      this.#queue = this.#queue.subarray(size);
      this.#seq += size;
    }
    if (this.#ending && this.#queue.length === 0 && !this.#finSent) {
      this.#finSent = true;
      segments.push(this.#segment({ flags: ACK | FIN }));
      this.#seq += 1;
    }
    if (segments.length > 0) this.#device.send(...segments);
  }

  #segment(wire: Partial<Wire>): Buffer {
    const payload = Buffer.alloc(0);
    return encode({
      ...this.#flow,
      seq: this.#seq,
      ack: this.#theirs,
      flags: ACK,
      window: WINDOW,
      payload,
      ...wire,
    });
  }
}
