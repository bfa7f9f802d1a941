import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Endpoint, formatEndpoint, parseEndpoint } from "@sockeye/engine";
import { startEcho, type TcpPeer } from "../peers/echo.ts";
import { freePort } from "../peers/peer-process.ts";
import { connectThrough, Refused } from "./client.ts";
import { type EngineUnderTest, startEngineUnderTest } from "./engine-under-test.ts";

/** Reloads, with SOCKS5 proxies of our own kind as upstreams. */
describe("a reload", () => {
  let echo: TcpPeer;
  let one: EngineUnderTest;
  let two: EngineUnderTest;

  before(async () => {
    echo = await startEcho();
    one = await startEngineUnderTest({});
    two = await startEngineUnderTest({});
  });
  after(async () => {
    await one[Symbol.asyncDispose]();
    await two[Symbol.asyncDispose]();
    await echo.stop();
  });

  const to = (proxy: EngineUnderTest) => ({ type: "socks5", address: formatEndpoint(proxy.socks5) });
  const listenerOf = (sut: EngineUnderTest): Endpoint =>
    parseEndpoint(sut.engine.status().listeners.find(({ kind }) => kind === "socks5")!.address);

  async function open(sut: EngineUnderTest): Promise<Socket> {
    const socket = await connectThrough("socks5", listenerOf(sut), echo);
    assert.equal(await says(socket, "hello"), "hello");
    return socket;
  }

  async function says(socket: Socket, words: string): Promise<string> {
    socket.write(words);
    const [answer] = (await once(socket, "data")) as [Buffer];
    return answer.toString();
  }

  it("keeps the flows of upstreams that did not change, and drains those of one that did", async () => {
    const limits = { drain_timeout: 0.3 };
    await using sut = await startEngineUnderTest({
      upstreams: { kept: to(one), moved: to(one) },
      default: "kept",
      limits,
    });
    const kept = await open(sut);
    await sut.reconfigure({ upstreams: { kept: to(one), moved: to(one) }, default: "moved", limits });
    const moved = await open(sut);
    assert.deepEqual(
      [...sut.engine.flows()].map((flow) => flow.upstream),
      ["kept", "moved"],
    );

    await sut.reconfigure({ upstreams: { kept: to(one), moved: to(two) }, default: "moved", limits });
    assert.equal(await says(moved, "in the time to drain"), "in the time to drain");
    const anew = await open(sut);
    assert.equal(two.engine.status().flows.active, 1);
    await new Promise((resolve) => moved.on("error", () => {}).on("close", resolve));
    assert.equal(await says(kept, "still here"), "still here");
    for (const socket of [kept, anew]) socket.destroy();
  });

  it("keeps the hits of rules that stay, wherever they stand then", async () => {
    const office = { match: "127.0.0.0/8", to: "it" };
    await using sut = await startEngineUnderTest({
      upstreams: { it: to(one) },
      routes: [office],
      default: "block",
    });
    (await open(sut)).destroy();
    await assert.rejects(connectThrough("socks5", listenerOf(sut), { host: "192.0.2.1", port: 1 }));
    assert.deepEqual(sut.engine.routeHits.numbers(), {
      routes: [{ ...office, hits: 1 }],
      default: { to: "block", hits: 1 },
    });
    const first = { match: "192.0.2.0/24", to: "block" };
    await sut.reconfigure({ upstreams: { it: to(one) }, routes: [first, office], default: "block" });
    (await open(sut)).destroy();
    await assert.rejects(connectThrough("socks5", listenerOf(sut), { host: "192.0.2.1", port: 1 }));
    assert.deepEqual(sut.engine.routeHits.numbers(), {
      routes: [
        { ...first, hits: 1 },
        { ...office, hits: 2 },
      ],
      default: { to: "block", hits: 1 },
    });
  });

  it("with errors changes nothing, says them all, and is over with the next good one", async () => {
    await using sut = await startEngineUnderTest({ upstreams: { it: to(one) }, default: "it" });
    const socket = await open(sut);
    const bad = { upstreams: { it: { ...to(two), pool_size: -1 } }, default: "nowhere" };
    await assert.rejects(sut.reconfigure(bad), { name: "ControlError", code: "invalid-config" });
    const paths = sut.engine.status().configProblems?.map(({ path }) => path);
    assert.deepEqual(paths?.sort(), ["default", "upstreams.it.pool_size"]);
    assert.equal(await says(socket, "as before"), "as before");
    (await open(sut)).destroy();
    assert.equal(two.engine.status().flows.active, 0);
    await sut.reconfigure({ upstreams: { it: to(two) }, default: "it" });
    assert.equal(sut.engine.status().configProblems, undefined);
    socket.destroy();
  });

  it("moves a listener; one that can't be bound leaves the old one and all else as it was", async () => {
    await using sut = await startEngineUnderTest({});
    const socket = await open(sut);
    const before = listenerOf(sut);
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    const listen = (at: number) => ({ socks5: `127.0.0.1:${at}` });
    await assert.rejects(sut.reconfigure({ listen: listen(port), default: "block" }), {
      code: "unavailable",
      message: /another program listens there/,
    });
    assert.deepEqual(listenerOf(sut), before);
    (await open(sut)).destroy();

    const free = await freePort();
    await sut.reconfigure({ listen: listen(free) });
    assert.equal(listenerOf(sut).port, free);
    (await open(sut)).destroy();
    await assert.rejects(connectThrough("socks5", before, echo), { code: "ECONNREFUSED" });
    assert.equal(await says(socket, "through a listener that is gone"), "through a listener that is gone");
    socket.destroy();
    taken.close();
  });

  it("that can't bind the metrics address changes nothing, and the metrics are still there", async () => {
    const metrics = await freePort();
    const socks5 = await freePort();
    await using sut = await startEngineUnderTest({});
    const listen = { socks5: `127.0.0.1:${socks5}`, metrics: `127.0.0.1:${metrics}` };
    await sut.reconfigure({ listen });
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    const wrong = { socks5: `127.0.0.1:${await freePort()}`, metrics: `127.0.0.1:${port}` };
    await assert.rejects(sut.reconfigure({ listen: wrong }), {
      message: `can't listen on 127.0.0.1:${port}: another program listens there; stop it, or choose another port`,
    });
    assert.equal(listenerOf(sut).port, socks5);
    assert.equal((await fetch(`http://127.0.0.1:${metrics}/healthz`)).status, 200);
    taken.close();
    await sut.reconfigure({ listen: wrong });
    assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200);
  });

  it("may name the port that the system chose before", async () => {
    await using sut = await startEngineUnderTest({});
    const { port } = listenerOf(sut);
    await sut.reconfigure({ listen: { socks5: `127.0.0.1:${port}` } });
    assert.equal(listenerOf(sut).port, port);
    (await open(sut)).destroy();
  });

  it("lets two listeners change places", async () => {
    const [a, b] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
    await using sut = await startEngineUnderTest({});
    await sut.reconfigure({ listen: { socks5: a, http: b } });
    await sut.reconfigure({ listen: { socks5: b, http: a } });
    const addresses = sut.engine.status().listeners.map(({ kind, address }) => `${kind} ${address}`);
    assert.deepEqual(addresses.filter((line) => !line.startsWith("control")).sort(), [
      `http ${a}`,
      `socks5 ${b}`,
    ]);
    (await open(sut)).destroy();
  });

  it("takes up a password that was changed in its file", async () => {
    await using sut = await startEngineUnderTest({});
    const passwordFile = `${sut.configFile}.password`;
    const address = `127.0.0.1:${await freePort()}`;
    const config = { listen: { http: { address, auth: { username: "u", password_file: passwordFile } } } };
    const statusWith = async (password: string) => {
      const credentials = Buffer.from(`u:${password}`).toString("base64");
      const response = await rawHttp(parseEndpoint(address), `Proxy-Authorization: Basic ${credentials}`);
      return Number(response.split(" ")[1]);
    };
    await writeFile(passwordFile, "one\n", { mode: 0o600 });
    await sut.reconfigure(config);
    assert.deepEqual([await statusWith("one"), await statusWith("two")], [502, 407]);
    await writeFile(passwordFile, "two\n", { mode: 0o600 });
    await sut.reconfigure(config);
    assert.deepEqual([await statusWith("one"), await statusWith("two")], [407, 502]);
  });

  it("of a limit counts the connections that are there, and cuts none", async () => {
    await using sut = await startEngineUnderTest({ limits: { max_connections: 4 } });
    const first = await Promise.all([open(sut), open(sut), open(sut)]);
    await sut.reconfigure({ limits: { max_connections: 3, handshake_timeout: 5 } });
    await assert.rejects(open(sut));
    for (const socket of first) assert.equal(await says(socket, "here"), "here");
    await sut.reconfigure({ limits: { max_connections: 5 } });
    for (const socket of [...first, await open(sut)]) socket.destroy();
  });

  it("changes how long the head of a request may be", async () => {
    await using sut = await startEngineUnderTest({});
    const head = `X-Long: ${"x".repeat(5000)}`;
    assert.match(await rawHttp(sut.http, head), /^HTTP\/1.1 502/);
    await sut.reconfigure({ limits: { handshake_bytes: 4096 } });
    assert.match(await rawHttp(sut.http, head), /^HTTP\/1.1 431[^]*longer than 4096 bytes/);
  });

  it("asks for a password from then on, at the same address", async () => {
    await using sut = await startEngineUnderTest({});
    const port = await freePort();
    await sut.reconfigure({ listen: { socks5: `127.0.0.1:${port}` } });
    (await open(sut)).destroy();
    const auth = { username: "u", password: "p" };
    await sut.reconfigure({ listen: { socks5: { address: `127.0.0.1:${port}`, auth } } });
    await assert.rejects(open(sut), (error) => error instanceof Refused && error.answer === 0xff);
  });

  it("follows when the file is edited, and not when it becomes wrong", async () => {
    await using sut = await startEngineUnderTest({ default: "block" });
    await assert.rejects(open(sut), Refused);
    // The listener stays as it was written, so that the edit is of the routes alone.
    const edited = { listen: { socks5: "127.0.0.1:0" }, log: { level: "silent" } };
    await writeFile(sut.configFile, JSON.stringify({ ...edited, default: "direct" }));
    for (let tries = 0; sut.engine.explain(echo).to !== "direct"; tries++) {
      assert.ok(tries < 100, "the edit was not seen");
      await sleep(50);
    }
    (await open(sut)).destroy();
    await writeFile(sut.configFile, "listen: [");
    for (let tries = 0; sut.engine.status().configProblems === undefined; tries++) {
      assert.ok(tries < 100, "the error was not seen");
      await sleep(50);
    }
    (await open(sut)).destroy();
  });

  it("does not follow into an empty file, which somebody is about to write", async () => {
    const lines: string[] = [];
    const logDestination = { write: (line: string) => void lines.push(line) };
    await using sut = await startEngineUnderTest({ log: { level: "warn" } }, { logDestination });
    const flow = await open(sut);
    await writeFile(sut.configFile, "");
    for (let tries = 0; !lines.join("").includes("the configuration file is empty"); tries++) {
      assert.ok(tries < 100, `the empty file was not told of: ${lines.join("")}`);
      await sleep(50);
    }
    assert.equal(await says(flow, "still here"), "still here");
    await writeFile(sut.configFile, JSON.stringify({ listen: { socks5: "127.0.0.1:0" }, default: "block" }));
    for (let tries = 0; sut.engine.explain(echo).to !== "block"; tries++) {
      assert.ok(tries < 100, "what was written then was not seen");
      await sleep(50);
    }
    flow.destroy();
  });
});

/** The answer to a CONNECT to where nothing listens. */
async function rawHttp(proxy: Endpoint, header: string): Promise<string> {
  const socket = connect(proxy.port, proxy.host);
  socket.write(`CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n${header}\r\n\r\n`);
  const [answer] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return answer.toString();
}
