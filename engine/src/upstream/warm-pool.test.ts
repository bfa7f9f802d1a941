import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { startEcho, type TcpPeer } from "../../../test/peers/echo.ts";
import { until } from "../../../test/peers/exercise.ts";
import type { CancelSignal } from "../cancel.ts";
import { DirectDialer } from "./direct.ts";
import { WarmPool, type WarmPoolOptions } from "./warm-pool.ts";

describe("WarmPool", () => {
  let echo: TcpPeer;
  let opened = 0;
  let pool: WarmPool;
  const dialer = new DirectDialer();

  beforeEach(async () => {
    echo = await startEcho();
    opened = 0;
  });
  afterEach(async () => {
    pool.close();
    await until(() => echo.open === 0, "no connection left");
    assert(!process.getActiveResourcesInfo().includes("Timeout"), "no timer left");
    await echo.stop();
  });

  function makePool(options: Partial<WarmPoolOptions> = {}): WarmPool {
    const open = (signal: CancelSignal): Promise<Duplex> => {
      opened++;
      return dialer.dial(echo, { signal });
    };
    pool = new WarmPool({ size: 2, open, connectTimeoutMs: 1000, ...options });
    return pool;
  }

  it("opens nothing before the first dial has reached the proxy, then its size", async () => {
    makePool();
    pool.proxyReached();
    assert.equal(opened, 0, "nobody has dialled");
    pool.close();
    makePool();
    assert.equal(pool.take(), undefined);
    assert.equal(opened, 0, "the proxy may be dead");
    pool.proxyReached();
    await until(() => pool.ready === 2, "two ready");
    assert.equal(opened, 2);
  });

  it("hands each connection out once, unwatched, and replaces it", async () => {
    makePool();
    pool.take();
    pool.proxyReached();
    await until(() => pool.ready === 2, "two ready");
    const taken = [pool.take(), pool.take()];
    assert.equal(new Set(taken).size, 2);
    for (const stream of taken) {
      assert.equal(stream?.listenerCount("data"), 0);
      assert.equal(stream.listenerCount("close"), 0);
      stream.destroy();
    }
    await until(() => pool.ready === 2, "two ready again");
    assert.equal(opened, 4);
  });

  it("grows with the rate of dials up to its cap, and shrinks when they cease", async () => {
    // 20 ms to open and 1000 dials a second: 30 are wanted, 10 allowed.
    const open = async (signal: CancelSignal) => {
      await delay(20);
      return dialer.dial(echo, { signal });
    };
    makePool({ open, cap: 10, size: 1 });
    pool.take();
    pool.proxyReached();
    const until10 = performance.now() + 3000;
    while (pool.ready + pool.connecting < 10 && performance.now() < until10) {
      for (let i = 0; i < 10; i++) pool.take()?.destroy();
      await delay(10);
    }
    assert.equal(pool.ready + pool.connecting, 10);
    await until(() => pool.ready === 1 && pool.connecting === 0, "back to its size", 6000);
  });

  it("keeps nothing when there has been no dial for a while", async () => {
    makePool({ idleMs: 300 });
    pool.take();
    pool.proxyReached();
    await until(() => pool.ready === 2, "two ready");
    await until(() => pool.ready === 0 && echo.open === 0, "nothing kept");
    assert.equal(opened, 2);
  });

  it("replaces a connection that has grown old", async () => {
    makePool({ maxAgeMs: 200, size: 1 });
    pool.take();
    pool.proxyReached();
    await until(() => opened >= 3 && pool.ready === 1, "replaced twice");
    assert(echo.open <= 2);
  });

  it("waits longer and longer when it can't fill, and never in a loop", async () => {
    makePool({
      open: () => {
        opened++;
        return Promise.reject(new Error("refused"));
      },
    });
    pool.take();
    pool.proxyReached();
    await delay(700);
    // Two at once, then two after each wait of at least 125 and 250 ms, at ticks of 250 ms.
    assert(opened >= 2 && opened <= 6, `${opened} tries`);
  });

  it("drops and replaces everything when the network changes", async () => {
    makePool();
    pool.take();
    pool.proxyReached();
    await until(() => pool.ready === 2, "two ready");
    pool.refresh();
    assert.equal(pool.ready, 0);
    await until(() => pool.ready === 2, "two new ones");
    await until(() => echo.open === 2, "the old ones are closed");
  });

  it("with size 0 keeps nothing, ever", async () => {
    makePool({ size: 0 });
    assert.equal(pool.take(), undefined);
    pool.proxyReached();
    await delay(20);
    assert.equal(opened, 0);
  });
});
