import assert from "node:assert/strict";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Endpoint } from "@sockeye/engine";
import { startDante } from "../peers/dante.ts";
import { startUdpEcho } from "../peers/echo.ts";
import { skipWithout } from "../peers/peer-process.ts";
import { skipWithoutSshd, startSshd } from "../peers/sshd.ts";
import { type EngineUnderTest, startEngineUnderTest } from "./engine-under-test.ts";
import { sshUpstream } from "./peers.ts";

const opened: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function engineWith(config: object): Promise<EngineUnderTest> {
  const sut = await startEngineUnderTest(config);
  opened.push(async () => sut[Symbol.asyncDispose]());
  return sut;
}

/** An application's side of a SOCKS5 UDP association (RFC 1928 §7), written apart from the engine's codecs. */
class UdpClient {
  readonly control: Socket;
  readonly #socket: UdpSocket;
  readonly #relay: Endpoint;

  private constructor(control: Socket, socket: UdpSocket, relay: Endpoint) {
    this.control = control;
    this.#socket = socket;
    this.#relay = relay;
  }

  static async open(proxy: Endpoint): Promise<UdpClient | number> {
    const control = connect(proxy.port, proxy.host);
    control.write(Buffer.of(5, 1, 0));
    await once(control, "data");
    control.write(Buffer.of(5, 3, 0, 1, 0, 0, 0, 0, 0, 0));
    const [reply] = (await once(control, "data")) as [Buffer];
    if (reply[1] !== 0) {
      control.destroy();
      return reply[1]!;
    }
    const relay = { host: [...reply.subarray(4, 8)].join("."), port: reply.readUInt16BE(8) };
    const socket = createSocket("udp4").bind(0, "127.0.0.1");
    await once(socket, "listening");
    const client = new UdpClient(control, socket, relay);
    opened.push(async () => client.close());
    return client;
  }

  /** Sends to `target` and waits for the answer from it; undefined when none comes within `waitMs`. */
  async ask(target: Endpoint, words: string, waitMs = 2000): Promise<string | undefined> {
    const header = Buffer.of(
      0,
      0,
      0,
      1,
      ...target.host.split(".").map(Number),
      target.port >> 8,
      target.port & 255,
    );
    this.#socket.send(Buffer.concat([header, Buffer.from(words)]), this.#relay.port, this.#relay.host);
    const answer = once(this.#socket, "message", { signal: AbortSignal.timeout(waitMs) });
    const [datagram] = (await answer.catch(() => [undefined])) as [Buffer | undefined];
    if (!datagram) return undefined;
    assert.ok(datagram.subarray(0, header.length).equals(header), "the answer names another source");
    return datagram.subarray(header.length).toString();
  }

  close(): void {
    this.control.destroy();
    this.#socket.close();
  }
}

async function clientOf(sut: EngineUnderTest): Promise<UdpClient> {
  const client = await UdpClient.open(sut.socks5);
  assert.ok(client instanceof UdpClient, "the association was refused");
  return client;
}

async function noFlows(sut: EngineUnderTest): Promise<void> {
  for (let tries = 0; sut.engine.status().flows.active > 0; tries++) {
    assert.ok(tries < 300, JSON.stringify([...sut.engine.flows()]));
    await sleep(10);
  }
}

describe("datagrams through SOCKS5", () => {
  it("go directly, each to its own target, over one association for each application", async () => {
    const [one, two] = [await startUdpEcho(), await startUdpEcho()];
    opened.push(
      () => one.stop(),
      () => two.stop(),
    );
    const sut = await engineWith({});
    const client = await clientOf(sut);
    assert.equal(await client.ask(one, "to one"), "to one");
    assert.equal(await client.ask(two, "to two"), "to two");
    const [flow, ...others] = [...sut.engine.flows()];
    assert.deepEqual(others, []);
    assert.deepEqual(
      { kind: flow?.kind, upstream: flow?.upstream, up: flow?.up, down: flow?.down },
      { kind: "udp", upstream: "direct", up: 12, down: 12 },
    );
    client.control.destroy();
    await noFlows(sut);
  });

  it(
    "go through Dante, beside others that a rule sends directly",
    { skip: skipWithout("danted") },
    async () => {
      const [far, near] = [await startUdpEcho(), await startUdpEcho()];
      const dante = await startDante();
      opened.push(
        () => far.stop(),
        () => near.stop(),
        () => dante.stop(),
      );
      const sut = await engineWith({
        upstreams: { dante: { type: "socks5", address: `127.0.0.1:${dante.port}` } },
        routes: [{ match: `127.0.0.1:${near.port}`, to: "direct" }],
        default: "dante",
      });
      const client = await clientOf(sut);
      assert.equal(await client.ask(far, "around"), "around");
      assert.equal(await client.ask(near, "straight"), "straight");
      assert.deepEqual([...sut.engine.flows()].map((flow) => flow.upstream).sort(), ["dante", "direct"]);
    },
  );

  it(
    "go through two Dantes, one reached through the other, and not through SSH, which has no UDP",
    { skip: skipWithout("danted") || skipWithoutSshd() },
    async () => {
      const far = await startUdpEcho();
      const [near, beyond, sshd] = await Promise.all([startDante(), startDante(), startSshd()]);
      opened.push(
        () => far.stop(),
        () => near.stop(),
        () => beyond.stop(),
        () => sshd.stop(),
      );
      const beyondVia = (via: string) => ({ type: "socks5", address: `127.0.0.1:${beyond.port}`, via });
      const config = {
        upstreams: {
          near: { type: "socks5", address: `127.0.0.1:${near.port}` },
          chain: beyondVia("near"),
          bastion: sshUpstream(sshd),
          tunnelled: beyondVia("bastion"),
        },
        default: "chain",
      };
      const sut = await engineWith(config);
      const client = await clientOf(sut);
      assert.equal(await client.ask(far, "around two corners"), "around two corners");
      assert.deepEqual(
        [...sut.engine.flows()].map(({ upstream, up, down }) => ({ upstream, up, down })),
        [{ upstream: "chain", up: 18, down: 18 }],
      );
      await sut.reconfigure({ ...config, default: "tunnelled" });
      const other = await clientOf(sut);
      assert.equal(await other.ask(far, "lost", 300), undefined);
      assert.ok(![...sut.engine.flows()].some(({ upstream }) => upstream === "tunnelled"));
    },
  );

  it("are dropped where their upstream has no UDP or a rule blocks them, and the others still go", async () => {
    const echo = await startUdpEcho();
    opened.push(() => echo.stop());
    const sut = await engineWith({
      upstreams: { web: { type: "http", address: "127.0.0.1:9" } },
      routes: [
        { match: "192.0.2.1", to: "web" },
        { match: "192.0.2.2", to: "block" },
      ],
    });
    const client = await clientOf(sut);
    assert.equal(await client.ask({ host: "192.0.2.1", port: 53 }, "lost", 200), undefined);
    assert.equal(await client.ask({ host: "192.0.2.2", port: 53 }, "lost", 200), undefined);
    assert.equal(await client.ask(echo, "heard"), "heard");
  });

  it("end with udp_idle_timeout, and begin anew with the next datagram", async () => {
    const echo = await startUdpEcho();
    opened.push(() => echo.stop());
    const sut = await engineWith({ limits: { udp_idle_timeout: 0.5 } });
    const client = await clientOf(sut);
    assert.equal(await client.ask(echo, "before"), "before");
    await noFlows(sut);
    assert.equal(await client.ask(echo, "after"), "after");
  });
});
