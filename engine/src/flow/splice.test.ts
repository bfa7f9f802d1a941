import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { duplexPair } from "node:stream";
import { afterEach, describe, it } from "node:test";
import { Splice } from "./splice.ts";

/** Two ends of one TCP connection on loopback, half-open allowed. */
async function tcpPair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const client = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const [accepted] = (await once(server, "connection")) as [Socket];
  if (client.connecting) await once(client, "connect");
  server.close();
  return [client, accepted];
}

/** An application and a target with a splice between them. */
async function spliced() {
  const [application, inbound] = await tcpPair();
  const [outbound, target] = await tcpPair();
  open.push(application, inbound, outbound, target);
  const { promise: done, resolve } = Promise.withResolvers<Error | undefined>();
  const splice = new Splice(inbound, outbound, resolve);
  return { application, target, splice, done, inbound, outbound };
}

const open: Socket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.on("error", () => {}).destroy();
});

async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.resume();
  await once(socket, "end");
  return Buffer.concat(chunks);
}

describe("a splice", () => {
  it("carries bytes both ways, counts them, and ends when both sides have ended", async () => {
    const { application, target, splice, done } = await spliced();
    const up = Buffer.alloc(3_000_000, "u");
    const down = Buffer.alloc(2_000_000, "d");
    application.end(up);
    target.end(down);
    const [gotUp, gotDown] = await Promise.all([readAll(target), readAll(application)]);
    assert.ok(gotUp.equals(up) && gotDown.equals(down));
    assert.equal(await done, undefined);
    assert.equal(splice.bytesUp, up.length);
    assert.equal(splice.bytesDown, down.length);
  });

  it("passes an end on and keeps the other direction open, whichever side ends first", async () => {
    for (const first of ["application", "target"] as const) {
      const { application, target, splice, done } = await spliced();
      const [ender, other] = first === "application" ? [application, target] : [target, application];
      ender.end("last words");
      assert.equal((await readAll(other)).toString(), "last words");
      assert.ok(splice.halfClosed);
      const reply = readAll(ender);
      other.write("and still ");
      other.end("an answer");
      assert.equal((await reply).toString(), "and still an answer");
      assert.equal(await done, undefined);
    }
  });

  it("resets the application when the target resets, so that a cut is not taken for an end", async () => {
    const { application, target, done } = await spliced();
    application.resume();
    target.resetAndDestroy();
    const [error] = (await once(application, "error")) as [NodeJS.ErrnoException];
    assert.equal(error.code, "ECONNRESET");
    assert.ok((await done) instanceof Error);
  });

  it("cuts the upstream when the application vanishes after its own end", async () => {
    const { application, target, done } = await spliced();
    application.end();
    await readAll(target);
    application.resetAndDestroy();
    // A reset is heard by whoever writes next: the splice, when the target does.
    target.write("to nobody");
    assert.ok((await done) instanceof Error);
  });

  it("leaves no socket open when it is cut while an end is on its way", async () => {
    const moments = [(act: () => void) => act(), queueMicrotask, setImmediate];
    for (const soon of moments) {
      const { application, splice, done, inbound, outbound } = await spliced();
      application.on("error", () => {});
      inbound.once("end", () => soon(() => splice.abort(new Error("cut"))));
      application.end("last words");
      application.resume();
      const late = new Promise((resolve) => setTimeout(resolve, 5000, "never done").unref());
      assert.notEqual(await Promise.race([done, late]), "never done");
      assert.ok(inbound.closed && outbound.closed);
    }
  });

  it("pauses the source while the other side does not read, and goes on when it does", async () => {
    const { application, target, splice } = await spliced();
    const total = 256 << 20;
    const chunk = Buffer.alloc(1 << 20);
    let written = 0;
    const pump = () => {
      while (written < total) {
        written += chunk.length;
        if (!application.write(chunk)) return;
      }
      application.end();
    };
    application.on("drain", pump);
    pump();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const held = splice.bytesUp;
    // What the kernel and two sockets hold, and no more.
    assert.ok(held < 64 << 20, `${held} bytes went on without a reader`);
    let received = 0;
    target.on("data", (data: Buffer) => (received += data.length)).resume();
    await once(target, "end");
    assert.equal(received, total);
  });

  it("works over streams that are no sockets", async () => {
    const [a, inbound] = duplexPair();
    const [outbound, b] = duplexPair();
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    new Splice(inbound, outbound, resolve);
    a.end("hello");
    b.on("data", (chunk: Buffer) => b.end(chunk));
    const [echo] = (await once(a, "data")) as [Buffer];
    a.resume();
    assert.equal(echo.toString(), "hello");
    assert.equal(await promise, undefined);
  });

  it("passes on an end that came before it began", async () => {
    const [application, inbound] = await tcpPair();
    const [outbound, target] = await tcpPair();
    open.push(application, inbound, outbound, target);
    application.end();
    inbound.resume();
    await once(inbound, "end");
    inbound.pause();
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    new Splice(inbound, outbound, resolve);
    assert.equal((await readAll(target)).length, 0);
    target.end("the answer");
    assert.equal((await readAll(application)).toString(), "the answer");
    assert.equal(await promise, undefined);
  });

  it("reports a stream that was closed before it began", async () => {
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    const [, inbound] = await tcpPair();
    const [outbound, target] = await tcpPair();
    open.push(inbound, outbound, target);
    inbound.destroy();
    await once(inbound, "close");
    new Splice(inbound, outbound, resolve);
    assert.ok((await promise) instanceof Error);
  });

  it("aborts both sides on request and tells the reason", async () => {
    const { application, target, splice, done } = await spliced();
    const reason = new Error("enough");
    const errors = Promise.all([once(application, "error"), once(target, "error")]);
    application.resume();
    target.resume();
    splice.abort(reason);
    await errors;
    assert.equal(await done, reason);
  });

  it("that is cut in the moment in which its end goes out leaves no socket open", async () => {
    const openSockets = () =>
      process.getActiveResourcesInfo().filter((resource) => resource === "TCPSocketWrap").length;
    const { application, target, splice, inbound, outbound } = await spliced();
    target.end("all of it");
    const answer = readAll(application);
    await once(outbound, "end");
    assert.deepEqual([inbound.writableEnded, inbound.writableFinished], [true, false]);
    const before = openSockets();
    splice.abort(new Error("cut"));
    assert.equal((await answer).toString(), "all of it");
    for (const socket of [application, target]) socket.destroy();
    for (const end = performance.now() + 5_000; openSockets() > before - 4;) {
      assert.ok(performance.now() < end, `${openSockets()} of ${before} sockets are still open`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
});
