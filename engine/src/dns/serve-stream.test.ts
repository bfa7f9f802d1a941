import assert from "node:assert/strict";
import { test } from "node:test";
import { LoopbackServer, RawClient, until } from "../../../test/peers/loopback.ts";
import { writeFrame } from "./frames.ts";
import { type AnswerQuery, MAX_CONCURRENT, serveStream } from "./serve-stream.ts";

async function serve(answer: AnswerQuery, idleMs = 10_000) {
  const server = await LoopbackServer.start((socket) => serveStream(socket, answer, { idleMs }));
  const client = new RawClient({ host: "127.0.0.1", port: server.port });
  const takeMessage = async () => (await client.take((await client.take(2)).readUInt16BE(0))).toString();
  const close = async () => {
    client.socket.destroy();
    await server[Symbol.asyncDispose]();
  };
  return { server, client, takeMessage, close };
}

const frame = (text: string) => writeFrame(Buffer.from(text));
const echo: AnswerQuery = (query) => Promise.resolve(query);

test("questions that come together, or byte by byte, are answered each", async () => {
  const { client, takeMessage, close } = await serve(echo);
  client.send(Buffer.concat([frame("one"), frame("two"), frame("three").subarray(0, 3)]));
  assert.deepEqual([await takeMessage(), await takeMessage()], ["one", "two"]);
  for (const byte of frame("three").subarray(3)) client.send(Buffer.from([byte]));
  assert.equal(await takeMessage(), "three");
  await close();
});

test("a slow answer does not hold up the next", async () => {
  const slow = Promise.withResolvers<Buffer>();
  const { client, takeMessage, close } = await serve((query) =>
    query[0] === 0x61 ? slow.promise : echo(query),
  );
  client.send(Buffer.concat([frame("a"), frame("b")]));
  assert.equal(await takeMessage(), "b");
  slow.resolve(Buffer.from("late"));
  assert.equal(await takeMessage(), "late");
  await close();
});

test("a client that ends still gets its answers, and then the end", async () => {
  const { client, close } = await serve(async (query) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return query;
  });
  client.send(frame("bye"));
  client.socket.end();
  assert.deepEqual(await client.rest(), frame("bye"));
  await close();
});

test("what gets no answer, or fails, leaves the connection as it is", async () => {
  const { client, takeMessage, close } = await serve((query) =>
    query.length === 0
      ? Promise.resolve(undefined)
      : query[0] === 0x78
        ? Promise.reject(new Error("x"))
        : echo(query),
  );
  client.send(Buffer.concat([frame(""), frame("x"), frame("ok")]));
  assert.equal(await takeMessage(), "ok");
  await close();
});

test("a connection without a question is closed after a while, one that drips bytes too", async () => {
  const { client, server, close } = await serve(echo, 100);
  client.send(frame("abc").subarray(0, 4));
  await client.rest();
  await until("the connection is closed", () => server.sockets.size === 0);
  await close();
});

test("questions beyond the cap wait until others are answered", async () => {
  const waiting: ((answer: Buffer) => void)[] = [];
  const { client, close } = await serve(() => new Promise((resolve) => waiting.push(resolve)));
  const total = MAX_CONCURRENT * 3;
  client.send(Buffer.concat(Array.from({ length: total }, () => frame("q"))));
  await until("the first are asked", () => waiting.length === MAX_CONCURRENT);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(waiting.length, MAX_CONCURRENT);
  for (let answered = 0; answered < total; answered++) {
    await until("the next is asked", () => waiting.length > 0);
    waiting.shift()!(Buffer.from("a"));
  }
  assert.equal((await client.take(total * 3)).length, total * 3);
  await close();
});
