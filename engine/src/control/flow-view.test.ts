import assert from "node:assert/strict";
import { test } from "node:test";
import { createTestHost, testFlow } from "../../../test/peers/control-host.ts";
import type { StreamEvent, StreamParams } from "./contract.ts";
import { FlowRates, flowViewSource } from "./flow-view.ts";

type View = StreamEvent<"flows.view">;
const newest: StreamParams<"flows.view"> = { sort: { by: "age", descending: false }, offset: 0, limit: 100 };

function view(
  host: ReturnType<typeof createTestHost>,
  changes: Partial<StreamParams<"flows.view">> = {},
): View {
  return flowViewSource(host, new FlowRates(host), { ...newest, ...changes }).pull().event as View;
}

test("a window has its rows, where they begin, and how many there are in all", () => {
  const host = createTestHost();
  host.live = Array.from({ length: 10 }, (_, i) => testFlow(i + 1));
  const { rows, offset, total } = view(host, { offset: 2, limit: 3 });
  assert.deepEqual(
    rows.map(({ id }) => id),
    [8, 7, 6],
  );
  assert.deepEqual([offset, total], [2, 10]);
});

test("a window beyond the end is moved back to the last rows", () => {
  const host = createTestHost();
  host.live = Array.from({ length: 5 }, (_, i) => testFlow(i + 1));
  const { rows, offset } = view(host, { offset: 400, limit: 3 });
  assert.deepEqual([rows.map(({ id }) => id), offset], [[3, 2, 1], 2]);
});

test("rows are sorted by any column either way, equal ones newest first", () => {
  const host = createTestHost();
  host.live = [
    { ...testFlow(1), target: "b:1", up: 5 },
    { ...testFlow(2), target: "a:1", up: 5 },
    { ...testFlow(3), target: "c:1", up: 9, rule: 4 },
  ];
  const order = (by: "target" | "up" | "rule", descending: boolean) =>
    view(host, { sort: { by, descending } }).rows.map(({ id }) => id);
  assert.deepEqual(order("target", false), [2, 1, 3]);
  assert.deepEqual(order("target", true), [3, 1, 2]);
  assert.deepEqual(order("up", true), [3, 2, 1]);
  assert.equal(order("rule", true).length, 3);
});

test("the text is looked for in target, source, upstream and process, in letters of either case", () => {
  const host = createTestHost();
  host.live = [
    { ...testFlow(1), target: "Example.com:443" },
    { ...testFlow(2), target: "x:1", process: { pid: 5, name: "exampled" } },
    { ...testFlow(3), target: "y:1" },
  ];
  assert.deepEqual(
    view(host, { text: "EXAMPLE" }).rows.map(({ id }) => id),
    [2, 1],
  );
});

test("ended flows are there when asked for", () => {
  const host = createTestHost();
  host.live = [testFlow(2)];
  host.ended = [testFlow(1)];
  assert.equal(view(host).total, 1);
  assert.equal(view(host, { ended: true }).total, 2);
});

test("rates settle on the bytes a second between looks, and looks that are too near are one", () => {
  const host = createTestHost();
  host.live = [{ ...testFlow(1), up: 1_000, down: 0 }];
  const rates = new FlowRates(host);
  rates.refresh(10_000);
  assert.equal(rates.of(1).rateUp, 0);
  host.live = [{ ...testFlow(1), up: 3_000, down: 500 }];
  rates.refresh(10_100);
  assert.equal(rates.of(1).rateUp, 0);
  rates.refresh(11_000);
  assert.equal(rates.of(1).rateUp, 1_000);
  assert.equal(rates.of(1).rateDown, 250);
  for (let look = 1; look <= 20; look++) {
    host.live = [{ ...testFlow(1), up: 3_000 + look * 2_000, down: 500 }];
    rates.refresh(11_000 + look * 1_000);
  }
  assert.equal(Math.abs(rates.of(1).rateUp - 2_000) <= 1, true);
  assert.ok(rates.of(1).rateDown <= 1);
});

test("a look after a long pause counts from then on, and no average of the pause is shown", () => {
  const host = createTestHost();
  host.live = [{ ...testFlow(1), up: 0 }];
  const rates = new FlowRates(host);
  rates.refresh(0);
  host.live = [{ ...testFlow(1), up: 1_000_000 }];
  rates.refresh(60_000);
  assert.equal(rates.of(1).rateUp, 0);
});

test("nothing is sent while nothing changes", () => {
  const host = createTestHost();
  host.live = [testFlow(1)];
  const source = flowViewSource(host, new FlowRates(host), newest);
  assert.ok(source.pull().event);
  assert.deepEqual(source.pull(), {});
});
