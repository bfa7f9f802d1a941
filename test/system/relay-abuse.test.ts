import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { Client } from "../peers/bare-client.ts";
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

test("names with odd characters are nobody's, and a Host that is to be rewritten can't bring a header with it", async () => {
  await using relay = await startTestRelay();
  await using client = await Client.to(relay, { apart: false });
  const odd = [
    "",
    ".",
    "..",
    "a.b",
    "a/b",
    "a b",
    "-a",
    "a-",
    "*",
    "%2e",
    "<b>",
    "a\r\nX: y",
    "a".repeat(64),
    "ä",
    "\0",
  ];
  odd.forEach((name, share) => client.say({ type: "share", share, kind: "http", name }));
  const answers = () => client.heard.filter(({ type }) => type === "unshared" || type === "shared");
  await until(() => answers().length === odd.length, "each is answered");
  for (const answer of answers())
    assert.equal(answer.type === "unshared" && answer.code, "name-invalid", JSON.stringify(answer));
  for (const host of ["a\r\nX-Evil: 1", "a\n", "a b", "a/b", ""]) {
    await using injecting = await Client.to(relay, { apart: false });
    injecting.say({ type: "share", share: 0, kind: "http", name: "inject", host });
    await until(() => injecting.ended, "it is sent away");
    assert.ok(!injecting.heard.some(({ type }) => type === "shared"));
  }
});

test("a share that is asked for twice at once is given once, and is gone with its client", async () => {
  await using relay = await startTestRelay({
    names: { hold: 0 },
    tcp: { host: "127.0.0.1", ports: "20200-20209" },
  });
  const client = await Client.to(relay, { apart: false });
  for (const port of [20_200, 20_201, 20_202]) client.say({ type: "share", share: 7, kind: "tcp", port });
  await until(() => client.heard.length === 4, "all are answered");
  assert.deepEqual(client.heard.map(({ type }) => type).sort(), [
    "shared",
    "unshared",
    "unshared",
    "welcome",
  ]);
  await client[Symbol.asyncDispose]();
  await until(() => relay.counts().clients === 0, "it has gone");
  await using next = await Client.to(relay, { apart: false });
  for (const port of [20_200, 20_201, 20_202]) {
    next.say({ type: "share", share: port, kind: "tcp", port });
    await until(
      () => next.heard.some((heard) => heard.type === "shared" && heard.share === port),
      "it is free",
    );
  }
});

test("a trailer is no way to say where a request came from", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp((request, response) => {
    request.resume();
    request.on("end", () => response.end(JSON.stringify(request.trailers)));
    request.on("error", () => {});
  });
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const post = (trailer: string) =>
    raw(
      relay.http!.port,
      `POST / HTTP/1.1\r\n${HOST}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n${trailer}: 1\r\n\r\n`,
    );
  assert.match(await post("X-Sum"), /"x-sum":"1"/);
  for (const name of [
    "X-Forwarded-For",
    "x_forwarded_proto",
    "Forwarded",
    "X-Real-IP",
    "Host",
    "Content-Length",
  ])
    assert.match(await post(name), /^HTTP\/1\.1 400 /, name);
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
