import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import type { Page } from "playwright-core";
import { WebSocket, WebSocketServer } from "ws";
import { launchChromium, skipWithoutChromium } from "../peers/browser.ts";
import { startTcpServer, type TcpPeer } from "../peers/echo.ts";
import { connectThrough, type Inbound } from "./client.ts";
import { type EngineUnderTest, startEngineUnderTest } from "./engine-under-test.ts";
import { type Peers, skipWithoutPeers, startPeers } from "./peers.ts";

const run = promisify(execFile);
const inbounds = ["socks5", "http"] as const;
const kinds = ["ssh", "socks5", "http"] as const;
/** Each upstream alone, and each reached through each (itself included, by a second connection of the same kind). */
const chains = [
  ...["direct", ...kinds].map((kind) => ({ name: kind, via: undefined, kind })),
  ...kinds.flatMap((kind) => kinds.map((via) => ({ name: `${kind}-via-${via}`, kind, via }))),
];
const BODY = Buffer.alloc(3_000_000, "sockeye and its seven cousins; ");
const digestOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const PAGE =
  '<!doctype html><title>through</title><link rel="stylesheet" href="/style.css"><p id="it">plain</p>' +
  Array.from({ length: 8 }, (_, i) => `<script src="/part${i}.js"></script>`).join("");

const ONE_PART = "globalThis.parts = (globalThis.parts ?? 0) + 1;";
const contentTypeOf = (url: string) => (url.endsWith(".css") ? "text/css" : "text/javascript");

describe("every inbound through every upstream and every chain of two", { skip: skipWithoutPeers() }, () => {
  let peers: Peers;
  let far: Peers;
  let sut: EngineUnderTest;
  let speakFirst: TcpPeer;
  /** Loopback has many addresses: each chain gets one, and a route by it. */
  const hostOf = (name: string) => `127.0.1.${chains.findIndex((chain) => chain.name === name) + 1}`;
  const web = createServer((request, response) => void answer(request, response));
  const sockets = new WebSocketServer({ server: web });
  let webPort: number;

  before(async () => {
    sockets.on("connection", (socket) =>
      socket.on("message", (data: Buffer) => socket.send(`echo: ${data.toString()}`)),
    );
    web.listen(0, "0.0.0.0");
    await once(web, "listening");
    webPort = (web.address() as AddressInfo).port;
    speakFirst = await startTcpServer((socket) => void socket.end("220 I speak first\r\n"), {
      host: "0.0.0.0",
    });
    peers = await startPeers();
    // The far end of a chain is another server than the near one: Dante refuses to connect to itself.
    far = await startPeers();
    const chained = kinds.flatMap((kind) =>
      kinds.map((via) => [`${kind}-via-${via}`, { ...far.upstreams[kind], via }] as const),
    );
    sut = await startEngineUnderTest({
      upstreams: { ...peers.upstreams, ...Object.fromEntries(chained) },
      routes: chains.map(({ name }) => ({ match: hostOf(name), to: name })),
      default: "block",
    });
  });
  after(async () => {
    await sut[Symbol.asyncDispose]();
    await peers[Symbol.asyncDispose]();
    await far[Symbol.asyncDispose]();
    await speakFirst.stop();
    sockets.close();
    web.close();
    web.closeAllConnections();
  });

  for (const { name } of chains) {
    for (const inbound of inbounds) {
      it(`${inbound} → ${name}: curl gets a page and posts a body`, async () => {
        const url = `http://${hostOf(name)}:${webPort}/`;
        const proxy =
          inbound === "socks5"
            ? `socks5h://127.0.0.1:${sut.socks5.port}`
            : `http://127.0.0.1:${sut.http.port}`;
        const got = await run("curl", ["-sS", "--max-time", "20", "--proxy", proxy, `${url}body`], {
          encoding: "buffer",
          maxBuffer: 1 << 24,
        });
        assert.ok(got.stdout.equals(BODY));
        const posting = run(
          "curl",
          ["-sS", "--max-time", "20", "--proxy", proxy, "--data-binary", "@-", `${url}digest`],
          { maxBuffer: 1 << 24 },
        );
        posting.child.stdin!.end(BODY);
        assert.equal((await posting).stdout, digestOf(BODY));
      });

      it(`${inbound} → ${name}: a WebSocket, and a server that speaks first`, async () => {
        await webSocketEcho(inbound, hostOf(name));
        if (inbound === "http") await forwardedWebSocketEcho(hostOf(name));
        const socket = await connectThrough(inbound, sut[inbound], {
          host: hostOf(name),
          port: speakFirst.port,
        });
        const [greeting] = (await once(socket, "data")) as [Buffer];
        assert.match(greeting.toString(), /^220 I speak first/);
        socket.destroy();
      });
    }
  }

  for (const inbound of inbounds) {
    it(
      `${inbound}: a browser gets a page with its parts, uploads, and talks by WebSocket, through each of them`,
      { skip: skipWithoutChromium() },
      async () => {
        const { host, port } = sut[inbound];
        const browser = await launchChromium(`${inbound}://${host}:${port}`);
        try {
          for (const { name } of chains) await visit(await browser.newPage(), hostOf(name), name);
        } finally {
          await browser.close();
        }
      },
    );
  }

  it("leaves no flow behind", async () => {
    const deadline = Date.now() + 5000;
    while (sut.engine.status().flows.active > 0 && Date.now() < deadline)
      await new Promise((r) => setTimeout(r, 20));
    assert.equal(sut.engine.status().flows.active, 0);
    assert.equal(sut.engine.status().flows.failed, 0);
  });

  async function webSocketEcho(inbound: Inbound, host: string): Promise<void> {
    const stream = await connectThrough(inbound, sut[inbound], { host, port: webPort });
    const client = new WebSocket(`ws://${host}:${webPort}/`, { createConnection: () => stream });
    await once(client, "open");
    client.send("hello");
    const [message] = (await once(client, "message")) as [Buffer];
    assert.equal(message.toString(), "echo: hello");
    client.close();
    await once(client, "close");
  }

  /** As a proxy's client asks that does not tunnel: by absolute form. */
  async function forwardedWebSocketEcho(host: string): Promise<void> {
    const authority = `${host}:${webPort}`;
    const client = new WebSocket(`ws://127.0.0.1:${sut.http.port}/`, {
      headers: { Host: authority },
      finishRequest: (request) => {
        request.path = `http://${authority}/`;
        request.end();
      },
    });
    await once(client, "open");
    client.send("hello");
    const [message] = (await once(client, "message")) as [Buffer];
    assert.equal(message.toString(), "echo: hello");
    client.close();
    await once(client, "close");
  }

  async function visit(page: Page, host: string, name: string): Promise<void> {
    page.setDefaultTimeout(20_000);
    await page.goto(`http://${host}:${webPort}/page`);
    const parts = "[getComputedStyle(document.getElementById('it')).color, globalThis.parts]";
    assert.deepEqual(await page.evaluate(parts), ["rgb(1, 2, 3)", 8], name);
    const upload = `fetch("/digest", { method: "POST", body: new Uint8Array(1_000_000) }).then((answer) => answer.text())`;
    assert.equal(await page.evaluate(upload), digestOf(new Uint8Array(1_000_000)), name);
    const talk = `new Promise((resolve, reject) => {
      const socket = new WebSocket(location.origin.replace("http", "ws"));
      socket.onopen = () => socket.send("hello");
      socket.onerror = reject;
      socket.onmessage = ({ data }) => { socket.close(); resolve(data); };
    })`;
    assert.equal(await page.evaluate(talk), "echo: hello", name);
    await page.close();
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === "/body") {
      response.end(BODY);
      return;
    }
    if (request.method === "GET") {
      const page = request.url === "/page";
      response.setHeader("Content-Type", page ? "text/html" : contentTypeOf(request.url!));
      response.end(page ? PAGE : request.url === "/style.css" ? "#it { color: rgb(1, 2, 3) }" : ONE_PART);
      return;
    }
    const hash = createHash("sha256");
    for await (const chunk of request as AsyncIterable<Buffer>) hash.update(chunk);
    response.end(hash.digest("hex"));
  }
});
