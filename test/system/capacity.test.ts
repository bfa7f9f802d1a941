import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startEcho } from "../peers/echo.ts";
import { connectThrough } from "./client.ts";
import { startEngineUnderTest } from "./engine-under-test.ts";

const FLOWS = 10_000;
/** Six descriptors a flow: client, inbound, outbound to the second engine, and so on to the echo server. */
const DESCRIPTORS = FLOWS * 6 + 1000;

/** The open-file limit of this process, which every socket of the test comes out of. */
function descriptorLimit(): number {
  const { stdout } = spawnSync("sh", ["-c", "ulimit -n"], { encoding: "utf8" });
  const limit = stdout.trim();
  return limit === "unlimited" ? Infinity : Number(limit);
}

const tooFew =
  descriptorLimit() < DESCRIPTORS && `${FLOWS} flows need ${DESCRIPTORS} descriptors; the limit is lower`;

describe("many flows", () => {
  it(
    `${FLOWS} at once through SOCKS5 → SOCKS5, each answered, and nothing left`,
    { skip: tooFew, timeout: 120_000 },
    async () => {
      const echo = await startEcho();
      await using far = await startEngineUnderTest({});
      await using near = await startEngineUnderTest({
        upstreams: { far: { type: "socks5", address: `127.0.0.1:${far.socks5.port}` } },
        default: "far",
      });
      const before = settledHeap();
      const sockets: Socket[] = [];
      while (sockets.length < FLOWS) {
        const batch = Array.from({ length: 200 }, () => connectThrough("socks5", near.socks5, echo));
        sockets.push(...(await Promise.all(batch)));
      }
      assert.equal(near.engine.status().flows.active, FLOWS);
      await Promise.all(
        sockets.map(async (socket, i) => {
          socket.write(`flow ${i}`);
          const [answer] = (await once(socket, "data")) as [Buffer];
          assert.equal(answer.toString(), `flow ${i}`);
        }),
      );
      for (const socket of sockets) socket.destroy();
      sockets.length = 0;
      const deadline = Date.now() + 20_000;
      while (
        near.engine.status().flows.active + far.engine.status().flows.active > 0 &&
        Date.now() < deadline
      )
        await sleep(50);
      assert.equal(near.engine.status().flows.active, 0);
      assert.equal(far.engine.status().flows.active, 0);
      await sleep(500);
      const grown = settledHeap() - before;
      assert.ok(grown < 20e6, `${Math.round(grown / 1e6)} MB of heap did not come back`);
      await echo.stop();
    },
  );
});

/** Bytes of JavaScript heap after a collection. */
function settledHeap(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}
