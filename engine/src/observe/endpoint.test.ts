import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { after, test } from "node:test";
import { startObserveEndpoint } from "./endpoint.ts";
import { Metrics } from "./metrics.ts";

const unhealthy: string[] = [];
const notReady: string[] = [];
const metrics = new Metrics("9.9.9");
const endpoint = await startObserveEndpoint({ host: "127.0.0.1", port: 0 }, metrics, {
  unhealthy: () => unhealthy,
  notReady: () => notReady,
});
after(() => endpoint.close());
const url = `http://127.0.0.1:${endpoint.address.port}`;

test("/metrics answers in the exposition format with its content type", async () => {
  const response = await fetch(`${url}/metrics?x=1`);
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  assert.match(await response.text(), /sockeye_build_info\{version="9\.9\.9"\} 1/);
});

test("/readyz is 503 with the reasons while there are any, and 200 once there are none", async () => {
  notReady.push("draining");
  const draining = await fetch(`${url}/readyz`);
  assert.equal(draining.status, 503);
  assert.equal(await draining.text(), "draining\n");
  notReady.length = 0;
  const ready = await fetch(`${url}/readyz`);
  assert.equal(ready.status, 200);
  assert.equal(await ready.text(), "ok\n");
});

test("/healthz is 503 when a listener is gone, whatever readiness says", async () => {
  unhealthy.push("socks5 is not listening");
  assert.equal((await fetch(`${url}/healthz`)).status, 503);
  unhealthy.length = 0;
  notReady.push("starting");
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
  notReady.length = 0;
});

test("nothing else is served, and nothing but GET and HEAD is done", async () => {
  assert.equal((await fetch(`${url}/`)).status, 404);
  assert.equal((await fetch(`${url}/metrics/`)).status, 404);
  const post = await fetch(`${url}/metrics`, { method: "POST", body: "x".repeat(100_000) }).catch(
    () => undefined,
  );
  if (post) assert.equal(post.status, 405);
  const head = await fetch(`${url}/metrics`, { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.ok(Number(head.headers.get("content-length")) > 1000);
  assert.equal(await head.text(), "");
});

test("any Host is answered: scrapers go by address", async () => {
  const outgoing = request(`${url}/healthz`, { headers: { host: "metrics.internal" } });
  outgoing.end();
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  response.resume();
  assert.equal(response.statusCode, 200);
});

test("a head over its cap is refused with 431", async () => {
  const socket = connect(endpoint.address.port, "127.0.0.1");
  socket.write(`GET /metrics HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(9000)}\r\n\r\n`);
  const [answer] = (await once(socket, "data")) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 431 /);
  socket.destroy();
});

test("an address in use is an error with the system's code, not a crash", async () => {
  await assert.rejects(
    startObserveEndpoint(endpoint.address, metrics, { unhealthy: () => [], notReady: () => [] }),
    (error: NodeJS.ErrnoException) => error.code === "EADDRINUSE",
  );
});
