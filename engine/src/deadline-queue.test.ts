import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../test/peers/loopback.ts";
import { DeadlineQueue } from "./deadline-queue.ts";

describe("a queue of deadlines", () => {
  it("expires each item at its own time, and none that was taken out", async () => {
    const expired: string[] = [];
    const queue = new DeadlineQueue<{ name: string }>(60, ({ name }) => expired.push(name));
    queue.add({ name: "first" });
    const lifted = queue.add({ name: "taken out" });
    await sleep(30);
    queue.add({ name: "second" });
    assert.equal(queue.lift(lifted), true);
    assert.equal(queue.lift(lifted), false);
    await until("the first is due", () => expired.length > 0);
    assert.equal(expired[0], "first");
    await until("the second is due", () => expired.length > 1);
    assert.deepEqual(expired, ["first", "second"]);
    assert.equal(queue.size, 0);
    queue.add({ name: "third" });
    queue.flush();
    assert.deepEqual(expired, ["first", "second", "third"]);
  });

  it("does not let an item with a shorter time wait for those that came before it", async () => {
    const expired: string[] = [];
    const queue = new DeadlineQueue<{ name: string }>(3_600_000, ({ name }) => expired.push(name));
    queue.add({ name: "an hour" });
    queue.setLength(20);
    queue.add({ name: "soon" });
    await until("the shorter is due", () => expired.length > 0);
    assert.deepEqual(expired, ["soon"]);
    assert.equal(queue.size, 1);
    queue.flush();
  });
});
