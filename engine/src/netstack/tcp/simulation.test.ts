import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { Peer } from "./test-peer.ts";
import { TestStack } from "./test-stack.ts";
import { Watch } from "./test-watch.ts";

/** A small generator of random numbers from 0 to 1 (mulberry32), so that a seed tells the whole run. */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pool = Buffer.alloc(2 * 1024 * 1024);
{
  const random = generator(1);
  for (let i = 0; i < pool.length; i += 4) pool.writeUInt32LE(Math.floor(random() * 2 ** 32), i);
}

interface Link {
  readonly loss: number;
  readonly duplication: number;
  readonly corruption: number;
  readonly delay: number;
  readonly jitter: number;
  /** Of a packet, that the link stands still from then on; and for how long at most, in milliseconds. */
  readonly stalls: number;
  readonly stall: number;
}

const HOUR = 3_600_000;
const MOST_STEPS = 100_000;

/** All streams' next ticks have run. */
const ticks = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

class Simulation {
  readonly #random: () => number;
  readonly #stack: TestStack;
  readonly #watch = new Watch();
  readonly #peer: Peer;
  readonly #link: Link;
  readonly #start: number;
  readonly #writes: Buffer;
  readonly #expects: Buffer;
  #stream: Duplex | undefined;
  #onWay: { at: number; toPeer: boolean; packet: Buffer }[] = [];
  /** Nothing arrives before. */
  #stalledUntil = 0;
  #answerAt = Infinity;
  #readAt = Infinity;
  #writeAt = Infinity;
  #writable = true;
  #written = 0;
  #heard: Buffer[] = [];
  #ended = false;
  #closed = false;
  #error: Error | undefined;

  constructor(seed: number, most: number) {
    const random = (this.#random = generator(seed));
    const chance = (p: number): boolean => random() < p;
    const bad = chance(0.8);
    this.#link = {
      loss: bad ? random() * 0.1 : 0,
      duplication: bad ? random() * 0.1 : 0,
      corruption: bad ? random() * 0.05 : 0,
      delay: random() * (chance(0.2) ? 50 : 2),
      jitter: bad ? random() * 20 : 0,
      stalls: chance(0.2) ? random() * 0.05 : 0,
      stall: 5000,
    };
    const v6 = chance(0.3);
    const slice = (): Buffer => {
      const size = chance(0.1) ? 0 : Math.floor(random() * most);
      const from = Math.floor(random() * (pool.length - size));
      return pool.subarray(from, from + size);
    };
    this.#writes = slice();
    this.#expects = slice();
    const mtu = [1280, 1500, 9000, 65535][Math.floor(random() * 4)]!;
    this.#stack = new TestStack({
      mtu,
      segmentation: chance(0.6),
      limits: {
        receiveBuffer: chance(0.3) ? 3000 : 65536,
        maxReceiveBuffer: 262_144,
        sendBuffer: chance(0.3) ? 3000 : 65536,
        initialWindow: chance(0.5) ? 4380 : 1_048_576,
        attemptSilence: HOUR,
        unanswered: HOUR,
        linger: HOUR,
        halfClosed: HOUR,
        synAcks: 20,
      },
    });
    this.#stack.now = Math.floor(random() * 2 ** 31);
    this.#start = this.#stack.now;
    const scaled = chance(0.7);
    this.#peer = new Peer({
      source: v6 ? "fd00::1" : "10.0.0.1",
      target: v6 ? "2001:db8::7" : "192.0.2.7",
      iss: chance(0.3) ? 2 ** 32 - Math.floor(random() * 3000) : Math.floor(random() * 2 ** 32),
      mss: chance(0.2) ? 100 + Math.floor(random() * 500) : mtu - (v6 ? 60 : 40),
      windowScale: scaled ? Math.floor(random() * 9) : undefined,
      sack: chance(0.6),
      timestamps: chance(0.6),
      // Four units of the window scale at least, or every window would be told as closed.
      buffer: chance(0.2) ? 1024 + Math.floor(random() * 3000) : 20_000 + Math.floor(random() * 200_000),
      flight: 1000 + Math.floor(random() * 60_000),
      says: this.#expects,
      hears: this.#writes,
      random,
      shrinks: chance(0.1),
    });
  }

  async run(): Promise<void> {
    const stack = this.#stack;
    const deadline = this.#start + HOUR;
    for (let steps = 0; !(this.#peer.done && this.#closed); steps++) {
      assert.ok(steps < MOST_STEPS, "it does not come to an end: too many steps");
      const now = Math.min(
        this.#onWay[0]?.at ?? Infinity,
        this.#peer.next,
        stack.timers.next(),
        this.#appNext,
      );
      assert.ok(now < deadline, "it does not come to an end: too much time");
      assert.ok(!this.#error, this.#error);
      assert.ok(!this.#peer.dead || this.#peer.done, "the stack reset the connection");
      stack.now = Math.max(stack.now, now);
      this.#deliver();
      if (stack.timers.next() <= stack.now) {
        stack.timers.run(stack.now);
        this.#fromStack(stack.settle());
      }
      if (this.#peer.next <= stack.now) this.#fromPeer(this.#peer.run(stack.now));
      this.#application();
      await ticks();
      if (stack.woken > 0) {
        stack.woken = 0;
        this.#fromStack(stack.settle());
        await ticks();
      }
    }
    assert.ok(Buffer.concat(this.#heard).equals(this.#expects), "the application heard other bytes");
    assert.ok(this.#watch.sent.equals(this.#writes), "other bytes than were written were sent");
    stack.after(HOUR);
    assert.equal(stack.layer.size, 0);
    assert.equal(stack.timers.size, 0);
    assert.equal(stack.layer.budget.promised, 0);
  }

  get #appNext(): number {
    return Math.min(this.#answerAt, this.#readAt, this.#writable ? this.#writeAt : Infinity);
  }

  #fromStack(packets: readonly Buffer[]): void {
    for (const packet of packets) {
      this.#watch.sends(packet);
      this.#send(packet, true);
    }
  }

  #fromPeer(packets: readonly Buffer[]): void {
    for (const packet of packets) this.#send(packet, false);
  }

  #send(packet: Buffer, toPeer: boolean): void {
    const random = this.#random;
    const { loss, duplication, corruption, delay, jitter, stalls, stall } = this.#link;
    const { now } = this.#stack;
    if (now >= this.#stalledUntil && random() < stalls) this.#stalledUntil = now + random() * stall;
    const copies = random() < loss ? 0 : random() < duplication ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const copy = Buffer.from(packet);
      if (random() < corruption)
        copy[20 + Math.floor(random() * (copy.length - 20))]! ^= 1 << Math.floor(random() * 8);
      const at = Math.max(now, this.#stalledUntil) + delay + random() * jitter;
      const index = this.#onWay.findLastIndex((other) => other.at <= at);
      this.#onWay.splice(index + 1, 0, { at, toPeer, packet: copy });
    }
  }

  #deliver(): void {
    const stack = this.#stack;
    const burst: Buffer[] = [];
    // What comes within a millisecond is one burst.
    while (this.#onWay[0] && this.#onWay[0].at <= stack.now + (this.#onWay[0].toPeer ? 0 : 1)) {
      const { packet, toPeer } = this.#onWay.shift()!;
      if (toPeer) this.#fromPeer(this.#peer.arrive(packet, stack.now));
      else burst.push(packet);
    }
    if (burst.length === 0) return;
    for (const packet of burst) this.#watch.reaches(packet);
    this.#fromStack(stack.arrive(...burst));
    // The device's memory is filled anew.
    for (const packet of burst) packet.fill(0xee);
    if (stack.attempts.length > 0 && this.#answerAt === Infinity && !this.#stream) {
      assert.equal(stack.attempts.length, 1);
      this.#answerAt = stack.now + this.#random() * 1000;
    }
  }

  #application(): void {
    const { now, attempts } = this.#stack;
    const random = this.#random;
    if (this.#answerAt <= now) {
      this.#answerAt = Infinity;
      this.#open(attempts[0]!.accept());
    }
    const stream = this.#stream;
    if (!stream) return;
    if (this.#readAt <= now) {
      if (random() < 0.1) {
        stream.pause();
        this.#readAt = now + random() * 1500;
      } else {
        stream.resume();
        this.#readAt = this.#ended ? Infinity : now + random() * 50;
      }
    }
    if (this.#writeAt <= now && this.#writable) this.#write(stream);
  }

  #write(stream: Duplex): void {
    const random = this.#random;
    const many = random() < 0.1 ? 100 : 1;
    for (let i = 0; i < many && this.#written < this.#writes.length; i++) {
      const size = Math.ceil(random() * (many > 1 ? 20 : random() < 0.3 ? 100_000 : 3000));
      const chunk = this.#writes.subarray(this.#written, this.#written + size);
      this.#written += chunk.length;
      this.#writable = stream.write(chunk);
    }
    if (this.#written === this.#writes.length) {
      this.#writeAt = Infinity;
      stream.end();
    } else {
      this.#writeAt = this.#stack.now + (random() < 0.1 ? random() * 500 : random() * 3);
    }
  }

  #open(stream: Duplex): void {
    this.#stream = stream;
    this.#readAt = this.#stack.now;
    this.#writeAt = this.#stack.now;
    stream.on("data", (chunk: Buffer) => this.#heard.push(Buffer.from(chunk)));
    stream.on("end", () => (this.#ended = true));
    stream.on("drain", () => (this.#writable = true));
    stream.on("error", (error) => (this.#error = error));
    stream.on("close", () => (this.#closed = true));
  }
}

async function simulate(seeds: { from: number; count: number }, most: number): Promise<void> {
  for (let seed = seeds.from; seed < seeds.from + seeds.count; seed++) {
    try {
      await new Simulation(seed, most).run();
    } catch (error) {
      throw new Error(`seed ${seed}, at most ${most} bytes: ${(error as Error).message}`, { cause: error });
    }
  }
}

test("every byte arrives over a bad link, and the connection ends: many small transfers", async () => {
  await simulate({ from: 1, count: 3000 }, 20_000);
});

test("every byte arrives over a bad link, and the connection ends: some large transfers", async () => {
  await simulate({ from: 1, count: 20 }, 500_000);
});
