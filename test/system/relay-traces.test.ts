import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { startConfiguredRelay } from "@sockeye/relay/configured";
import { observing } from "@sockeye/relay/observers";
import type { Relay } from "@sockeye/relay/server";
import { OtlpTracer } from "@sockeye/relay/trace/otlp-tracer";
import { startOtlpReceiver } from "../peers/otlp-receiver.ts";
import { raw, startLocalHttp, startLocalTcp, startShare, until } from "../peers/relay.ts";
import { configuredBy, WAYS } from "../peers/relay-admin.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";

function get(relay: Relay, name: string, target: string, headers = ""): Promise<string> {
  return raw(
    relay.http!.port,
    `GET ${target} HTTP/1.1\r\nHost: ${name}.localhost\r\nConnection: close\r\n${headers}\r\n`,
  );
}

describe("traces of a relay", () => {
  for (const way of WAYS)
    test(`otel_endpoint, by ${way}: clients, shares and requests are spans, and the public's trace goes on through them`, async () => {
      await using receiver = await startOtlpReceiver();
      const problems: string[] = [];
      const config = await configuredBy(way, { otel_endpoint: receiver.endpoint, "names.hold": "0" });
      const observer = observing({ problem: (what, error) => problems.push(`${what}: ${error.message}`) });
      const relay = await startConfiguredRelay(config, observer);
      await using local = await startLocalHttp((request, response) =>
        response.end(`${String(request.headers["traceparent"])} ${String(request.headers["tracestate"])}`),
      );
      const share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
      const headers = `traceparent: 00-${TRACE}-${PARENT}-01\r\ntracestate: vendor=1\r\n`;
      const answer = await get(relay, "demo", "/path?token=secret", headers);
      const seen = /\r\n\r\n00-(\w{32})-(\w{16})-01 vendor=1$/.exec(answer);
      assert.ok(seen, answer);
      const begun = await get(relay, "demo", "/new", "traceparent: 00-nonsense\r\ntracestate: vendor=1\r\n");
      const fresh = /\r\n\r\n00-(\w{32})-(\w{16})-01 undefined$/.exec(begun);
      assert.ok(fresh, begun);
      assert.match(await get(relay, "nobody", "/"), /^HTTP\/1\.1 404/);
      share.close();
      await until(() => relay.counts().clients === 0, "the client has gone");
      await relay.stop(0);
      assert.deepEqual(receiver.asked[0], "POST /v1/traces application/json");
      assert.deepEqual([...receiver.services], ["showoff"]);
      const asked = receiver.spans.find(({ traceId }) => traceId === TRACE);
      assert.ok(asked);
      const { attributes } = asked;
      assert.deepEqual([asked.name, asked.kind, asked.parentSpanId, asked.status], ["GET", 2, PARENT, 0]);
      assert.deepEqual([asked.traceId, asked.spanId], [seen[1], seen[2]]);
      assert.ok(asked.ms > 0 && asked.ms < 10_000, String(asked.ms));
      assert.deepEqual(
        [attributes["showoff.share"], attributes["url.path"], attributes["http.response.status_code"]],
        ["demo", "/path", 200],
      );
      assert.ok(Number(attributes["showoff.bytes_out"]) > 50);
      const own = receiver.spans.find(({ spanId }) => spanId === fresh[2]);
      assert.deepEqual([own?.traceId, own?.parentSpanId], [fresh[1], undefined]);
      const unknown = receiver.spans.find(({ attributes: each }) => each["error.type"] === "unknown-name");
      assert.deepEqual([unknown?.attributes["http.response.status_code"], unknown?.status], [404, 0]);
      const session = receiver.spans.find(({ name }) => name === "client session")!;
      const shared = receiver.spans.find(({ name }) => name === "share demo")!;
      assert.deepEqual([shared.traceId, shared.parentSpanId], [session.traceId, session.spanId]);
      assert.equal(session.attributes["showoff.identity"], attributes["showoff.identity"]);
      assert.equal(session.attributes["client.address"], "127.0.0.1");
      assert.deepEqual(problems, []);
      assert.doesNotMatch(JSON.stringify(receiver.spans), /secret/);
    });

  test("a TCP tunnel is a span with its bytes; what the public did not want sampled is not sent, and goes on so", async () => {
    await using receiver = await startOtlpReceiver();
    const relay = await startConfiguredRelay(
      await configuredBy("flag", { otel_endpoint: `${receiver.endpoint}/v1/traces` }),
      observing({}),
    );
    await using tcp = await startLocalTcp((socket) => socket.pipe(socket));
    await using http = await startLocalHttp((request, response) =>
      response.end(String(request.headers["traceparent"])),
    );
    await using shares = new AsyncDisposableStack();
    const raw_ = shares.use(await startShare(relay, { kind: "tcp", target: tcp.target }));
    shares.use(await startShare(relay, { kind: "http", name: "demo", target: http.target }));
    const socket = connect(Number(raw_.address.split(":").at(-1)), "127.0.0.1");
    socket.end("hello");
    await once(socket.resume(), "close");
    const answer = await get(relay, "demo", "/", `traceparent: 00-${TRACE}-${PARENT}-00\r\n`);
    assert.match(answer, new RegExp(`\r\n\r\n00-${TRACE}-\\w{16}-00$`));
    await relay.stop(0);
    assert.equal(receiver.asked[0], "POST /v1/traces application/json");
    const span = receiver.spans.find(({ name }) => name.startsWith("tcp "))!;
    assert.deepEqual([span.attributes["showoff.bytes_in"], span.attributes["showoff.bytes_out"]], [5, 5]);
    assert.equal(span.attributes["network.transport"], "tcp");
    assert.equal(receiver.spans.filter(({ traceId }) => traceId === TRACE).length, 0);
  });

  test("a collector that is gone, or takes and never answers, holds up no request and no stop, and is told of once", async () => {
    await using receiver = await startOtlpReceiver();
    receiver.silent = true;
    const gone = createServer().listen(0, "127.0.0.1");
    await once(gone, "listening");
    const nobody = `http://127.0.0.1:${(gone.address() as AddressInfo).port}`;
    gone.close();
    for (const endpoint of [receiver.endpoint, nobody]) {
      const problems: string[] = [];
      const observer = observing({ problem: (what, error) => problems.push(`${what}: ${error.message}`) });
      const relay = await startConfiguredRelay(
        await configuredBy("flag", { otel_endpoint: endpoint }),
        observer,
      );
      await using local = await startLocalHttp((_request, response) => response.end("here"));
      await using shares = new AsyncDisposableStack();
      shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
      for (let i = 0; i < 20; i++) assert.match(await get(relay, "demo", "/"), /here$/);
      const began = performance.now();
      await relay.stop(0);
      const tookMs = performance.now() - began;
      assert.ok(tookMs < 8_000, `${tookMs} ms`);
      assert.ok(problems.length <= 1, problems.join());
      for (const problem of problems)
        assert.match(problem, /^traces: http:.*\/v1\/traces does not take spans: /);
    }
  });

  test("spans beyond a number are dropped while the collector does not answer", async () => {
    await using receiver = await startOtlpReceiver();
    const tracer = new OtlpTracer(receiver.endpoint, () => {});
    const start = {
      address: { kind: "http", name: "demo" },
      source: "192.0.2.1",
      method: "GET",
      target: "/",
    } as const;
    const end = { client: "c", identity: "i", status: 200, ms: 1, bytesIn: 1, bytesOut: 1, error: undefined };
    for (let i = 0; i < 20_000; i++) tracer.begin(start, undefined).end({ ...start, ...end });
    await tracer[Symbol.asyncDispose]();
    assert.ok(
      receiver.spans.length > 0 && receiver.spans.length <= 4_096 + 512,
      String(receiver.spans.length),
    );
  });
});
