import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HttpTap } from "./http-tap.ts";
import { RequestRing } from "./request-ring.ts";

function tapped() {
  const ring = new RequestRing();
  const tap = new HttpTap((request, start) => ring.begin(request, start));
  return { ring, tap, only: () => ring.requests[0]! };
}

const bytes = (text: string) => Buffer.from(text, "latin1");
const POST =
  "POST /orders?id=7 HTTP/1.1\r\nHost: demo\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.1\r\nContent-Length: 5\r\n\r\nhello";
const ANSWER = "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n1\r\n!\r\n0\r\n\r\n";

test("a request and its answer are read, however their bytes are cut", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 })), (sizes) => {
      const { ring, tap, only } = tapped();
      for (const chunk of cutUp(bytes(POST), sizes)) tap.toLocal(chunk);
      assert.equal(only().state, "open");
      for (const chunk of cutUp(bytes(ANSWER), sizes)) tap.toPublic(chunk);
      const kept = only();
      assert.equal(kept.state, "done");
      assert.equal(kept.request.method, "POST");
      assert.equal(kept.request.target, "/orders?id=7");
      assert.equal(kept.remote, "192.0.2.1");
      assert.equal(kept.response?.status, 201);
      assert.equal(kept.requestBody.content().toString(), "hello");
      assert.equal(kept.responseBody.content().toString(), "world!");
      assert.ok(kept.firstByteMs! <= kept.totalMs!);
      assert.equal(ring.requests.length, 1);
    }),
  );
});

function cutUp(whole: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    if (at >= whole.length) break;
    chunks.push(whole.subarray(at, at + size));
    at += size;
  }
  if (at < whole.length) chunks.push(whole.subarray(at));
  return chunks;
}

test("each request of a stream that is used again is one of its own", () => {
  const { ring, tap } = tapped();
  for (const path of ["/a", "/b", "/c"]) {
    tap.toLocal(bytes(`GET ${path} HTTP/1.1\r\nHost: demo\r\n\r\n`));
    tap.toPublic(bytes("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  }
  tap.ended(undefined);
  assert.deepEqual(
    ring.requests.map(({ request, state, response }) => [request.target, state, response?.status]),
    [
      ["/a", "done", 200],
      ["/b", "done", 200],
      ["/c", "done", 200],
    ],
  );
});

test("an answer without a length ends with its connection", () => {
  const { tap, only } = tapped();
  tap.toLocal(bytes("GET / HTTP/1.1\r\nHost: demo\r\n\r\n"));
  tap.toPublic(bytes("HTTP/1.1 200 OK\r\n\r\npart"));
  assert.equal(only().state, "open");
  tap.localEnded();
  tap.ended(undefined);
  assert.equal(only().state, "done");
  assert.equal(only().responseBody.content().toString(), "part");
});

test("a connection that goes over to another protocol is shown as such, with the bytes that passed", () => {
  const { tap, only } = tapped();
  tap.toLocal(
    bytes("GET /socket HTTP/1.1\r\nHost: demo\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
  );
  tap.toPublic(
    bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nabc"),
  );
  tap.toLocal(bytes("not HTTP at all\n\n"));
  tap.toPublic(bytes("\0\0"));
  assert.equal(only().state, "open");
  tap.ended(undefined);
  assert.equal(only().upgrade, "websocket");
  assert.equal(only().state, "done");
  assert.equal(only().responseBody.bytes, 5);
  assert.equal(only().requestBody.bytes, 17);
});

test("what can't be read is a failure of what is shown, and no error", () => {
  const { tap, only } = tapped();
  tap.toLocal(bytes("GET / HTTP/1.1\r\nHost: demo\r\n\r\n"));
  tap.toPublic(bytes("SSH-2.0-OpenSSH\r\n"));
  assert.equal(only().state, "failed");
  assert.match(only().failure!, /HTTP status line/);
  tap.toPublic(bytes("more"));
  tap.toLocal(bytes("more"));
  tap.ended(undefined);
});

test("a request whose answer does not come says why", () => {
  const cases = [
    { failure: { reason: "refused", message: "it refused the connection" } as const, why: /it refused/ },
    { failure: undefined, why: /before an answer/ },
  ];
  for (const { failure, why } of cases) {
    const { tap, only } = tapped();
    tap.toLocal(bytes("GET / HTTP/1.1\r\nHost: demo\r\n\r\n"));
    tap.ended(failure);
    assert.equal(only().state, "failed");
    assert.match(only().failure!, why);
  }
});

test("an answer that breaks off is not taken for a whole one", () => {
  const { tap, only } = tapped();
  tap.toLocal(bytes("GET / HTTP/1.1\r\nHost: demo\r\n\r\n"));
  tap.toPublic(bytes("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"));
  tap.localEnded();
  assert.equal(only().state, "failed");
});
