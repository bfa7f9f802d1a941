import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runCounted } from "../peers/allocation-counter.ts";
import { enterNamespace } from "../peers/namespace.ts";
import { skipWithout } from "../peers/peer-process.ts";
import type { Allocations } from "../peers/tun-allocations-process.ts";

const SCRIPT = fileURLToPath(new URL("../peers/tun-allocations-process.ts", import.meta.url));
/** Beside packets a process does a little of its own. */
const MOST_MALLOCS = 0.01;
const MOST_HEAP_BYTES = 0.5;
const MOST_MALLOCS_OF_A_BURST = 10;

if (await enterNamespace(import.meta.filename)) {
  test(
    "the device takes no memory for a packet, read or written, however many a burst has",
    { skip: skipWithout("cc") },
    async (t) => {
      const [few, many] = JSON.parse(await runCounted(SCRIPT)) as [Allocations, Allocations];
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
