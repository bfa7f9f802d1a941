import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { WindowBudget } from "@sockeye/wire/mux";
import type { StreamReceiver } from "@sockeye/wire/mux-stream";
import { Carry } from "./carry.ts";
import { LinkConnection } from "./link-connection.ts";

const NOBODY: StreamReceiver = { data: () => {}, end: () => {}, reset: () => {}, drain: () => {} };
const BYTES = 6_000_000;

/** Both ends of a TCP connection. */
async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const near = connect({ port: (server.address() as AddressInfo).port, allowHalfOpen: true });
  const [far] = (await once(server, "connection")) as [Socket];
  server.close();
  return [near, far];
}

/** Reads to the end, now and then with a pause, so that memory waits wherever it can. */
async function readSlowly(socket: Socket): Promise<string> {
  const hash = createHash("sha256");
  let count = 0;
  // At its end the iterator would destroy the socket, and with it what it has not sent yet in the other direction.
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    hash.update(chunk as Buffer);
    if (++count % 20 === 0) await sleep(1);
  }
  return hash.digest("hex");
}

test("bodies arrive as they were sent, in pieces of any size, both ways and on several streams, whoever is slow", async () => {
  const [relaySide, clientSide] = await socketPair();
  const budget = new WindowBudget(268_435_456);
  const locals: Promise<Socket>[] = [];
  const carries: Promise<void>[] = [];
  const carried = (make: (done: () => void) => void) => carries.push(new Promise((done) => make(done)));
  const handler = { control: () => {}, closed: () => {} };
  const relay = new LinkConnection(relaySide, {
    ...{ role: "relay", budget },
    handler: { ...handler, opened: () => NOBODY },
  });
  const client = new LinkConnection(clientSide, {
    ...{ role: "client", budget },
    handler: {
      ...handler,
      opened: (stream) => {
        const pair = socketPair();
        locals.push(pair.then(([, local]) => local));
        void pair.then(([socket]) => carried((done) => new Carry(socket, stream, done)));
        return NOBODY;
      },
    },
  });
  const sizes = [1, 700, 16_384, 65_535, 65_536, 300_000];
  const publics: { readonly person: Socket; readonly size: number }[] = [];
  // One after the other, so that the local side of each is the one with its number.
  for (const size of sizes) {
    const [socket, person] = await socketPair();
    carried((done) => new Carry(socket, relay.open(Buffer.alloc(2), NOBODY), done));
    publics.push({ person, size });
  }
  await sleep(0);
  while (locals.length < sizes.length) await sleep(5);
  const results = await Promise.all(
    publics.flatMap(({ person, size }, index) =>
      ([true, false] as const).map(async (up) => {
        const local = await locals[index]!;
        const [from, to] = up ? [person, local] : [local, person];
        const body = randomBytes(size === 1 ? 2000 : BYTES);
        const got = readSlowly(to);
        for (let at = 0; at < body.length; at += size)
          if (!from.write(body.subarray(at, at + size))) await once(from, "drain");
        from.end();
        return (await got) === createHash("sha256").update(body).digest("hex");
      }),
    ),
  );
  assert.ok(results.every(Boolean));
  await Promise.all(carries);
  relay.close();
  client.close();
});
