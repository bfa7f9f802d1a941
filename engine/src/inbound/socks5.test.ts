import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { Socket } from "node:net";
import { readUdpHeader, writeAddress, writeUdpHeader } from "@sockeye/wire/socks5";
import { DirectHandler } from "../../../test/peers/direct-handler.ts";
import { curl, LoopbackServer, RawClient, until } from "../../../test/peers/loopback.ts";
import { DialError, type DialErrorCode } from "../errors.ts";
import type { Inbound, ListenOptions } from "./request.ts";
import { listenSocks5, socks5ReplyOf } from "./socks5.ts";

const credentials = { username: "ann", password: "sesame" };
const GREETING = Buffer.of(5, 1, 0);
const SUCCESS = Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0);
const connectTo = (port: number, host = "127.0.0.1") =>
  Buffer.concat([Buffer.of(5, 1, 0), writeAddress({ host, port })]);

let handler: DirectHandler;
let inbound: Inbound;
let echo: LoopbackServer;
const web = createServer((request, response) => response.end(`you asked for ${request.url}`));
let webPort: number;

async function listen(options: Partial<ListenOptions> = {}): Promise<Inbound> {
  await inbound.close();
  inbound = await listenSocks5(
    { address: { host: "127.0.0.1", port: 0 }, maxConnections: 100, handshakeTimeoutMs: 5000, ...options },
    handler,
  );
  return inbound;
}

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
  echo = await LoopbackServer.echo();
  const options = { address: { host: "127.0.0.1", port: 0 }, maxConnections: 100, handshakeTimeoutMs: 5000 };
  inbound = await listenSocks5(options, handler);
});
afterEach(async () => {
  await inbound.close();
  handler.end();
  await echo[Symbol.asyncDispose]();
});

describe("curl through the SOCKS inbound", () => {
  const proxies = ["socks5", "socks5h", "socks4", "socks4a"];
  for (const scheme of proxies) {
    it(`fetches by ${scheme}`, async () => {
      const host = scheme.endsWith("h") || scheme.endsWith("a") ? "web.test" : "127.0.0.1";
      const proxy = `${scheme}://127.0.0.1:${inbound.address.port}`;
      const result = await curl("--proxy", proxy, `http://${host}:${webPort}/${scheme}`);
      assert.deepEqual(result, { status: 0, stdout: `you asked for /${scheme}`, stderr: "" });
      assert.deepEqual(handler.requests[0]?.target, { host, port: webPort });
    });
  }

  it("is let in with the right password only", async () => {
    await listen({ credentials });
    const fetch = (scheme: string, user: string) =>
      curl(
        "--proxy",
        `${scheme}://${user}127.0.0.1:${inbound.address.port}`,
        `http://127.0.0.1:${webPort}/x`,
      );
    assert.equal((await fetch("socks5", "ann:sesame@")).stdout, "you asked for /x");
    for (const wrong of ["ann:guess@", "bob:sesame@", "ann:@", ""]) {
      const result = await fetch("socks5", wrong);
      assert.equal(result.status, 97, result.stderr);
    }
    assert.equal((await fetch("socks4", "ann@")).status, 97);
    assert.equal(handler.requests.length, 1);
  });
});

describe("a SOCKS handshake over TCP", () => {
  it("answers 01 to a wrong password and ends the connection", async () => {
    await listen({ credentials });
    using client = new RawClient(inbound.address);
    client.send(Buffer.concat([Buffer.of(5, 1, 2, 1, 1), Buffer.from("x"), Buffer.of(1), Buffer.from("y")]));
    client.send(connectTo(echo.port));
    assert.deepEqual(await client.rest(), Buffer.of(5, 2, 1, 1));
    assert.equal(handler.requests.length, 0);
  });

  it("keeps bytes sent before the answer, even all in one segment", async () => {
    using client = new RawClient(inbound.address);
    client.send(Buffer.concat([GREETING, connectTo(echo.port), Buffer.from("early")]));
    assert.deepEqual(await client.take(2), Buffer.of(5, 0));
    assert.deepEqual(await client.take(10), SUCCESS);
    assert.equal((await client.take(5)).toString(), "early");
    client.send("later");
    assert.equal((await client.take(5)).toString(), "later");
  });

  it("works one byte at a time", async () => {
    using client = new RawClient(inbound.address);
    for (const byte of Buffer.concat([GREETING, connectTo(echo.port), Buffer.from("hi")])) {
      client.send(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.take(12);
    assert.equal((await client.take(2)).toString(), "hi");
  });

  it("says that it is connected only when it is", async () => {
    let release = (): void => {};
    handler.hold = new Promise((resolve) => (release = resolve));
    using client = new RawClient(inbound.address);
    client.send(Buffer.concat([GREETING, connectTo(echo.port), Buffer.from("x")]));
    await client.take(2);
    await until("the request is there", () => handler.requests.length === 1);
    assert.equal(inbound.pending, 1);
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(client.socket.bytesRead, 2);
    client.send("y");
    await new Promise((resolve) => setTimeout(resolve, 20));
    release();
    assert.deepEqual(await client.take(10), SUCCESS);
    assert.equal((await client.take(2)).toString(), "xy");
    assert.equal(inbound.pending, 0);
  });

  it("hands over a paused socket without listeners of its own but the guard against errors", async () => {
    using client = new RawClient(inbound.address);
    const taken = new Promise<Socket>((resolve) => {
      handler.connect = (request) => {
        const stream = request.accept();
        assert.ok(stream instanceof Socket);
        resolve(stream);
      };
    });
    client.send(Buffer.concat([GREETING, connectTo(1)]));
    const socket = await taken;
    await client.take(12);
    assert.ok(socket.isPaused());
    assert.equal(socket.listenerCount("error"), 1);
    for (const event of ["data", "readable", "close", "drain", "timeout"])
      assert.equal(socket.listenerCount(event), 0, event);
    assert.equal(socket.allowHalfOpen, true);
    socket.destroy();
  });

  it("lets the server speak first", async () => {
    await using server = await LoopbackServer.start((socket) => socket.write("220 ready\r\n"));
    using client = new RawClient(inbound.address);
    client.send(Buffer.concat([GREETING, connectTo(server.port)]));
    await client.take(12);
    assert.equal((await client.take(11)).toString(), "220 ready\r\n");
  });

  it("does not take the end of the client's direction for a cancel", async () => {
    let release = (): void => {};
    handler.hold = new Promise((resolve) => (release = resolve));
    for (const early of ["all I have to say", ""]) {
      using client = new RawClient(inbound.address);
      const count = handler.requests.length;
      client.socket.end(Buffer.concat([GREETING, connectTo(echo.port), Buffer.from(early)]));
      await until("the request is there", () => handler.requests.length === count + 1);
      await new Promise((resolve) => setTimeout(resolve, 30));
      assert.equal(handler.cancelled.length, 0);
      release();
      const all = await client.rest();
      assert.deepEqual(all.subarray(2, 12), SUCCESS);
      assert.equal(all.subarray(12).toString(), early);
    }
  });

  it("carries the server's end while the client goes on sending", async () => {
    const received: Buffer[] = [];
    await using server = await LoopbackServer.start((socket) => {
      socket.on("data", (chunk: Buffer) => received.push(chunk));
      socket.end("bye");
    });
    using client = new RawClient(inbound.address);
    client.send(Buffer.concat([GREETING, connectTo(server.port)]));
    assert.equal((await client.rest()).subarray(12).toString(), "bye");
    client.socket.end("still here");
    await until("it arrives", () => Buffer.concat(received).toString() === "still here");
  });

  it("cancels the dial when the client resets", async () => {
    handler.hold = new Promise(() => {});
    const client = new RawClient(inbound.address);
    client.send(Buffer.concat([GREETING, connectTo(echo.port), Buffer.from("early")]));
    await until("the request is there", () => handler.requests.length === 1);
    client.socket.resetAndDestroy();
    await until("the dial is cancelled", () => handler.cancelled.length === 1);
    assert.equal(inbound.pending, 0);
    const request = handler.requests[0]!;
    const late = await new Promise<string>((resolve) => request.onCancel(() => resolve("called back")));
    assert.equal(late, "called back");
    assert.equal(request.accept().destroyed, true);
    request.reject(new DialError("timeout", "too late"));
  });

  it("cuts a client that dawdles, at the deadline, and one that never speaks", async () => {
    await listen({ handshakeTimeoutMs: 150 });
    using slow = new RawClient(inbound.address);
    using silent = new RawClient(inbound.address);
    const started = performance.now();
    const drip = setInterval(() => slow.send(Buffer.of(5)), 40);
    await until("both are pending", () => inbound.pending === 2);
    await Promise.all([silent.rest(), until("the slow one is cut", () => slow.socket.closed)]);
    clearInterval(drip);
    const took = performance.now() - started;
    assert.ok(took > 100 && took < 600, `${took} ms`);
    assert.equal(inbound.pending, 0);
  });

  it("does not cut a dial that outlasts the handshake's deadline", async () => {
    await listen({ handshakeTimeoutMs: 60 });
    handler.hold = new Promise((resolve) => setTimeout(resolve, 200));
    using client = new RawClient(inbound.address);
    client.send(Buffer.concat([GREETING, connectTo(echo.port), Buffer.from("x")]));
    assert.equal((await client.take(13)).subarray(12).toString(), "x");
  });

  it("refuses a request longer than the cap", async () => {
    using client = new RawClient(inbound.address);
    client.send(Buffer.concat([Buffer.of(4, 1, 0, 80, 1, 2, 3, 4), Buffer.alloc(100_000, "u")]));
    assert.deepEqual(await client.rest(), Buffer.of(0, 91, 0, 0, 0, 0, 0, 0));
  });

  it("ends a client that speaks something else", async () => {
    using client = new RawClient(inbound.address);
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert.equal((await client.rest()).length, 0);
    assert.equal(inbound.pending, 0);
  });

  it("forgets a client that leaves in its handshake", async () => {
    const client = new RawClient(inbound.address);
    client.send(GREETING);
    await client.take(2);
    client.socket.end();
    await until("it is forgotten", () => inbound.pending === 0);
  });
});

describe("the answer to a failed dial", () => {
  const replies: [DialErrorCode, number][] = [
    ["refused", 5],
    ["unreachable", 4],
    ["dns", 4],
    ["timeout", 6],
    ["blocked", 2],
    ["forbidden", 2],
    ["auth", 1],
    ["host-key", 1],
    ["limit", 1],
    ["internal", 1],
  ];
  for (const [code, reply] of replies) {
    it(`is ${reply} for ${code}, and 91 in SOCKS4`, async () => {
      handler.refusal = () => new DialError(code, "no");
      using client = new RawClient(inbound.address);
      client.send(Buffer.concat([GREETING, connectTo(80)]));
      assert.deepEqual((await client.rest()).subarray(2), Buffer.of(5, reply, 0, 1, 0, 0, 0, 0, 0, 0));
      using old = new RawClient(inbound.address);
      old.send(Buffer.of(4, 1, 0, 80, 1, 2, 3, 4, 0));
      assert.equal((await old.rest())[1], 91);
      assert.equal(inbound.pending, 0);
    });
  }

  it("is general when the way to the upstream failed, and 3 when there is no route to the network", () => {
    assert.equal(socks5ReplyOf(new DialError("refused", "no", { scope: "upstream" })), 1);
    const cause = Object.assign(new Error("no route"), { code: "ENETUNREACH" });
    assert.equal(socks5ReplyOf(new DialError("unreachable", "no", { cause })), 3);
  });

  it("comes from a real refusal too", async () => {
    const gone = await LoopbackServer.echo();
    const port = gone.port;
    await gone[Symbol.asyncDispose]();
    using client = new RawClient(inbound.address);
    client.send(Buffer.concat([GREETING, connectTo(port)]));
    assert.equal((await client.rest())[3], 5);
  });

  it("can't be given twice", async () => {
    handler.connect = (request) => handler.requests.push(request);
    using client = new RawClient(inbound.address);
    client.send(Buffer.concat([GREETING, connectTo(80)]));
    await until("the request is there", () => handler.requests.length === 1);
    handler.requests[0]!.reject(new DialError("refused", "no"));
    assert.throws(() => handler.requests[0]!.accept(), /answered twice/);
  });
});

describe("UDP ASSOCIATE", () => {
  const associate = (host = "0.0.0.0", port = 0) =>
    Buffer.concat([GREETING, Buffer.of(5, 3, 0), writeAddress({ host, port })]);

  async function udpEcho() {
    const socket = createSocket("udp4");
    socket.on("message", (payload, from) => socket.send(payload, from.port, from.address));
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    return socket;
  }

  async function relayOf(client: RawClient): Promise<number> {
    const reply = (await client.take(12)).subarray(2);
    assert.deepEqual(reply.subarray(0, 8), Buffer.of(5, 0, 0, 1, 127, 0, 0, 1));
    return reply.readUInt16BE(8);
  }

  it("carries datagrams both ways, from the one client, until the connection ends", async () => {
    const server = await udpEcho();
    const mine = createSocket("udp4");
    const stranger = createSocket("udp4");
    using client = new RawClient(inbound.address);
    client.send(associate());
    const relay = await relayOf(client);
    const header = writeUdpHeader({ host: "127.0.0.1", port: server.address().port });
    for (const text of ["one", "two"]) {
      mine.send([header, Buffer.from(text)], relay, "127.0.0.1");
      const [datagram] = (await once(mine, "message")) as [Buffer];
      const { address, payload } = readUdpHeader(datagram);
      assert.deepEqual(address, { host: "127.0.0.1", port: server.address().port });
      assert.equal(payload.toString(), text);
    }
    let echoed = 0;
    stranger.on("message", () => echoed++);
    stranger.send([header, Buffer.from("not mine")], relay, "127.0.0.1");
    mine.send(Buffer.from("nonsense"), relay, "127.0.0.1");
    mine.send([header, Buffer.from("still there")], relay, "127.0.0.1");
    await once(mine, "message");
    assert.equal(echoed, 0);
    let closes = 0;
    const port = handler.ports[0]!;
    const onClose = port.onClose;
    port.onClose = () => {
      closes++;
      onClose();
    };
    client.socket.end();
    await until("the association ends", () => closes === 1);
    await client.rest();
    port.close();
    assert.equal(closes, 1);
    for (const socket of [server, mine, stranger]) socket.close();
  });

  it("respects the port that the client said it would send from", async () => {
    const server = await udpEcho();
    const mine = createSocket("udp4").bind(0, "127.0.0.1");
    const other = createSocket("udp4").bind(0, "127.0.0.1");
    await Promise.all([once(mine, "listening"), once(other, "listening")]);
    using client = new RawClient(inbound.address);
    client.send(associate("127.0.0.1", mine.address().port));
    const relay = await relayOf(client);
    const header = writeUdpHeader({ host: "127.0.0.1", port: server.address().port });
    const seen: string[] = [];
    const deliverTo = handler.ports[0]!.onDatagram;
    handler.ports[0]!.onDatagram = (target, payload) => {
      seen.push(payload.toString());
      deliverTo(target, payload);
    };
    other.send([header, Buffer.from("other")], relay, "127.0.0.1");
    await new Promise((resolve) => setTimeout(resolve, 30));
    mine.send([header, Buffer.from("mine")], relay, "127.0.0.1");
    await once(mine, "message");
    assert.deepEqual(seen, ["mine"]);
    for (const socket of [server, mine, other]) socket.close();
  });

  it("ends the client's connection when the engine closes the association", async () => {
    using client = new RawClient(inbound.address);
    client.send(associate());
    await relayOf(client);
    handler.ports[0]!.close();
    assert.equal((await client.rest()).length, 0);
  });

  it("is refused with 7 where nothing can carry a datagram", async () => {
    handler.udp = false;
    using client = new RawClient(inbound.address);
    client.send(associate());
    assert.equal((await client.rest())[3], 7);
    assert.equal(inbound.pending, 0);
  });
});

describe("closing the SOCKS inbound", () => {
  it("ends handshakes, frees the port and leaves flows alone", async () => {
    using flow = new RawClient(inbound.address);
    flow.send(Buffer.concat([GREETING, connectTo(echo.port)]));
    await flow.take(12);
    using young = new RawClient(inbound.address);
    young.send(GREETING);
    await young.take(2);
    const { port } = inbound.address;
    await inbound.close();
    assert.equal((await young.rest()).length, 0);
    flow.send("still");
    assert.equal((await flow.take(5)).toString(), "still");
    await listen({ address: { host: "127.0.0.1", port } });
    assert.equal(inbound.address.port, port);
  });
});
