import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FrameReader, writeFrame } from "./frames.ts";

test("messages come out whole and in order, however the stream was cut", () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 });
  const cuts = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 50 });
  fc.assert(
    fc.property(messages, cuts, (given, sizes) => {
      const sent = given.map((bytes) => Buffer.from(bytes));
      const stream = Buffer.concat(sent.map(writeFrame));
      const reader = new FrameReader();
      const received: Buffer[] = [];
      for (let at = 0, i = 0; at < stream.length; i++) {
        const size = sizes[i % sizes.length]!;
        received.push(...reader.push(stream.subarray(at, at + size)));
        at += size;
      }
      assert.deepEqual(received, sent);
    }),
  );
});

test("the largest message there is passes one byte at a time", () => {
  const message = Buffer.alloc(65_535, 7);
  const reader = new FrameReader();
  let received: Buffer[] = [];
  for (const byte of writeFrame(message)) received = received.concat(reader.push(Buffer.from([byte])));
  assert.deepEqual(received, [message]);
  assert.throws(() => writeFrame(Buffer.alloc(65_536)), RangeError);
});
