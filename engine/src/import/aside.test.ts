import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../config/load.ts";
import { previewAside } from "./aside.ts";
import { previewSource } from "./import.ts";

const parsed = parseConfig("upstreams: { gate: { address: gate.example.com } }", { env: {}, home: "/h" });
assert.ok("config" in parsed);
const { config } = parsed;

test("an import gives in its own thread what it gives in this one", async () => {
  const text =
    "ssh deploy@gate.example.com\nsockeye://import?type=http&name=p&address=p.example.com:3128&via=gate";
  const preview = await previewAside({ text }, config);
  assert.deepEqual(preview, await previewSource({ text }, config));
  assert.equal(preview.upstreams.length, 2);
});

test("a text whose patterns would take years to match is given up, and nothing else waits for it", async () => {
  const hosts = `Host ${"a".repeat(60)}\nHost ${"*a".repeat(20)}b\n  User x\n`;
  let longest = 0;
  let last = performance.now();
  const ticking = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 5);
  try {
    const { upstreams, skipped } = await previewAside({ text: hosts }, config, 1_500);
    assert.deepEqual(upstreams, []);
    assert.deepEqual(skipped, [{ from: "the text", why: "reading it took longer than 1.5 s" }]);
    assert.ok(longest < 1_000, `the event loop stood still for ${longest} ms`);
  } finally {
    clearInterval(ticking);
  }
});
