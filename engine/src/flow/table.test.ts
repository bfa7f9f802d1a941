import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, it, type TestContext } from "node:test";
import type { Observer } from "../observe/observer.ts";
import { Flow, type FlowOrigin } from "./flow.ts";
import { FlowTable, type FlowTimeouts } from "./table.ts";

/** Counts what it is told, as the metrics would. */
class Counts implements Observer {
  opened = 0;
  closed = 0;
  up = 0;
  down = 0;
  flowOpened(): void {
    this.opened++;
  }
  flowClosed(): void {
    this.closed++;
  }
  bytes(_upstream: string, up: number, down: number): void {
    this.up += up;
    this.down += down;
  }
  dialed(): void {}
  reconnected(): void {}
  connectionStatus(): void {}
  inboundConnection(): void {}
  forget(): void {}
}

const origin: FlowOrigin = {
  inbound: "socks5",
  protocol: "tcp",
  source: { host: "127.0.0.1", port: 40_000 },
  target: { host: "db.example", port: 5432 },
};
const unlimited: FlowTimeouts = { idle_timeout: 0, half_close_timeout: 0, udp_idle_timeout: 0 };

function tableWith(t: TestContext, timeouts: Partial<FlowTimeouts>): { table: FlowTable; counts: Counts } {
  const counts = new Counts();
  const table = new FlowTable({ ...unlimited, ...timeouts }, counts, 10);
  t.after(() => table.close());
  return { table, counts };
}

/** An open flow with its two far ends. */
function openFlow(table: FlowTable) {
  const flow = new Flow(table.nextId(), origin, { to: "production", rule: 2 }, () => {});
  const [application, inbound] = duplexPair();
  const [outbound, target] = duplexPair();
  application.on("error", () => {});
  target.on("error", () => {});
  table.add(flow);
  const done = new Promise<Error | undefined>((resolve) => {
    flow.open(inbound, outbound, (error) => {
      table.remove(flow, error);
      resolve(error);
    });
  });
  application.resume();
  target.resume();
  return { flow, application, target, done };
}

describe("the flow table", () => {
  it("shows a flow while it lives, and remembers it with its bytes after", async (t) => {
    const { table, counts } = tableWith(t, {});
    const { flow, application, target, done } = openFlow(table);
    assert.deepEqual(
      [...table].map((live) => live.describe().state),
      ["open"],
    );
    application.end("12345");
    target.end("123");
    assert.equal(await done, undefined);
    assert.equal(table.size, 0);
    const [ended] = [...table.ended()];
    assert.equal(ended, flow);
    const record = flow.describe();
    assert.deepEqual(
      {
        state: record.state,
        up: record.up,
        down: record.down,
        upstream: record.upstream,
        target: record.target,
      },
      { state: "ended", up: 5, down: 3, upstream: "production", target: "db.example:5432" },
    );
    assert.deepEqual([counts.opened, counts.closed, counts.up, counts.down], [1, 1, 5, 3]);
    assert.deepEqual(table.totals, { total: 1, failed: 0, up: 5, down: 3 });
  });

  it("ends a flow that is quiet for longer than idle_timeout, and none that is not", async (t) => {
    const { table } = tableWith(t, { idle_timeout: 0.15 });
    const quiet = openFlow(table);
    const busy = openFlow(table);
    const chatter = setInterval(() => busy.application.write("."), 20);
    t.after(() => clearInterval(chatter));
    const error = await quiet.done;
    assert.match(String(error), /nothing was sent for 0.15 s/);
    assert.equal(busy.flow.state, "open");
    busy.flow.close();
    await busy.done;
  });

  it("gives a flow that has just half-closed its whole half_close_timeout, however long it was quiet before", async (t) => {
    const { table } = tableWith(t, { half_close_timeout: 0.2 });
    const { application, done } = openFlow(table);
    await sleep(400);
    const halfClosedAt = performance.now();
    application.end();
    assert.match(String(await done), /nothing was sent for 0.2 s/);
    assert.ok(performance.now() - halfClosedAt >= 190);
  });

  it("never times out a dial: that has a deadline of its own", async (t) => {
    const { table } = tableWith(t, { idle_timeout: 0.02 });
    const flow = new Flow(table.nextId(), origin, { to: "production", rule: undefined }, () =>
      assert.fail("ended"),
    );
    table.add(flow);
    await sleep(100);
    assert.equal(table.size, 1);
    table.remove(flow, new Error("refused"));
    assert.equal(table.totals.failed, 1);
  });

  it("drains: waits for the flows, then cuts what is left and says how many", async (t) => {
    const { table } = tableWith(t, {});
    const quick = openFlow(table);
    const stuck = openFlow(table);
    setTimeout(() => {
      quick.application.end();
      quick.target.end();
    }, 30);
    assert.equal(await table.drain(100), 1);
    assert.equal(await quick.done, undefined);
    assert.match(String(await stuck.done), /sockeye is stopping/);
    assert.equal(await table.drain(100), 0);
  });

  it("remembers a bounded number of ended flows, the newest, oldest first", (t) => {
    const { table } = tableWith(t, {});
    for (let i = 0; i < 1234; i++) {
      const flow = new Flow(table.nextId(), origin, { to: "production", rule: undefined }, () => {});
      table.add(flow);
      table.remove(flow);
    }
    const ids = [...table.ended()].map((flow) => flow.id);
    assert.equal(ids.length, 500);
    assert.deepEqual([ids[0], ids.at(-1)], [735, 1234]);
  });
});
