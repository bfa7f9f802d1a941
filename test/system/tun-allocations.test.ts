import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { enterNamespace } from "../peers/namespace.ts";
import { skipWithout } from "../peers/peer-process.ts";
import { runPreloaded } from "../peers/preloaded.ts";
import type { Allocations } from "../peers/tun-allocations-process.ts";

const PAGE_BYTES = 4096;
/** Beside packets a process does a little of its own. */
const MOST_MALLOCS = 0.01;
const MOST_HEAP_BYTES = 0.5;
const MOST_MALLOCS_OF_A_BURST = 10;

async function count(): Promise<string> {
  return runPreloaded({
    library: "allocation-counter.c",
    script: "tun-allocations-process.ts",
    // The young generation is so large that nothing of it is collected while something is measured.
    flags: ["--expose-gc", "--min-semi-space-size=64", "--max-semi-space-size=64"],
    env: (folder) => {
      const counter = join(folder, "counter");
      writeFileSync(counter, Buffer.alloc(PAGE_BYTES));
      return { ALLOCATIONS: counter };
    },
  });
}

if (await enterNamespace(import.meta.filename)) {
  test(
    "the device takes no memory for a packet, read or written, however many a burst has",
    { skip: skipWithout("cc") },
    async (t) => {
      const [few, many] = JSON.parse(await count()) as [Allocations, Allocations];
      const packets = many.batch - few.batch;
      const each = {
        mallocs: (many.mallocs - few.mallocs) / packets,
        heapBytes: (many.heapBytes - few.heapBytes) / packets,
      };
      t.diagnostic(
        `${few.mallocs} and ${many.mallocs} allocations, ${few.heapBytes} and ${many.heapBytes} bytes of heap ` +
          `for bursts of ${few.batch} and ${many.batch} packets`,
      );
      assert.ok(few.mallocs >= 1 && few.mallocs < MOST_MALLOCS_OF_A_BURST, "they are counted, and are few");
      assert.ok(each.mallocs < MOST_MALLOCS, `${each.mallocs} allocations for each packet`);
      assert.ok(each.heapBytes < MOST_HEAP_BYTES, `${each.heapBytes} bytes of heap for each packet`);
    },
  );
}
