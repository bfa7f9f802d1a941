import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Reading, IpReader } from "./reader.ts";
import { Reassembly, REASSEMBLY_LIMITS, type ReassemblyLimits } from "./reassembly.ts";
import { ip, ipv4, ipv6, packetOf, type SampleHeader } from "./sample-packets.ts";

const ways = {
  4: { source: "10.0.0.2", target: "192.0.2.1", protocol: 17 },
  6: { source: "fd00::2", target: "2001:db8::1", protocol: 17 },
} as const;

const reader = new IpReader();

/** Reads a packet as the stack does, and hands it to `reassembly`. */
function give(reassembly: Reassembly, bytes: Buffer, now = 0): Buffer | undefined {
  const packet = packetOf(bytes);
  assert.equal(reader.read(packet), Reading.ok);
  assert.notEqual(packet.fragmentAt, -1);
  return reassembly.add(packet, now);
}

function fragment(version: 4 | 6, offset: number, data: Buffer, rest: Partial<SampleHeader> = {}): Buffer {
  return ip({ ...ways[version], offset, more: true, ...rest }, data);
}

/** Bytes that tell their place. */
function counted(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
}

/** A payload cut at multiples of 8 bytes, each piece with its offset. */
const cut = fc
  .tuple(fc.integer({ min: 16, max: 5000 }), fc.array(fc.integer({ min: 1, max: 624 }), { maxLength: 12 }))
  .map(([length, cuts]) => {
    const payload = counted(length);
    const edges = [...new Set([0, ...cuts.map((eighths) => eighths * 8).filter((at) => at < length)])];
    edges.sort((a, b) => a - b);
    const pieces = edges.map((from, i) => ({ from, to: edges[i + 1] ?? length }));
    return { payload, pieces };
  })
  .filter(({ pieces }) => pieces.length > 1 && pieces[0]!.to >= 8);

describe("reassembly", () => {
  for (const version of [4, 6] as const) {
    it(`gives the same IPv${version} packet for any cut, any order and any repetition`, () => {
      fc.assert(
        fc.property(cut, fc.infiniteStream(fc.nat()), ({ payload, pieces }, random) => {
          const reassembly = new Reassembly();
          const fragments = pieces.map(({ from, to }) => {
            return fragment(version, from, payload.subarray(from, to), { more: to < payload.length });
          });
          const pick = (below: number): number => (random.next().value as number) % below;
          // Each comes once, in any order, and some come again before the last one is there.
          const order = [...fragments].sort(() => pick(3) - 1);
          const last = order.pop()!;
          const repeated = order.flatMap((one) => (pick(3) === 0 ? [one, one] : [one]));
          for (const one of repeated) assert.equal(give(reassembly, one), undefined);
          const whole = give(reassembly, last);
          assert.deepEqual(whole, ip(ways[version], payload));
          assert.deepEqual(reassembly.held, { bytes: 0, packets: 0 });
        }),
        { numRuns: 300 },
      );
    });

    it(`drops an IPv${version} packet of which fragments overlap, and what still comes of it (RFC 5722)`, () => {
      const overlaps = fc.tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 1, max: 6 }));
      fc.assert(
        fc.property(overlaps, fc.boolean(), ([at, size], first) => {
          const reassembly = new Reassembly();
          const evil = fragment(version, at * 8, Buffer.alloc(size * 8, 0xee));
          const good = [0, 1, 2, 3].map((i) => fragment(version, i * 32, counted(32), { more: i < 3 }));
          const order = first ? [evil, ...good] : [good[1]!, good[2]!, evil, good[0]!, good[3]!];
          const overlapsWhatCame = first || (at * 8 < 96 && at * 8 + size * 8 > 32);
          for (const one of order) {
            const whole = give(reassembly, one);
            if (overlapsWhatCame) assert.equal(whole, undefined);
            if (whole) assert.ok(!whole.includes(0xee));
          }
          assert.ok(reassembly.held.packets <= 1);
          assert.ok(reassembly.held.bytes <= 128 || !overlapsWhatCame);
        }),
        { numRuns: 200 },
      );
    });
  }

  it("keeps packets apart by addresses, identification and, in IPv4, protocol", () => {
    const reassembly = new Reassembly();
    const half = counted(8);
    assert.equal(give(reassembly, fragment(4, 0, half)), undefined);
    assert.equal(give(reassembly, fragment(4, 8, half, { more: false, id: 8 })), undefined);
    assert.equal(give(reassembly, fragment(4, 8, half, { more: false, protocol: 6 })), undefined);
    assert.equal(give(reassembly, fragment(4, 8, half, { more: false, source: "10.0.0.3" })), undefined);
    assert.equal(reassembly.held.packets, 4);
    assert.ok(give(reassembly, fragment(4, 8, half, { more: false })));
  });

  it("takes the headers of the first fragment: IPv4 options, IPv6 extension headers", () => {
    const options = Buffer.of(7, 3, 4, 0);
    const reassembly = new Reassembly();
    give(reassembly, ipv4({ ...ways[4], offset: 8 }, counted(8)));
    const whole4 = give(reassembly, ipv4({ ...ways[4], more: true, options }, counted(8)));
    assert.deepEqual(whole4, ipv4({ ...ways[4], options }, Buffer.concat([counted(8), counted(8)])));

    const hopByHop = (next: number) => Buffer.of(next, 0, 1, 4, 0, 0, 0, 0);
    const cutAt = (offset: number, more: number) => Buffer.of(17, 0, 0, offset | more, 0, 0, 0, 9);
    const inHopByHop = (part: Buffer) =>
      ipv6({ ...ways[6], protocol: 0 }, Buffer.concat([hopByHop(44), part]));
    give(reassembly, inHopByHop(Buffer.concat([cutAt(0, 1), counted(8)])));
    const whole6 = give(reassembly, inHopByHop(Buffer.concat([cutAt(8, 0), counted(5)])));
    const payload = Buffer.concat([hopByHop(17), counted(8), counted(5)]);
    assert.deepEqual(whole6, ipv6({ ...ways[6], protocol: 0 }, payload));
  });

  it("drops what no packet is made of: nothing, odd sizes, more than 65,535 bytes, a second end", () => {
    const dropped = (...fragments: Buffer[]): void => {
      const reassembly = new Reassembly();
      for (const one of fragments) assert.equal(give(reassembly, one), undefined);
      assert.ok(reassembly.dropped > 0);
    };
    for (const version of [4, 6] as const) {
      dropped(fragment(version, 8, Buffer.alloc(0)));
      dropped(fragment(version, 8, Buffer.alloc(12)));
      dropped(fragment(version, 65_528, Buffer.alloc(64), { more: false }));
      const end = (at: number) => fragment(version, at, counted(8), { more: false });
      dropped(end(16), end(32));
      dropped(end(32), end(16));
      dropped(fragment(version, 64, counted(8)), end(16));
    }
  });

  it("drops a packet whose first fragment brings headers that make it too long", () => {
    const reassembly = new Reassembly();
    const size = 65_512;
    for (let at = 8; at < size; at += 1024) {
      const more = at + 1024 < size;
      give(reassembly, fragment(4, at, counted(more ? 1024 : size - at), { more }));
    }
    assert.equal(give(reassembly, fragment(4, 0, counted(8), { options: Buffer.alloc(40, 1) })), undefined);
    assert.deepEqual(reassembly.held, { bytes: 0, packets: 0 });
  });

  it("keeps within its caps, at the cost of the oldest, and gives up what waits too long", () => {
    const limits: ReassemblyLimits = { packets: 4, bytes: 8192, fragments: 3, timeoutMs: 1000 };
    const reassembly = new Reassembly(limits);
    for (let id = 0; id < 100; id++) {
      give(reassembly, fragment(4, 0, counted(1024), { id }), id);
      assert.ok(reassembly.held.packets <= 4 && reassembly.held.bytes <= 8192);
    }
    for (let at = 0; at < 4; at++) give(reassembly, fragment(4, at * 16, counted(8), { id: 500 }), 100);
    assert.equal(give(reassembly, fragment(4, 8, counted(8), { id: 99, more: true })), undefined);
    assert.equal(reassembly.next(), 1097);
    reassembly.advance(1099);
    assert.equal(reassembly.held.packets, 1);
    reassembly.advance(1100);
    assert.deepEqual(reassembly.held, { bytes: 0, packets: 0 });
    assert.equal(reassembly.next(), Infinity);
  });

  it("holds no more than its limits through a flood of odd fragments", () => {
    const reassembly = new Reassembly();
    for (let i = 0; i < 20_000; i++) {
      const random = Math.imul(i, 0x9e3779b1) >>> 0;
      const version = random & 1 ? 4 : 6;
      const data = Buffer.alloc(((random >>> 1) & 127) * 8 + 40);
      give(reassembly, fragment(version, ((random >>> 8) & 0xfff) * 8, data, { id: random >>> 22 }), i);
      assert.ok(reassembly.held.bytes <= REASSEMBLY_LIMITS.bytes);
      assert.ok(reassembly.held.packets <= REASSEMBLY_LIMITS.packets);
    }
  });
});
