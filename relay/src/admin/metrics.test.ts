import assert from "node:assert/strict";
import { test } from "node:test";
import { RelayMetrics } from "./metrics.ts";

const gauges = () => ({ clients: 2, pending: 3, tunnels: 4, connections: 5 });
const served = { identity: "token:ada", ms: 20, bytesIn: 100, bytesOut: 2_000, error: undefined };

async function valueOf(metrics: RelayMetrics, series: string): Promise<number | undefined> {
  const line = (await metrics.text()).text.split("\n").find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length));
}

test("what is there now, what was served, how long it took and what went wrong are told", async () => {
  const metrics = new RelayMetrics("1.2.3", gauges);
  metrics.clientConnected("s1", "token:ada");
  metrics.requestEnded(served);
  metrics.requestEnded({ ...served, error: "lost" });
  metrics.requestEnded({ ...served, identity: undefined, error: "unknown-name" });
  metrics.requestEnded({ ...served, identity: undefined, error: "limit", limit: "limits.max_tunnels" });
  metrics.clientRefused("auth");
  metrics.shareRefused("name-taken");
  metrics.connectionRefused({ limit: "limits.max_connections" });
  metrics.connectionRefused({ header: "it is no trusted proxy" });
  const expected: [series: string, value: number][] = [
    ["showoff_clients", 2],
    ["showoff_pending_tunnels", 3],
    ["showoff_tunnels", 4],
    ["showoff_public_connections", 5],
    ['showoff_build_info{version="1.2.3"}', 1],
    ["showoff_client_connections_total", 1],
    ['showoff_clients_refused_total{code="auth"}', 1],
    ['showoff_shares_refused_total{code="name-taken"}', 1],
    ['showoff_errors_total{kind="lost"}', 1],
    ['showoff_errors_total{kind="unknown-name"}', 1],
    ['showoff_limit_refusals_total{limit="limits.max_tunnels"}', 1],
    ['showoff_limit_refusals_total{limit="limits.max_connections"}', 1],
    ["showoff_tunnel_duration_seconds_count", 4],
    ['showoff_tunnel_duration_seconds_bucket{le="0.01"}', 0],
    ['showoff_tunnel_duration_seconds_bucket{le="0.025"}', 4],
    ['showoff_client_requests_total{identity="token:ada"}', 2],
    ['showoff_client_failures_total{identity="token:ada"}', 1],
    ['showoff_client_received_bytes_total{identity="token:ada"}', 200],
    ['showoff_client_sent_bytes_total{identity="token:ada"}', 4_000],
  ];
  for (const [series, value] of expected) assert.equal(await valueOf(metrics, series), value, series);
  assert.equal(await valueOf(metrics, "showoff_tunnels"), 4, "a second scrape tells the same");
});

test("clients beyond a number count together, and one that has gone makes room", async () => {
  const metrics = new RelayMetrics("1", gauges);
  for (let i = 0; i < 501; i++) metrics.clientConnected(`s${i}`, `i${i}`);
  metrics.requestEnded({ ...served, identity: "i500" });
  assert.equal(await valueOf(metrics, 'showoff_client_requests_total{identity="i500"}'), undefined);
  assert.equal(await valueOf(metrics, 'showoff_client_requests_total{identity="(others)"}'), 1);
  metrics.clientDisconnected("s0");
  metrics.clientConnected("new", "new");
  metrics.requestEnded({ ...served, identity: "new" });
  assert.equal(await valueOf(metrics, 'showoff_client_requests_total{identity="new"}'), 1);
  assert.equal(await valueOf(metrics, 'showoff_client_requests_total{identity="i0"}'), undefined);
});

test("an identity can't write a line of its own into the metrics", async () => {
  const metrics = new RelayMetrics("1", gauges);
  metrics.clientConnected("s", 'a"} 1\nshowoff_clients 9\n#');
  assert.equal(
    (await metrics.text()).text.split("\n").filter((line) => line.startsWith("showoff_clients ")).length,
    1,
  );
});
