import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { WebSocketServer } from "ws";
import { launchChromium, skipWithoutChromium } from "../peers/browser.ts";
import { bodyOf, startLocalHttp, startShare, startTestRelay } from "../peers/relay.ts";

const PAGE = `<!doctype html><title>shared</title><link rel="stylesheet" href="/style.css"><p id="it">plain</p>`;

test(
  "a page works in a browser through the relay: its parts, an upload, events one by one, and a WebSocket",
  { skip: skipWithoutChromium() },
  async () => {
    await using relay = await startTestRelay();
    const sockets = new WebSocketServer({ noServer: true });
    await using local = await startLocalHttp(
      (request, response) => {
        switch (request.url) {
          case "/style.css":
            response.setHeader("Content-Type", "text/css");
            return void response.end("#it { color: rgb(1, 2, 3) }");
          case "/upload":
            return void bodyOf(request).then((body) =>
              response.end(createHash("sha256").update(body).digest("hex")),
            );
          case "/events":
            response.writeHead(200, { "Content-Type": "text/event-stream" });
            response.write("data: one\n\n");
            return void setTimeout(() => response.write("data: two\n\n"), 50);
          default:
            response.setHeader("Content-Type", "text/html");
            return void response.end(PAGE);
        }
      },
      (server) =>
        server.on("upgrade", (request, socket, head) =>
          sockets.handleUpgrade(request, socket, head, (ws) => ws.on("message", (data) => ws.send(data))),
        ),
    );
    for (const apart of [false, true]) {
      await using share = await startShare(
        relay,
        { kind: "http", name: apart ? "apart" : "demo", target: local.target },
        { apart },
      );
      const browser = await launchChromium();
      try {
        const page = await browser.newPage();
        page.setDefaultTimeout(20_000);
        await page.goto(share.address);
        assert.equal(await page.title(), "shared");
        assert.equal(
          await page.evaluate("getComputedStyle(document.getElementById('it')).color"),
          "rgb(1, 2, 3)",
        );
        const bytes = 3_000_000;
        const sum = await page.evaluate(
          `fetch("/upload", { method: "POST", body: new Uint8Array(${bytes}) }).then((answer) => answer.text())`,
        );
        assert.equal(sum, createHash("sha256").update(Buffer.alloc(bytes)).digest("hex"));
        const events = await page.evaluate(`new Promise((resolve) => {
          const heard = [];
          const source = new EventSource("/events");
          source.onmessage = ({ data }) => {
            heard.push(data);
            if (heard.length === 2) { source.close(); resolve(heard.join()); }
          };
        })`);
        assert.equal(events, "one,two");
        const said = await page.evaluate(`new Promise((resolve) => {
          const socket = new WebSocket(location.origin.replace("http", "ws"));
          socket.onopen = () => socket.send("hello".repeat(50_000));
          socket.onmessage = async ({ data }) => { socket.close(); resolve((await new Response(data).text()).length); };
        })`);
        assert.equal(said, 250_000);
      } finally {
        await browser.close();
      }
    }
  },
);
