import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { DirectHandler } from "../../../test/peers/direct-handler.ts";
import { LoopbackServer, RawClient, until } from "../../../test/peers/loopback.ts";
import type { Endpoint } from "../endpoint.ts";
import { listenHttp } from "./http.ts";
import { plainAddress, startListening, stopListening } from "./listener.ts";
import { listenSocks5 } from "./socks5.ts";

const options = { address: { host: "127.0.0.1", port: 0 }, maxConnections: 2, handshakeTimeoutMs: 5000 };

for (const [name, listen] of [
  ["SOCKS", listenSocks5],
  ["HTTP", listenHttp],
] as const) {
  describe(`the ${name} listener`, () => {
    it("says which address it can't have, and what to do", async () => {
      await using other = await LoopbackServer.echo();
      const at = (host: string, port: number) =>
        listen({ ...options, address: { host, port } }, new DirectHandler());
      await assert.rejects(at("127.0.0.1", other.port), {
        message: `can't listen on 127.0.0.1:${other.port}: another program listens there; stop it, or choose another port`,
      });
      await assert.rejects(at("192.0.2.1", 0), /192\.0\.2\.1:0: this machine does not have the address/);
    });

    it("closes one connection more than it may have at once, and has room again when one ends", async () => {
      const inbound = await listen(options, new DirectHandler());
      const [first, second] = [new RawClient(inbound.address), new RawClient(inbound.address)];
      await until("both are there", () => inbound.pending === 2);
      using third = new RawClient(inbound.address);
      assert.equal((await third.rest()).length, 0);
      first.socket.destroy();
      await until("one is gone", () => inbound.pending === 1);
      using fourth = new RawClient(inbound.address);
      await until("there is room", () => inbound.pending === 2);
      assert.equal(fourth.socket.destroyed, false);
      second.socket.destroy();
      await inbound.close();
      assert.equal(inbound.pending, 0);
    });

    it("gives an IPv4 client of a listener on :: its IPv4 address", async (t) => {
      const handler = new DirectHandler();
      const inbound = await listen({ ...options, address: { host: "::", port: 0 } }, handler).catch(
        () => undefined,
      );
      if (inbound === undefined) {
        t.skip("this machine has no IPv6");
        return;
      }
      await using echo = await LoopbackServer.echo();
      using client = new RawClient({ host: "127.0.0.1", port: inbound.address.port });
      client.send(
        name === "SOCKS"
          ? Buffer.of(5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, echo.port >> 8, echo.port & 255)
          : `CONNECT 127.0.0.1:${echo.port} HTTP/1.1\r\nHost: x\r\n\r\n`,
      );
      await until("the request is there", () => handler.requests.length === 1);
      assert.deepEqual(handler.requests[0]?.source, { host: "127.0.0.1", port: client.socket.localPort });
      await inbound.close();
      handler.end();
    });

    it("lives on when descriptors run out", async () => {
      const script = `
        import { listenSocks5 } from ${JSON.stringify(import.meta.resolve("./socks5.ts"))};
        import { listenHttp } from ${JSON.stringify(import.meta.resolve("./http.ts"))};
        const options = ${JSON.stringify({ ...options, maxConnections: 1000 })};
        const inbound = await ${listen.name}(options, {});
        console.log(inbound.address.port);`;
      const command = `ulimit -n 40; exec "$0" --input-type=module -e "$1"`;
      const child = spawn("sh", ["-c", command, process.execPath, script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const exit = once(child, "exit");
      const crowd: RawClient[] = [];
      try {
        const lines: string[] = [];
        createInterface(child.stdout).on("line", (line) => lines.push(line));
        await until("it listens", () => lines.length === 1, 20_000);
        const address = { host: "127.0.0.1", port: Number(lines[0]) };
        for (let i = 0; i < 60; i++) crowd.push(new RawClient(address));
        const turnedAway = () =>
          crowd.filter((client) => client.socket.readableEnded || client.socket.closed).length;
        await until("some are turned away", () => turnedAway() > 10, 20_000);
        assert.ok(turnedAway() < 60);
        for (const client of crowd) client.socket.destroy();
        const greeting = name === "SOCKS" ? Buffer.of(5, 1, 0) : "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        // Nobody tells when it has noticed that the crowd is gone.
        const deadline = performance.now() + 20_000;
        while (!(await isAnswered(address, greeting)))
          assert.ok(performance.now() < deadline, "it answers nobody, though there is room again");
      } finally {
        for (const client of crowd) client.socket.destroy();
        child.kill();
        await exit;
      }
    });
  });
}

/** Whether a new client gets an answer; if not, it was turned away. */
async function isAnswered(address: Endpoint, greeting: Buffer | string): Promise<boolean> {
  using client = new RawClient(address);
  client.send(greeting);
  try {
    await client.take(2);
    return true;
  } catch {
    await new Promise((resolve) => setTimeout(resolve, 50));
    return false;
  }
}

it("a failed accept is told once a second at most, and ends nothing", async () => {
  const server = createServer();
  const told: string[] = [];
  await startListening(server, { ...options, onError: (error) => told.push(error.message) });
  const shortage = Object.assign(new Error("accept ENFILE"), { code: "ENFILE" });
  for (let i = 0; i < 100; i++) server.emit("error", shortage);
  assert.equal(told.length, 1);
  assert.match(told[0]!, /127\.0\.0\.1:0 could not accept a connection: accept ENFILE/);
  assert.ok(server.listening);
  await stopListening(server);
});

it("an IPv4 address written as IPv6 is told as IPv4", () => {
  assert.equal(plainAddress("::ffff:10.0.0.1"), "10.0.0.1");
  assert.equal(plainAddress("::1"), "::1");
});
