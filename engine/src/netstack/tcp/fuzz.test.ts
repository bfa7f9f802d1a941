import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Checksum } from "../device.ts";
import { Conversation } from "./test-conversation.ts";
import { TestStack } from "./test-stack.ts";
import { asIpPacket, encode } from "./test-wire.ts";

const LIMITS = { attempts: 16, receiveBuffer: 20_000, timeWaits: 4 };

test("random bytes behind an IP header do no harm, and leave nothing behind", () => {
  const stack = new TestStack({ limits: LIMITS });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const packet = asIpPacket(
        Buffer.concat([Buffer.from("4500003000004000400600000a000001c0000207", "hex"), bytes]),
      );
      packet.checksum = Checksum.good;
      stack.layer.arrive(packet);
      stack.settle();
      stack.after(10);
    }),
    { numRuns: 3000 },
  );
  stack.after(1_000_000);
  assert.equal(stack.layer.size, 0);
  assert.equal(stack.timers.size, 0);
});

test("whatever segments come to a connection, it holds its bounds and ends", () => {
  const near = fc.oneof(
    fc.integer({ min: -3, max: 3 }),
    fc.integer({ min: -70_000, max: 70_000 }),
    fc.integer(),
  );
  const segment = fc.record({
    flags: fc.nat(63),
    seq: near,
    ack: near,
    window: fc.oneof(fc.constant(0), fc.nat(65535)),
    size: fc.oneof(fc.constant(0), fc.nat(1460)),
    sacks: fc.array(fc.tuple(near, near), { maxLength: 3 }),
    wait: fc.oneof(fc.constant(0), fc.nat(3000)),
    act: fc.constantFrom("none", "none", "none", "write", "end", "pause", "resume"),
  });
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 40 }), (segments) => {
      const talk = Conversation.open({
        limits: LIMITS,
        syn: { mss: 1460, windowScale: 2, sackPermitted: true },
      });
      for (const { act, wait, size, sacks, ...fields } of segments) {
        const { stream, connection } = talk;
        if (act === "write" && stream.writable) stream.write(Buffer.alloc(3000));
        if (act === "end" && stream.writable) stream.end();
        if (act === "pause") stream.pause();
        if (act === "resume") stream.resume();
        const wire = talk.wire({
          flags: fields.flags,
          seq: (talk.ours + fields.seq) >>> 0,
          ack: (talk.theirs + fields.ack) >>> 0,
          window: fields.window,
          payload: Buffer.alloc(size),
          sacks: sacks.map(([from, to]) => [(talk.theirs + from) >>> 0, (talk.theirs + to) >>> 0] as const),
        });
        talk.stack.arrive(encode(wire));
        talk.after(wait);
        assert.ok(stream.readableLength <= 65_536, `${stream.readableLength} bytes wait`);
        assert.ok(connection.sender.nxt - connection.sender.una <= 2 ** 31);
      }
      talk.stream.destroy();
      talk.settle();
      for (const attempt of talk.stack.attempts.slice(1)) attempt.refuse("refused");
      talk.after(1_000_000);
      assert.equal(talk.stack.layer.size, 0);
      assert.equal(talk.stack.layer.budget.promised, 0);
    }),
    { numRuns: 500 },
  );
});
