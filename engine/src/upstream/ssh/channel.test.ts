import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { DialError, type DialErrorCode } from "../../errors.ts";
import {
  connectRaw,
  sendMessage,
  type RawConnection,
  type RawHandlers,
  type RawOpen,
  type RawPeer,
} from "../../../../test/peers/raw-ssh-server.ts";
import { FIRST_WINDOW, MAX_WINDOW } from "./budget.ts";
import { openDirectTcpip, ReceiveBudget } from "./channel.ts";
import { ChannelMux } from "./mux.ts";

const KB = 1024;
const MB = 1024 * KB;
const target = { host: "db.internal", port: 5432 };

interface Fixture extends AsyncDisposable {
  readonly connection: RawConnection;
  readonly budget: ReceiveBudget;
  open(signal?: AbortSignal): Promise<Duplex>;
}

/** A server that confirms each channel with its own number, and what else the test says. */
async function fixture(handlers: RawHandlers, window = 2 * MB, maxPacket = 32 * KB): Promise<Fixture> {
  const connection = await connectRaw({
    onOpen: (peer, { sender }) => {
      peer.channelOpenConfirm(sender, sender, window, maxPacket);
    },
    ...handlers,
  });
  const budget = new ReceiveBudget(256 * MB);
  return {
    connection,
    budget,
    open: (signal = AbortSignal.timeout(10_000)) =>
      openDirectTcpip(connection.client, target, { signal, receiveBudget: budget }),
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}

/** The code that a promise is rejected with. */
async function codeOf(promise: Promise<unknown>): Promise<DialErrorCode> {
  const error: unknown = await promise.then(
    () => assert.fail("not rejected"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof DialError, String(error));
  return error.code;
}

/** Resolves when the condition holds; fails after so many seconds. */
async function until(condition: () => boolean, what: string, seconds = 5): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!condition()) {
    if (performance.now() > end) assert.fail(`not within ${seconds} seconds: ${what}`);
    await sleep(2);
  }
}

/** How a stream ended, though nobody listened when it did. */
async function errorOf(stream: Duplex): Promise<Error | null> {
  if (!stream.closed) await new Promise((resolve) => stream.once("close", resolve));
  return stream.errored;
}

test("a refusal becomes the error that its reason and description say", async () => {
  const refusals: [number, string, DialErrorCode][] = [
    [1, "open failed", "forbidden"],
    [2, "Connection refused", "refused"],
    [2, "Connection timed out", "timeout"],
    [2, "No route to host", "unreachable"],
    [2, "Network is unreachable", "unreachable"],
    [2, "Name or service not known", "dns"],
    [2, "Temporary failure in name resolution", "dns"],
    [2, "", "refused"],
    [2, "dial tcp: lookup db.internal: no such host", "dns"],
    [3, "", "unsupported"],
    [4, "", "limit"],
    [77, "", "protocol"],
  ];
  let next = 0;
  await using f = await fixture({
    onOpen: (peer, { sender, data }) => {
      assert.deepEqual([data.destIP, data.destPort], [target.host, target.port]);
      peer.channelOpenFail(sender, refusals[next]![0], refusals[next]![1]);
    },
  });
  for (const [reason, description, code] of refusals) {
    assert.equal(await codeOf(f.open()), code, `${reason} ${description}`);
    next++;
  }
  assert.equal(f.budget.promised, 0);
});

test("bytes that come one by one while nobody reads are kept together, in order, and cost their length", async () => {
  // SSH_MSG_IGNORE (RFC 4253 §11.2) between them, so that they are not joined on the way.
  const ignored = Buffer.of(2, 0, 0, 0, 0);
  const count = 30_000;
  await using f = await fixture({});
  const stream = await f.open();
  const { peer } = f.connection;
  for (let i = 0; i < count; i++) {
    peer.channelData(0, Buffer.of(i % 251));
    sendMessage(peer, ignored);
  }
  peer.channelData(0, Buffer.alloc(20 * KB, 252));
  peer.channelData(0, Buffer.of(253));
  peer.channelEOF(0);
  await until(() => stream.readableLength === count + 20 * KB + 1, "all to be there", 20);
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(stream, "end");
  assert.ok(chunks.length < 20, `${chunks.length} pieces`);
  const bytes = Buffer.concat(chunks);
  assert.ok(bytes.subarray(0, count).every((byte, i) => byte === i % 251));
  assert.ok(bytes.subarray(count).equals(Buffer.concat([Buffer.alloc(20 * KB, 252), Buffer.of(253)])));
  stream.destroy();
});

test("bytes go both ways, and an end in one direction leaves the other open", async () => {
  const received: Buffer[] = [];
  const ends: string[] = [];
  await using f = await fixture({
    onData: (_, data) => received.push(Buffer.from(data)),
    onEof: () => ends.push("eof"),
    onClose: (ours) => {
      ends.push("close");
      f.connection.peer.channelClose(ours);
    },
  });
  const stream = await f.open();
  assert.equal(stream.readableFlowing, null, "it is paused");
  f.connection.peer.channelData(0, Buffer.from("hello "));
  f.connection.peer.channelData(0, Buffer.from("you"));
  f.connection.peer.channelEOF(0);
  let text = "";
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) text += String(chunk);
  assert.equal(text, "hello you");

  stream.write("still ");
  stream.end("here");
  await once(stream, "close");
  await until(() => ends.length === 2, "EOF and CLOSE");
  assert.equal(String(Buffer.concat(received)), "still here");
  assert.deepEqual(ends, ["eof", "close"]);
  assert.equal(f.budget.promised, 0);
});

test("our end first: the server's data is still read", async () => {
  let ended = false;
  await using f = await fixture({ onEof: () => (ended = true) });
  const stream = await f.open();
  stream.end("request");
  await until(() => ended, "EOF");
  f.connection.peer.channelData(0, Buffer.from("response"));
  f.connection.peer.channelEOF(0);
  f.connection.peer.channelClose(0);
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  assert.equal(text, "response");
  await until(() => stream.closed, "the stream's end");
  assert.equal(stream.errored, null);
});

test("no more is sent than the window allows, in packets no larger than the server takes", async () => {
  const received: Buffer[] = [];
  await using f = await fixture({ onData: (_, data) => received.push(Buffer.from(data)) }, 100_000, 1000);
  // The server joins what comes in adjacent packets, so they are counted where they are opened.
  const packets = (): number => f.connection.peer._decipher.inSeqno;
  const stream = await f.open();
  const data = randomBytes(300_000);
  let written = false;
  const before = packets();
  stream.write(data, () => (written = true));
  const got = (): number => received.reduce((sum, part) => sum + part.length, 0);
  await until(() => got() === 100_000, "a window of data");
  await sleep(20);
  assert.equal(got(), 100_000);
  assert.equal(written, false);
  for (let bytes = 100_000; bytes < 300_000; bytes += 50_000) {
    f.connection.peer.channelWindowAdjust(0, 50_000);
    await until(() => got() === bytes + 50_000, "another window of data");
  }
  await until(() => written, "the callback");
  assert.equal(packets() - before, 300);
  assert.deepEqual(Buffer.concat(received), data);
});

test("a write larger than what waits for the socket goes out whole", async () => {
  let got = 0;
  await using f = await fixture({ onData: (_, data) => (got += data.length) }, 64 * MB);
  const stream = await f.open();
  stream.write(Buffer.alloc(20 * MB));
  await until(() => got === 20 * MB, "all of it");
});

test("many small writes become few packets", async () => {
  const sizes: number[] = [];
  await using f = await fixture({ onData: (_, data) => sizes.push(data.length) });
  const stream = await f.open();
  for (let i = 0; i < 1000; i++) stream.write(`line ${i}\n`);
  stream.end();
  const total = Array.from({ length: 1000 }, (_, i) => `line ${i}\n`).join("").length;
  await until(() => sizes.reduce((a, b) => a + b, 0) === total, "all of it");
  assert.ok(sizes.length <= 3, `${sizes.length} packets`);
});

test("a server that sends more than the window loses its channel, and no other", async () => {
  const closed: number[] = [];
  await using f = await fixture({ onClose: (ours) => closed.push(ours) });
  const stream = await f.open();
  const other = await f.open();
  const piece = Buffer.alloc(32 * KB);
  for (let sent = 0; sent <= FIRST_WINDOW; sent += piece.length) f.connection.peer.channelData(0, piece);
  const error = await errorOf(stream);
  assert.ok(error instanceof DialError && error.code === "protocol", String(error));
  assert.ok(stream.readableLength <= FIRST_WINDOW);
  await until(() => closed.length === 1, "CLOSE");
  assert.deepEqual(closed, [0]);
  f.connection.peer.channelData(1, Buffer.from("alive"));
  const [chunk] = (await once(other, "data")) as [Buffer];
  assert.equal(String(chunk), "alive");
});

test("data after its end, or of a kind that TCP has not, ends the channel", async () => {
  await using f = await fixture({});
  const { peer } = f.connection;
  const afterEnd = await f.open();
  peer.channelEOF(0);
  peer.channelData(0, Buffer.from("more"));
  const extended = await f.open();
  peer.channelExtData(1, Buffer.from("?"), 1);
  const overflowing = await f.open();
  peer.channelWindowAdjust(2, 2 ** 32 - 1);
  for (const stream of [afterEnd, extended, overflowing]) {
    const error = await errorOf(stream);
    assert.ok(error instanceof DialError && error.code === "protocol", String(error));
  }
});

test("a second confirmation, or a refusal after the first, ends the channel under its own number", async () => {
  const closed: number[] = [];
  await using f = await fixture({ onClose: (ours) => closed.push(ours) });
  const { peer } = f.connection;
  const twice = await f.open();
  peer.channelOpenConfirm(0, 1000, MB, 32 * KB);
  const refused = await f.open();
  peer.channelOpenFail(1, 2, "Connection refused");
  for (const stream of [twice, refused]) {
    const error = await errorOf(stream);
    assert.ok(error instanceof DialError && error.code === "protocol", String(error));
  }
  await until(() => closed.length === 2, "both CLOSE");
  assert.deepEqual(closed, [0, 1]);

  // A number is free again when the server has closed it, not before: nothing more of it reaches another channel.
  const other = await f.open();
  peer.channelData(1, Buffer.from("not for you"));
  peer.channelData(2, Buffer.from("alive"));
  const [chunk] = (await once(other, "data")) as [Buffer];
  assert.equal(String(chunk), "alive");
});

test("a reader that stops is sent no more than its window, and gets all when it goes on", async () => {
  const server = new Sender(MB * 6);
  await using f = await fixture(server.handlers);
  server.peer = f.connection.peer;
  const stream = await f.open();
  server.start(0);
  await until(() => server.window === 0, "a used-up window");
  await sleep(30);
  assert.ok(stream.readableLength <= FIRST_WINDOW, `${stream.readableLength} bytes held`);
  let got = 0;
  for await (const chunk of stream) got += (chunk as Buffer).length;
  assert.equal(got, 6 * MB);
});

test("many readers that stop hold no more than the budget", async () => {
  const held: Duplex[] = [];
  const servers: Sender[] = [];
  await using f = await fixture({
    onOpen: (peer, open) => {
      peer.channelOpenConfirm(open.sender, open.sender, MB, 32 * KB);
      const server = new Sender(8 * MB);
      server.peer = peer;
      server.window = open.window;
      servers[open.sender] = server;
    },
    onWindowAdjust: (ours, bytes) => servers[ours]!.adjust(bytes),
  });
  const budget = new ReceiveBudget(8 * MB);
  const signal = AbortSignal.timeout(10_000);
  for (let i = 0; i < 64; i++) {
    held.push(await openDirectTcpip(f.connection.client, target, { signal, receiveBudget: budget }));
  }
  servers.forEach((server, i) => server.start(i));
  await until(() => servers.every((server) => server.window === 0), "used-up windows");
  // The end of each window is a small message, which waits beside the stream for more.
  const small = held.length * 8 * KB;
  await until(() => heldBy(held) > budget.promised - small, "everything promised has come");
  assert.ok(heldBy(held) <= budget.promised);
  assert.ok(budget.promised <= 8 * MB + 64 * 64 * KB, `${budget.promised} bytes`);
  for (const stream of held) stream.destroy();
  assert.equal(budget.promised, 0);
});

function heldBy(streams: readonly Duplex[]): number {
  return streams.reduce((sum, stream) => sum + stream.readableLength, 0);
}

test("where the window is what limits a download, it grows; a stalled reader gives it back", async () => {
  // A round trip long enough that the window is the limit on a busy machine and with slow ciphers too.
  const server = new Sender(96 * MB, 200);
  await using f = await fixture(server.handlers);
  server.peer = f.connection.peer;
  const stream = await f.open();
  server.start(0);
  let got = 0;
  stream.on("data", (chunk: Buffer) => {
    const before = got;
    got += chunk.length;
    if (before <= 80 * MB && got > 80 * MB) stream.pause();
  });
  await until(() => got > 80 * MB, "80 MB", 30);
  assert.ok(f.budget.promised >= 8 * MB, `it has grown to ${f.budget.promised / MB} MB`);
  assert.ok(f.budget.promised <= MAX_WINDOW);
  stream.resume();
  await once(stream, "end");
  assert.equal(got, 96 * MB);
});

test("a window that grew beyond what its link can use gets smaller again", async () => {
  const server = new Sender(400 * MB, 100);
  await using f = await fixture(server.handlers);
  server.peer = f.connection.peer;
  const stream = await f.open();
  stream.resume();
  server.start(0);
  await until(() => f.budget.promised > FIRST_WINDOW, "growth while the round trip seems to be long", 30);
  server.delayMs = 0;
  ChannelMux.of(f.connection.client).observeRoundTrip(0.5);
  await until(() => f.budget.promised === FIRST_WINDOW, "the first window", 30);
  await once(stream, "end");
});

test("an abort while it opens ends the wait; a channel that comes too late is closed", async () => {
  let late: RawOpen | undefined;
  const closed: number[] = [];
  await using f = await fixture({
    onOpen: (_, open) => (late = open),
    onClose: (ours) => closed.push(ours),
  });
  const abort = new AbortController();
  const opening = f.open(abort.signal);
  await until(() => late !== undefined, "the opening");
  abort.abort(new DialError("timeout", "too long"));
  assert.equal(await codeOf(opening), "timeout");
  assert.equal(f.budget.promised, 0);
  f.connection.peer.channelOpenConfirm(late!.sender, 900, MB, 32 * KB);
  f.connection.peer.channelData(late!.sender, Buffer.from("SSH-2.0-"));
  await until(() => closed.length === 1, "CLOSE");
  assert.deepEqual(closed, [900]);
  f.connection.peer.channelClose(late!.sender);
  await sleep(5);

  assert.equal(await codeOf(f.open(AbortSignal.abort())), "cancelled");
});

test("a late refusal after an abort is taken in silence", async () => {
  let late: RawOpen | undefined;
  await using f = await fixture({ onOpen: (_, open) => (late = open) });
  const abort = new AbortController();
  const opening = f.open(abort.signal);
  await until(() => late !== undefined, "the opening");
  abort.abort();
  assert.equal(await codeOf(opening), "cancelled");
  f.connection.peer.channelOpenFail(late!.sender, 2, "Connection refused");
  await sleep(5);
});

test("destroy closes the channel, reports its error, and answers the write that waits", async () => {
  const closed: number[] = [];
  await using f = await fixture({ onClose: (ours) => closed.push(ours) }, 10);
  const stream = await f.open();
  const answers: (string | undefined)[] = [];
  stream.write(Buffer.alloc(100), (error) => answers.push(error?.message));
  stream.write(Buffer.alloc(100), (error) => answers.push(error?.message));
  const reason = new Error("the flow was closed");
  stream.destroy(reason);
  assert.equal(await errorOf(stream), reason);
  assert.equal(answers[0], "the flow was closed");
  assert.equal(answers.length, 2);
  await until(() => closed.length === 1, "CLOSE");
});

test("a channel that the server closes is read to its end; what was being written fails", async () => {
  await using f = await fixture({}, 10);
  const stream = await f.open();
  const answer = Promise.withResolvers<Error | null | undefined>();
  stream.write(Buffer.alloc(100), answer.resolve);
  f.connection.peer.channelData(0, Buffer.from("the last words"));
  f.connection.peer.channelClose(0);
  let text = "";
  stream.on("data", (chunk: Buffer) => (text += String(chunk)));
  const error = await answer.promise;
  assert.ok(error instanceof DialError && error.code === "closed");
  assert.equal(text, "the last words");
  await until(() => stream.closed, "the stream's end");
});

test("the end of the connection ends each channel, open or opening, and answers each write", async () => {
  let opened = 0;
  await using f = await fixture({
    onOpen: (peer, { sender }) => {
      if (opened++ < 2) peer.channelOpenConfirm(sender, sender, 10, 32 * KB);
    },
  });
  const writing = await f.open();
  const reading = await f.open();
  const opening = f.open();
  const answer = Promise.withResolvers<Error | null | undefined>();
  writing.write(Buffer.alloc(100), answer.resolve);
  await sleep(5);
  f.connection.serverSocket.destroy();
  assert.equal(await codeOf(opening), "closed");
  for (const stream of [writing, reading]) {
    const error = await errorOf(stream);
    assert.ok(error instanceof DialError && error.code === "closed" && error.scope === "upstream");
  }
  assert.ok((await answer.promise) instanceof DialError);
  assert.equal(await codeOf(f.open()), "closed");
  assert.equal(f.budget.promised, 0);
});

test("a question on a channel, as OpenSSH's keepalive asks, is answered", async () => {
  const failures: number[] = [];
  await using f = await fixture({ onFailure: (ours) => failures.push(ours) });
  await f.open();
  const { peer } = f.connection;
  request(peer, 0);
  await until(() => failures.length === 1, "an answer");
  assert.deepEqual(failures, [0]);
});

/** SSH_MSG_CHANNEL_REQUEST "keepalive@openssh.com" that wants a reply (RFC 4254 §5.4). */
function request(peer: RawPeer, id: number): void {
  const { _cipher: cipher } = peer as unknown as {
    _cipher: { allocPacket(bytes: number): Buffer; encrypt(packet: Buffer): void };
  };
  const name = Buffer.from("keepalive@openssh.com");
  const packet = cipher.allocPacket(1 + 4 + 4 + name.length + 1);
  packet[5] = 98;
  packet.writeUInt32BE(id, 6);
  packet.writeUInt32BE(name.length, 10);
  name.copy(packet, 14);
  packet[14 + name.length] = 1;
  cipher.encrypt(packet);
}

test("a slow connection bounds what waits to be sent, and channels have turns", async () => {
  let largeBytes = 0;
  let largeBytesBeforeSmall = -1;
  await using f = await fixture(
    {
      onData: (ours, data) => {
        if (ours === 0) largeBytes += data.length;
        else if (largeBytesBeforeSmall === -1) largeBytesBeforeSmall = largeBytes;
      },
    },
    64 * MB,
  );
  const streams = [await f.open(), await f.open()];
  f.connection.serverSocket.pause();
  const [large, small] = streams as [Duplex, Duplex];
  const answers = { large: 0, small: 0 };
  for (let i = 0; i < 400; i++) large.write(Buffer.alloc(64 * KB), () => answers.large++);
  await sleep(50);
  small.write(Buffer.alloc(64 * KB), () => answers.small++);
  const queued = f.connection.clientSocket.writableLength;
  assert.ok(queued > 0 && queued <= MB, `${queued} bytes wait for the socket`);
  assert.ok(answers.large < 400, "the socket is full");
  f.connection.serverSocket.resume();
  await until(() => answers.large === 400 && answers.small === 1, "all written");
  const all = 400 * 64 * KB;
  await until(() => largeBytes === all && largeBytesBeforeSmall !== -1, "all received");
  assert.ok(largeBytesBeforeSmall < all * 0.75, "the small one did not wait for all of the large one");
});

test("new keys in the middle of a transfer lose nothing and hold up no more than a window", async () => {
  const received: Buffer[] = [];
  await using f = await fixture({
    onData: (ours, data) => {
      received.push(Buffer.from(data));
      f.connection.peer.channelWindowAdjust(ours, data.length);
      f.connection.peer.channelData(ours, data);
    },
  });
  const stream = await f.open();
  const data = randomBytes(4 * MB);
  const back: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => back.push(Buffer.from(chunk)));
  const got = (): number => back.reduce((sum, chunk) => sum + chunk.length, 0);
  for (let at = 0; at < data.length; at += 64 * KB) {
    if (at === MB) f.connection.peer.rekey();
    if (at === 3 * MB) (f.connection.client as unknown as { _protocol: RawPeer })._protocol.rekey();
    if (!stream.write(data.subarray(at, at + 64 * KB))) await once(stream, "drain");
  }
  await until(() => got() === data.length, "the echo");
  assert.ok(Buffer.concat(received).equals(data));
  assert.ok(Buffer.concat(back).equals(data));
});

test("2,000 channels at once on one connection, each in under 8 KB", async (t) => {
  const numbers = 2000;
  await using f = await fixture({
    onData: (ours, data) => f.connection.peer.channelData(ours, data),
    onClose: (ours) => f.connection.peer.channelClose(ours),
  });
  (await f.open()).destroy();
  const collect = (globalThis as { gc?: () => void }).gc;
  await sleep(50);
  collect?.();
  await sleep(50);
  collect?.();
  const before = process.memoryUsage();
  const streams = await Promise.all(Array.from({ length: numbers }, () => f.open()));
  collect?.();
  const after = process.memoryUsage();
  const bytes = (after.heapUsed + after.external - before.heapUsed - before.external) / numbers;
  t.diagnostic(`${Math.round(bytes)} bytes for an idle channel${collect ? "" : " (garbage included)"}`);
  if (collect) assert.ok(bytes < 8 * KB);

  const echoes = streams.map(async (stream, i) => {
    stream.write(`to ${i}`);
    const [chunk] = (await once(stream, "data")) as [Buffer];
    assert.equal(String(chunk), `to ${i}`);
    stream.destroy();
  });
  await Promise.all(echoes);
  assert.equal(f.budget.promised, 0);
});

/** A server's channel that sends `left` bytes as fast as its window allows; it hears of everything `delayMs` late. */
class Sender {
  peer: RawPeer | undefined;
  window = 0;
  readonly handlers: RawHandlers = {
    onOpen: (peer, { sender, window }) => {
      this.window = window;
      setTimeout(() => peer.channelOpenConfirm(sender, sender, MB, 32 * KB), this.delayMs);
    },
    onWindowAdjust: (_, bytes) => {
      if (this.delayMs === 0) this.adjust(bytes);
      else setTimeout(() => this.adjust(bytes), this.delayMs);
    },
  };
  #left: number;
  delayMs: number;
  #id = -1;

  constructor(left: number, delayMs = 0) {
    this.#left = left;
    this.delayMs = delayMs;
  }

  start(id: number): void {
    this.#id = id;
    this.adjust(0);
  }

  adjust(bytes: number): void {
    this.window += bytes;
    if (this.#id === -1) return;
    while (this.window > 0 && this.#left > 0) {
      const size = Math.min(32 * KB, this.window, this.#left);
      this.peer!.channelData(this.#id, Buffer.alloc(size));
      this.window -= size;
      this.#left -= size;
      if (this.#left === 0) this.peer!.channelEOF(this.#id);
    }
  }
}
