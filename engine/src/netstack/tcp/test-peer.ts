import assert from "node:assert/strict";
import { ACK, decode, encode, FIN, PSH, RST, SYN, type Wire } from "./test-wire.ts";

export interface PeerOptions {
  readonly source: string;
  readonly target: string;
  readonly iss: number;
  readonly mss: number;
  readonly windowScale: number | undefined;
  readonly sack: boolean;
  readonly timestamps: boolean;
  /** Bytes that wait for its reader at most. */
  readonly buffer: number;
  /** Bytes that it has under way at most. */
  readonly flight: number;
  /** What it has to say; then it ends. */
  readonly says: Buffer;
  /** What it is to hear. */
  readonly hears: Buffer;
  readonly random: () => number;
  /** It may take back a window that it offered. */
  readonly shrinks: boolean;
}

const RETRANSMIT_MS = 250;

/** The application's side of a test: a plain, independent TCP that opens the connection. Offsets count from its first byte. */
export class Peer {
  readonly #options: PeerOptions;
  #now = 0;
  #state: "syn-sent" | "open" | "dead" = "syn-sent";
  #irs = 0;
  #ourScale = 0;
  #una = 0;
  #nxt = 0;
  #theirEdge = 0;
  #peerMss = 536;
  #finAcked = false;
  #retransmitAt = 0;
  #backoff = 0;
  #duplicates = 0;
  #probeAt = Infinity;
  #tsRecent = 0;
  #got: [number, number][] = [];
  #rcvNxt = 0;
  #finAt = -1;
  #edge = 0;
  #read = 0;
  #readAt = 0;
  #ackAt = Infinity;
  #out: Buffer[] = [];

  constructor(options: PeerOptions) {
    this.#options = options;
  }

  /** All was heard and said, and both sides know. */
  get done(): boolean {
    const { hears } = this.#options;
    return this.#finAcked && this.#finAt === hears.length && this.#rcvNxt > this.#finAt;
  }

  get dead(): boolean {
    return this.#state === "dead";
  }

  get next(): number {
    if (this.#state === "dead") return Infinity;
    return Math.min(
      this.#retransmitAt,
      this.#ackAt,
      this.#probeAt,
      this.#read < this.#rcvNxt ? this.#readAt : Infinity,
    );
  }

  arrive(packet: Buffer, now: number): Buffer[] {
    this.#now = now;
    const wire = decode(packet);
    if (wire && this.#state !== "dead") this.#take(wire);
    return this.#flush();
  }

  run(now: number): Buffer[] {
    this.#now = now;
    const { random } = this.#options;
    if (this.#state === "syn-sent" && this.#retransmitAt <= now) {
      const { mss, windowScale, sack } = this.#options;
      this.#emit(SYN, -1, Buffer.alloc(0), { mss, windowScale, sackPermitted: sack || undefined });
      this.#retransmitAt = now + RETRANSMIT_MS * 2 ** this.#backoff++;
    }
    if (this.#state !== "open") return this.#flush();
    if (this.#readAt <= now) {
      this.#read += Math.min(this.#rcvNxt - this.#read, Math.ceil(random() * this.#options.buffer));
      this.#readAt = now + (random() < 0.1 ? random() * 2000 : random() * 5);
      if (random() < 0.5) this.#ackAt = Math.min(this.#ackAt, now);
    }
    if (this.#retransmitAt <= now) {
      this.#backoff = Math.min(4, this.#backoff + 1);
      this.#retransmitAt = now + RETRANSMIT_MS * 2 ** this.#backoff;
      if (this.#theirEdge > this.#una) this.#sendFrom(this.#una);
      else this.#probe();
    }
    if (this.#probeAt <= now) {
      this.#probeAt = now + 500;
      // Some probe with an old number, some with the next byte.
      if (random() < 0.5) this.#emit(ACK, this.#una - 1, Buffer.alloc(0));
      else this.#probe();
    }
    this.#sendNew();
    if (this.#ackAt <= now) this.#emit(ACK, this.#nxt, Buffer.alloc(0));
    return this.#flush();
  }

  #flush(): Buffer[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  #take(wire: Wire): void {
    if (wire.flags & RST) {
      this.#state = "dead";
      return;
    }
    if (wire.timestamps) this.#tsRecent = wire.timestamps[0];
    if (this.#state === "syn-sent") {
      assert.equal(wire.flags, SYN | ACK);
      this.#state = "open";
      this.#irs = wire.seq;
      this.#peerMss = wire.mss!;
      this.#ourScale = wire.windowScale === undefined ? 0 : this.#options.windowScale!;
      this.#theirScale = wire.windowScale ?? 0;
      this.#retransmitAt = Infinity;
      this.#backoff = 0;
      this.#theirEdge = wire.window;
      this.#readAt = this.#now;
      this.#ackAt = this.#now;
      return;
    }
    if (wire.flags & SYN) {
      this.#ackAt = this.#now;
      return;
    }
    this.#takeAck(wire);
    this.#takeData(wire);
    this.#sendNew();
  }

  #theirScale = 0;

  #takeAck(wire: Wire): void {
    const { iss, says } = this.#options;
    const ack = (wire.ack - iss - 1) | 0;
    assert.ok(ack <= this.#nxt, "acknowledged what was not sent");
    this.#theirEdge = Math.max(this.#theirEdge, ack + wire.window * 2 ** this.#theirScale);
    if (ack > this.#una) {
      this.#una = ack;
      this.#backoff = 0;
      this.#duplicates = 0;
      this.#retransmitAt = ack === this.#nxt ? Infinity : this.#now + RETRANSMIT_MS;
      if (ack > says.length) this.#finAcked = true;
    } else if (ack === this.#una && this.#una < this.#nxt && wire.payload.length === 0) {
      if (++this.#duplicates === 3) this.#sendFrom(this.#una);
    }
  }

  #takeData(wire: Wire): void {
    const from = (wire.seq - this.#irs - 1) | 0;
    const to = from + wire.payload.length;
    const { hears, random } = this.#options;
    if (wire.payload.length > 0) {
      assert.ok(
        hears.subarray(Math.max(0, from), to).equals(wire.payload.subarray(Math.max(0, -from))),
        "wrong bytes",
      );
      assert.ok(to <= hears.length, "more than was written");
    }
    if (wire.flags & FIN) this.#finAt = to;
    if (wire.payload.length === 0 && !(wire.flags & FIN)) {
      // Probes have an old number and want an answer.
      if (from < this.#rcvNxt) this.#ackAt = this.#now;
      return;
    }
    const ordered = from <= this.#rcvNxt;
    this.#got = merge(this.#got, from, Math.min(to, Math.max(this.#edge, this.#rcvNxt)));
    if (this.#got[0] && this.#got[0][0] <= this.#rcvNxt)
      this.#rcvNxt = Math.max(this.#rcvNxt, this.#got[0][1]);
    if (this.#rcvNxt === this.#finAt) this.#rcvNxt++;
    const wait = !ordered || random() < 0.5 ? 0 : random() * 40;
    this.#ackAt = Math.min(this.#ackAt, this.#now + wait);
  }

  #sendNew(): void {
    const { says, flight } = this.#options;
    const end = says.length;
    while (this.#nxt < end && this.#nxt < this.#theirEdge && this.#nxt - this.#una < flight) {
      const before = this.#nxt;
      this.#sendFrom(this.#nxt);
      if (this.#nxt === before) break;
    }
    if (this.#nxt === end && this.#theirEdge > end) this.#sendFrom(end);
    const blocked = this.#nxt === this.#una && this.#una < end && this.#theirEdge <= this.#una;
    if (!blocked) this.#probeAt = Infinity;
    else if (this.#probeAt === Infinity) this.#probeAt = this.#now + 300;
  }

  /** Sends a byte, or the FIN, into a closed window. */
  #probe(): void {
    const payload = this.#options.says.subarray(this.#una, this.#una + 1);
    this.#emit(payload.length > 0 ? ACK : ACK | FIN, this.#una, payload);
    this.#nxt = Math.max(this.#nxt, this.#una + 1);
    this.#retransmitAt = Math.min(this.#retransmitAt, this.#now + RETRANSMIT_MS);
  }

  /** Sends one segment from the offset on, old or new. */
  #sendFrom(at: number): void {
    const { says, mss, random, timestamps } = this.#options;
    const most = Math.min(mss, this.#peerMss) - (timestamps ? 12 : 0);
    const size = random() < 0.9 ? most : Math.ceil(random() * most);
    const to = Math.min(at + size, says.length, Math.max(at, this.#theirEdge));
    const fin = to === says.length && this.#theirEdge > to && random() < 0.9;
    if (to === at && !fin) {
      if (at === says.length) this.#retransmitAt = Math.min(this.#retransmitAt, this.#now + RETRANSMIT_MS);
      return;
    }
    this.#emit(ACK | (fin ? FIN : 0) | (to > at ? PSH : 0), at, says.subarray(at, to));
    this.#nxt = Math.max(this.#nxt, to + (fin ? 1 : 0));
    if (this.#retransmitAt === Infinity) this.#retransmitAt = this.#now + RETRANSMIT_MS;
  }

  #emit(flags: number, at: number, payload: Buffer, options: Partial<Wire> = {}): void {
    const { iss, source, target, timestamps, sack, shrinks, random, buffer } = this.#options;
    let window = Math.max(0, Math.min(buffer, 65535 * 2 ** this.#ourScale) - (this.#rcvNxt - this.#read));
    if (!shrinks) window = Math.max(window, this.#edge - this.#rcvNxt);
    else if (random() < 0.1) window = Math.floor(window * random());
    const unit = 2 ** this.#ourScale;
    const field = Math.min(65535, flags & SYN ? window : Math.floor(window / unit));
    this.#edge = Math.max(this.#edge, this.#rcvNxt + field * (flags & SYN ? 1 : unit));
    const open = this.#state === "open";
    const ackOffset = this.#rcvNxt;
    const above = sack && open ? this.#got.filter((range) => range[0] > ackOffset).slice(0, 3) : [];
    const wire: Wire = {
      source,
      target,
      sourcePort: 40000,
      targetPort: 443,
      seq: (iss + 1 + at) >>> 0,
      ack: open ? (this.#irs + 1 + ackOffset) >>> 0 : 0,
      flags,
      window: field,
      payload,
      ...options,
    };
    if (timestamps) wire.timestamps = [Math.floor(this.#now) >>> 0, this.#tsRecent];
    if (above.length > 0) {
      wire.sacks = above.map(([from, to]) => [(this.#irs + 1 + from) >>> 0, (this.#irs + 1 + to) >>> 0]);
    }
    this.#out.push(encode(wire));
    this.#ackAt = Infinity;
  }
}

function merge(ranges: readonly [number, number][], from: number, to: number): [number, number][] {
  if (from >= to) return [...ranges];
  const touching = ranges.filter((range) => !(range[1] < from || range[0] > to));
  const apart = ranges.filter((range) => range[1] < from || range[0] > to);
  apart.push([
    Math.min(from, ...touching.map((range) => range[0])),
    Math.max(to, ...touching.map((range) => range[1])),
  ]);
  return apart.sort((a, b) => a[0] - b[0]);
}
