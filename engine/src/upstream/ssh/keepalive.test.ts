import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "ssh2";
import { Keepalive } from "./keepalive.ts";

/** What Keepalive needs of ssh2's client, with a peer that answers when the test says so. */
class Peer {
  readonly _callbacks: ((outcome: boolean | Error) => void)[] = [];
  readonly transport = new PassThrough();
  pings = 0;
  answers = true;
  answerAfterMs = 0;
  readonly _protocol = {
    ping: (): void => {
      this.pings++;
      if (this.answers) setTimeout(() => this.answer(), this.answerAfterMs);
    },
  };

  answer(): void {
    this.transport.write("packet");
    this._callbacks.shift()?.(true);
  }
}

function start(
  context: TestContext,
  intervalMs: number,
  countMax: number,
  onAnswer: (ms: number) => void = () => undefined,
) {
  const peer = new Peer();
  let deadAfterMs: number | undefined;
  peer.transport.resume();
  const keepalive = new Keepalive(peer as unknown as Client, peer.transport, {
    intervalMs,
    countMax,
    onAnswer,
    onDead: (silentMs) => (deadAfterMs = silentMs),
  });
  context.after(() => keepalive.stop());
  return { peer, keepalive, deadAfterMs: () => deadAfterMs };
}

test("the first answer gives the round trip, and later ones smooth it", async (context) => {
  const { peer, keepalive } = start(context, 30, 3);
  peer.answerAfterMs = 20;
  const latency = (): number | undefined => keepalive.latencyMs;
  assert.equal(latency(), undefined);
  await sleep(40);
  const first = latency();
  assert.ok(first !== undefined && first >= 0 && first < 40);
  await sleep(200);
  assert.ok(peer.pings > 3);
});

test("a few answers follow one another at the start, and each tells its time", async (context) => {
  const times: number[] = [];
  const { peer } = start(context, 60_000, 3, (ms) => times.push(ms));
  await sleep(100);
  assert.equal(peer.pings, 4);
  assert.equal(times.length, 4);
});

test("silence is death after interval times count, not before", async (context) => {
  const { peer, deadAfterMs } = start(context, 50, 3);
  await sleep(120);
  peer.answers = false;
  await sleep(90);
  assert.equal(deadAfterMs(), undefined);
  await sleep(160);
  const silent = deadAfterMs();
  assert.ok(silent !== undefined && silent >= 150 && silent < 250, `dead after ${silent} ms`);
});

test("a peer that is too busy to answer lives as long as its data comes", async (context) => {
  const { peer, deadAfterMs } = start(context, 40, 2);
  peer.answers = false;
  for (let count = 0; count < 20; count++) {
    peer.transport.write("data");
    await sleep(15);
  }
  assert.equal(deadAfterMs(), undefined);
  await sleep(200);
  assert.notEqual(deadAfterMs(), undefined);
});

test("after sleep the peer is asked, and an answer saves the connection whatever the clock says", async (context) => {
  context.mock.timers.enable({ apis: ["Date", "setTimeout"], now: 1_000_000 });
  const { peer, deadAfterMs } = start(context, 10_000, 2);
  peer.answers = false;
  while (peer._callbacks.length > 0) peer.answer();
  const pings = peer.pings;
  context.mock.timers.tick(10_000);
  assert.equal(peer.pings, pings + 1, "once on waking");
  context.mock.timers.tick(2999);
  peer.answer();
  context.mock.timers.tick(10);
  assert.equal(deadAfterMs(), undefined);
});

test("after sleep a peer that does not answer is dead in three seconds", (context) => {
  context.mock.timers.enable({ apis: ["Date", "setTimeout"], now: 1_000_000 });
  const { peer, deadAfterMs } = start(context, 10_000, 3);
  peer.answers = false;
  // The mocked wall clock moves and the monotonic one does not: to Keepalive, the machine slept.
  context.mock.timers.tick(10_000);
  assert.equal(deadAfterMs(), undefined);
  context.mock.timers.tick(3000);
  assert.notEqual(deadAfterMs(), undefined);
});

test("what came before the machine slept and is read after it is no sign of life", (context) => {
  context.mock.timers.enable({ apis: ["Date", "setTimeout"], now: 1_000_000 });
  const { peer, keepalive, deadAfterMs } = start(context, 10_000, 3);
  peer.answers = false;
  keepalive.check();
  // Of the two questions the one from before is answered, now.
  context.mock.timers.tick(10);
  assert.equal(peer._callbacks.length, 1);
  context.mock.timers.tick(2990);
  assert.notEqual(deadAfterMs(), undefined);
});

test("an answer that only the end of the connection gave is no round trip", (context) => {
  const { peer, keepalive } = start(context, 1000, 3);
  peer._callbacks[0]!(new Error("No response from server"));
  assert.equal(keepalive.latencyMs, undefined);
});
