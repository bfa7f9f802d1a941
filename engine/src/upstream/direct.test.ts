import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startEcho, startTcpServer, startUdpEcho } from "../../../test/peers/echo.ts";
import { assertAnswers, assertCarries, dialFailure, soon, until } from "../../../test/peers/exercise.ts";
import { freePort } from "../../../test/peers/peer-process.ts";
import type { Endpoint } from "../endpoint.ts";
import { createDirectUpstream } from "./direct-upstream.ts";
import { DirectDialer } from "./direct.ts";
import type { UdpAssociation } from "./dialer.ts";
import { plainHost } from "./plain-host.ts";
import { toDialError } from "./system-errors.ts";

const HALF_CLOSE = { halfClose: true };
const direct = new DirectDialer();

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

describe("the direct dialer", () => {
  it("carries bytes each way, and keeps half-close", () => assertCarries(direct, 16 << 20, HALF_CLOSE));

  it("hands over a stream that is paused and guarded, with nothing else of its own on it", async () => {
    const echo = await startEcho();
    const socket = await direct.dial(echo, { signal: soon() });
    assert.equal(socket.isPaused(), true);
    assert.equal(socket.listenerCount("connect") + socket.listenerCount("data"), 0);
    assert.equal(socket.listenerCount("error"), 1);
    await assertAnswers(socket, "x", "x", HALF_CLOSE);
    await echo.stop();
  });

  it("connects to names, to IPv4-mapped addresses and to addresses with a zone", async () => {
    const echo = await startEcho();
    const steps: string[] = [];
    for (const host of ["localhost", "::ffff:127.0.0.1", "::ffff:7f00:1"]) {
      const options = { signal: soon(), onStep: (step: string) => steps.push(step) };
      (await direct.dial({ host, port: echo.port }, options)).destroy();
    }
    assert.deepEqual(steps, ["name", "tcp", "tcp", "tcp"]);
    await echo.stop();
    const echo6 = await startEcho({ host: "::1" });
    (await direct.dial({ host: "::1%lo", port: echo6.port }, { signal: soon() })).destroy();
    await echo6.stop();
  });

  it("takes a name that does not resolve no further than the step of its name", async () => {
    const steps: string[] = [];
    const options = { signal: soon(), onStep: (step: string) => steps.push(step) };
    await assert.rejects(direct.dial({ host: "no-such-name.invalid", port: 80 }, options), { code: "dns" });
    assert.deepEqual(steps, ["name"]);
  });

  it("tells each failure by its code", async () => {
    const refused = await dialFailure(direct, { host: "127.0.0.1", port: await freePort() });
    assert.equal(`${refused.code} ${refused.step} ${refused.scope}`, "refused tcp target");
    const byName = await dialFailure(direct, { host: "localhost", port: await freePort() });
    assert.equal(byName.code, "refused");
    const unknown = await dialFailure(direct, { host: "no-such-name.invalid", port: 80 });
    assert.equal(`${unknown.code} ${unknown.step}`, "dns name");
    assert.equal((await dialFailure(direct, { host: "", port: 80 })).code, "dns");
    assert.equal((await dialFailure(direct, { host: "127.0.0.1", port: 70_000 })).code, "unreachable");
  });

  it("ends with the signal's reason, before and while it connects", async () => {
    assert.equal(
      (await dialFailure(direct, { host: "127.0.0.1", port: 1 }, AbortSignal.abort())).code,
      "cancelled",
    );
    const controller = new AbortController();
    const failed = dialFailure(direct, { host: "localhost", port: 1 }, controller.signal);
    controller.abort();
    assert.equal((await failed).code, "cancelled");
  });

  it("ends in `limit` when the process has no descriptors left", async () => {
    const program = `
      import { openSync } from "node:fs";
      import { DirectDialer } from ${JSON.stringify(new URL("direct.ts", import.meta.url).href)};
      const signal = new AbortController().signal;
      const dialer = new DirectDialer();
      await dialer.dial({ host: "127.0.0.1", port: 1 }, { signal }).catch(() => {});
      try { for (;;) openSync("/dev/null"); } catch {}
      const told = await dialer.dial({ host: "127.0.0.1", port: 1 }, { signal }).catch((error) => error.code);
      const ended = await new Promise((resolve, reject) => {
        const receiver = { onDatagram() {}, onClose: (error) => resolve(error?.code) };
        dialer.udp.associate(receiver, { signal }).then((udp) => udp.send({ host: "127.0.0.1", port: 1 }, Buffer.of(1)), reject);
      });
      process.stdout.write(told + " " + ended);
    `;
    const command = `ulimit -n 64; exec "$0" --input-type=module -e "$1"`;
    const { stdout } = await promisify(execFile)("sh", ["-c", command, process.execPath, program], {
      cwd: fileURLToPath(new URL(".", import.meta.url)),
    });
    assert.equal(stdout, "limit limit");
  });
});

describe("the system's errors", () => {
  it("become the code that says most when several addresses were tried", () => {
    const target = { host: "h", port: 1 };
    const codeOf = (...codes: string[]) =>
      toDialError(new AggregateError(codes.map(systemError)), target).code;
    assert.equal(codeOf("ENETUNREACH", "ECONNREFUSED"), "refused");
    assert.equal(codeOf("ETIMEDOUT", "EHOSTUNREACH"), "timeout");
    assert.equal(codeOf("EADDRNOTAVAIL"), "unreachable");
    assert.equal(codeOf("ECONNREFUSED", "EMFILE"), "limit");
    assert.equal(toDialError(systemError("EAI_AGAIN"), target).code, "dns");
    assert.equal(toDialError(systemError("EPERM"), target).code, "forbidden");
    assert.equal(toDialError(systemError("EODD"), target).code, "internal");
  });

  it("leave addresses alone that are not IPv4-mapped", () => {
    for (const host of ["::1", "::ffff:0:1.2.3.4", "example.com", "1.2.3.4", "64:ff9b::1.2.3.4"])
      assert.equal(plainHost(host), host);
    assert.equal(plainHost("::FFFF:102:304"), "1.2.3.4");
  });
});

describe("the direct dialer's datagrams", () => {
  function collector() {
    const got: string[] = [];
    const ends: (Error | undefined)[] = [];
    const receiver = {
      onDatagram: (source: { host: string; port: number }, payload: Buffer) =>
        got.push(`${source.host} ${payload.toString()}`),
      onClose: (error?: Error) => ends.push(error),
    };
    return {
      got,
      ends,
      associate: (peer?: Endpoint) => direct.udp.associate(receiver, { signal: soon(), peer }),
    };
  }

  async function closeAndCheck(association: UdpAssociation, ends: readonly unknown[]): Promise<void> {
    association.close();
    association.close();
    assert.deepEqual(ends, [undefined]);
    await until(() => !process.getActiveResourcesInfo().includes("UDPWrap"), "no socket is left");
  }

  it("go to both families, to names and to mapped addresses, in order", async () => {
    const { got, ends, associate } = collector();
    const echo4 = await startUdpEcho();
    const echo6 = await startUdpEcho("::1");
    const association = await associate();
    association.send(echo6, Buffer.from("six"));
    for (const [host, text] of [
      ["127.0.0.1", "a"],
      ["::ffff:127.0.0.1", "b"],
    ] as const) {
      association.send({ host, port: echo4.port }, Buffer.from(text));
    }
    await until(() => got.length === 3, "three datagrams back");
    assert.deepEqual(
      got.filter((line) => line.startsWith("127")),
      ["127.0.0.1 a", "127.0.0.1 b"],
    );
    assert(got.includes("::1 six"));
    // A name may resolve to either family first; one of the two answers.
    for (const { port } of [echo4, echo6]) association.send({ host: "localhost", port }, Buffer.from("name"));
    await until(() => got.some((line) => line.endsWith("name")), "an answer to a datagram by name");
    await Promise.all([echo4.stop(), echo6.stop()]);
    await closeAndCheck(association, ends);
  });

  it("survive a refused port, a port out of range, an unknown name and one that is too big", async () => {
    const { got, ends, associate } = collector();
    const echo = await startUdpEcho();
    const association = await associate();
    const lost = Buffer.from("lost");
    association.send({ host: "127.0.0.1", port: await freePort() }, lost);
    for (const port of [0, -1, 65_536, Number.NaN]) association.send({ host: "127.0.0.1", port }, lost);
    association.send({ host: "no-such-name.invalid", port: 1 }, lost);
    association.send({ host: "", port: 1 }, lost);
    association.send(echo, Buffer.alloc(70_000));
    association.send(echo, Buffer.from("kept"));
    await until(() => got.length === 1, "the one good datagram back");
    assert.deepEqual(got, ["127.0.0.1 kept"]);
    await echo.stop();
    await closeAndCheck(association, ends);
  });

  it("to one peer are heard from nobody else, and outlive its absence", async () => {
    const { got, ends, associate } = collector();
    const [echo, stranger] = [await startUdpEcho(), createSocket("udp4")];
    const { port } = echo;
    await echo.stop();
    const association = await associate({ host: "127.0.0.1", port });
    for (let i = 0; i < 3; i++) {
      association.send({ host: "127.0.0.1", port }, Buffer.from("lost"));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const again = createSocket("udp4");
    await new Promise<void>((resolve) => again.bind(port, "127.0.0.1", resolve));
    again.on("message", (bytes, from) => {
      stranger.send("strange", from.port, "127.0.0.1", () => again.send(bytes, from.port, "127.0.0.1"));
    });
    association.send({ host: "127.0.0.1", port: port === 1 ? 2 : 1 }, Buffer.from("elsewhere"));
    association.send({ host: "127.0.0.1", port }, Buffer.from("kept"));
    await until(() => got.length === 1, "the one good datagram back");
    assert.deepEqual(got, ["127.0.0.1 kept"]);
    again.close();
    stranger.close();
    await closeAndCheck(association, ends);
  });

  it("open no socket before the first datagram", async () => {
    const { ends, associate } = collector();
    const association = await associate();
    assert(!process.getActiveResourcesInfo().includes("UDPWrap"));
    await closeAndCheck(association, ends);
    association.send({ host: "127.0.0.1", port: 1 }, Buffer.of(1));
    assert(!process.getActiveResourcesInfo().includes("UDPWrap"));
  });
});

describe("the direct upstream", () => {
  it("counts its streams, tests a target with its steps, and drains", async () => {
    const upstream = createDirectUpstream();
    const echo = await startTcpServer((socket) => socket.pipe(socket));
    assert.equal(upstream.status().state, "idle");
    const stream = await upstream.dial(echo, { signal: soon() });
    assert.deepEqual([upstream.status().state, upstream.status().pool.active], ["connected", 1]);
    const result = await upstream.test({ signal: soon(), target: { host: "localhost", port: echo.port } });
    assert.deepEqual([result.ok, result.steps.map(({ step }) => step)], [true, ["name", "tcp"]]);
    const failed = await upstream.test({ signal: soon(), target: { host: "no-such-name.invalid", port: 1 } });
    assert.deepEqual([failed.ok, failed.failure?.step, failed.failure?.code], [false, "name", "dns"]);
    await upstream.close(20);
    assert.equal(stream.destroyed, true);
    assert.equal((await dialFailure(upstream, echo)).code, "closed");
    await until(() => echo.open === 0, "no connection left");
    await echo.stop();
  });
});
