import assert from "node:assert/strict";
import { test } from "node:test";
import { give, givePart, isGiven, keepGiven, letGo } from "./given-memory.ts";

const LARGE = 65_536;

test("memory that was given goes when it is let go", () => {
  const chunk = Buffer.from(new ArrayBuffer(LARGE));
  give(chunk);
  assert.equal(isGiven(chunk), true);
  letGo(chunk);
  assert.equal(chunk.length, 0);
});

test("memory stays until the last of its parts is let go", () => {
  const chunk = Buffer.from(new ArrayBuffer(LARGE)).fill(7);
  give(chunk);
  const parts = [chunk.subarray(0, 10), chunk.subarray(10)];
  for (const part of parts) givePart(chunk, part);
  letGo(chunk);
  letGo(parts[1]!);
  letGo(parts[1]!);
  assert.deepEqual([...parts[0]!], new Array(10).fill(7));
  letGo(parts[0]!);
  assert.equal(parts[0]!.length, 0);
});

test("what somebody keeps is not taken away by letting it go", () => {
  const chunk = Buffer.from(new ArrayBuffer(LARGE));
  give(chunk);
  const part = chunk.subarray(5);
  givePart(chunk, part);
  keepGiven(part);
  letGo(part);
  letGo(chunk);
  assert.equal(chunk.length, LARGE);
});

test("small chunks, and those that are a part of their memory, are not given", () => {
  for (const chunk of [
    Buffer.from(new ArrayBuffer(100)),
    Buffer.from(new ArrayBuffer(LARGE), 1),
    Buffer.from(new ArrayBuffer(LARGE), 0, LARGE - 1),
    Buffer.allocUnsafe(10),
  ]) {
    give(chunk);
    assert.equal(isGiven(chunk), false);
    letGo(chunk);
    assert.notEqual(chunk.length, 0);
  }
});
