import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Condition } from "./condition.ts";
import { Connection } from "./connection.ts";
import { ControlError } from "./control/control-error.ts";
import { Turns } from "./turns.ts";

/** What is opened and shut, in order; opening can be held up, and can fail. */
function harness() {
  const done: string[] = [];
  const parts = {
    done,
    turns: new Turns(),
    busy: undefined as string | undefined,
    condition: { state: "connected" } as Condition,
    failure: undefined as Error | undefined,
    hold: Promise.resolve(),
  };
  const connection = new Connection({
    turns: parts.turns,
    busyWith: () => parts.busy,
    open: async () => {
      done.push("open");
      await parts.hold;
      if (parts.failure) throw parts.failure;
      done.push("opened");
    },
    shut: async () => {
      done.push("shut");
    },
    condition: () => parts.condition,
  });
  return { ...parts, parts, connection };
}

describe("the switch", () => {
  it("is off, connecting while it opens, and then as traffic fares", async () => {
    const { connection, parts } = harness();
    assert.deepEqual(connection.state, { state: "off" });
    const { promise, resolve } = Promise.withResolvers<undefined>();
    parts.hold = promise.then(() => {});
    const connecting = connection.connect();
    await Promise.resolve();
    await Promise.resolve();
    assert.equal(connection.state.state, "connecting");
    resolve(undefined);
    await connecting;
    assert.equal(connection.state.state, "connected");
    await connection.disconnect();
    assert.deepEqual(connection.state, { state: "off" });
  });

  it("is off with the error when it can't open, and tries again when it is asked again", async () => {
    const { connection, parts } = harness();
    parts.failure = new ControlError("helper", "there is no helper");
    await assert.rejects(connection.connect(), { name: "ControlError", code: "helper" });
    assert.deepEqual(connection.state, {
      state: "off",
      error: { code: "helper", message: "there is no helper" },
    });
    parts.failure = undefined;
    await connection.connect();
    assert.equal(connection.state.state, "connected");
  });

  it("never opens and shuts at once, and of several wishes the newest counts", async () => {
    const { connection, parts, done } = harness();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    parts.hold = promise.then(() => {});
    const first = connection.connect();
    await Promise.resolve();
    await Promise.resolve();
    const second = connection.disconnect();
    const third = connection.connect();
    const fourth = connection.disconnect();
    const superseded = assert.rejects(third, { code: "unavailable", message: /disconnect/ });
    resolve(undefined);
    await Promise.all([first, second, superseded, fourth]);
    assert.deepEqual(done, ["open", "opened", "shut", "shut"]);
    assert.equal(connection.state.state, "off");
  });

  it("opens once for two who ask", async () => {
    const { connection, done } = harness();
    await Promise.all([connection.connect(), connection.connect()]);
    assert.deepEqual(done, ["open", "opened"]);
  });

  it("waits for a reload that is under way", async () => {
    const { connection, parts, done } = harness();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const reload = parts.turns.run(async () => {
      await promise;
      done.push("reloaded");
    });
    const connecting = connection.connect();
    resolve(undefined);
    await Promise.all([reload, connecting]);
    assert.deepEqual(done, ["reloaded", "open", "opened"]);
  });

  it("can't be used while the engine starts or ends", async () => {
    const { connection, parts } = harness();
    parts.busy = "draining";
    await assert.rejects(connection.connect(), { code: "unavailable", message: /draining/ });
    await assert.rejects(connection.disconnect(), { code: "unavailable" });
  });

  it("tells trouble from its beginning, and the time of connecting again when it is over", async () => {
    const { connection, parts } = harness();
    await connection.connect();
    const connected = connection.state;
    const trouble = {
      state: "trouble",
      cause: "upstream",
      subject: "bastion",
      message: "it is gone",
    } as const;
    parts.condition = trouble;
    connection.look();
    const first = connection.state;
    assert.ok(first.state === "trouble" && first.message === "it is gone");
    parts.condition = { ...trouble, message: "it is still gone" };
    const second = connection.state;
    assert.ok(second.state === "trouble" && second.since === first.since);
    parts.condition = { state: "connected" };
    assert.deepEqual(connection.state, connected);
  });
});
