import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type LimitsConfig, relaySchema } from "../config/schema.ts";
import type { Admission, RelayLimits, Slot } from "./limits.ts";
import { createLimits } from "./relay-limits.ts";
import { sourceKey } from "./source-key.ts";
import { TokenBucket } from "./token-bucket.ts";

class Time {
  now = 5_000;
  readonly clock = (): number => this.now;
}

/** Limits as the configuration makes them, each key given as a text, as a flag or a variable has it. */
function limitsWith(given: Readonly<Record<string, string>>, time = new Time()): RelayLimits {
  const limits: LimitsConfig = relaySchema.parse({ limits: given }).limits;
  return createLimits(limits, time.clock);
}

function slotOf(admission: Admission): Slot {
  assert.ok("slot" in admission, JSON.stringify(admission));
  return admission.slot;
}

function limitOf(admission: Admission): string | undefined {
  return "refusal" in admission ? admission.refusal.limit : undefined;
}

/** For each cap a way to fill it. */
const caps: [key: string, fill: (limits: RelayLimits, i: number) => Admission][] = [
  ["max_connections", (limits, i) => limits.connection(`10.0.0.${i}`)],
  ["max_connections_per_source", (limits) => limits.connection("10.0.0.1")],
  ["max_handshakes", (limits, i) => limits.handshake(`10.0.0.${i}`)],
  ["max_clients", (limits, i) => limits.client(`client ${i}`)],
  ["max_clients_per_identity", (limits) => limits.client("ada")],
  ["max_tunnels", (limits, i) => limits.tunnel(`client ${i}`)],
  ["max_tunnels_per_client", (limits) => limits.tunnel("ada")],
  ["max_pending_per_client", (limits) => limits.pending("ada")],
];

for (const [key, fill] of caps) {
  test(`${key} lets in so many and no more, says which limit it was, and has room again once one has left`, () => {
    const limits = limitsWith({ [key]: "8" });
    const before = limits.counts();
    const slots = Array.from({ length: 8 }, (_, i) => slotOf(fill(limits, i)));
    const refused = fill(limits, 9);
    assert.deepEqual(refused, { refusal: { code: "too-many", limit: `limits.${key}`, retryAfter: 1 } });
    slots[0]!.release();
    slots[0]!.release();
    slotOf(fill(limits, 9)).release();
    slots.push(slotOf(fill(limits, 9)));
    assert.equal(limitOf(fill(limits, 10)), `limits.${key}`, "a second release gives no second place");
    for (const slot of slots) slot.release();
    assert.deepEqual({ ...limits.counts(), sources: 0 }, before);
  });
}

const rates: [key: string, take: (limits: RelayLimits, i: number) => string | undefined][] = [
  ["connections_per_second", (limits, i) => limitOf(limits.connection(`10.0.0.${i}`))],
  ["connections_per_second_per_source", (limits) => limitOf(limits.connection("10.0.0.1"))],
  ["connections_per_second_per_source", (limits) => limitOf(limits.handshake("10.0.0.1"))],
  [
    "connections_per_second_per_client",
    (limits) => limits.request({ source: "", client: "ada", kind: "tcp" })?.limit,
  ],
  ["requests_per_second", (limits, i) => limits.request({ source: `10.0.0.${i}` })?.limit],
  ["requests_per_second_per_source", (limits) => limits.request({ source: "10.0.0.1" })?.limit],
  ["requests_per_second_per_client", (limits) => limits.request({ source: "", client: "ada" })?.limit],
];

for (const [key, take] of rates) {
  test(`${key} lets in a burst, then its rate, and 0 is no limit`, () => {
    const time = new Time();
    const limits = limitsWith({ [key]: "4", burst: "3s", max_handshakes: "1000" }, time);
    for (let i = 0; i < 12; i++) assert.equal(take(limits, i), undefined);
    assert.equal(take(limits, 12), `limits.${key}`);
    time.now += 500;
    assert.deepEqual([take(limits, 13), take(limits, 14)], [undefined, undefined]);
    assert.equal(take(limits, 15), `limits.${key}`);

    const free = limitsWith({ [key]: "0", max_handshakes: "100000" }, time);
    for (let i = 0; i < 1_000; i++) assert.equal(take(free, i), undefined);
  });
}

test("a refusal says when to come again", () => {
  const limits = limitsWith({ requests_per_second_per_source: "0.5", burst: "1s" });
  assert.equal(limits.request({ source: "10.0.0.1" }), undefined);
  assert.equal(limits.request({ source: "10.0.0.1" })?.retryAfter, 2);
});

test("what one source is refused costs the others nothing", () => {
  const limits = limitsWith({ requests_per_second: "10", requests_per_second_per_source: "2", burst: "1s" });
  for (let i = 0; i < 100; i++) limits.request({ source: "10.0.0.1" });
  for (let i = 0; i < 8; i++) assert.equal(limits.request({ source: `10.0.1.${i}` }), undefined);
  assert.equal(limits.request({ source: "10.0.1.9" })?.limit, "limits.requests_per_second");
});

test("one source can't take every place for clients that have not authenticated", () => {
  const limits = limitsWith({ max_handshakes: "40" });
  for (let i = 0; i < 10; i++) slotOf(limits.handshake("10.0.0.1"));
  assert.equal(limitOf(limits.handshake("10.0.0.1")), "limits.max_handshakes");
  slotOf(limits.handshake("10.0.0.2"));
});

test("a grant's own limits hold where they are tighter, and only there", () => {
  const limits = limitsWith({
    max_tunnels_per_client: "5",
    requests_per_second_per_client: "10",
    burst: "1s",
  });
  slotOf(limits.client("ada", { client: "tight", maxTunnels: 2, requestsPerSecond: 3 }));
  slotOf(limits.client("bob", { client: "loose", maxTunnels: 50, requestsPerSecond: 100 }));
  const tunnels = (client: string) =>
    Array.from({ length: 9 }, () => limits.tunnel(client)).filter((a) => "slot" in a);
  const requests = (client: string) =>
    Array.from({ length: 20 }, () => limits.request({ source: "", client })).filter((refusal) => !refusal);
  assert.deepEqual([tunnels("tight").length, tunnels("loose").length], [2, 5]);
  assert.deepEqual([requests("tight").length, requests("loose").length], [3, 10]);
});

test("a source's addresses are one: all of a /64, and IPv4 however it is written", () => {
  const same = [
    [
      "2001:db8::1",
      "2001:db8:0:0:ffff:ffff:ffff:ffff",
      "2001:DB8::",
      "2001:0db8:0::5%eth0",
      "2001:db8::1.2.3.4",
    ],
    ["192.0.2.1", "::ffff:192.0.2.1", "::FFFF:192.0.2.1", "::ffff:c000:201", "0:0:0:0:0:ffff:192.0.2.1"],
    ["::1", "::2", "0:0:0:0:1::"],
  ];
  for (const group of same)
    assert.equal(new Set(group.map(sourceKey)).size, 1, group.map(sourceKey).join(" "));
  const all = [...same.map((group) => group[0]!), "2001:db8:0:1::1", "192.0.2.2", "1:2:3:4:5:6:7:8"];
  assert.equal(new Set(all.map(sourceKey)).size, all.length);
  const limits = limitsWith({ requests_per_second_per_source: "1", burst: "1s" });
  assert.equal(limits.request({ source: "2001:db8::1" }), undefined);
  assert.notEqual(limits.request({ source: "2001:db8::2" }), undefined);
});

test("any text at all is a source, and the same text the same one", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.ipV6()), (text) => {
      assert.equal(sourceKey(text), sourceKey(text));
    }),
  );
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      fc.pre(!address.includes("."));
      const { hostname } = new URL(`http://[${address}]/`);
      assert.equal(sourceKey(hostname.slice(1, -1)), sourceKey(address));
    }),
  );
});

test("the table of sources is bounded, and nobody gets a new beginning by coming from many addresses", () => {
  const time = new Time();
  const limits = limitsWith(
    { max_sources: "64", requests_per_second_per_source: "5", requests_per_second: "0", burst: "2s" },
    time,
  );
  for (let i = 0; i < 10; i++) assert.equal(limits.request({ source: "10.9.9.9" }), undefined);
  assert.notEqual(limits.request({ source: "10.9.9.9" }), undefined);
  for (let i = 0; i < 10_000; i++)
    limits.request({ source: `2001:db8:${(i >> 8).toString(16)}:${i & 255}::1` });
  assert.ok(limits.counts().sources <= 64);
  assert.notEqual(limits.request({ source: "10.9.9.9" }), undefined, "it is still remembered");
});

test("newcomers without a place of their own share the rate of a few, so a flood of addresses is held down too", () => {
  const limits = limitsWith({
    max_sources: "64",
    requests_per_second_per_source: "5",
    requests_per_second: "0",
    burst: "1s",
  });
  let letIn = 0;
  for (let i = 0; i < 100_000; i++) {
    const source = `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
    if (limits.request({ source }) === undefined) letIn++;
  }
  assert.ok(letIn <= 64 * 5 + 256 * 5, `${letIn} were let in`);
});

test("a source that has been idle makes room; one with an open connection does not", () => {
  const time = new Time();
  const limits = limitsWith({ max_sources: "64", max_connections_per_source: "1", burst: "1s" }, time);
  const open = slotOf(limits.connection("10.0.0.1"));
  for (let round = 0; round < 50; round++) {
    time.now += 10_000;
    for (let i = 0; i < 60; i++) limits.request({ source: `10.${round}.1.${i}` });
    assert.ok(limits.counts().sources <= 64);
  }
  assert.equal(limitOf(limits.connection("10.0.0.1")), "limits.max_connections_per_source");
  open.release();
  slotOf(limits.connection("10.0.0.1"));
});

test("over any stretch of time a bucket gives at most its burst and its rate, and never less than its rate", () => {
  const steps = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 50, maxLength: 300 });
  fc.assert(
    fc.property(
      // At one a second and a burst of one, what comes in beside a whole token is lost while nobody looks.
      fc.integer({ min: 2, max: 50 }),
      fc.integer({ min: 1, max: 3 }),
      steps,
      (rate, burst, waits) => {
        const bucket = new TokenBucket(rate, burst, 0);
        let now = 0;
        let given = 0;
        for (const wait of waits) {
          now += wait;
          for (let i = 0; i < 2 * rate; i++) if (bucket.take(now) === 0) given++;
          assert.ok(given <= rate * burst + (rate * now) / 1000 + 1e-6);
          const next = bucket.wait(now);
          if (next > 0) assert.ok(next <= 1000 / rate + 1e-6);
        }
        assert.ok(given >= Math.floor((rate * now) / 1000));
      },
    ),
    { numRuns: 50 },
  );
});

test("time that seems to go back gives nothing and takes nothing", () => {
  const bucket = new TokenBucket(1, 1, 1_000);
  assert.equal(bucket.take(1_000), 0);
  assert.ok(bucket.take(0) > 0);
  assert.ok(bucket.take(1_500) > 0);
  assert.equal(bucket.take(2_000), 0);
});
