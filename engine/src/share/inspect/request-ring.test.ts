import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PublicRequestReader } from "@sockeye/wire/request-head";
import { KeptBody } from "./kept-body.ts";
import { RequestRing } from "./request-ring.ts";

const { request } = new PublicRequestReader().push(Buffer.from("GET / HTTP/1.1\r\nHost: demo\r\n\r\n"))!;

test("the newest requests are kept, and no more of them than the cap", () => {
  const ring = new RequestRing({ maxRequests: 3 });
  for (let i = 0; i < 10; i++) ring.begin(request, performance.now());
  assert.deepEqual(
    ring.requests.map(({ id }) => id),
    [8, 9, 10],
  );
  assert.equal(ring.get(7), undefined);
});

test("bodies make room for themselves, and what is counted is what is there", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(9), fc.integer({ min: 0, max: 4000 }), fc.boolean()), { maxLength: 60 }),
      (steps) => {
        const ring = new RequestRing({ maxRequests: 5, maxBytes: 10_000 });
        const all = Array.from({ length: 10 }, () => ring.begin(request, performance.now()));
        for (const [which, size, up] of steps) {
          if (up) all[which]!.takeRequestBody(Buffer.alloc(size));
          else all[which]!.takeResponseBody(Buffer.alloc(size));
          const held = ring.requests.reduce((sum, kept) => sum + kept.size, 0);
          assert.equal(ring.bytes, held);
          assert.ok(held <= 10_000 && ring.requests.length <= 5);
        }
      },
    ),
  );
});

test("what a body has beyond the cap is counted and not kept", () => {
  const body = new KeptBody(10);
  const chunk = Buffer.from("abcdef");
  assert.equal(body.take(chunk), 6);
  chunk.fill("x");
  assert.equal(body.take(Buffer.from("ghijkl")), 4);
  assert.equal(body.take(Buffer.from("m")), 0);
  assert.equal(body.content().toString(), "abcdefghij");
  assert.deepEqual([body.bytes, body.kept, body.isCut], [13, 10, true]);
});

test("a ring that was cleared is empty, and what still ran does not come back", () => {
  const ring = new RequestRing();
  const kept = ring.begin(request, performance.now());
  ring.clear();
  kept.takeResponseBody(Buffer.alloc(100));
  assert.equal(ring.bytes, 0);
  assert.equal(ring.requests.length, 0);
});
