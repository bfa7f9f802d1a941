import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { PublicRequestReader } from "@sockeye/wire/request-head";
import { MAX_KEPT_BODY_BYTES } from "./kept-body.ts";
import { replay, whyNoReplay } from "./replay.ts";
import { RequestRing } from "./request-ring.ts";

function kept(ring: RequestRing, head: string, body = "") {
  const { request } = new PublicRequestReader().push(Buffer.from(head.replaceAll("\n", "\r\n")))!;
  const one = ring.begin(request, performance.now());
  one.takeRequestBody(Buffer.from(body));
  one.requestEnded();
  one.done();
  return one;
}

async function service(answer: (request: IncomingMessage, body: string, response: ServerResponse) => void) {
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => answer(request, body, response));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    target: { host: "127.0.0.1", port },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

const never = new AbortController().signal;

test("a kept request reaches the local service again as it was, and its answer is kept beside the old", async () => {
  await using local = await service((request, body, response) => {
    response.setHeader("X-Seen", `${request.method} ${request.url} ${String(request.headers["x-custom"])}`);
    response.end(`${request.headers["content-length"]} ${body}`);
  });
  const ring = new RequestRing();
  const old = kept(
    ring,
    "POST /a?b=c HTTP/1.1\nHost: demo\nX-Custom: yes\nTransfer-Encoding: chunked\nExpect: 100-continue\n\n",
    "hello",
  );
  const { request, over } = replay(old, { target: local.target, ring, signal: never });
  assert.equal(request.replayOf, old.id);
  assert.equal(request.state, "open");
  await over;
  assert.equal(request.failure, undefined);
  assert.equal(request.response?.status, 200);
  assert.equal(request.response.headers.find(({ name }) => name === "X-Seen")?.value, "POST /a?b=c yes");
  assert.equal(request.responseBody.content().toString(), "5 hello");
  assert.equal(ring.requests.length, 2);
});

test("a request that is not whole is not sent again, and it is said why", () => {
  const ring = new RequestRing();
  const large = kept(ring, "PUT / HTTP/1.1\nHost: demo\nContent-Length: 200000\n\n", "x".repeat(200_000));
  assert.match(whyNoReplay(large)!, new RegExp(`200000 bytes, of which the first ${MAX_KEPT_BODY_BYTES}`));
  const socket = kept(ring, "GET / HTTP/1.1\nHost: demo\nUpgrade: websocket\nConnection: upgrade\n\n");
  assert.match(whyNoReplay(socket)!, /another protocol/);
  const open = ring.begin(large.request, performance.now());
  assert.match(whyNoReplay(open)!, /come to its end/);
});

test("a local service that is away, or a share that ends, is a failure of the new request", async () => {
  const ring = new RequestRing();
  const old = kept(ring, "GET / HTTP/1.1\nHost: demo\n\n");
  const away = replay(old, { target: { host: "127.0.0.1", port: 1 }, ring, signal: never });
  await away.over;
  assert.match(away.request.failure!, /refused/);
  await using silent = await service(() => {});
  const abort = new AbortController();
  const cut = replay(old, { target: silent.target, ring, signal: abort.signal });
  abort.abort();
  await cut.over;
  assert.match(cut.request.failure!, /has ended/);
});
