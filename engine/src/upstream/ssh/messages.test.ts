import assert from "node:assert/strict";
import type { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { connectRaw, type RawPeer } from "../../../../test/peers/raw-ssh-server.ts";
import { DialError } from "../../errors.ts";
import { openDirectTcpip, ReceiveBudget } from "./channel.ts";

const KB = 1024;
const BUDGET = 8 * KB * KB;

/** What a server may say about a channel: ours, one that there never was, or one that is closed already. */
type Message = (peer: RawPeer, id: number) => void;
const uint32 = fc.oneof(fc.integer({ min: 0, max: 100_000 }), fc.constant(2 ** 32 - 1));
const data = fc.integer({ min: 0, max: 40 * KB }).map((length) => Buffer.alloc(length, "x"));
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.tuple(uint32, uint32, uint32).map(([ours, window, packet]): Message => (peer, id) => {
    peer.channelOpenConfirm(id, ours, window, packet);
  }),
  fc.tuple(uint32, fc.string()).map(([reason, words]): Message => (peer, id) => {
    peer.channelOpenFail(id, reason, words);
  }),
  data.map(
    (bytes): Message =>
      (peer, id) =>
        peer.channelData(id, bytes),
  ),
  fc.tuple(data, uint32).map(
    ([bytes, type]): Message =>
      (peer, id) =>
        peer.channelExtData(id, bytes, type),
  ),
  uint32.map(
    (bytes): Message =>
      (peer, id) =>
        peer.channelWindowAdjust(id, bytes),
  ),
  fc.constant<Message>((peer, id) => peer.channelEOF(id)),
  fc.constant<Message>((peer, id) => peer.channelClose(id)),
);

test("whatever a server says of channels, each opens or fails, holds no more than it may, and ends", async () => {
  const told = fc.array(fc.tuple(message, fc.nat(5)), { maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(told, fc.nat(10), async (messages, opensAfter) => {
      await using connection = await connectRaw({});
      const { client, peer } = connection;
      const budget = new ReceiveBudget(BUDGET);
      const signal = AbortSignal.timeout(20_000);
      const streams: Duplex[] = [];
      const opening = Array.from({ length: 3 }, async () => {
        const stream = await openDirectTcpip(
          client,
          { host: "a", port: 1 },
          { signal, receiveBudget: budget },
        );
        // Nobody reads.
        streams.push(stream.on("error", () => {}));
      });
      const outcomes = Promise.allSettled(opening);
      for (const [at, [say, id]] of messages.entries()) {
        if (at === opensAfter) peer.channelOpenConfirm(id, id, 64 * KB, 32 * KB);
        say(peer, id);
      }
      await answered(peer, client);
      for (const stream of streams) assert.ok(stream.readableLength <= BUDGET);
      connection.serverSocket.destroy();
      for (const outcome of await outcomes)
        if (outcome.status === "rejected")
          assert.ok(outcome.reason instanceof DialError, String(outcome.reason));
      await Promise.all(streams.map(closing));
    }),
    { numRuns: 60 },
  );
});

function closing(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    if (stream.closed) resolve();
    else stream.on("close", resolve).resume();
  });
}

/** Resolves once the client has read all that was said, or has given the connection up. */
async function answered(peer: RawPeer, client: EventEmitter): Promise<void> {
  const seen = { closed: false };
  client.once("close", () => (seen.closed = true));
  const before = peer._decipher.inSeqno;
  peer.ping();
  for (let tries = 0; !seen.closed && peer._decipher.inSeqno === before && tries < 500; tries++)
    await sleep(2);
}
