import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { html } from "../../html.ts";
import type { ServedEnd } from "../../observer.ts";
import * as figures from "./figures.ts";
import { isFailure, MAX_RECENT, Overview } from "./overview.ts";
import { chart, requests, shares, type Shown } from "./parts.ts";
import { STEP_MS, STEPS, Traffic } from "./traffic.ts";

const demo = { kind: "http", name: "demo" } as const;
const served: ServedEnd = {
  address: demo,
  source: "192.0.2.1",
  method: "GET",
  target: "/path?token=secret",
  client: "s1",
  identity: "ada",
  status: 200,
  ms: 5,
  bytesIn: 10,
  bytesOut: 1_000,
  error: undefined,
};

function shownOf(overview: Overview): Shown {
  const gauges = { clients: 1, pending: 0, tunnels: 0, connections: 0 };
  return { overview, gauges, notReady: [], domain: "relay.example", now: Date.now() };
}

test("clients, their shares and what they served are there until they go", () => {
  const overview = new Overview();
  const { observer } = overview;
  observer.clientConnected("s1", "ada", "192.0.2.7");
  observer.shared("s1", demo);
  observer.shared("s1", { kind: "tcp", port: 2000 });
  observer.requestEnded(served);
  observer.requestEnded({ ...served, status: 502, error: "local-refused" });
  observer.requestEnded({ ...served, client: "gone" });
  const [client] = overview.clients;
  assert.deepEqual([client!.requests, client!.failed, client!.bytesOut], [2, 1, 2_000]);
  assert.deepEqual(
    client!.shares.map(({ requests: count }) => count),
    [2, 0],
  );
  observer.unshared("s1", demo);
  assert.equal(overview.clients[0]!.shares.length, 1);
  observer.clientDisconnected("s1", "ended");
  assert.deepEqual(overview.clients, []);
});

test("so many requests are remembered and no more, the latest, without what may be secret in their targets", () => {
  const overview = new Overview();
  for (let i = 0; i < MAX_RECENT + 50; i++)
    overview.observer.requestEnded({ ...served, target: `/${i}${"x".repeat(5_000)}?secret` });
  assert.equal(overview.recent.length, MAX_RECENT);
  assert.match(overview.recent[0]!.path!, new RegExp(`^/${MAX_RECENT + 49}x+$`));
  for (const { path } of overview.recent) assert.ok(path!.length <= 200 && !path!.includes("secret"));
});

test("what the public asks for in vain is no failure; what the relay or a client can't answer is", () => {
  const failures = [
    { status: 500, error: undefined },
    { status: 0, error: "lost" },
    { status: 503, error: "limit" },
    { status: 200, error: "local-closed" },
  ] as const;
  const others = [
    { status: 404, error: undefined },
    { status: 404, error: "unknown-name" },
    { status: 400, error: "bad-request" },
    { status: 0, error: "cancelled" },
  ] as const;
  for (const each of failures) assert.ok(isFailure(each), JSON.stringify(each));
  for (const each of others) assert.ok(!isFailure(each), JSON.stringify(each));
});

test("traffic is that of two minutes, and a rate that of whole steps", () => {
  const traffic = new Traffic();
  const one = { requests: 1, failed: 1, bytesIn: 10, bytesOut: 100 };
  const begin = 1_000 * STEP_MS;
  for (let i = 0; i < 10; i++) traffic.add(begin + i, one);
  assert.equal(traffic.rates(begin + 1).requests, 0, "a step that is under way says nothing yet");
  assert.equal(traffic.rates(begin + STEP_MS).requests, 1);
  assert.equal(traffic.steps(begin).at(-1)!.requests, 10);
  assert.equal(traffic.steps(begin + (STEPS - 1) * STEP_MS)[0]!.bytesOut, 1_000);
  const later = traffic.steps(begin + STEPS * STEP_MS);
  assert.equal(
    later.reduce((sum, { requests: count }) => sum + count, 0),
    0,
  );
  traffic.add(begin + (STEPS + 1) * STEP_MS, one);
  assert.equal(
    traffic.steps(begin + (STEPS + 1) * STEP_MS).at(-1)!.requests,
    1,
    "an old step is not added to",
  );
});

test("whatever is put into HTML stays text there", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const made = html`<p title="${text}">${text}</p>`.text;
      assert.doesNotMatch(made.slice(10, -4).replace('">', ""), /[<>"]/);
    }),
  );
  const overview = new Overview();
  const bad = `"><script>alert(1)</script>`;
  overview.observer.clientConnected("s1", bad, bad);
  overview.observer.shared("s1", { kind: "http", name: bad });
  overview.observer.requestEnded({ ...served, method: bad, target: bad, source: bad, identity: bad });
  const shown = { ...shownOf(overview), domain: bad };
  for (const part of [shares(shown), requests(shown), chart(shown)])
    assert.doesNotMatch(part.text, /<script/);
});

test("figures are short, and never round up to a thousand of a unit", () => {
  const cases: [string, string][] = [
    [figures.bytes(0), "0 B"],
    [figures.bytes(999), "999 B"],
    [figures.bytes(1_400), "1.4 kB"],
    [figures.bytes(9_960), "10 kB"],
    [figures.bytes(999_600), "1.0 MB"],
    [figures.count(12_345), "12,345"],
    [figures.count(1_250_000), "1.3M"],
    [figures.rate(0.34), "0.3"],
    [figures.took(0.2), "0 ms"],
    [figures.took(1_234), "1.2 s"],
    [figures.took(180_000), "3 min"],
    [figures.since(7_200_000), "2 h"],
    [figures.since(200_000_000), "2 d"],
  ];
  for (const [is, expected] of cases) assert.equal(is, expected);
});
