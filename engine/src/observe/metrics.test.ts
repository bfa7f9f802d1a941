import assert from "node:assert/strict";
import { test } from "node:test";
import { DIAL_BUCKETS, Metrics } from "./metrics.ts";
import type { TunNumbers } from "./tun-metrics.ts";

/** Reads the exposition format strictly: every sample has HELP and TYPE, and stands once. */
function parse(text: string): { samples: Map<string, number>; types: Map<string, string> } {
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (type) {
      types.set(type[1]!, type[2]!);
      continue;
    }
    if (line.startsWith("# HELP ")) continue;
    const sample = /^([a-z0-9_]+(?:\{[^}]*\})?) (\S+)$/.exec(line);
    assert.ok(sample, `not a sample: ${line}`);
    assert.ok(!samples.has(sample[1]!), `twice: ${line}`);
    samples.set(sample[1]!, Number(sample[2]));
  }
  return { samples, types };
}

test("the five names of the roadmap are there exactly, with the upstream as their only label", async () => {
  const metrics = new Metrics("1.2.3");
  metrics.declare("production");
  metrics.flowOpened("production");
  metrics.flowOpened("production");
  metrics.flowClosed("production");
  metrics.dialed("production", 30, "ok");
  metrics.reconnected("production");
  metrics.connectionStatus("production", true);
  const { samples, types } = parse(await metrics.text());
  assert.equal(types.get("socks5_connections_total"), "counter");
  assert.equal(types.get("socks5_active_connections"), "gauge");
  assert.equal(types.get("upstream_dial_duration_seconds"), "histogram");
  assert.equal(types.get("upstream_reconnect_total"), "counter");
  assert.equal(types.get("upstream_connection_status"), "gauge");
  assert.equal(samples.get('socks5_connections_total{upstream="production"}'), 2);
  assert.equal(samples.get('socks5_active_connections{upstream="production"}'), 1);
  assert.equal(samples.get('upstream_dial_duration_seconds_count{upstream="production"}'), 1);
  assert.equal(samples.get('upstream_dial_duration_seconds_sum{upstream="production"}'), 0.03);
  assert.equal(samples.get('upstream_dial_duration_seconds_bucket{le="0.025",upstream="production"}'), 0);
  assert.equal(samples.get('upstream_dial_duration_seconds_bucket{le="0.05",upstream="production"}'), 1);
  assert.equal(samples.get('upstream_dial_duration_seconds_bucket{le="+Inf",upstream="production"}'), 1);
  assert.equal(samples.get('upstream_reconnect_total{upstream="production"}'), 1);
  assert.equal(samples.get('upstream_connection_status{upstream="production"}'), 1);
  assert.equal(samples.get('upstream_connection_status{upstream="direct"}'), 0);
  assert.equal(samples.get('sockeye_build_info{version="1.2.3"}'), 1);
});

test("bytes, dial errors and inbound connections are counted under their labels", async () => {
  const metrics = new Metrics("0");
  metrics.bytes("direct", 10, 200);
  metrics.bytes("direct", 1, 2);
  metrics.dialed("direct", 5, "refused");
  metrics.dialed("direct", 5, "refused");
  metrics.inboundConnection("socks5");
  const { samples } = parse(await metrics.text());
  assert.equal(samples.get('sockeye_bytes_total{upstream="direct",direction="up"}'), 11);
  assert.equal(samples.get('sockeye_bytes_total{upstream="direct",direction="down"}'), 202);
  assert.equal(samples.get('sockeye_dial_errors_total{upstream="direct",code="refused"}'), 2);
  assert.equal(samples.get('sockeye_inbound_connections_total{inbound="socks5"}'), 1);
  assert.equal(samples.get('sockeye_inbound_connections_total{inbound="http"}'), 0);
  assert.equal(samples.get('upstream_dial_duration_seconds_count{upstream="direct"}'), 0);
});

test("a dial falls in the bucket whose bound it does not exceed, and the buckets add up", async () => {
  const metrics = new Metrics("0");
  for (const bound of DIAL_BUCKETS) metrics.dialed("direct", bound * 1000, "ok");
  metrics.dialed("direct", 60_000, "ok");
  const { samples } = parse(await metrics.text());
  DIAL_BUCKETS.forEach((bound, i) => {
    const name = `upstream_dial_duration_seconds_bucket{le="${bound}",upstream="direct"}`;
    assert.equal(samples.get(name), i + 1, name);
  });
  assert.equal(
    samples.get('upstream_dial_duration_seconds_bucket{le="+Inf",upstream="direct"}'),
    DIAL_BUCKETS.length + 1,
  );
});

test("labels are bounded: an upstream that is not declared, or was forgotten, gets no series", async () => {
  const metrics = new Metrics("0");
  metrics.declare("old");
  metrics.flowOpened("old");
  metrics.forget("old");
  metrics.flowClosed("old");
  metrics.bytes("old", 1, 1);
  metrics.connectionStatus("old", false);
  metrics.dialed("evil.example:443", 1, "dns");
  metrics.forget("direct");
  const text = await metrics.text();
  assert.doesNotMatch(text, /old|evil/);
  assert.match(text, /socks5_connections_total\{upstream="direct"\} 0/);
});

test("a flow that outlives a forgotten and newly declared upstream does not make its gauge negative", () => {
  const metrics = new Metrics("0");
  metrics.declare("a");
  metrics.flowOpened("a");
  metrics.forget("a");
  metrics.declare("a");
  metrics.flowClosed("a");
  assert.equal(metrics.snapshot().find((entry) => entry.upstream === "a")?.active, 0);
});

test("process metrics are there and plausible", async () => {
  const { samples } = parse(await new Metrics("0").text());
  assert.ok(samples.get("process_resident_memory_bytes")! > 1e6);
  assert.ok(samples.get("process_cpu_seconds_total")! > 0);
  assert.ok(Math.abs(samples.get("process_start_time_seconds")! - Date.now() / 1000) < 600);
  if (process.platform === "linux") assert.ok(samples.get("process_open_fds")! >= 3);
});

test("counting a whole flow costs under five microseconds", () => {
  const metrics = new Metrics("0");
  const rounds = 100_000;
  const started = performance.now();
  for (let i = 0; i < rounds; i++) {
    metrics.flowOpened("direct");
    metrics.dialed("direct", i % 5000, "ok");
    metrics.bytes("direct", 100, 1000);
    metrics.flowClosed("direct");
  }
  const microseconds = ((performance.now() - started) * 1000) / rounds;
  assert.ok(microseconds < 5, `${microseconds} µs for a flow`);
});

/** Every number is another, so that none stands in another's place. */
function tunNumbers(): TunNumbers {
  const tcpCounters = {
    segmentsIn: 1,
    segmentsOut: 2,
    bad: 3,
    attemptsDropped: 4,
    retransmissions: 5,
    resetsSent: 6,
    resetsReceived: 7,
    timeouts: 8,
  };
  const counts = { packets: 9, malformed: 10, martian: 11, unwanted: 12, lost: 13, fragmentsDropped: 14 };
  const icmp = { icmpErrors: 15, icmpErrorsSuppressed: 16, echoReplies: 17 };
  const tcp = { tcp: 18, tcpAttempts: 19, tcpHalfOpen: 20, tcpCounters };
  const udp = { udpSources: 21, udpEvicted: 22 };
  const reassembling = { packets: 23, bytes: 24 };
  return {
    stack: { ...counts, ...icmp, ...tcp, ...udp, reassembling },
    fake: { names: 25, capacity: 26, refused: 27 },
  };
}

test("TUN mode's numbers are there while it is on, with none but closed lists for labels", async () => {
  let numbers: TunNumbers | undefined;
  const metrics = new Metrics("0", () => numbers);
  const ofTun = async () =>
    Object.fromEntries(
      [...parse(await metrics.text()).samples].flatMap(([name, value]) =>
        name.startsWith("sockeye_tun_") ? [[name.slice("sockeye_tun_".length), value]] : [],
      ),
    );
  assert.deepEqual(await ofTun(), {});
  numbers = tunNumbers();
  const on = {
    'tcp_segments_total{direction="in"}': 1,
    'tcp_segments_total{direction="out"}': 2,
    tcp_retransmissions_total: 5,
    'tcp_resets_total{direction="in"}': 7,
    'tcp_resets_total{direction="out"}': 6,
    tcp_timeouts_total: 8,
    tcp_connections: 18,
    tcp_half_open: 20,
    'dropped_packets_total{reason="malformed"}': 10,
    'dropped_packets_total{reason="martian"}': 11,
    'dropped_packets_total{reason="unwanted"}': 12,
    'dropped_packets_total{reason="fragment"}': 14,
    'dropped_packets_total{reason="half-open-limit"}': 4,
    'dropped_packets_total{reason="device"}': 13,
    udp_sessions: 21,
    udp_evictions_total: 22,
    icmp_errors_total: 15,
    reassembly_packets: 23,
    reassembly_bytes: 24,
    fake_names: 25,
    fake_names_max: 26,
    fake_names_refused_total: 27,
  };
  assert.deepEqual(await ofTun(), on);
  assert.deepEqual(await ofTun(), on, "a second scrape adds nothing");
  numbers = undefined;
  assert.deepEqual(await ofTun(), {});
});
