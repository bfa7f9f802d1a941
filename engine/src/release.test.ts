import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { PassThrough, Writable } from "node:stream";
import { test } from "node:test";
import {
  enterShared,
  leaveShared,
  releaseGiven,
  type SharedChunk,
  TAKES_CHUNKS,
  writeAndRelease,
} from "./release.ts";

const KB = 1024;

test("a chunk that the kernel took is given back, and arrives whole", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [[peer]] = (await Promise.all([once(server, "connection"), once(socket, "connect")])) as unknown as [
    [typeof socket],
  ];
  const chunk = Buffer.allocUnsafeSlow(64 * KB).fill("a");
  writeAndRelease(socket, chunk);
  assert.equal(chunk.length, 0, "its memory is gone");
  socket.end();
  let text = "";
  for await (const part of peer) text += String(part);
  assert.equal(text, "a".repeat(64 * KB));
  server.close();
});

test("a chunk that waits for a slow socket keeps its memory", async () => {
  const server = createServer((peer) => void peer.pause()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  await once(socket, "connect");
  const chunks: Buffer[] = [];
  for (let more = true; more;) {
    const chunk = Buffer.allocUnsafeSlow(1024 * KB);
    more = writeAndRelease(socket, chunk) || socket.writableLength === 0;
    chunks.push(chunk);
  }
  assert.equal(chunks.at(-1)!.length, 1024 * KB);
  socket.destroy();
  server.close();
});

test("a chunk is left alone by a stream that passes it on, and where it is part of something larger", () => {
  const chunk = Buffer.allocUnsafeSlow(64 * KB);
  writeAndRelease(new PassThrough(), chunk);
  assert.equal(chunk.length, 64 * KB);

  const taker = Object.assign(
    new Writable({
      write: (given: Buffer, _, done) => {
        releaseGiven(given);
        done();
      },
    }),
    { [TAKES_CHUNKS]: true },
  );
  const part = Buffer.allocUnsafeSlow(64 * KB).subarray(0, 32 * KB);
  writeAndRelease(taker, part);
  assert.equal(part.length, 32 * KB);
  const whole = Buffer.allocUnsafeSlow(64 * KB);
  taker.write(whole);
  assert.equal(whole.length, 64 * KB, "it was not given");
  writeAndRelease(taker, whole);
  assert.equal(whole.length, 0);
});

test("memory that was shared out is free with its last user, and not while one is left", () => {
  const taker = Object.assign(
    new Writable({
      write: (given: Buffer, _, done) => {
        releaseGiven(given);
        done();
      },
    }),
    { [TAKES_CHUNKS]: true },
  );
  const shared: SharedChunk = { memory: undefined, users: 0 };
  for (const released of [2, 1]) {
    const chunk = Buffer.allocUnsafeSlow(64 * KB);
    const outer = enterShared(shared, chunk);
    for (let part = 0; part < 2; part++) {
      shared.users++;
      if (part < released) writeAndRelease(taker, chunk.subarray(part * 32 * KB, (part + 1) * 32 * KB));
    }
    assert.equal(leaveShared(outer), released === 2);
    assert.equal(chunk.length, 64 * KB);
  }
});
