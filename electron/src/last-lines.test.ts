import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { finished } from "node:stream/promises";
import { test } from "node:test";
import { LastLines } from "./last-lines.ts";

test("the last lines are kept, whatever pieces they come in, and no more than some", async () => {
  const lines = new LastLines();
  const stream = new PassThrough();
  lines.readFrom(stream);
  lines.readFrom(null);
  for (let i = 0; i < 1_000; i++) stream.write(`line ${i}\nha`);
  stream.write("x".repeat(1_000_000));
  stream.end("the end");
  await finished(stream);
  const all = lines.text.split("\n");
  assert.equal(all.length, 400);
  assert.equal(all.at(-2), "haline 999");
  assert.ok(all.at(-1)!.length <= 2_000);
});
