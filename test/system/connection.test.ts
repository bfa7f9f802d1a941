import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import type { AddressInfo } from "node:net";
import { type Endpoint, formatEndpoint } from "@sockeye/engine";
import { HelperError } from "@sockeye/engine/helper/client";
import type { HelperSource } from "@sockeye/engine/helper/source";
import { startEcho, type TcpPeer } from "../peers/echo.ts";
import { freePort } from "../peers/peer-process.ts";
import { eventually } from "../peers/interface-page.ts";
import { connectThrough } from "./client.ts";
import { type EngineUnderTest, startEngineUnderTest } from "./engine-under-test.ts";

const noHelper: HelperSource = {
  session: () => Promise.reject(new HelperError("missing", "TUN mode needs a helper, and there is none")),
  done: () => {},
};

/** An engine's switch, with a SOCKS5 proxy of our own kind as upstream. */
describe("connecting and disconnecting", () => {
  let echo: TcpPeer;
  let proxy: EngineUnderTest;

  before(async () => {
    echo = await startEcho();
    proxy = await startEngineUnderTest({});
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await echo.stop();
  });

  const through = () => ({
    upstreams: { it: { type: "socks5", address: formatEndpoint(proxy.socks5) } },
    default: "it",
  });
  const stateOf = ({ engine }: EngineUnderTest) => engine.status().connection;
  const kinds = ({ engine }: EngineUnderTest) => engine.status().listeners.map(({ kind }) => kind);

  async function says(socket: Socket, words: string): Promise<string> {
    socket.write(words);
    const [answer] = (await once(socket, "data")) as [Buffer];
    return answer.toString();
  }

  async function isRefused(endpoint: Endpoint): Promise<boolean> {
    const socket = connect({ ...endpoint, timeout: 5_000 });
    const outcome = await new Promise((resolve) => {
      socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
      socket.once("connect", () => resolve("connected"));
    });
    socket.destroy();
    return outcome === "ECONNREFUSED";
  }

  it("an engine is connected from its start, as ever", async () => {
    await using sut = await startEngineUnderTest(through());
    assert.equal(stateOf(sut).state, "connected");
    const socket = await connectThrough("socks5", sut.socks5, echo);
    assert.equal(await says(socket, "hello"), "hello");
    socket.destroy();
  });

  it("one that starts off takes nothing in, tests its upstreams, and reloads without opening", async () => {
    await using sut = await startEngineUnderTest(
      { ...through(), listen: { socks5: "127.0.0.1:0", metrics: "127.0.0.1:0" } },
      { connected: false },
    );
    assert.deepEqual(stateOf(sut), { state: "off" });
    assert.deepEqual(kinds(sut).sort(), ["control", "metrics"]);
    const { signal } = new AbortController();
    const tested = await sut.engine.testUpstream({ name: "it" }, { signal });
    assert.equal(tested.ok, true);
    await sut.reconfigure({
      ...through(),
      upstreams: { ...through().upstreams, other: through().upstreams.it },
    });
    assert.deepEqual(kinds(sut), ["control"]);
    assert.deepEqual(
      sut.engine.upstreams().map(({ name }) => name),
      ["direct", "it", "other"],
    );
    await sut.engine.connect();
    await eventually("connected", () => stateOf(sut).state === "connected");
    const socket = await connectThrough("http", sut.http, echo);
    assert.equal(await says(socket, "hello"), "hello");
    socket.destroy();
  });

  it("a disconnect ends flows, listeners and what is open to upstreams; a connect has them all again", async () => {
    await using sut = await startEngineUnderTest(through());
    const { socks5 } = sut;
    const socket = await connectThrough("socks5", socks5, echo);
    assert.equal(await says(socket, "hello"), "hello");
    const ended = new Promise((resolve) => socket.on("error", () => {}).once("close", resolve));
    await sut.engine.disconnect();
    await ended;
    assert.deepEqual(stateOf(sut), { state: "off" });
    assert.equal(await isRefused(socks5), true);
    assert.equal(sut.engine.status().flows.active, 0);
    const [last] = [...sut.engine.endedFlows()].slice(-1);
    assert.match(last?.error?.message ?? "", /disconnected/);
    const it = sut.engine.upstreams().find(({ name }) => name === "it")!;
    assert.deepEqual([it.state, it.pool.ready, it.pool.active], ["idle", 0, 0]);

    await sut.engine.connect();
    const again = await connectThrough("socks5", sut.socks5, echo);
    assert.equal(await says(again, "hello again"), "hello again");
    again.destroy();
  });

  it("a port that is taken leaves it off with a sentence, and nothing half open", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    await using sut = await startEngineUnderTest(
      { listen: { socks5: "127.0.0.1:0", http: address } },
      { connected: false },
    );
    await assert.rejects(sut.engine.connect(), { code: "unavailable", message: /another program listens/ });
    const state = stateOf(sut);
    assert.ok(state.state === "off" && state.error?.code === "unavailable");
    assert.deepEqual(kinds(sut), ["control"]);
    taken.close();
    await once(taken, "close");
    await sut.engine.connect();
    assert.deepEqual(kinds(sut).sort(), ["control", "http", "socks5"]);
  });

  it("without TUN mode's helper it stays off, says so with a code of its own, and no listener is left open", async () => {
    await using sut = await startEngineUnderTest(
      { tun: { enabled: true, cidrs: ["192.0.2.0/24"], dns: "off" } },
      { connected: false, helper: noHelper },
    );
    assert.equal(sut.engine.status().tunEnabled, true);
    await assert.rejects(sut.engine.connect(), { code: "helper", message: /needs a helper/ });
    assert.deepEqual(kinds(sut), ["control"]);
    const state = stateOf(sut);
    assert.ok(state.state === "off" && state.error?.code === "helper");
  });

  it("a connect finds out how the default's upstream fares before any traffic, and so does another default", async () => {
    const dead = await freePort();
    const both = { ...through().upstreams, dead: { type: "socks5", address: `127.0.0.1:${dead}` } };
    await using sut = await startEngineUnderTest({ upstreams: both, default: "dead" }, { connected: false });
    await sut.engine.connect();
    assert.equal(stateOf(sut).state, "connecting", "nothing is known yet");
    await eventually("trouble", () => stateOf(sut).state === "trouble");
    const trouble = stateOf(sut);
    assert.ok(
      trouble.state === "trouble" && trouble.subject === "dead" && trouble.message.includes("refused"),
    );
    await sut.reconfigure({ upstreams: both, default: "it" });
    await eventually("connected", () => stateOf(sut).state === "connected");
    const it = sut.engine.upstreams().find(({ name }) => name === "it")!;
    assert.ok(it.latencyMs !== undefined, "its round trip was measured");
  });

  it("an upstream that could not be reached at the connect is tried again by itself", async () => {
    const port = await freePort();
    const upstreams = { late: { type: "socks5", address: `127.0.0.1:${port}` } };
    await using sut = await startEngineUnderTest({ upstreams, default: "late" }, { connected: false });
    await sut.engine.connect();
    await eventually("trouble", () => stateOf(sut).state === "trouble");
    await using late = await startEngineUnderTest({ listen: { socks5: `127.0.0.1:${port}` } });
    await eventually("connected", () => stateOf(sut).state === "connected");
    assert.equal(late.engine.status().flows.total, 0);
  });

  it("an upstream that is needed and fails is trouble, and so is a file that is refused", async () => {
    const dead = await freePort();
    const upstreams = { dead: { type: "socks5", address: `127.0.0.1:${dead}` } };
    await using sut = await startEngineUnderTest({ upstreams, default: "dead" });
    assert.equal(stateOf(sut).state, "connected");
    await assert.rejects(connectThrough("socks5", sut.socks5, echo));
    const state = stateOf(sut);
    assert.ok(state.state === "trouble" && state.cause === "upstream" && state.subject === "dead");

    await sut.reconfigure(through());
    assert.equal(stateOf(sut).state, "connected");
    await assert.rejects(sut.reconfigure({ default: "nowhere" }), { code: "invalid-config" });
    const refused = stateOf(sut);
    assert.ok(refused.state === "trouble" && refused.cause === "config");
    assert.equal(refused.subject, sut.configFile);
  });

  it("an upstream of a rule is trouble only where traffic went to it", async () => {
    const dead = await freePort();
    await using sut = await startEngineUnderTest({
      upstreams: { dead: { type: "socks5", address: `127.0.0.1:${dead}` } },
      routes: [{ match: "127.0.0.1", to: "dead" }],
    });
    const { signal } = new AbortController();
    assert.equal((await sut.engine.testUpstream({ name: "dead" }, { signal })).ok, false);
    assert.equal(stateOf(sut).state, "connected");
    await assert.rejects(connectThrough("socks5", sut.socks5, echo));
    assert.equal(stateOf(sut).state, "trouble");
  });
});
