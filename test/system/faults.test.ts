import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startEcho, startTcpServer, type TcpPeer } from "../peers/echo.ts";
import { skipWithoutSshd, startSshd } from "../peers/sshd.ts";
import { connectThrough, type Inbound, Refused } from "./client.ts";
import { type EngineUnderTest, startEngineUnderTest } from "./engine-under-test.ts";
import { sshUpstream } from "./peers.ts";

/** Seconds; short, so that a stall is seen quickly. */
const limits = { connect_timeout: 1, dial_timeout: 1.5, half_close_timeout: 1 };
const DEADLINE_MS = 2500;
const inbounds = ["socks5", "http"] as const;
const kinds = ["ssh", "socks5", "http"] as const;
const target = { host: "198.51.100.7", port: 443 };

const opened: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

/** An engine whose default upstream is of `kind` at a server of the test's. */
async function engineAt(kind: (typeof kinds)[number], port: number): Promise<EngineUnderTest> {
  const common = { type: kind, address: `127.0.0.1:${port}` };
  const ssh = { user: "nobody", password: "x", host_key_check: "off", ssh_config: false, agent: false };
  const upstream = kind === "ssh" ? { ...common, ...ssh } : common;
  const sut = await startEngineUnderTest({ upstreams: { it: upstream }, default: "it", limits });
  opened.push(async () => sut[Symbol.asyncDispose]());
  return sut;
}

async function badServer(serve: (socket: Socket) => void): Promise<TcpPeer> {
  const server = await startTcpServer(serve);
  opened.push(() => server.stop());
  return server;
}

/** The answer to a request that must fail, and how long it took. */
async function failure(sut: EngineUnderTest, inbound: Inbound): Promise<{ answer: number; ms: number }> {
  const started = performance.now();
  try {
    const socket = await connectThrough(inbound, sut[inbound], target);
    socket.destroy();
  } catch (error) {
    assert.ok(error instanceof Refused, String(error));
    return { answer: error.answer, ms: performance.now() - started };
  }
  assert.fail("it connected");
}

async function settled(sut: EngineUnderTest): Promise<void> {
  const deadline = Date.now() + 3000;
  while (sut.engine.status().flows.active > 0 && Date.now() < deadline) await sleep(10);
  assert.deepEqual([...sut.engine.flows()], []);
}

/** How a server can fail whoever connects to it, with the answers that are right: SOCKS5 replies and HTTP statuses. */
const faults: { name: string; serve: (socket: Socket) => void; code: RegExp }[] = [
  { name: "accepts and says nothing", serve: () => {}, code: /^timeout$/ },
  { name: "closes at once", serve: (socket) => socket.destroy(), code: /^(closed|protocol|refused)$/ },
  {
    name: "resets at once",
    serve: (socket) => socket.resetAndDestroy(),
    code: /^(closed|protocol|refused)$/,
  },
  {
    name: "answers garbage",
    serve: (socket) => socket.write(Buffer.alloc(4096, 0xc3)),
    code: /^(protocol|timeout|closed)$/,
  },
  {
    name: "answers without an end",
    serve: (socket) => {
      const more = () => {
        while (!socket.destroyed && socket.write(Buffer.alloc(65_536, "HTTP/1.1 200 ")));
      };
      socket.on("drain", more);
      more();
    },
    code: /^(protocol|timeout|closed)$/,
  },
];

describe("an upstream that fails", () => {
  for (const kind of kinds) {
    for (const { name, serve, code } of faults) {
      it(`${kind}: a server that ${name} gives each inbound its own error within the deadline`, async () => {
        const server = await badServer(serve);
        const sut = await engineAt(kind, server.port);
        for (const inbound of inbounds) {
          const { answer, ms } = await failure(sut, inbound);
          assert.ok(ms < DEADLINE_MS, `took ${Math.round(ms)} ms`);
          if (inbound === "http") assert.ok([502, 503, 504].includes(answer), `status ${answer}`);
          else assert.ok(answer >= 1 && answer <= 8, `reply ${answer}`);
        }
        const codes = [...sut.engine.endedFlows()].map((flow) => flow.error?.code ?? "none");
        for (const seen of codes) assert.match(seen, code);
        await settled(sut);
      });
    }

    it(`${kind}: nothing listens there`, async () => {
      const server = await badServer(() => {});
      await server.stop();
      opened.pop();
      const sut = await engineAt(kind, server.port);
      const { answer, ms } = await failure(sut, "http");
      assert.equal(answer, 502);
      assert.ok(ms < DEADLINE_MS);
      const [flow] = [...sut.engine.endedFlows()];
      assert.equal(flow?.error?.code, "refused");
      assert.match(flow.error.message, /127\.0\.0\.1/);
      await settled(sut);
    });
  }
});

describe("a flow that is cut", { skip: skipWithoutSshd() }, () => {
  it("resets the application when its upstream dies in the middle", async () => {
    const echo = await startEcho();
    opened.push(() => echo.stop());
    const sshd = await startSshd();
    opened.push(() => sshd.stop());
    const sut = await startEngineUnderTest({ upstreams: { it: sshUpstream(sshd) }, default: "it" });
    opened.push(async () => sut[Symbol.asyncDispose]());
    const socket = await connectThrough("socks5", sut.socks5, echo);
    socket.write("are you there?");
    await once(socket, "data");
    const cut = once(socket, "data");
    sshd.killConnections();
    await assert.rejects(cut, { code: "ECONNRESET" });
    await settled(sut);
    const [flow] = [...sut.engine.endedFlows()];
    assert.equal(flow?.error?.code, "closed");
  });

  it("ends a client that vanished half-closed, after half_close_timeout", async () => {
    const stuck = await badServer((socket) => socket.resume());
    const sut = await startEngineUnderTest({ upstreams: {}, limits });
    opened.push(async () => sut[Symbol.asyncDispose]());
    const socket = await connectThrough("socks5", sut.socks5, { host: "127.0.0.1", port: stuck.port });
    socket.end("the last word");
    await sleep(200);
    assert.equal([...sut.engine.flows()][0]?.state, "half-closed");
    await new Promise((resolve) => socket.on("error", () => {}).on("close", resolve));
    await settled(sut);
    const [flow] = [...sut.engine.endedFlows()];
    assert.equal(flow?.error?.code, "timeout");
  });

  it("cancels the dial when the client goes away before the answer", async () => {
    const silent = await badServer(() => {});
    const sut = await engineAt("socks5", silent.port);
    const connecting = connectThrough("socks5", sut.socks5, target);
    connecting.catch(() => {});
    while ([...sut.engine.flows()].length === 0) await sleep(5);
    const pending = connecting.then(
      () => "connected",
      (error: unknown) => String(error),
    );
    // The client is inside connectThrough; closing every flow does what its vanishing does, from the other side.
    sut.engine.closeFlows("all");
    assert.match(await pending, /Refused/);
    await settled(sut);
  });
});
