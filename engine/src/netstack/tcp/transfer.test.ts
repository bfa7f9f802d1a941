import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { test } from "node:test";
import { Splice } from "../../flow/splice.ts";
import { writeAndRelease } from "../../release.ts";
import { Conversation, turn } from "./test-conversation.ts";
import { ACK, FIN, PSH, RST } from "./test-wire.ts";

const SCALED = { mss: 1460, windowScale: 0, sackPermitted: true };

test("a burst of several segments becomes one chunk and one acknowledgement", async () => {
  const talk = Conversation.open();
  await turn();
  const chunks: number[] = [];
  talk.stream.on("data", (chunk: Buffer) => chunks.push(chunk.length));
  const payload = Buffer.alloc(1000, "x");
  const burst = Array.from({ length: 10 }, (_, i) => ({ seq: talk.ours + i * 1000, payload }));
  const answers = talk.deliver(...burst);
  assert.deepEqual(chunks, [10_000]);
  assert.deepEqual(
    answers.map(({ ack }) => ack),
    [talk.ours + 10_000],
  );
});

test("a small segment is acknowledged with the answer, or after a moment", async () => {
  const talk = Conversation.open();
  await turn();
  assert.deepEqual(talk.say({ payload: Buffer.from("question") }), []);
  talk.stream.write("answer");
  const [answer, ...more] = talk.settle();
  assert.equal(answer!.ack, talk.ours);
  assert.equal(answer!.flags, ACK | PSH);
  assert.deepEqual(more, []);
  talk.say({ payload: Buffer.from("another"), ack: talk.theirs + 6 });
  assert.deepEqual(talk.after(9), []);
  assert.equal(talk.after(2)[0]!.ack, talk.ours);
});

test("what comes out of order is reported, newest first, and handed over in order", async () => {
  const talk = Conversation.open();
  await turn();
  const [letters, at] = ["abcdefghij", talk.ours];
  const part = (from: number, to: number): { seq: number; payload: Buffer } => ({
    seq: at + from,
    payload: Buffer.from(letters.slice(from, to)),
  });
  assert.deepEqual(talk.deliver(part(2, 4))[0]!.sacks, [[at + 2, at + 4]]);
  assert.deepEqual(talk.deliver(part(6, 8))[0]!.sacks, [
    [at + 6, at + 8],
    [at + 2, at + 4],
  ]);
  assert.deepEqual(talk.deliver(part(3, 7))[0]!.sacks, [[at + 2, at + 8]]);
  assert.equal(talk.heard, "");
  const [answer] = talk.deliver(part(0, 10));
  assert.equal(talk.heard, letters);
  assert.equal(answer!.ack, at + 10);
  assert.equal(answer!.sacks, undefined);
});

test("the reader that stops closes the window, and what it reads opens it again", async () => {
  const talk = Conversation.open({ limits: { receiveBuffer: 10_000 }, syn: { mss: 1460 } });
  await turn();
  talk.stream.pause();
  let window = 10_000;
  while (window > 0) {
    const payload = Buffer.alloc(Math.min(window, 1000), "x");
    const answers = talk.say({ payload });
    window = (answers[0] ?? talk.after(20)[0])!.window;
  }
  assert.ok(talk.stream.readableLength <= 10_000);
  // The byte that a peer sends to ask is not taken, but answered; so is an old number.
  const [refused] = talk.deliver({ payload: Buffer.from("y") });
  assert.deepEqual([refused!.ack, refused!.window], [talk.ours, 0]);
  talk.after(60);
  assert.equal(talk.deliver({ seq: talk.ours - 1 })[0]!.window, 0);
  talk.stream.resume();
  await turn();
  assert.ok(talk.heard.length > 5000);
  assert.equal(talk.settle()[0]!.window, 10_000);
});

test("crumbs that nobody reads are dropped before they cost much more than the window", async () => {
  const talk = Conversation.open({ limits: { receiveBuffer: 10_000 }, syn: { mss: 1460 } });
  await turn();
  talk.stream.pause();
  for (let i = 0; i < 500; i++) {
    const before = talk.connection.receiver.nxt;
    talk.deliver({ payload: Buffer.from("x") });
    if (talk.connection.receiver.nxt !== before) talk.ours++;
  }
  assert.ok(talk.stream.readableLength < 100, `${talk.stream.readableLength} crumbs`);
  talk.stream.resume();
  await turn();
  talk.say({ payload: Buffer.from("more") });
  assert.ok(talk.heard.endsWith("more"));
});

test("a closed window is asked for again and again, as long as the peer answers", async () => {
  const talk = Conversation.open();
  talk.deliver({ window: 0 });
  talk.stream.write("hello");
  let probes = 0;
  for (let i = 0; i < 200; i++) {
    for (const probe of talk.after(1000)) {
      probes++;
      assert.equal(probe.payload.length, 0);
      talk.deliver({ window: 0 });
    }
  }
  assert.ok(probes >= 5, `${probes} probes in 200 s`);
  const [data] = talk.deliver({ window: 3 });
  assert.equal(data?.payload.toString() ?? talk.after(5000)[0]!.payload.toString(), "hel");
  const [rest] = talk.deliver({ ack: talk.theirs + 3, window: 100 });
  assert.equal(rest!.payload.toString(), "lo");
});

test("a closed window that nobody answers for ends the connection; so does one at the end, in time", async () => {
  const silent = Conversation.open();
  silent.deliver({ window: 0 });
  silent.stream.write("hello");
  silent.settle();
  assert.ok(silent.after(200_000).at(-1)!.flags & RST);
  await turn();
  assert.equal(silent.error?.code, "ETIMEDOUT");

  const stubborn = Conversation.open({ limits: { halfClosed: 100_000 } });
  stubborn.deliver({ window: 0 });
  stubborn.stream.end("hello");
  await turn();
  stubborn.settle();
  for (let i = 0; i < 120; i++) if (stubborn.after(1000).length > 0) stubborn.deliver({ window: 0 });
  assert.equal(stubborn.stack.layer.size, 0);
});

test("what is not acknowledged is sent again, less and less often, and then given up", async () => {
  const talk = Conversation.open();
  talk.stream.write("hello");
  assert.equal(talk.settle().length, 1);
  const sent = talk.after(300_000);
  const [last] = sent.slice(-1);
  assert.ok(sent.length > 5 && sent.length < 15, `${sent.length} segments`);
  assert.ok(last!.flags & RST);
  await turn();
  assert.equal(talk.error?.code, "ETIMEDOUT");
  assert.equal(talk.stack.layer.counters.timeouts, 1);
});

test("three reports of a gap send what is missing at once, and only that", () => {
  const talk = Conversation.open({ syn: SCALED });
  talk.stream.write(Buffer.alloc(14_600, "z"));
  const sent = talk.settle();
  assert.equal(sent.length, 10);
  const at = (i: number): number => (talk.theirs + 1460 * i) >>> 0;
  assert.deepEqual(talk.deliver({ sacks: [[at(1), at(2)]] }), []);
  assert.deepEqual(talk.deliver({ sacks: [[at(1), at(3)]] }), []);
  const again = talk.deliver({ sacks: [[at(1), at(4)]] });
  assert.deepEqual(
    again.map(({ seq, payload }) => [seq, payload.length]),
    [[at(0), 1460]],
  );
  assert.deepEqual(talk.deliver({ ack: at(10) }), []);
});

test("an application that is silent is asked whether it lives, and reset if it does not", async () => {
  const limits = { keepalive: 10_000, keepaliveInterval: 1000, keepaliveProbes: 3 };
  const talk = Conversation.open({ limits });
  for (let i = 0; i < 3; i++) {
    const [probe, ...more] = talk.after(10_000);
    assert.deepEqual([probe!.seq, probe!.payload.length, more.length], [(talk.theirs - 1) >>> 0, 0, 0]);
    talk.deliver({});
  }
  const sent = talk.after(20_000).map(({ flags }) => flags);
  assert.deepEqual(sent, [ACK, ACK, ACK, RST | ACK]);
  await turn();
  assert.equal(talk.error?.code, "ETIMEDOUT");
});

test("an idle limit ends a connection that carries nothing", async () => {
  const talk = Conversation.open({ limits: { idle: 5000, keepalive: 0 } });
  talk.after(4000);
  talk.say({ payload: Buffer.from("x") });
  talk.after(4900);
  assert.ok(!talk.stream.destroyed);
  assert.equal(talk.after(200).at(-1)!.flags, RST | ACK);
  await turn();
  assert.equal(talk.error?.code, "ETIMEDOUT");
});

test("destroy() before both ends resets the connection", async () => {
  for (const error of [undefined, new Error("cut")]) {
    const talk = Conversation.open();
    talk.stream.destroy(error);
    const [rst, ...more] = talk.settle();
    assert.deepEqual([rst!.flags, rst!.seq, more.length], [RST | ACK, talk.theirs, 0]);
    assert.equal(talk.stack.layer.size, 0);
    await turn();
    assert.ok(talk.closed);
  }
});

test("after both ends, what is left is still sent to the application", async () => {
  const talk = Conversation.open();
  talk.deliver({ window: 4 });
  talk.say({ flags: FIN | ACK, window: 4 });
  talk.stream.end("the rest");
  await turn();
  // The window is too small to be used at once.
  talk.settle();
  assert.equal(talk.after(2000)[0]!.payload.toString(), "the ");
  await turn();
  assert.ok(talk.closed);
  assert.equal(talk.error, undefined);
  const [rest] = talk.deliver({ ack: talk.theirs + 4, window: 100 });
  assert.equal(rest!.payload.toString(), "rest");
  assert.ok(rest!.flags & FIN);
  talk.deliver({ ack: talk.theirs + 9 });
  assert.equal(talk.stack.layer.size, 0);
});

test("many small writes go out together, and a write waits for room", async () => {
  const talk = Conversation.open({ limits: { sendBuffer: 5000, maxSendBuffer: 5000 }, syn: SCALED });
  talk.stream.cork();
  for (let i = 0; i < 500; i++) talk.stream.write("ab");
  talk.stream.uncork();
  await turn();
  assert.deepEqual(
    talk.settle().map(({ payload }) => payload.length),
    [1000],
  );
  let done = 0;
  talk.stream.write(Buffer.alloc(6000), () => done++);
  talk.settle();
  await turn();
  assert.equal(done, 0);
  talk.deliver({ ack: talk.theirs + 3000 });
  await turn();
  assert.equal(done, 1);
});

test("send buffers grow together no further than their budget, and give it back", async () => {
  const limits = { sendBuffer: 1000, maxSendBuffer: 8000, sendBudget: 3000 };
  const talk = Conversation.open({ limits, syn: SCALED });
  const { sendBudget } = talk.stack.layer;
  for (const [round, promised] of [1000, 3000, 3000].entries()) {
    talk.stream.write(Buffer.alloc(10_000));
    await turn();
    talk.settle();
    talk.deliver({ ack: talk.theirs + 10_000 * (round + 1) });
    await turn();
    assert.equal(sendBudget.promised, promised);
  }
  talk.stream.destroy();
  await turn();
  talk.settle();
  assert.equal(sendBudget.promised, 0);
});

test("a device that cuts packets is given large ones, and their memory goes back once they are acknowledged", async () => {
  const talk = Conversation.open({ segmentation: true, syn: { mss: 1460, windowScale: 8 } });
  const chunks = [1, 2, 3].map((value) => Buffer.from(new ArrayBuffer(20_000)).fill(value));
  for (const chunk of chunks) writeAndRelease(talk.stream, chunk);
  const sent = talk.settle();
  const payload = Buffer.concat(sent.map((segment) => segment.payload));
  assert.equal(payload.length, 60_000);
  assert.deepEqual([payload[0], payload[20_000], payload[59_999]], [1, 2, 3]);
  assert.ok(sent.every((segment, i) => i === sent.length - 1 || segment.payload.length === 1460));
  talk.deliver({ ack: talk.theirs + 39_999 });
  assert.deepEqual(
    chunks.map((chunk) => chunk.length),
    [0, 20_000, 20_000],
  );
  talk.deliver({ ack: talk.theirs + 60_000 });
  assert.deepEqual(
    chunks.map((chunk) => chunk.length),
    [0, 0, 0],
  );
});

test("a splice carries both directions over a connection, and passes each end on", async () => {
  const talk = Conversation.open();
  talk.stream.removeAllListeners("data");
  talk.stream.pause();
  const [near, far] = duplexPair();
  let done: unknown = "not yet";
  new Splice(talk.stream, near, (error) => (done = error));
  const heard: string[] = [];
  far.on("data", (chunk: Buffer) => heard.push(chunk.toString()));
  await turn();
  talk.say({ payload: Buffer.from("up"), flags: ACK | FIN });
  await turn();
  await turn();
  assert.deepEqual(heard, ["up"]);
  far.end("down");
  await turn();
  await turn();
  const down = talk.settle();
  assert.equal(Buffer.concat(down.map(({ payload }) => payload)).toString(), "down");
  assert.ok(down.at(-1)!.flags & FIN);
  await turn();
  assert.equal(done, undefined);
  talk.deliver({ ack: talk.theirs + 5 });
  assert.equal(talk.stack.layer.size, 0);
});

test("a reset by the application cuts a splice, and a cut of the other side resets the connection", async () => {
  const talk = Conversation.open();
  const [near, far] = duplexPair();
  far.on("error", () => {});
  let done: unknown;
  new Splice(talk.stream, near, (error) => (done = error));
  talk.deliver({ flags: RST, ack: 0 });
  await turn();
  assert.equal((done as NodeJS.ErrnoException).code, "ECONNRESET");
  assert.ok(near.destroyed);

  const other = Conversation.open();
  const [side] = duplexPair();
  new Splice(other.stream, side, () => {});
  side.destroy();
  await turn();
  assert.equal(other.settle()[0]!.flags, RST | ACK);
});

test("all connections together promise no more than the budget, but for the least that each has", async () => {
  const limits = { receiveBudget: 1_000_000, receiveBuffer: 256 * 1024 };
  const talk = Conversation.open({ limits });
  const { budget } = talk.stack.layer;
  assert.equal(budget.promised, 256 * 1024);
  budget.grow(10_000_000);
  assert.equal(budget.promised, 1_000_000);
});
