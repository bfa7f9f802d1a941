import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { Agent, request } from "node:http";
import { Socket, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket, WebSocketServer } from "ws";
import { DirectHandler } from "../../../test/peers/direct-handler.ts";
import { curl, LoopbackServer, RawClient, until } from "../../../test/peers/loopback.ts";
import { DialError, type DialErrorCode } from "../errors.ts";
import { listenHttp } from "./http.ts";
import type { Inbound, ListenOptions } from "./request.ts";

const credentials = { username: "ann", password: "sesame:street" };

let handler: DirectHandler;
let inbound: Inbound;
let serve: (incoming: IncomingMessage, response: ServerResponse) => void;
const web = createServer((incoming, response) => serve(incoming, response));
web.on("checkContinue", (incoming, response) => serve(incoming, response));
let webPort: number;

async function listen(options: Partial<ListenOptions> = {}): Promise<void> {
  await inbound.close();
  inbound = await listenHttp(
    { address: { host: "127.0.0.1", port: 0 }, maxConnections: 100, handshakeTimeoutMs: 5000, ...options },
    handler,
  );
}
const proxy = (user = "") => `http://${user}127.0.0.1:${inbound.address.port}`;
const origin = () => `http://127.0.0.1:${webPort}`;

before(async () => {
  web.listen(0, "127.0.0.1");
  await once(web, "listening");
  webPort = (web.address() as { port: number }).port;
});
after(() => {
  web.closeAllConnections();
  web.close();
});
beforeEach(async () => {
  handler = new DirectHandler();
  serve = (incoming, response) => response.end(`${incoming.method} ${incoming.url}`);
  const options = { address: { host: "127.0.0.1", port: 0 }, maxConnections: 100, handshakeTimeoutMs: 5000 };
  inbound = await listenHttp(options, handler);
});
afterEach(async () => {
  await inbound.close();
  handler.end();
  web.closeAllConnections();
});

describe("curl through the HTTP inbound", () => {
  it("fetches by absolute form, and the path arrives as it was written", async () => {
    const result = await curl("--proxy", proxy(), "--path-as-is", `${origin()}/a/../b%2f?q=%20#part`);
    assert.deepEqual(result, { status: 0, stdout: "GET /a/../b%2f?q=%20", stderr: "" });
    assert.deepEqual(handler.requests[0]?.target, { host: "127.0.0.1", port: webPort });
  });

  it("fetches over TLS by CONNECT", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sockeye-http-"));
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const args =
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost";
    execFileSync("openssl", [...args.split(" "), "-keyout", key, "-out", cert], { stdio: "ignore" });
    const secure = createTlsServer(
      { key: readFileSync(key), cert: readFileSync(cert) },
      (incoming, response) => response.end(`safe ${incoming.url}`),
    ).listen(0, "127.0.0.1");
    await once(secure, "listening");
    const { port } = secure.address() as { port: number };
    const result = await curl("--proxy", proxy(), "--insecure", `https://secure.test:${port}/x`);
    assert.deepEqual(result, { status: 0, stdout: "safe /x", stderr: "" });
    assert.deepEqual(handler.requests[0]?.target, { host: "secure.test", port });
    secure.closeAllConnections();
    secure.close();
    rmSync(folder, { recursive: true });
  });

  it("is let in with the right password only, and never passes it on", async () => {
    await listen({ credentials });
    const seen: unknown[] = [];
    serve = (incoming, response) => {
      seen.push(incoming.headers["proxy-authorization"]);
      response.end("in");
    };
    for (const tunnel of [[], ["--proxytunnel"]]) {
      const fetch = (user: string) =>
        curl(
          "--proxy",
          proxy(user),
          ...tunnel,
          "--write-out",
          " %{http_code} %{http_connect}",
          `${origin()}/x`,
        );
      assert.match((await fetch("ann:sesame%3Astreet@")).stdout, /^in 200/);
      for (const wrong of ["ann:guess@", "bob:sesame%3Astreet@", ""])
        assert.match((await fetch(wrong)).stdout, /\b407\b/);
    }
    assert.deepEqual(seen, [undefined, undefined]);
    assert.equal(handler.requests.length, 2);
    const answer = await curl("--proxy", proxy(), "--include", `${origin()}/x`);
    assert.match(answer.stdout, /^Proxy-Authenticate: Basic realm="Sockeye"/im);
  });

  it("takes a password with letters beyond ASCII in UTF-8 and in Latin-1", async () => {
    await listen({ credentials: { username: "Zoë", password: "Grüße" } });
    serve = (_, response) => response.end("in");
    const statusWith = async (bytes: Buffer): Promise<string> => {
      const header = `Proxy-Authorization: Basic ${bytes.toString("base64")}`;
      const { stdout } = await curl("--proxy", proxy(), "--header", header, "-w", " %{http_code}", origin());
      return stdout.slice(-3);
    };
    assert.equal(await statusWith(Buffer.from("Zoë:Grüße", "utf8")), "200");
    assert.equal(await statusWith(Buffer.from("Zoë:Grüße", "latin1")), "200");
    assert.equal(await statusWith(Buffer.from("Zoe:Grusse", "latin1")), "407");
  });

  it("sends a large body up and gets it back whole", async () => {
    serve = (incoming, response) => incoming.pipe(response);
    const body = Buffer.alloc(4_000_000, "0123456789");
    const agent = new Agent();
    const outgoing = request({
      port: inbound.address.port,
      host: "127.0.0.1",
      method: "POST",
      path: `${origin()}/echo`,
      agent,
    });
    outgoing.end(body);
    const [reply] = (await once(outgoing, "response")) as [IncomingMessage];
    const chunks = (await reply.toArray()) as Buffer[];
    assert.ok(Buffer.concat(chunks).equals(body));
    agent.destroy();
  });
});

describe("a request forwarded by the HTTP inbound", () => {
  it("goes where it says, each of one connection on its own, and targets' connections are kept", async () => {
    const other = createServer((incoming, response) => response.end(`other ${incoming.url}`)).listen(
      0,
      "127.0.0.1",
    );
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    using client = new RawClient(inbound.address);
    for (const [target, expected] of [
      [webPort, "GET /1"],
      [port, "other /2"],
      [webPort, "GET /3"],
      [port, "other /4"],
    ] as const) {
      const path = `/${expected.split("/")[1] ?? ""}`;
      client.send(`GET http://127.0.0.1:${target}${path} HTTP/1.1\r\nHost: lies.test\r\n\r\n`);
      await client.takeUntil(expected);
    }
    assert.deepEqual(
      handler.requests.map((one) => one.target.port),
      [webPort, port],
    );
    other.closeAllConnections();
    other.close();
  });

  it("leaves no listeners behind on a kept connection, however many follow", async () => {
    const warnings: string[] = [];
    const onWarning = ({ name }: Error): void => void warnings.push(name);
    process.on("warning", onWarning);
    using client = new RawClient(inbound.address);
    for (let i = 0; i < 20; i++) {
      client.send(`GET ${origin()}/${i} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await client.takeUntil(`GET /${i}`);
    }
    process.off("warning", onWarning);
    assert.equal(handler.requests.length, 1);
    assert.deepEqual(warnings, []);
  });

  it("never uses another client's outgoing connection", async () => {
    for (const expected of [1, 2]) {
      using client = new RawClient(inbound.address);
      client.send(`GET ${origin()}/x HTTP/1.1\r\nHost: x\r\n\r\n`);
      await client.takeUntil("GET /x");
      assert.equal(handler.requests.length, expected);
    }
    await until("the connections are closed with their clients", () =>
      handler.accepted.every((stream) => stream.destroyed),
    );
  });

  it("loses the headers of this hop and those that Connection names, and no others", async () => {
    let seen: string[] = [];
    serve = (incoming, response) => {
      seen = incoming.rawHeaders;
      response.writeHead(200, [
        "Set-Cookie",
        "a=1",
        "Set-Cookie",
        "b=2",
        "Connection",
        "X-Hop",
        "X-Hop",
        "1",
      ]);
      response.end("done");
    };
    using client = new RawClient(inbound.address);
    client.send(
      `GET ${origin()}/x HTTP/1.1\r\nHost: lies.test\r\nConnection: X-Mine, Host\r\nX-Mine: 1\r\nTE: trailers\r\n` +
        "Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nKeep-Alive: 5\r\nX-Kept: yes\r\n\r\n",
    );
    const head = await client.takeUntil("done");
    assert.deepEqual(seen, ["Host", `127.0.0.1:${webPort}`, "X-Kept", "yes", "Connection", "keep-alive"]);
    assert.match(head, /Set-Cookie: a=1\r\nSet-Cookie: b=2/);
    assert.doesNotMatch(head, /X-Hop/);
  });

  it("keeps chunks and trailers both ways", async () => {
    let trailers: unknown;
    serve = (incoming, response) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("end", () => {
        trailers = incoming.trailers;
        response.writeHead(200, { Trailer: "X-Sum" });
        response.write(Buffer.concat(chunks));
        response.addTrailers({ "X-Sum": "7" });
        response.end();
      });
    };
    using client = new RawClient(inbound.address);
    client.send(
      `POST ${origin()}/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n`,
    );
    client.send("3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-End: yes\r\n\r\n");
    const reply = await client.takeUntil("X-Sum: 7\r\n\r\n");
    assert.match(reply, /\r\nabcdefg\r\n/);
    assert.deepEqual({ ...(trailers as object) }, { "x-end": "yes" });
  });

  it("waits for the server's 100 before the body, and passes it on", async () => {
    let asked = false;
    serve = (incoming, response) => {
      asked = incoming.headers.expect === "100-continue";
      response.writeContinue();
      incoming.pipe(response);
    };
    using client = new RawClient(inbound.address);
    client.send(`PUT ${origin()}/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n`);
    assert.equal(await client.takeUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    assert.ok(asked);
    client.send("body");
    assert.match(await client.takeUntil("body"), /^HTTP\/1.1 200 OK/);
  });

  it("relays a refusal given instead of 100, and ends the connection", async () => {
    serve = (_, response) => response.writeHead(413).end("too big");
    using client = new RawClient(inbound.address);
    client.send(`PUT ${origin()}/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n`);
    assert.match((await client.rest()).toString(), /^HTTP\/1.1 413 [^]*Connection: close[^]*too big/i);
  });

  it("passes the first event of a stream on at once", async () => {
    let finish = (): void => {};
    serve = (_, response) => {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.flushHeaders();
      setTimeout(() => response.write("data: first\n\n"), 20);
      finish = () => response.end("data: last\n\n");
    };
    using client = new RawClient(inbound.address);
    client.send(`GET ${origin()}/events HTTP/1.1\r\nHost: x\r\n\r\n`);
    await client.takeUntil("\r\n\r\n");
    await client.takeUntil("data: first\n\n");
    finish();
    await client.takeUntil("data: last\n\n");
  });

  it("is answered even when its client ended its direction right after it", async () => {
    serve = (_, response) => void setTimeout(() => response.end("patience"), 50);
    using client = new RawClient(inbound.address);
    client.socket.end(`GET ${origin()}/x HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.match((await client.rest()).toString(), /patience/);
    assert.equal(handler.cancelled.length, 0);
  });

  it("cancels its dial when the client resets", async () => {
    handler.hold = new Promise(() => {});
    const client = new RawClient(inbound.address);
    client.send(`GET ${origin()}/x HTTP/1.1\r\nHost: x\r\n\r\n`);
    await until("the request is there", () => handler.requests.length === 1);
    assert.equal(inbound.pending, 1);
    client.socket.resetAndDestroy();
    await until("the dial is cancelled", () => handler.cancelled.length === 1);
    assert.equal(inbound.pending, 0);
    assert.ok(handler.requests[0]!.accept().destroyed);
  });

  it("is sent again when the kept connection had been closed", async () => {
    let count = 0;
    await using server = await LoopbackServer.start((socket) => {
      socket.on("data", () => {
        count++;
        if (count === 2) socket.destroy();
        else socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nn${count}`);
      });
    });
    using client = new RawClient(inbound.address);
    const get = `GET http://127.0.0.1:${server.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`;
    client.send(get);
    await client.takeUntil("n1");
    client.send(get);
    await client.takeUntil("n3");
  });

  it("is cut, not ended well, when its response was cut", async () => {
    for (const framing of ["Content-Length: 10", "Transfer-Encoding: chunked"]) {
      await using server = await LoopbackServer.start((socket) => {
        socket.on("data", () => socket.end(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n5\r\nhalf`));
      });
      const result = await curl("--proxy", proxy(), `http://127.0.0.1:${server.port}/`);
      assert.notEqual(result.status, 0);
    }
  });

  it("is cut when the engine ends its flow, though the length was not known", async () => {
    await using server = await LoopbackServer.start((socket) => {
      socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\n\r\nhalf"));
    });
    using client = new RawClient(inbound.address);
    client.send(`GET http://127.0.0.1:${server.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    await client.takeUntil("half");
    handler.accepted[0]!.destroy();
    assert.doesNotMatch((await client.rest()).toString(), /0\r\n\r\n/);
  });

  it("to a server that answers no HTTP is answered 502", async () => {
    await using server = await LoopbackServer.start((socket) => socket.write("220 mail ready\r\n"));
    const result = await curl("--proxy", proxy(), "--include", `http://127.0.0.1:${server.port}/`);
    assert.match(result.stdout, /^HTTP\/1.1 502[^]*error=http_protocol_error/);
  });
});

describe("what the HTTP inbound refuses", () => {
  const wrong: [string, string, number, RegExp][] = [
    ["a request to itself", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, /this is an HTTP proxy/],
    ["OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400, /this is an HTTP proxy/],
    ["https in absolute form", "GET https://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, /by CONNECT/],
    ["a password in the target", "GET http://a:b@c.test/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, /do not belong/],
    ["a target without a host", "GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n", 400, /has no host/],
    ["CONNECT without a port", "CONNECT a.test HTTP/1.1\r\nHost: x\r\n\r\n", 400, /no port/],
    ["noise", "\x17\x03\x01\x02\x00\r\n\r\n", 400, /not an HTTP request/],
    ["TLS to the proxy", "\x16\x03\x01\x02\x00\r\n\r\n", 400, /this is TLS.* begins with http:/],
    ["SOCKS", "\x05\x01\x00", 400, /this is SOCKS, and here is the HTTP proxy/],
    [
      "both lengths",
      "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      400,
      /not an HTTP/,
    ],
    [
      "another coding",
      "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      501,
      /coding/,
    ],
    [
      "a head that is too long",
      `GET http://a.test/ HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(40_000)}\r\n\r\n`,
      431,
      /32768/,
    ],
    [
      "an unknown expectation",
      "GET http://a.test/ HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n",
      417,
      /(?:)/,
    ],
  ];
  for (const [what, bytes, status, sentence] of wrong) {
    it(`is ${what}: ${status}`, async () => {
      using client = new RawClient(inbound.address);
      client.socket.end(Buffer.from(bytes, "latin1"));
      const answer = (await client.rest()).toString();
      assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), answer);
      assert.match(answer, sentence);
      assert.equal(handler.requests.length, 0);
    });
  }

  it("is a head that does not come in time", async () => {
    await listen({ handshakeTimeoutMs: 150 });
    using slow = new RawClient(inbound.address);
    using silent = new RawClient(inbound.address);
    slow.send("GET http://a.test/ HTTP/1.1\r\n");
    const started = performance.now();
    assert.match((await slow.rest()).toString(), /^HTTP\/1.1 408/);
    await silent.rest();
    assert.ok(performance.now() - started < 800);
    await until("nothing is pending", () => inbound.pending === 0);
  });

  const statuses: [DialErrorCode, number, string][] = [
    ["refused", 502, "connection_refused"],
    ["unreachable", 502, "destination_ip_unroutable"],
    ["dns", 502, "dns_error"],
    ["timeout", 504, "connection_timeout"],
    ["limit", 503, "connection_limit_reached"],
    ["blocked", 403, "destination_ip_prohibited"],
    ["forbidden", 403, "http_request_denied"],
    ["auth", 502, "proxy_configuration_error"],
    ["host-key", 502, "destination_unavailable"],
    ["internal", 500, "proxy_internal_error"],
  ];
  for (const [code, status, type] of statuses) {
    it(`is answered ${status} when the dial ends in ${code}, by CONNECT and by absolute form`, async () => {
      const cause = new Error("the password is hunter2");
      handler.refusal = () => new DialError(code, "it can't be\r\nreached", { cause });
      for (const line of ["CONNECT a.test:80", "GET http://a.test/"]) {
        using client = new RawClient(inbound.address);
        client.send(`${line} HTTP/1.1\r\nHost: x\r\n\r\n`);
        const answer = await client.takeUntil("reached\n");
        assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), answer);
        assert.match(answer, new RegExp(`Proxy-Status: sockeye; error=${type}\r\n`));
        assert.match(answer, /it can't be reached\n$/);
        assert.doesNotMatch(answer, /hunter2/);
      }
    });
  }
});

describe("CONNECT over the HTTP inbound", () => {
  const open = (port: number, rest = "") => `CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n\r\n${rest}`;

  it("hands over a paused socket, early bytes in it, without listeners but the guard against errors", async () => {
    using client = new RawClient(inbound.address);
    const taken = new Promise<Socket>((resolve) => {
      handler.connect = (one) => {
        const stream = one.accept();
        assert.ok(stream instanceof Socket);
        resolve(stream);
      };
    });
    client.send(open(1, "early"));
    const socket = await taken;
    assert.equal(await client.takeUntil("\r\n\r\n"), "HTTP/1.1 200 Connection established\r\n\r\n");
    assert.ok(socket.isPaused());
    for (const event of ["data", "readable", "close", "drain", "timeout"])
      assert.equal(socket.listenerCount(event), 0, event);
    assert.equal(socket.listenerCount("error"), 1);
    const [chunk] = (await once(socket.resume(), "data")) as [Buffer];
    assert.equal(chunk.toString(), "early");
    socket.destroy();
  });

  it("keeps early bytes, lets the server speak first, and ends each direction on its own", async () => {
    const received: string[] = [];
    await using server = await LoopbackServer.start((socket) => {
      socket.on("data", (chunk: Buffer) => received.push(chunk.toString()));
      socket.end("220 ready\r\n");
    });
    using client = new RawClient(inbound.address);
    client.send(open(server.port, "early"));
    await client.takeUntil("\r\n\r\n");
    assert.equal((await client.rest()).toString(), "220 ready\r\n");
    client.socket.end(" and late");
    await until("all is there", () => received.join("") === "early and late");
  });

  it("is the same with a head that comes in pieces", async () => {
    await using server = await LoopbackServer.echo();
    using client = new RawClient(inbound.address);
    const head = open(server.port, "early");
    for (const piece of [head.slice(0, 3), head.slice(3, 30), head.slice(30)]) {
      client.send(piece);
      await sleep(20);
    }
    assert.equal(await client.takeUntil("early"), "HTTP/1.1 200 Connection established\r\n\r\nearly");
  });

  it("cancels the dial on a reset, and not on an end", async () => {
    await using server = await LoopbackServer.echo();
    let release = (): void => {};
    handler.hold = new Promise((resolve) => (release = resolve));
    using ended = new RawClient(inbound.address);
    ended.socket.end(open(server.port, "x"));
    const reset = new RawClient(inbound.address);
    reset.send(open(server.port));
    await until("both are there", () => handler.requests.length === 2);
    assert.equal(inbound.pending, 2);
    reset.socket.resetAndDestroy();
    await until("one is cancelled", () => handler.cancelled.length === 1);
    assert.equal(inbound.pending, 1);
    release();
    assert.match((await ended.rest()).toString(), /\r\n\r\nx$/);
  });
});

describe("WebSocket over the HTTP inbound", () => {
  /** A client that sends its upgrade in absolute form. */
  function dial(port: number): WebSocket {
    const agent = new Agent();
    const through = () => connect(inbound.address.port, "127.0.0.1");
    agent.createConnection = through;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`, {
      agent,
      finishRequest: (outgoing) => {
        outgoing.path = `http://127.0.0.1:${port}/chat`;
        outgoing.end();
      },
    });
    return socket;
  }

  it("carries messages both ways and closes cleanly", async () => {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    server.on("connection", (socket) => {
      socket.send("hello");
      socket.on("message", (data: Buffer) => socket.send(data));
    });
    await once(server, "listening");
    const client = dial((server.address() as { port: number }).port);
    const messages: string[] = [];
    client.on("message", (data: Buffer) => messages.push(data.toString()));
    await once(client, "open");
    client.send("x".repeat(200_000));
    await until("the echo is back", () => messages.length === 2);
    assert.equal(messages[0], "hello");
    assert.equal(messages[1]?.length, 200_000);
    client.close(1000);
    const [code] = (await once(client, "close")) as [number];
    assert.equal(code, 1000);
    server.close();
    await until("the flow is over", () => handler.accepted.every((stream) => stream.destroyed));
  });

  it("relays the answer of a server that declines, and ends the connection", async () => {
    serve = (_, response) => response.writeHead(426).end("no");
    using client = new RawClient(inbound.address);
    client.send(`GET ${origin()}/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    assert.match((await client.rest()).toString(), /^HTTP\/1.1 426 [^]*Connection: close[^]*no/);
  });

  it("answers 502 when the target refuses", async () => {
    handler.refusal = () => new DialError("refused", "nothing listens there");
    using client = new RawClient(inbound.address);
    client.send(
      "GET http://a.test/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert.match((await client.rest()).toString(), /^HTTP\/1.1 502 [^]*nothing listens there/);
  });
});

describe("closing the HTTP inbound", () => {
  it("ends handshakes and idle connections, and lets a response come to its end", async () => {
    let finish = (): void => {};
    serve = (_, response) => {
      response.write("begun");
      finish = () => response.end(" and done");
    };
    using busy = new RawClient(inbound.address);
    busy.send(`GET ${origin()}/x HTTP/1.1\r\nHost: x\r\n\r\n`);
    await busy.takeUntil("begun");
    using young = new RawClient(inbound.address);
    young.send("GET http");
    await until("both are known", () => inbound.pending === 1);
    await inbound.close();
    await young.rest();
    finish();
    assert.match((await busy.rest()).toString(), / and done/);
  });
});
