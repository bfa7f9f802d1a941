import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../test/peers/loopback.ts";
import { DeadlineQueue } from "./deadline-queue.ts";

describe("a queue of deadlines", () => {
  it("expires each item at its own time, and none that was taken out", async () => {
    const expired: string[] = [];
    const queue = new DeadlineQueue<string>(60, (item) => expired.push(item));
    queue.add("first");
    queue.add("taken out");
    await sleep(30);
    queue.add("second");
    assert.equal(queue.delete("taken out"), true);
    assert.equal(queue.delete("taken out"), false);
    await until("the first is due", () => expired.length === 1);
    assert.deepEqual(expired, ["first"]);
    await until("the second is due", () => expired.length === 2);
    assert.equal(queue.size, 0);
    queue.add("third");
    queue.flush();
    assert.deepEqual(expired, ["first", "second", "third"]);
  });

  it("does not let an item with a shorter time wait for those that came before it", async () => {
    const expired: string[] = [];
    const queue = new DeadlineQueue<string>(3_600_000, (item) => expired.push(item));
    queue.add("an hour");
    queue.setLength(20);
    queue.add("soon");
    await until("the shorter is due", () => expired.length > 0);
    assert.deepEqual(expired, ["soon"]);
    assert.equal(queue.size, 1);
    queue.flush();
  });
});
