import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { LINK_VERSION } from "@sockeye/link/messages";
import { makeCertificate } from "../peers/certificates.ts";
import { Client } from "../peers/bare-client.ts";
import { Line } from "../peers/line.ts";
import {
  bodyOf,
  raw,
  startLocalHttp,
  startLocalTcp,
  startShare,
  startTestRelay,
  until,
} from "../peers/relay.ts";

/** Streams that have a connection of their own each, on the data listener. */

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "relay-data-"));
after(() => rmSync(folder, { recursive: true, force: true }));

async function curl(...args: string[]): Promise<string> {
  const { stdout } = await run("curl", ["-sS", "--max-time", "30", ...args], { maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

/** A relay that says to clients that its data listener is where `line` is. */
async function relayBehindLine(settings: Record<string, unknown> = {}) {
  const relay = await startTestRelay(settings);
  const line = await Line.to(relay.data!.port);
  Object.defineProperty(relay.data!, "port", { value: line.address.control.port });
  return {
    relay,
    line,
    [Symbol.asyncDispose]: async () => {
      await relay[Symbol.asyncDispose]();
      await line[Symbol.asyncDispose]();
    },
  };
}

test("each request and each connection has its own, with answers, bodies and ends as on a shared one", async () => {
  await using behind = await relayBehindLine();
  const { relay, line } = behind;
  await using local = await startLocalHttp((request, response) => {
    void bodyOf(request).then((body) => {
      response.setHeader("Connection", "close");
      response.setHeader("X-Sum", createHash("sha256").update(body).digest("hex"));
      response.end(body);
    });
  });
  await using share = await startShare(
    relay,
    { kind: "http", name: "demo", target: local.target },
    { apart: true },
  );
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => curl("-d", `${i}`, share.address)));
  assert.deepEqual(
    answers,
    Array.from({ length: 20 }, (_, i) => `${i}`),
  );
  assert.ok(line.most >= 10, `${line.most} connections at once`);
  const bytes = randomBytes(8_000_000);
  const request = await fetch(`http://127.0.0.1:${relay.http!.port}/`, { method: "POST", body: bytes }).catch(
    () => undefined,
  );
  assert.equal(request?.status, 404, "a name of its own is needed");
  const big = await raw(
    relay.http!.port,
    `POST / HTTP/1.1\r\nHost: demo.localhost\r\nConnection: close\r\nContent-Length: ${bytes.length}\r\n\r\n${bytes.toString("latin1")}`,
  );
  assert.match(big, new RegExp(`X-Sum: ${createHash("sha256").update(bytes).digest("hex")}`));
  assert.equal(big.length - big.indexOf("\r\n\r\n") - 4, bytes.length);
  await until(() => line.connections === 0, "each ends with its stream");
  assert.equal(relay.counts().streams, 0);
});

test("a raw port has one connection for each of its own, with ends in one direction and resets as they are", async () => {
  await using behind = await relayBehindLine();
  const { relay, line } = behind;
  await using echo = await startLocalTcp((socket) => {
    let got = "";
    socket.on("data", (chunk: Buffer) => (got += chunk.toString()));
    socket.on("end", () => (got === "reset" ? socket.resetAndDestroy() : socket.end(`you said ${got}`)));
  });
  await using share = await startShare(relay, { kind: "tcp", target: echo.target }, { apart: true });
  const port = Number(share.address.split(":").at(-1));
  assert.equal(await ends(port, "hello"), "you said hello");
  await assert.rejects(ends(port, "reset"), { code: "ECONNRESET" });
  await echo.stop();
  await assert.rejects(ends(port, "x"), { code: "ECONNRESET" });
  assert.ok(share.told.includes("local: refused"));
  await until(() => line.connections === 0, "all have ended");
});

test("a connection that is cut costs its own request and no other", async () => {
  await using behind = await relayBehindLine();
  const { relay, line } = behind;
  let asked = 0;
  await using local = await startLocalHttp((request, response) => {
    asked++;
    if (request.url === "/now" || asked > 2) response.end("here");
  });
  await using share = await startShare(
    relay,
    { kind: "http", name: "demo", target: local.target },
    { apart: true },
  );
  const once = curl("-i", "-d", "x", `${share.address}/`);
  await until(() => asked === 1, "it is under way");
  const repeated = curl(`${share.address}/`);
  await until(() => asked === 2, "so is the other");
  line.cut();
  assert.match(await once, /^HTTP\/1\.1 502 .*lost/s);
  assert.equal(await repeated, "here");
  assert.equal(relay.counts().clients, 1, "the client has not been away");
});

test("a data listener that refuses, or takes connections and answers nothing, costs time and no request", async () => {
  await using behind = await relayBehindLine();
  const { relay, line } = behind;
  await using local = await startLocalHttp((_request, response) => response.end("here"));
  await using share = await startShare(
    relay,
    { kind: "http", name: "demo", target: local.target },
    { apart: true },
  );
  line.deaf = true;
  const began = performance.now();
  assert.deepEqual(
    await Promise.all([1, 2, 3, 4].map((i) => curl(`${share.address}/${i}`))),
    new Array(4).fill("here"),
  );
  assert.ok(performance.now() - began < 9000);
  // It counts as out of reach now: nobody waits for it again.
  const next = performance.now();
  for (let i = 0; i < 3; i++) assert.equal(await curl("-d", "x", share.address), "here");
  assert.ok(performance.now() - next < 3000);
});

test("a relay without a data listener carries such a client's streams like those of others", async () => {
  await using relay = await startTestRelay({ data: { address: "off" } });
  await using local = await startLocalHttp((_request, response) => response.end("here"));
  await using share = await startShare(
    relay,
    { kind: "http", name: "demo", target: local.target },
    { apart: true },
  );
  assert.equal(relay.data, undefined);
  assert.equal(await curl(share.address), "here");
});

test("a key is good once, for one connection, in time, and nothing else opens the data listener", async () => {
  await using relay = await startTestRelay({ limits: { handshake_timeout: "300ms" } });
  await using client = await Client.to(relay, { apart: true });
  client.say({ type: "share", share: 0, kind: "tcp", port: 20_100 });
  await until(() => client.heard.some(({ type }) => type === "shared"), "it is shared");
  const visitor = connect({ port: 20_100, host: "127.0.0.1" });
  visitor.on("error", () => {});
  await until(() => client.heard.some(({ type }) => type === "dial"), "a stream is wanted");
  const { key } = client.heard.find((message) => message.type === "dial")!;
  assert.match(key, /^[0-9A-Za-z]{22}$/);
  // Whoever guesses is told nothing but no.
  await using guess = await Client.at(relay.data!.port);
  guess.say({ type: "claim", key: "A".repeat(22) });
  await until(() => guess.ended, "it is refused");
  await using talker = await Client.at(relay.data!.port);
  talker.say({ type: "hello", version: LINK_VERSION, token: "token-ada", instance: "12345678" });
  await using silent = await Client.at(relay.data!.port);
  await until(() => talker.ended && silent.ended, "so are those who say something else, or nothing");
  // Another client has heard of the key, and can neither use it up by saying it is unwanted …
  await using other = await Client.to(relay, { apart: true });
  other.say({ type: "undialled", key });
  await using first = await Client.at(relay.data!.port);
  first.say({ type: "claim", key });
  await until(() => first.streams === 1, "the first has the stream");
  // … nor use it a second time.
  await using second = await Client.at(relay.data!.port);
  second.say({ type: "claim", key });
  await until(() => second.ended, "the second is refused");
  assert.equal(second.streams, 0);
  assert.equal(client.streams, 0);
  assert.deepEqual(
    [guess, talker, silent, second].map(({ heard }) => (heard[0] as { code?: string }).code),
    ["auth", "protocol", "protocol", "auth"],
  );
  visitor.destroy();
});

test("a stream that nobody comes for is carried on the client's first connection, and one that nobody wants is dropped", async () => {
  await using relay = await startTestRelay();
  await using client = await Client.to(relay, { apart: true });
  client.say({ type: "share", share: 0, kind: "tcp", port: 20_101 });
  await until(() => client.heard.some(({ type }) => type === "shared"), "it is shared");
  const gone = connect({ port: 20_101, host: "127.0.0.1" });
  await until(() => client.heard.some(({ type }) => type === "dial"), "it is wanted");
  gone.resetAndDestroy();
  const visitor = connect({ port: 20_101, host: "127.0.0.1" });
  visitor.on("error", () => {});
  await until(() => client.streams === 1, "it came here, after a while");
  const { key } = client.heard.find((message) => message.type === "dial")!;
  await using late = await Client.at(relay.data!.port);
  late.say({ type: "claim", key });
  await until(() => late.ended, "the key of the other is no more");
  visitor.destroy();
  await client[Symbol.asyncDispose]();
  await until(() => relay.counts().streams === 0, "nothing is left");
});

test("streams that wait for a connection of their own, or on it for the client, are pending, and limited", async () => {
  await using relay = await startTestRelay({ limits: { max_pending_per_client: 2 } });
  await using client = await Client.to(relay, { apart: true });
  client.say({ type: "share", share: 0, kind: "tcp" });
  await until(() => client.heard.some(({ type }) => type === "shared"), "it is shared");
  const { given } = client.heard.find((message) => message.type === "shared")!;
  const visit = () => connect({ port: Number(given), host: "127.0.0.1" }).on("error", () => {});
  const dials = () => client.heard.filter((message) => message.type === "dial");
  const first = visit();
  await until(() => dials().length === 1, "the first is wanted");
  assert.equal(relay.counts().pending, 1);
  const second = visit();
  await until(() => dials().length === 2, "the second is wanted");
  visit();
  await until(() => relay.ended.length === 1, "the third is refused");
  assert.equal(relay.ended[0]!.limit, "limits.max_pending_per_client");
  // One that has its connection is still pending until the client takes it up …
  await using own = await Client.at(relay.data!.port);
  own.say({ type: "claim", key: dials()[0]!.key });
  await until(() => own.streams === 1, "the first has its connection");
  assert.equal(relay.counts().pending, 2);
  own.opened[0]!.write(Buffer.from("taken"));
  await until(() => relay.counts().pending === 1, "it is taken up");
  // … and one that is given up while it waits makes room.
  second.resetAndDestroy();
  await until(() => relay.counts().pending === 0, "the second is given up");
  first.destroy();
});

test("a credential that is revoked ends what runs on connections of their own, too", async () => {
  await using behind = await relayBehindLine();
  const { relay, line } = behind;
  let asked = 0;
  await using local = await startLocalHttp(() => asked++);
  await using share = await startShare(
    relay,
    { kind: "http", name: "demo", target: local.target },
    { apart: true },
  );
  const under = curl("-i", "-d", "x", share.address);
  await until(() => asked === 1, "it is under way");
  relay.authoriser.revoke("ada");
  assert.match(await under, /^HTTP\/1\.1 502 .*lost/s);
  await until(() => line.connections === 0 && relay.counts().clients === 0, "it has ended");
});

test("the data listener speaks TLS as control does, and asks for the certificate of the same client", async () => {
  const pair = makeCertificate(folder, ["127.0.0.1", "localhost", "IP:127.0.0.1"]);
  const ca = readFileSync(pair.caFile, "utf8");
  const own = { cert: readFileSync(pair.certFile, "utf8"), key: readFileSync(pair.keyFile, "utf8") };
  await using relay = await startTestRelay({
    control: {
      address: "127.0.0.1:0",
      tls_cert: pair.certFile,
      tls_key: pair.keyFile,
      client_ca: pair.caFile,
    },
  });
  await using local = await startLocalHttp((_request, response) => response.end("here"));
  await using share = await startShare(
    relay,
    { kind: "http", name: "demo", target: local.target },
    { apart: true, tls: { ca, ...own } },
  );
  assert.equal(await curl(share.address), "here");
  const { stderr } = await run(
    "curl",
    ["-sSv", "--cacert", pair.caFile, `https://127.0.0.1:${relay.data!.port}/`],
    {},
  ).catch((error: unknown) => error as { stderr: string });
  assert.match(stderr, /certificate required|alert|reset/i);
});

/** Says `text`, ends its side, and reads to the end. */
async function ends(port: number, text: string): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.end(text);
  let got = "";
  for await (const chunk of socket) got += String(chunk);
  return got;
}
