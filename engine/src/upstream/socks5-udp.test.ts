import assert from "node:assert/strict";
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import { writeUdpHeader } from "@sockeye/wire/socks5";
import { startTcpServer } from "../../../test/peers/echo.ts";
import { soon, until } from "../../../test/peers/exercise.ts";
import { socks5To } from "../../../test/peers/upstreams.ts";
import { DialError } from "../errors.ts";

async function bindUdp(): Promise<UdpSocket> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return socket;
}

/** A SOCKS5 proxy whose relay is `relay`; it tells its port, and leaves the address unspecified. */
async function startProxy(relay: UdpSocket) {
  const controls: Socket[] = [];
  const { port } = relay.address();
  const proxy = await startTcpServer((socket) => {
    controls.push(socket);
    const answers = [Buffer.of(5, 0), Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, port >> 8, port & 0xff)];
    socket.on("data", () => socket.write(answers.shift() ?? ""));
    socket.on("end", () => socket.end());
  });
  return { proxy, controls };
}

describe("a SOCKS5 association", () => {
  it("takes 0.0.0.0 for the proxy's host, and drops what is malformed or from elsewhere", async () => {
    const [relay, stranger] = [await bindUdp(), await bindUdp()];
    const { proxy, controls } = await startProxy(relay);
    const upstream = socks5To({ host: "localhost", port: proxy.port }, { config: { pool_size: 0 } });
    const got: string[] = [];
    const ends: (Error | undefined)[] = [];
    const receiver = {
      onDatagram: (source: { host: string; port: number }, payload: Buffer) =>
        got.push(`${source.host}:${source.port} ${payload.toString()}`),
      onClose: (error?: Error) => ends.push(error),
    };
    const association = await upstream.udp!.associate(receiver, { signal: soon() });
    const arrived = new Promise<[Buffer, RemoteInfo]>((resolve) =>
      relay.once("message", (bytes: Buffer, from: RemoteInfo) => resolve([bytes, from])),
    );
    association.send({ host: "bad name", port: 1 }, Buffer.from("dropped"));
    association.send({ host: "target.example", port: 53 }, Buffer.from("query"));
    const [wrapped, client] = await arrived;
    const header = writeUdpHeader({ host: "target.example", port: 53 });
    assert.deepEqual(wrapped, Buffer.concat([header, Buffer.from("query")]));

    const answer = Buffer.concat([writeUdpHeader({ host: "192.0.2.1", port: 53 }), Buffer.from("answer")]);
    stranger.send(answer, client.port, "127.0.0.1");
    for (const bytes of [Buffer.of(), Buffer.of(0, 0, 1, 1, 2), Buffer.of(0, 0, 0, 9), answer])
      relay.send(bytes, client.port, "127.0.0.1");
    await until(() => got.length > 0, "the answer");
    assert.deepEqual(got, ["192.0.2.1:53 answer"]);

    assert.equal(upstream.status().pool.active, 1);
    controls.at(-1)!.end();
    await until(() => ends.length === 1, "the end of the control connection ends the association");
    assert(ends[0] instanceof DialError);
    assert.equal(ends[0].code, "closed");
    await until(() => proxy.open === 0 && upstream.status().pool.active === 0, "nothing left open");
    await upstream.close(0);
    await proxy.stop();
    relay.close();
    stranger.close();
  });

  it("is refused in the proxy's words, and closed with its upstream", async () => {
    const relay = await bindUdp();
    const refusing = await startTcpServer((socket) => {
      const answers = [Buffer.of(5, 0), Buffer.of(5, 7)];
      socket.on("data", () => socket.write(answers.shift() ?? ""));
    });
    const silent = { onDatagram() {}, onClose: () => assert.fail("it never opened") };
    const without = socks5To(refusing, { config: { pool_size: 0 } });
    await assert.rejects(without.udp!.associate(silent, { signal: soon() }), { code: "unsupported" });
    assert.equal(socks5To(refusing, { config: { udp: false } }).udp, undefined);
    await without.close(0);
    await refusing.stop();

    const { proxy } = await startProxy(relay);
    const upstream = socks5To(proxy);
    let ended = 0;
    await upstream.udp!.associate({ onDatagram() {}, onClose: () => ended++ }, { signal: soon() });
    await upstream.close(0);
    await until(() => ended === 1 && proxy.open === 0, "the association closed");
    await proxy.stop();
    relay.close();
  });
});
