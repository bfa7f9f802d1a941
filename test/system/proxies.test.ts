import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { UdpReceiver } from "../../engine/src/upstream/dialer.ts";
import type { Upstream } from "../../engine/src/upstream/upstream.ts";
import { startDante, type Dante } from "../peers/dante.ts";
import { startEcho, startUdpEcho, type TcpPeer } from "../peers/echo.ts";
import {
  assertAnswers,
  assertCarries,
  assertEarlyBytesKept,
  dialFailure,
  soon,
  until,
} from "../peers/exercise.ts";
import { freePort, skipWithout, skipWithoutRoot } from "../peers/peer-process.ts";
import { startSquid, type Squid } from "../peers/squid.ts";
import { startTinyproxy } from "../peers/tinyproxy.ts";
import { skipWithoutSshd, startSshd } from "../peers/sshd.ts";
import { httpTo, recordEvents, socks5To } from "../peers/upstreams.ts";

const MEGABYTES_64 = 64 << 20;

let echo: TcpPeer;
before(async () => {
  echo = await startEcho();
});
after(() => echo.stop());

const SOCKS = { halfClose: true };
const HTTP = { halfClose: false };

async function assertEchoes(upstream: Upstream, traits = SOCKS): Promise<void> {
  const stream = await upstream.dial(echo, { signal: soon() });
  await assertAnswers(stream, "over there", "over there", traits);
}

/** Gets one datagram to the echo server and back. */
async function assertUdpEchoes(upstream: Upstream): Promise<void> {
  const peer = await startUdpEcho();
  const got: string[] = [];
  let closed = 0;
  const receiver: UdpReceiver = {
    onDatagram: (source, payload) => got.push(`${source.host}:${source.port} ${payload.toString()}`),
    onClose: () => closed++,
  };
  const association = await upstream.udp!.associate(receiver, { signal: soon() });
  for (const text of ["one", "two"]) association.send(peer, Buffer.from(text));
  await until(() => got.length === 2, "two datagrams back");
  assert.deepEqual(got.sort(), [`127.0.0.1:${peer.port} one`, `127.0.0.1:${peer.port} two`]);
  association.close();
  await until(() => closed === 1 && upstream.status().pool.active === 0, "the association closed");
  await peer.stop();
}

describe("a SOCKS5 upstream through Dante", { skip: skipWithout("danted") }, () => {
  let dante: Dante;
  let upstream: Upstream;
  before(async () => {
    dante = await startDante({ refuse: ["127.0.0.9/32"] });
    upstream = socks5To(dante);
  });
  after(async () => {
    await upstream.close(0);
    await dante.stop();
  });

  it("carries 64 MB each way, and keeps half-close", () => assertCarries(upstream, MEGABYTES_64, SOCKS));

  it("hands over what the far end said first", () => assertEarlyBytesKept(upstream, SOCKS));

  it("resolves names at the proxy", async () => {
    const stream = await upstream.dial({ host: "localhost", port: echo.port }, { signal: soon() });
    await assertAnswers(stream, "by name", "by name", SOCKS);
  });

  it("tells a refused connection and a refused target apart", async () => {
    const refused = await dialFailure(upstream, { host: "127.0.0.1", port: await freePort() });
    assert.equal(`${refused.code} ${refused.scope} ${refused.step}`, "refused target dial");
    const forbidden = await dialFailure(upstream, { host: "127.0.0.9", port: echo.port });
    assert.equal(`${forbidden.code} ${forbidden.scope}`, "forbidden target");
    assert.equal(upstream.status().state, "connected");
  });

  it("carries datagrams", () => assertUdpEchoes(upstream));

  it("ends an association when the proxy ends its control connection", async () => {
    const own = await startDante();
    const socks = socks5To(own);
    let ended: Error | undefined;
    const receiver = { onDatagram() {}, onClose: (error?: Error) => (ended = error) };
    await socks.udp!.associate(receiver, { signal: soon() });
    await own.stop();
    await until(() => ended !== undefined, "onClose with an error");
    await socks.close(0);
  });

  it("names its steps in a test, with their times", async () => {
    const result = await upstream.test({ signal: soon(), target: echo });
    assert(result.ok, JSON.stringify(result));
    assert.deepEqual(
      result.steps.map((step) => step.step),
      ["tcp", "handshake", "dial"],
    );
    assert(result.steps.every((step) => step.ms >= 0 && step.ms < 5000));
    const failed = await upstream.test({ signal: soon(), target: { host: "127.0.0.9", port: 1 } });
    assert.deepEqual([failed.ok, failed.failure?.step, failed.failure?.code], [false, "dial", "forbidden"]);
  });

  it("survives the proxy's restart while warm connections exist: the next dial works", async () => {
    const port = await freePort();
    const events = recordEvents();
    const first = await startDante({ port });
    const socks = socks5To(first, { events, config: { pool_size: 4 } });
    await assertEchoes(socks);
    await until(() => socks.status().pool.ready === 4, "four warm connections");
    await first.stop();
    const second = await startDante({ port });
    await assertEchoes(socks);
    await assertEchoes(socks);
    assert.equal(socks.status().state, "connected");
    await socks.close(0);
    await second.stop();
  });
});

describe("a SOCKS5 upstream with credentials", { skip: skipWithout("danted") || skipWithoutRoot() }, () => {
  let dante: Dante;
  before(async () => {
    dante = await startDante({ auth: "username" });
  });
  after(() => dante.stop());

  it("authenticates, and carries datagrams too", async () => {
    const upstream = socks5To(dante);
    await assertEchoes(upstream);
    await assertUdpEchoes(upstream);
    const result = await upstream.test({ signal: soon() });
    assert.deepEqual(
      result.steps.map((step) => step.step),
      ["tcp", "handshake", "auth"],
    );
    await upstream.close(0);
  });

  it("says that wrong or missing credentials are the upstream's trouble", async () => {
    const wrong = socks5To({ ...dante, password: "wrong" });
    const missing = socks5To({ host: dante.host, port: dante.port });
    for (const upstream of [wrong, missing]) {
      const failure = await dialFailure(upstream, echo);
      assert.equal(`${failure.code} ${failure.scope} ${failure.step}`, "auth upstream auth");
      assert.equal(upstream.status().state, "failing");
      await upstream.close(0);
    }
  });
});

describe("an HTTP upstream through squid", { skip: skipWithout("squid", "openssl") }, () => {
  let squid: Squid;
  let upstream: Upstream;
  before(async () => {
    squid = await startSquid({ auth: true, refuse: ["127.0.0.9/32"] });
    upstream = httpTo(squid);
  });
  after(async () => {
    await upstream.close(0);
    await squid.stop();
  });

  it("carries 64 MB each way", () => assertCarries(upstream, MEGABYTES_64, HTTP));

  it("hands over what the far end said first", () => assertEarlyBytesKept(upstream, HTTP));

  it("tells why a target can't be had", async () => {
    const codeOf = async (host: string, port: number) => {
      const failure = await dialFailure(upstream, { host, port });
      return `${failure.code} ${failure.scope}`;
    };
    assert.equal(await codeOf("127.0.0.1", await freePort()), "refused target");
    assert.equal(await codeOf("127.0.0.9", echo.port), "forbidden target");
    assert.equal(upstream.status().state, "connected");
  });

  it("says that wrong or missing credentials are the upstream's trouble", async () => {
    for (const peer of [
      { ...squid, password: "wrong" },
      { host: squid.host, port: squid.port },
    ]) {
      const other = httpTo(peer);
      const failure = await dialFailure(other, echo);
      assert.equal(`${failure.code} ${failure.scope} ${failure.step}`, "auth upstream auth");
      assert.match(failure.message, /407.*Basic/);
      await other.close(0);
    }
  });
});

describe("an HTTP upstream with TLS to the proxy", { skip: skipWithout("squid", "openssl") }, () => {
  let squid: Squid;
  before(async () => {
    squid = await startSquid({ auth: true, tlsNames: ["proxy.example", "IP:127.0.0.1"] });
  });
  after(() => squid.stop());
  const trusted = () => ({ tls: true, tls_ca_file: squid.caFile! });

  it("trusts the authority it is given, and carries 64 MB each way", async () => {
    const upstream = httpTo(squid, { config: trusted() });
    await assertCarries(upstream, MEGABYTES_64, HTTP);
    await assertEarlyBytesKept(upstream, HTTP);
    const result = await upstream.test({ signal: soon(), target: echo });
    assert.deepEqual(
      result.steps.map((step) => step.step),
      ["tcp", "tls", "dial"],
    );
    await upstream.close(0);
  });

  it("verifies the name it is given", async () => {
    const right = httpTo(squid, { config: { ...trusted(), tls_server_name: "proxy.example" } });
    await assertEchoes(right, HTTP);
    const wrong = httpTo(squid, { config: { ...trusted(), tls_server_name: "other.example" } });
    const failure = await dialFailure(wrong, echo);
    assert.equal(`${failure.code} ${failure.scope} ${failure.step}`, "tls upstream tls");
    assert.match(failure.message, /not for other\.example/);
    await Promise.all([right.close(0), wrong.close(0)]);
  });

  it("refuses an authority it does not know", async () => {
    const upstream = httpTo(squid, { config: { tls: true } });
    const failure = await dialFailure(upstream, echo);
    assert.equal(failure.code, "tls");
    assert.match(failure.message, /not trusted.*tls_ca_file/);
    await upstream.close(0);
  });

  it("says when the proxy speaks no TLS", async () => {
    const upstream = httpTo(echo, { config: { tls: true } });
    const failure = await dialFailure(upstream, echo);
    assert.equal(failure.code, "tls");
    await upstream.close(0);
  });
});

describe("an HTTP upstream through tinyproxy", { skip: skipWithout("tinyproxy") }, () => {
  it("carries bytes, and reads its refusals", async () => {
    await using stack = new AsyncDisposableStack();
    const credentials = { username: "u", password: "p" };
    const tiny = await startTinyproxy({ ...credentials, connectPort: echo.port });
    stack.defer(() => tiny.stop());
    const upstream = httpTo({ ...tiny, ...credentials });
    stack.defer(() => upstream.close(0));
    await assertEchoes(upstream, HTTP);
    const forbidden = await dialFailure(upstream, { host: "127.0.0.1", port: await freePort() });
    assert.equal(forbidden.code, "forbidden");
    const wrong = httpTo({ ...tiny, username: "u", password: "x" });
    stack.defer(() => wrong.close(0));
    assert.equal((await dialFailure(wrong, echo)).code, "auth");
  });
});

describe("the test of an HTTP upstream without a target", { skip: skipWithout("squid", "tinyproxy") }, () => {
  /** The outcome for an HTTP upstream at that place. */
  async function outcome(peer: Parameters<typeof httpTo>[0]): Promise<string> {
    const upstream = httpTo(peer, { limits: { connect_timeout: 2 } });
    const { steps, failure } = await upstream.test({ signal: soon() });
    await upstream.close(0);
    return `${steps.map(({ step }) => step).join(" ")}; ${failure?.code ?? "ok"}`;
  }

  it("tells right credentials from wrong ones", async () => {
    await using stack = new AsyncDisposableStack();
    const known = { username: "u", password: "p" };
    const [closed, open] = await Promise.all([startSquid({ auth: true }), startSquid()]);
    const [closedTiny, openTiny] = [
      await startTinyproxy({ ...known, connectPort: 80 }),
      await startTinyproxy(),
    ];
    for (const peer of [closed, open, closedTiny, openTiny]) stack.defer(() => peer.stop());
    for (const peer of [closed, open, openTiny, { ...closedTiny, ...known }])
      assert.equal(await outcome(peer), "tcp auth; ok");
    for (const peer of [
      { ...closed, password: "x" },
      { ...closedTiny, ...known, password: "x" },
      { host: closed.host, port: closed.port },
      closedTiny,
    ])
      assert.equal(await outcome(peer), "tcp; auth");
  });

  it("is not passed by a SOCKS5 server", { skip: skipWithout("danted") }, async () => {
    const dante = await startDante();
    assert.match(await outcome(dante), /^tcp; (closed|protocol)$/);
    await dante.stop();
  });

  it("is not passed by an SSH server", { skip: skipWithoutSshd() }, async () => {
    await using sshd = await startSshd({ hostKeys: ["ed25519"] });
    assert.equal(await outcome({ host: sshd.host, port: sshd.port }), "tcp; protocol");
  });
});

describe("a chain of two", { skip: skipWithout("danted", "squid", "openssl") }, () => {
  let first: Dante;
  let second: Dante;
  let squid: Squid;
  let secureSquid: Squid;
  before(async () => {
    first = await startDante();
    second = await startDante();
    squid = await startSquid();
    secureSquid = await startSquid({ tlsNames: ["IP:127.0.0.1"] });
  });
  after(() => Promise.all([first, second, squid, secureSquid].map((peer) => peer.stop())));

  /** Bytes and early bytes through `outer`, which runs over `inner`. */
  async function assertChain(inner: Upstream, outer: Upstream, traits = HTTP): Promise<void> {
    await assertCarries(outer, 8 << 20, traits);
    await assertEarlyBytesKept(outer, traits);
    const refused = await dialFailure(outer, { host: "127.0.0.1", port: await freePort() });
    assert.equal(`${refused.code} ${refused.scope}`, "refused target");
    await Promise.all([outer.close(0), inner.close(0)]);
  }

  it("carries HTTP through SOCKS5", async () => {
    const inner = socks5To(first);
    await assertChain(inner, httpTo(squid, { via: inner }));
  });

  it("carries HTTP with TLS through SOCKS5", async () => {
    const inner = socks5To(first);
    const config = { tls: true, tls_ca_file: secureSquid.caFile! };
    await assertChain(inner, httpTo(secureSquid, { via: inner, config }));
  });

  it("carries SOCKS5 through HTTP, and has no UDP then", async () => {
    const inner = httpTo(squid);
    const outer = socks5To(first, { via: inner });
    assert.equal(outer.udp, undefined);
    await assertChain(inner, outer);
  });

  it("carries SOCKS5 through HTTP with TLS", async () => {
    const inner = httpTo(secureSquid, { config: { tls: true, tls_ca_file: secureSquid.caFile! } });
    await assertChain(inner, socks5To(first, { via: inner }));
  });

  it("carries SOCKS5 through SOCKS5, with datagrams", async () => {
    const inner = socks5To(first);
    const outer = socks5To(second, { via: inner });
    await assertUdpEchoes(outer);
    await assertChain(inner, outer, SOCKS);
  });

  it("names the upstream that failed", async () => {
    const inner = socks5To({ host: "127.0.0.1", port: await freePort() });
    const outer = httpTo(squid, { via: inner });
    const failure = await dialFailure(outer, echo);
    assert.equal(`${failure.code} ${failure.scope}`, "refused upstream");
    assert.match(failure.message, /^upstream web: upstream socks: .*refused/);
    const tested = await outer.test({ signal: soon() });
    assert.match(tested.failure!.message, /^upstream socks: .*refused/);
    await Promise.all([outer.close(0), inner.close(0)]);
  });

  it("names the upstream that refuses to reach the next one", async () => {
    const wary = await startSquid({ refuse: ["127.0.0.9"] });
    const inner = httpTo(wary, { name: "wary" });
    const outer = socks5To({ ...first, host: "127.0.0.9" }, { via: inner });
    const failure = await dialFailure(outer, echo);
    assert.equal(`${failure.code} ${failure.scope}`, "forbidden upstream");
    assert.match(failure.message, /^upstream socks: upstream wary: the proxy answered 403/);
    await outer.close(0);
    await inner.close(0);
    await wary.stop();
  });
});
