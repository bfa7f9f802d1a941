import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { raw, startLocalHttp, startLocalTcp, startShare, startTestRelay, until } from "../peers/relay.ts";

/** What somebody tries who means harm, or knows no better. */

const HOST = "Host: demo.localhost\r\n";
const isRefused = (got: string) => got.includes("bad-response");
const get = (path = "/", more = "") => `GET ${path} HTTP/1.1\r\n${HOST}${more}\r\n`;

test("HTTP/2 in clear goes nowhere: an upgrade to it is passed over, and its preface is refused", async () => {
  await using relay = await startTestRelay();
  const heads: string[] = [];
  await using local = await startLocalTcp((socket) =>
    socket.on("data", (chunk: Buffer) => {
      heads.push(chunk.toString("latin1"));
      if (heads.at(-1)!.includes("GET /switch"))
        socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
      else socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }),
  );
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const { port } = relay.http!;
  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const settings = "HTTP2-Settings: AAMAAABkAAQAAP__\r\n";
  const ask = (path: string, upgrade: string) =>
    get(path, `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: ${upgrade}\r\n${settings}`);
  const got = await raw(port, ask("/", "h2c") + preface);
  assert.match(got, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nokHTTP\/1\.1 505 /s);
  assert.doesNotMatch(heads.join(""), /h2c|http2-settings|upgrade|PRI/i);
  assert.match(await raw(port, preface), /^HTTP\/1\.1 505 /);
  // A service that changes to it all the same is not believed, whoever asked for something else.
  for (const asked of ["h2c", "websocket", "websocket, h2c"])
    assert.match(await raw(port, ask("/switch", asked), isRefused), /^HTTP\/1\.1 502 .*bad-response/s);
});

test("whoever asks without end and reads no answer is not read from any more", async () => {
  await using relay = await startTestRelay({
    names: { hold: 0 },
    limits: { requests_per_second_per_source: 0, requests_per_second: 0 },
  });
  const socket = connect({ port: relay.http!.port, host: "127.0.0.1" });
  socket.on("error", () => {});
  const block = "GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n".repeat(1000);
  let sent = 0;
  const send = () => {
    while (sent < 100_000_000 && socket.write(block)) sent += block.length;
  };
  socket.on("drain", send);
  send();
  let last = -1;
  let same = 0;
  await until(() => {
    same = sent === last ? same + 1 : 0;
    last = sent;
    return same > 30;
  }, "the sender waits");
  assert.ok(sent < 30_000_000, `${sent} bytes of requests were taken`);
  assert.ok(relay.ended.length < 100_000, `${relay.ended.length} answers were made`);
  socket.destroy();
});

test("requests that were asked before a client ended its side are all answered", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp((request, response) =>
    setTimeout(() => response.end(request.url), 20),
  );
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const socket = connect({ port: relay.http!.port, host: "127.0.0.1", allowHalfOpen: true });
  socket.end(get("/a") + get("/b") + get("/c") + "GET /half HTTP/1.1\r\nHos");
  let got = "";
  for await (const chunk of socket) got += String(chunk);
  assert.deepEqual(got.match(/\r\n\/./g), ["\r\n/a", "\r\n/b", "\r\n/c"]);
});

test("a reader that pauses near the end of an answer gets the rest of it, however long ago the relay was done with it", async () => {
  await using relay = await startTestRelay();
  const bytes = 40_000_000;
  await using local = await startLocalHttp((_request, response) => response.end(Buffer.alloc(bytes)));
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  // For each, the rest fits into what the kernel and the windows hold by then, or does not: some of them do.
  const readers = [1, 2, 4, 8, 12].map(async (millions) => {
    const socket = connect({ port: relay.http!.port, host: "127.0.0.1" });
    socket.write(get("/", "Connection: close\r\n"));
    let got = 0;
    let paused = false;
    socket.on("data", (chunk: Buffer) => {
      got += chunk.length;
      if (paused || got < bytes - millions * 1_000_000) return;
      paused = true;
      socket.pause();
      setTimeout(() => socket.resume(), 3000);
    });
    await once(socket, "close");
    return got > bytes ? "whole" : `${got} bytes`;
  });
  assert.deepEqual(await Promise.all(readers), new Array(5).fill("whole"));
});

test("a connection that has had its time is closed, whether or not its client ends it too", async () => {
  await using relay = await startTestRelay({ limits: { keep_alive_timeout: "200ms" } });
  await using local = await startLocalHttp((_request, response) => response.end("x"));
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const socket = connect({ port: relay.http!.port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  socket.write(get());
  socket.resume();
  await once(socket, "end");
  await until(() => relay.counts().publicConnections === 0, "the relay has let it go", 6000);
  socket.destroy();
});

test("interim answers without end are no way to fill the relay's memory", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalTcp((socket) =>
    socket.once("data", () => {
      const more = () => {
        while (socket.write("HTTP/1.1 102 Processing\r\n\r\n".repeat(1000)) && !socket.destroyed);
      };
      socket.on("drain", more);
      more();
    }),
  );
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const got = await raw(relay.http!.port, get(), isRefused);
  assert.match(got, /^(HTTP\/1\.1 102 Processing\r\n\r\n){16}HTTP\/1\.1 502 /);
});

test("an entry of X-Forwarded-For that is no address is nobody's source, even from a trusted proxy", async () => {
  await using relay = await startTestRelay({ trusted_proxies: "127.0.0.1, 10.0.0.0/8" });
  await using local = await startLocalHttp((_request, response) => response.end("x"));
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const sources: (readonly [string, string])[] = [
    ["unknown", "127.0.0.1"],
    ["203.0.113.1, ' OR 1=1 --, 10.0.0.1", "10.0.0.1"],
    ["203.0.113.1:5000", "203.0.113.1"],
    ["[2001:db8::1]:80, 10.1.1.1", "2001:db8::1"],
    ["::ffff:203.0.113.9", "203.0.113.9"],
    ["9.9.9.9, 203.0.113.2, 10.0.0.1", "203.0.113.2"],
  ];
  for (const [given, source] of sources) {
    await raw(relay.http!.port, get("/", `X-Forwarded-For: ${given}\r\nConnection: close\r\n`));
    assert.equal(relay.ended.at(-1)!.source, source, given);
  }
});

test("the relay's own pages are on no public name: health, metrics and the rest go to whoever shares it", async () => {
  await using relay = await startTestRelay({ names: { hold: 0 } });
  await using local = await startLocalHttp((request, response) => response.end(`local ${request.url}`));
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  for (const path of ["/healthz", "/readyz", "/metrics", "/version", "/dashboard", "/debug/profile", "/api"])
    assert.match(
      await raw(relay.http!.port, get(path, "Connection: close\r\n")),
      new RegExp(`local ${path}$`),
    );
  for (const host of [
    "localhost",
    "127.0.0.1",
    "admin.localhost",
    "relay.localhost",
    "demo.localhost.evil",
  ]) {
    const got = await raw(relay.http!.port, `GET /metrics HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
    assert.match(got, /^HTTP\/1\.1 404 /, host);
    assert.doesNotMatch(got, /showoff_|sockeye_/);
  }
});
