import assert from "node:assert/strict";
import { it } from "node:test";
import { fuzz } from "./fuzz.ts";

it("the stack takes random and broken packets, keeps its caps, and in the end keeps nothing (see fuzz.ts for more)", async () => {
  const seed = Number(process.env["FUZZ_SEED"] ?? Date.now() & 0x7fffffff);
  try {
    const { stats, sent, carried } = await fuzz(40_000, seed);
    assert.ok(stats.packets >= 40_000 && stats.malformed > 4000 && stats.icmpErrors > 100);
    assert.ok(carried > 1000, `${carried} bytes`);
    assert.ok(stats.echoReplies > 100 && stats.fragmentsDropped > 100 && sent > 8000);
  } catch (error) {
    throw new Error(`run again with FUZZ_SEED=${seed}`, { cause: error });
  }
});
