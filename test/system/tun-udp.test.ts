import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { after, test } from "node:test";
import { PORT } from "../peers/far-services.ts";
import { enterNamespace } from "../peers/namespace.ts";
import { exchange, until } from "../peers/tun-client.ts";
import { TARGETS, TunWorld } from "../peers/tun-world.ts";

const SOURCES = 20;
const EACH = 10;

async function socketTo(host: string, port: number): Promise<Socket> {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  socket.connect(port, host);
  await once(socket, "connect");
  return socket;
}

if (await enterNamespace(import.meta.filename)) {
  const world = await TunWorld.make();
  after(() => world[Symbol.asyncDispose]());
  const engine = await world.engine(world.everyWay());

  for (const host of TARGETS.socks5) {
    test(`datagrams of ${SOURCES} sources go through Dante, with one association for each (${host})`, async () => {
      const before = (await world.deep.ask("state")).datagramSources.length;
      const sockets = await Promise.all(Array.from({ length: SOURCES }, () => socketTo(host, PORT.echo)));
      let back = 0;
      for (const socket of sockets) socket.on("message", () => back++);
      for (let i = 0; i < EACH; i++) {
        for (const socket of sockets) socket.send(`datagram ${i}`);
        await until(() => back === (i + 1) * SOURCES, "all come back");
      }
      const sources = (await world.deep.ask("state")).datagramSources.length - before;
      assert.equal(sources, SOURCES);
      for (const socket of sockets) socket.close();
    });
  }

  for (const host of [...TARGETS.ssh, ...TARGETS.http]) {
    test(`where an upstream carries no UDP the port is unreachable at once (${host})`, async (t) => {
      // The first connection to the upstream is not what is measured.
      await exchange(host);
      const socket = await socketTo(host, 443);
      const started = performance.now();
      socket.send("a QUIC hello");
      const [error] = (await once(socket, "error", { signal: AbortSignal.timeout(5000) }).catch(
        (e: unknown) => [e],
      )) as [NodeJS.ErrnoException];
      const ms = performance.now() - started;
      socket.close();
      t.diagnostic(`${error.code ?? ""} after ${ms.toFixed(1)} ms`);
      assert.equal(error.code, "ECONNREFUSED");
      assert.ok(ms < 500, `${ms} ms`);
    });
  }

  test("datagrams with a small TTL come to no harm, and do none", async () => {
    const socket = createSocket("udp4");
    socket.bind(0);
    await once(socket, "listening");
    for (let ttl = 1; ttl < 30; ttl++) {
      socket.setTTL(ttl);
      socket.send("x", 33_434 + ttl, TARGETS.ssh[0]);
      socket.send("x", 33_434 + ttl, TARGETS.socks5[0]);
    }
    socket.on("error", () => {});
    assert.equal(await exchange(TARGETS.socks5[0]), "hello");
    socket.close();
    assert.doesNotMatch(engine.output, /"level":"(error|fatal)"/);
  });
}
