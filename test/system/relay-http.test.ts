import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  Agent,
  type ClientRequest,
  type IncomingMessage,
  request as httpRequest,
  type RequestOptions,
} from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { promisify } from "node:util";
import { WebSocket, WebSocketServer } from "ws";
import {
  bodyOf,
  lookupLoopback,
  raw,
  startLocalHttp,
  startLocalTcp,
  startShare,
  startTestRelay,
  until,
} from "../peers/relay.ts";

const run = promisify(execFile);

function ask(url: string, options: RequestOptions = {}): ClientRequest {
  return httpRequest(url, { lookup: lookupLoopback, ...options });
}

async function curl(...args: string[]): Promise<string> {
  const { stdout } = await run("curl", ["-sS", "--max-time", "20", ...args], { maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

test("a local service answers curl under its public name, and sees where the request came from", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp((request, response) => {
    response.setHeader("X-Seen", JSON.stringify(request.headers));
    response.end(`${request.method} ${request.url}`);
  });
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  assert.equal(share.address, `http://demo.localhost:${relay.http!.port}`);
  const answer = await curl(
    "-i",
    "-H",
    "X-Forwarded-For: 9.9.9.9",
    "-H",
    "X_Forwarded_For: 8.8.8.8",
    `${share.address}/a?b=c`,
  );
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(answer, /\r\n\r\nGET \/a\?b=c$/);
  const seen = JSON.parse(/X-Seen: (.*)\r/.exec(answer)![1]!) as Record<string, string>;
  assert.equal(seen["host"], `demo.localhost:${relay.http!.port}`);
  assert.equal(seen["x-forwarded-for"], "127.0.0.1");
  assert.equal(seen["x-forwarded-proto"], "http");
  assert.equal(seen["x-forwarded-host"], `demo.localhost:${relay.http!.port}`);
  assert.equal(seen["x_forwarded_for"], undefined);
});

test("a trusted proxy's word about where a request comes from is taken and added to", async () => {
  await using relay = await startTestRelay({ trusted_proxies: "127.0.0.0/8" });
  await using local = await startLocalHttp((request, response) =>
    response.end(JSON.stringify(request.headers)),
  );
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  const seen = JSON.parse(
    await curl(
      "-H",
      "X-Forwarded-For: 9.9.9.9",
      "-H",
      "X-Forwarded-Proto: https",
      "-H",
      "X-Forwarded-Host: shop.example",
      share.address,
    ),
  ) as Record<string, string>;
  assert.equal(seen["x-forwarded-for"], "9.9.9.9, 127.0.0.1");
  assert.equal(seen["x-forwarded-proto"], "https");
  assert.equal(seen["x-forwarded-host"], "shop.example");
  assert.equal(relay.ended.at(-1)!.source, "9.9.9.9");
});

test("each request of a kept-alive connection goes where its own Host says", async () => {
  await using relay = await startTestRelay({ names: { hold: 0 } });
  await using one = await startLocalHttp((_request, response) => response.end("one"));
  await using two = await startLocalHttp((_request, response) => response.end("two"));
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "one", target: one.target }));
  shares.use(
    await startShare(relay, { kind: "http", name: "two", target: two.target }, { token: "token-bob" }),
  );
  const get = (name: string, more = "") => `GET / HTTP/1.1\r\nHost: ${name}.localhost\r\n${more}\r\n`;
  const got = await raw(
    relay.http!.port,
    get("one") + get("two") + get("none") + get("one", "Connection: close\r\n"),
  );
  const bodies = [...got.matchAll(/\r\n\r\n(one|two|\{.*?\}\n)/g)].map((match) => match[1]!.slice(0, 3));
  assert.deepEqual(bodies, ["one", "two", '{"e', "one"]);
});

test("a kept-alive client costs the local service one connection", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp((_request, response) => response.end("x"));
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  await curl(share.address, share.address, share.address, share.address);
  assert.equal(local.connections, 1);
});

test("an idle connection that the local service closes costs no request", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp(
    (_request, response) => {
      response.setHeader("Connection", "keep-alive");
      response.end("x");
    },
    (server) => (server.keepAliveTimeout = 1),
  );
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  for (let i = 0; i < 20; i++) {
    assert.equal(await curl(share.address), "x");
    await new Promise((resolve) => setTimeout(resolve, i * 2));
  }
});

test("64 MB up and down at once arrive as they were sent, with and without a length", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp((request, response) => request.pipe(response));
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  const block = randomBytes(1_048_576);
  const blocks = 64;
  const expected = createHash("sha256");
  for (let i = 0; i < blocks; i++) expected.update(block);
  const wanted = expected.digest("hex");
  for (const headers of [{ "content-length": String(blocks * block.length) }, {}]) {
    const request = ask(share.address, { method: "POST", headers });
    const answered = once(request, "response") as Promise<[IncomingMessage]>;
    const sent = (async () => {
      for (let i = 0; i < blocks; i++) if (!request.write(block)) await once(request, "drain");
      request.end();
    })();
    const [response] = await answered;
    const hash = createHash("sha256");
    for await (const chunk of response) hash.update(chunk as Buffer);
    await sent;
    assert.equal(hash.digest("hex"), wanted);
  }
});

test("a body is passed on from its first byte, and so is the answer", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp((request, response) => {
    response.write("begun\n");
    request.on("data", (chunk: Buffer) => response.write(`got ${chunk.toString()}\n`));
    request.on("end", () => response.end("over\n"));
  });
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  const request = ask(share.address, { method: "POST" });
  request.write("one");
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let got = "";
  response.on("data", (chunk: Buffer) => (got += chunk.toString()));
  await until(() => got === "begun\ngot one\n", "the first part's answer");
  request.write("two");
  await until(() => got.endsWith("got two\n"), "the second part's answer");
  request.end();
  await once(response, "end");
  assert.equal(got, "begun\ngot one\ngot two\nover\n");
});

test("server-sent events arrive one by one", async () => {
  await using relay = await startTestRelay();
  let send: (event: string) => void = () => {};
  await using local = await startLocalHttp((_request, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.flushHeaders();
    send = (event) => response.write(`data: ${event}\n\n`);
  });
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  const request = ask(share.address);
  request.end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  for (const event of ["a", "b", "c"]) {
    const next = once(response, "data") as Promise<[Buffer]>;
    send(event);
    assert.equal((await next)[0].toString(), `data: ${event}\n\n`);
  }
  response.destroy();
});

test("trailers arrive, both ways", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp((request, response) => {
    void bodyOf(request).then(() => {
      response.setHeader("Trailer", "X-Sum");
      response.write("body");
      response.addTrailers({ "X-Sum": `seen ${request.trailers["x-request-sum"]}` });
      response.end();
    });
  });
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  const request = ask(share.address, { method: "POST", headers: { Trailer: "X-Request-Sum" } });
  request.write("abc");
  request.addTrailers({ "X-Request-Sum": "42" });
  request.end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  assert.equal((await bodyOf(response)).toString(), "body");
  assert.equal(response.trailers["x-sum"], "seen 42");
});

test("100-continue is asked for and given by the local service itself", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp(
    () => {},
    (server) => {
      server.on("checkContinue", (request, response) => {
        if (request.url === "/no") return void response.writeHead(417).end();
        response.writeContinue();
        void bodyOf(request).then((body) => response.end(`got ${body.length}`));
      });
    },
  );
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  const answer = await curl("-i", "-H", "Expect: 100-continue", "-d", "abc", share.address);
  assert.match(answer, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/);
  assert.match(answer, /got 3$/);
  assert.match(
    await curl("-i", "-H", "Expect: 100-continue", "-d", "abc", `${share.address}/no`),
    /^HTTP\/1\.1 417 /,
  );
});

test("a WebSocket talks both ways, and its end is passed on", async () => {
  await using relay = await startTestRelay();
  const sockets = new WebSocketServer({ noServer: true });
  await using local = await startLocalHttp(
    (_request, response) => response.end(),
    (server) =>
      server.on("upgrade", (request, socket, head) =>
        sockets.handleUpgrade(request, socket, head, (ws) => {
          ws.send("welcome");
          ws.on("message", (data: Buffer, isBinary) => ws.send(data, { binary: isBinary }));
        }),
      ),
  );
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  const ws = new WebSocket(share.address.replace("http:", "ws:"), { lookup: lookupLoopback });
  const [first] = (await once(ws, "message")) as [Buffer];
  assert.equal(first.toString(), "welcome");
  const large = randomBytes(300_000);
  ws.send(large);
  const [echo] = (await once(ws, "message")) as [Buffer];
  assert.ok(echo.equals(large));
  ws.close(1000);
  await once(ws, "close");
  await until(() => relay.ended.some((end) => end.status === 101), "the WebSocket is reported");
  assert.ok(relay.ended.find((end) => end.status === 101)!.bytesOut > 300_000);
});

test("nothing shared, nobody there, and a local service that is down each have a page", async () => {
  await using relay = await startTestRelay({ names: { hold: 0 } });
  await using local = await startLocalHttp((_request, response) => response.end());
  const share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  const port = relay.http!.port;
  const unknown = await curl("-i", "-H", "Accept: text/html", `http://nothing.localhost:${port}/`);
  assert.match(unknown, /^HTTP\/1\.1 404 /);
  assert.match(unknown, /Content-Type: text\/html/);
  await local.stop();
  const down = await curl("-i", share.address);
  assert.match(down, /^HTTP\/1\.1 502 /);
  assert.match(down, /Content-Type: application\/json/);
  assert.match(down, /local-refused/);
  await until(() => share.told.includes("local: refused"), "the client is told");
  share.close();
  await until(() => relay.counts().clients === 0, "the client has gone");
  const away = await curl("-i", share.address);
  assert.match(away, /^HTTP\/1\.1 503 /);
  assert.match(away, /Retry-After: 5/);
});

test("a page holds nothing of a request's own as HTML", async () => {
  await using relay = await startTestRelay({ names: { hold: 0 } });
  const got = await raw(
    relay.http!.port,
    "GET /<script> HTTP/1.1\r\nHost: [::1]\r\nAccept: text/html\r\nConnection: close\r\nX: <script>alert(1)</script>\r\n\r\n",
  );
  assert.match(got, /^HTTP\/1\.1 404 /);
  assert.doesNotMatch(got, /<script/);
});

test("a request that can't be read is refused with its status, and nothing of what follows is served", async () => {
  await using relay = await startTestRelay({ limits: { head_bytes: 4096 } });
  let served = 0;
  await using local = await startLocalHttp((_request, response) => {
    served++;
    response.end();
  });
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const { port } = relay.http!;
  const follow = "GET /smuggled HTTP/1.1\r\nHost: demo.localhost\r\n\r\n";
  const head = "POST / HTTP/1.1\r\nHost: demo.localhost\r\n";
  for (const [text, status] of [
    [`${head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${follow}`, 400],
    [`${head}Host: other.localhost\r\n\r\n${follow}`, 400],
    [`GET http://demo.localhost/ HTTP/1.1\r\nHost: demo.localhost\r\n\r\n${follow}`, 400],
    [`GET / HTTP/1.1\nHost: demo.localhost\n\n${follow}`, 400],
    [`${head}Transfer-Encoding: gzip, chunked\r\n\r\n${follow}`, 501],
    [`${head}X: ${"y".repeat(5000)}\r\n\r\n${follow}`, 431],
    [`PRI * HTTP/2.0\r\n\r\n${follow}`, 505],
  ] as const) {
    const got = await raw(port, text);
    assert.match(got, new RegExp(`^HTTP/1\\.1 ${status} `), text.slice(0, 60));
    assert.equal(got.match(/HTTP\/1\.1 \d/g)!.length, 1);
  }
  assert.equal(served, 0);
});

test("a chunked body that breaks the rules cuts the request, and nothing of what follows is served", async () => {
  await using relay = await startTestRelay();
  const seen: string[] = [];
  await using local = await startLocalHttp((request, response) => {
    seen.push(request.url!);
    request.resume();
    request.on("end", () => response.end());
    request.on("error", () => {});
  });
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const follow = "GET /smuggled HTTP/1.1\r\nHost: demo.localhost\r\n\r\n";
  for (const body of [
    "3\nabc\r\n0\r\n\r\n",
    "3\r\nabcdef\r\n0\r\n\r\n",
    "-1\r\n",
    "0\r\nContent-Length: 5\r\n\r\n",
  ]) {
    const got = await raw(
      relay.http!.port,
      `POST /first HTTP/1.1\r\nHost: demo.localhost\r\nTransfer-Encoding: chunked\r\n\r\n${body}${follow}`,
    );
    assert.match(got, /^HTTP\/1\.1 400 /);
  }
  assert.ok(!seen.includes("/smuggled"));
});

test("a head that never ends is given up in time, and so is a connection that says nothing", async () => {
  await using relay = await startTestRelay({ limits: { head_timeout: "300ms" } });
  const [slow, silent] = await Promise.all([
    raw(relay.http!.port, "GET / HTTP/1.1\r\nHost: demo"),
    raw(relay.http!.port, ""),
  ]);
  assert.match(slow, /^HTTP\/1\.1 408 /);
  assert.equal(silent, "");
});

test("an HTTP/1.0 client gets the body without chunks, and the end of the connection as its end", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp((_request, response) => {
    response.write("abc");
    response.end("def");
  });
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const got = await raw(relay.http!.port, "GET / HTTP/1.0\r\nHost: demo.localhost\r\n\r\n");
  assert.doesNotMatch(got, /chunked/i);
  assert.match(got, /\r\n\r\nabcdef$/);
});

test("an answer without a length ends with the connection, and a cut one is told from a whole one", async () => {
  await using relay = await startTestRelay();
  let cut = false;
  await using local = await startLocalTcp((socket) => {
    socket.once("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\n${cut ? "Content-Length: 100\r\n" : ""}\r\npart`);
      if (cut) setTimeout(() => socket.resetAndDestroy(), 50);
      else socket.end();
    });
  });
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  assert.equal(await curl(share.address), "part");
  cut = true;
  await assert.rejects(curl(share.address), /transfer closed|reset|recv failure/i);
});

test("an answer that is no HTTP, or two answers at once, reach nobody as something else", async () => {
  await using relay = await startTestRelay();
  const answers = [
    "SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
  ];
  let answer = "";
  await using local = await startLocalTcp((socket) => socket.on("data", () => socket.write(answer)));
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  for (answer of answers) assert.match(await curl("-i", share.address), /^HTTP\/1\.1 502 .*bad-response/s);
  answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
  assert.equal(await curl(share.address, share.address), "okok");
});

test("what one reader does not take holds up no other, and holds little memory", async () => {
  await using relay = await startTestRelay();
  let written = 0;
  await using local = await startLocalHttp((request, response) => {
    if (request.url !== "/endless") return void response.end("quick");
    const block = Buffer.alloc(65_536);
    const more = () => {
      do written += block.length;
      while (response.write(block) && !response.destroyed);
    };
    response.on("drain", more);
    more();
  });
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  const slow = connect({ port: relay.http!.port, host: "127.0.0.1" });
  slow.on("error", () => {});
  slow.write("GET /endless HTTP/1.1\r\nHost: demo.localhost\r\n\r\n");
  await once(slow, "readable");
  let last = -1;
  await until(
    () => {
      const still = written === last;
      last = written;
      return still;
    },
    "the local service waits",
    10_000,
  );
  for (let i = 0; i < 20; i++) assert.equal(await curl(share.address), "quick");
  assert.ok(written < 40_000_000, `${written} bytes were taken for a reader that takes none`);
  slow.destroy();
  await until(() => relay.ended.some((end) => end.error === "cancelled"), "the slow reader's end is seen");
});

test("a local service that does not read an upload holds it back to the sender", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalTcp((socket) => socket.pause());
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const slow = connect({ port: relay.http!.port, host: "127.0.0.1" });
  slow.on("error", () => {});
  slow.write("POST / HTTP/1.1\r\nHost: demo.localhost\r\nContent-Length: 1000000000\r\n\r\n");
  const block = Buffer.alloc(65_536);
  let sent = 0;
  const send = () => {
    while (sent < 1e9 && slow.write(block)) sent += block.length;
  };
  slow.on("drain", send);
  send();
  let last = -1;
  await until(
    () => {
      const still = sent === last;
      last = sent;
      return still;
    },
    "the sender waits",
    10_000,
  );
  assert.ok(sent < 60_000_000, `${sent} bytes were taken`);
  slow.destroy();
});

test("a public client that goes away ends the request at the local service", async () => {
  await using relay = await startTestRelay();
  let ended = false;
  await using local = await startLocalHttp((_request, response) => {
    response.write("x");
    response.on("close", () => (ended = true));
  });
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const socket = connect({ port: relay.http!.port, host: "127.0.0.1" });
  socket.write("GET / HTTP/1.1\r\nHost: demo.localhost\r\n\r\n");
  await once(socket, "data");
  socket.resetAndDestroy();
  await until(() => ended, "the local service hears of it");
});

test("the answer to an upload that is refused early reaches the sender", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp((_request, response) => {
    response.writeHead(413, { Connection: "close" });
    response.end("too large");
  });
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const got = await raw(
    relay.http!.port,
    `POST / HTTP/1.1\r\nHost: demo.localhost\r\nContent-Length: 10000000\r\n\r\n${"x".repeat(500_000)}`,
  );
  assert.match(got, /^HTTP\/1\.1 413 /);
  assert.match(got, /\r\ntoo large\r\n0\r\n\r\n$/);
});

test("the local service sees the Host that its share asks for", async () => {
  await using relay = await startTestRelay({ host_rewrite: "relay.example" });
  await using local = await startLocalHttp((request, response) => response.end(request.headers.host));
  await using plain = await startShare(relay, { kind: "http", name: "plain", target: local.target });
  await using own = await startShare(relay, {
    kind: "http",
    name: "own",
    target: local.target,
    host: "localhost:3000",
  });
  assert.equal(await curl(plain.address), "relay.example");
  assert.equal(await curl(own.address), "localhost:3000");
});

test("more requests than allowed are told when to come back", async () => {
  await using relay = await startTestRelay({ limits: { requests_per_second_per_source: 2, burst: 1 } });
  await using local = await startLocalHttp((_request, response) => response.end("x"));
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  const answers = await Promise.all(Array.from({ length: 6 }, () => curl("-i", share.address)));
  const refused = answers.filter((answer) => answer.startsWith("HTTP/1.1 429 "));
  assert.ok(refused.length >= 3);
  assert.match(refused[0]!, /Retry-After: [1-9]/);
});

test("a slow local service is given up in time, with a page", async () => {
  await using relay = await startTestRelay({ limits: { response_timeout: "300ms" } });
  await using local = await startLocalHttp(() => {});
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  assert.match(await curl("-i", share.address), /^HTTP\/1\.1 504 /);
});

test("the person who shares sees each request as it was answered", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp((_request, response) => response.writeHead(204).end());
  await using share = await startShare(
    relay,
    { kind: "http", name: "demo", target: local.target },
    { watch: true },
  );
  await curl("-X", "DELETE", `${share.address}/thing`);
  await until(() => share.told.includes("DELETE /thing 204"), "the request is told");
});

test("hundreds of requests at once, kept alive, each get their own answer", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp((request, response) => {
    void bodyOf(request).then((body) => response.end(`${request.url} ${body.toString()}`));
  });
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });
  const exchange = async (i: number) => {
    const request = ask(`${share.address}/${i}`, { agent, method: i % 2 === 0 ? "GET" : "POST" });
    request.end(i % 2 === 0 ? undefined : `body ${i}`);
    const [response] = (await once(request, "response")) as [IncomingMessage];
    assert.equal((await bodyOf(response)).toString(), `/${i} ${i % 2 === 0 ? "" : `body ${i}`}`);
  };
  await Promise.all(Array.from({ length: 500 }, (_, i) => exchange(i)));
  agent.destroy();
});
