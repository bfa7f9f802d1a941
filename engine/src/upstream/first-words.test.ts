import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { quoteFirstWords } from "./first-words.ts";

test("the first line is quoted, without what ends it", () => {
  assert.equal(
    quoteFirstWords(Buffer.from("HTTP/1.1 400 Bad Request\r\nA: b")),
    '"HTTP/1.1 400 Bad Request"',
  );
  assert.equal(quoteFirstWords(Buffer.from("220 hi\n")), '"220 hi"');
});

test("what a terminal could take for a command is escaped", () => {
  assert.equal(quoteFirstWords(Buffer.from('\x05\xff\x1b["\\', "latin1")), '"\\x05\\xff\\x1b[\\"\\\\"');
});

test("no bytes make it long or unprintable", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.match(quoteFirstWords(Buffer.from(bytes)), /^"[\x20-\x7e]{0,160}…?"$/);
    }),
  );
});
