import assert from "node:assert/strict";
import { test } from "node:test";
import { enterNamespace } from "../peers/namespace.ts";
import { skipWithout } from "../peers/peer-process.ts";
import { runPreloaded } from "../peers/preloaded.ts";
import type { Refusal } from "../peers/tun-refusal-process.ts";

const MTU = 1500;

/** What a kernel refuses, and whether it joins segments for us all the same. */
const KERNELS = [
  ["nothing", "nothing", true],
  ["to join segments (TUNSETOFFLOAD with TSO is EINVAL)", "segments", false],
  ["any offload (TUNSETOFFLOAD is EINVAL)", "all", false],
  ["to cut a packet that is written (EINVAL)", "cutting", true],
] as const;

if (await enterNamespace(import.meta.filename)) {
  for (const [what, refused, joins] of KERNELS)
    test(
      `everything arrives, both ways, where the kernel refuses ${what}`,
      { skip: skipWithout("cc") },
      async (t) => {
        const said = await runPreloaded({
          library: "offload-refuser.c",
          script: "tun-refusal-process.ts",
          env: () => ({ REFUSES: refused }),
        });
        t.diagnostic(said.trim());
        const [carried = "", refusals] = said.trim().split("\n");
        assert.equal(Number(refusals) > 0, refused !== "nothing", "it was refused");
        const { sent, back, whole, largest, wrongChecksums, lost } = JSON.parse(carried) as Refusal;
        assert.deepEqual([back, whole, wrongChecksums, lost], [sent, true, 0, 0]);
        if (joins) assert.ok(largest > MTU, "segments come joined");
        else assert.ok(largest <= MTU, "no packet is larger than the MTU");
      },
    );
}
