import assert from "node:assert/strict";
import { test } from "node:test";
import { Congestion } from "./congestion.ts";
import { RoundTrip } from "./round-trip.ts";
import { Conversation, turn } from "./test-conversation.ts";
import { ACK, FIN, PSH, RST, SYN } from "./test-wire.ts";

const MSS = 1000;
/** RFC 3168 §6.1. */
const ECE = 64;
const CWR = 128;
/** What is not sent at once is sent within this. */
const MOMENT = 20;

test("RFC 6298: the timeout follows the round trip and its variation, and doubles with each that passes", () => {
  const roundTrip = new RoundTrip();
  assert.equal(roundTrip.timeout, 1000, "§2.1");
  roundTrip.sample(400);
  assert.equal(roundTrip.timeout, 400 + 4 * 200, "§2.2");
  roundTrip.sample(800);
  // RTTVAR = 3/4 of 200 and 1/4 of 400; SRTT = 7/8 of 400 and 1/8 of 800.
  assert.equal(roundTrip.timeout, 450 + 4 * 250, "§2.3");
  roundTrip.backoff = 3;
  assert.equal(roundTrip.timeout, 8 * 1450, "§5.5");
  roundTrip.backoff = 30;
  assert.equal(roundTrip.timeout, 60_000, "§2.5");
  roundTrip.backoff = 0;
  for (let i = 0; i < 100; i++) roundTrip.sample(1);
  assert.ok(roundTrip.timeout >= 200 && roundTrip.timeout < 201, "never below its least");
});

test("RFC 6298 §5: what is not acknowledged is sent again after 1, 2, 4, 8 … times the timeout", () => {
  const talk = Conversation.open();
  talk.stream.write("hello");
  talk.settle();
  const times: number[] = [];
  const began = talk.stack.now;
  while (times.length < 6) {
    const [sent] = talk.after(10);
    if (sent) times.push(talk.stack.now - began);
  }
  const pauses = times.map((time, i) => time - (times[i - 1] ?? 0));
  for (const [i, pause] of pauses.slice(1).entries())
    assert.ok(Math.abs(pause / pauses[i]! - 2) < 0.2, `${pauses.join(", ")} ms`);
});

test("RFC 5681: slow start, one segment a round trip from the threshold on, half after a loss, one segment after a timeout", () => {
  const congestion = new Congestion(10 * MSS);
  congestion.onProgress(10 * MSS, MSS, true);
  assert.equal(congestion.window, 20 * MSS, "§3.1, doubled in a round trip");
  congestion.onProgress(20 * MSS, MSS, false);
  assert.equal(congestion.window, 20 * MSS, "RFC 7661: it was not what held the sender back");
  congestion.onLoss(20 * MSS, MSS);
  assert.equal(congestion.window, 10 * MSS, "§3.2");
  for (let acked = 0; acked < 10; acked++) congestion.onProgress(MSS, MSS, true);
  assert.equal(congestion.window, 11 * MSS, "§3.1, beyond the threshold");
  congestion.onTimeout(11 * MSS, MSS, true);
  assert.equal(congestion.window, MSS, "§3.1, equation 4");
  for (let acked = 0; acked < 5; acked++) congestion.onProgress(MSS, MSS, true);
  assert.equal(congestion.window, 6 * MSS, "slow start up to half of what was under way");
  congestion.onLoss(2 * MSS, MSS);
  assert.equal(congestion.window, 2 * MSS, "never below two segments");
});

test("RFC 6582: without SACK, each partial acknowledgement sends the next segment that is missing", () => {
  const talk = Conversation.open({ syn: { mss: MSS } });
  talk.stream.write(Buffer.alloc(10 * MSS, "z"));
  const sent = talk.settle();
  assert.equal(sent.length, 10);
  const at = (i: number): number => (talk.theirs + i * MSS) >>> 0;
  // The third and the sixth are lost.
  talk.deliver({ ack: at(2) });
  const numbers: number[] = [];
  for (let i = 0; i < 3; i++) numbers.push(...talk.deliver({ ack: at(2) }).map(({ seq }) => seq));
  assert.deepEqual(numbers, [at(2)]);
  assert.deepEqual(
    talk.deliver({ ack: at(5) }).map(({ seq }) => seq),
    [at(5)],
  );
  assert.deepEqual(talk.deliver({ ack: at(10) }), []);
});

test("RFC 5961 §5: data with an acknowledgement that is too old to be true is not taken, and challenged", async () => {
  const talk = Conversation.open();
  await turn();
  talk.after(60);
  const [challenge] = talk.deliver({
    ack: talk.theirs - 70_000,
    payload: Buffer.from("injected"),
  });
  assert.deepEqual([challenge?.flags, challenge?.ack], [ACK, talk.ours]);
  await turn();
  assert.equal(talk.heard, "");
  talk.deliver({ ack: talk.theirs - 100, payload: Buffer.from("old, but possible") });
  await turn();
  assert.equal(talk.heard, "old, but possible");
});

test("RFC 5961 §7: a flood of segments to challenge gets few challenges", () => {
  const talk = Conversation.open();
  talk.after(60);
  let challenges = 0;
  for (let i = 1; i <= 1000; i++)
    challenges += talk.deliver({ flags: RST, seq: talk.ours + i, ack: 0 }).length;
  assert.equal(challenges, 1);
  talk.after(60);
  assert.equal(talk.deliver({ flags: SYN, seq: talk.ours + 5, ack: 0 }).length, 1);
});

test("RFC 7323 §5: a segment with an older timestamp is from another time, and not taken; one without is not either", async () => {
  const talk = Conversation.open({ syn: { mss: MSS, timestamps: [1000, 0] } });
  const at = talk.stack.now;
  talk.say({ timestamps: [at + 20, 0], payload: Buffer.from("now") });
  talk.after(60);
  const [answer] = talk.deliver({ timestamps: [at + 10, 0], payload: Buffer.from("then") });
  assert.equal(answer?.ack, talk.ours);
  assert.deepEqual(talk.deliver({ timestamps: undefined, payload: Buffer.from("none") }), []);
  await turn();
  assert.equal(talk.heard, "now");
  talk.say({ timestamps: [at + 20, 0], payload: Buffer.from(", and on") });
  await turn();
  assert.equal(talk.heard, "now, and on");
});

test("RFC 7323 §2: the window is scaled both ways, but for that of the SYN-ACK", () => {
  const talk = new Conversation({ limits: { receiveBuffer: 1_000_000 }, syn: { mss: MSS, windowScale: 5 } });
  const synAck = talk.sayHello();
  assert.equal(synAck.window, 65_535);
  talk.say({ window: 4 });
  const [answer] = talk.deliver({ payload: Buffer.from("x"), seq: talk.ours + 1, window: 4 });
  assert.ok(answer!.window * 2 ** synAck.windowScale! > 900_000, "ours");
  talk.stream.write(Buffer.alloc(1000, "y"));
  const sent = [...talk.settle(), ...talk.after(2000)];
  assert.equal(Math.max(...sent.map(({ payload }) => payload.length)), 4 * 2 ** 5, "the peer's");
});

test("RFC 3168: ECN that is offered is not taken up, and what marked segments carry is taken all the same", async () => {
  const talk = new Conversation({ syn: { mss: MSS, flags: SYN | ECE | CWR } });
  const synAck = talk.sayHello();
  assert.equal(synAck.flags, SYN | ACK, "§6.1.1: no ECE");
  talk.say({});
  const burst = ["a", "b", "c", "d"].map((letter, i) => ({
    seq: talk.ours + i,
    flags: ACK | (i === 1 ? ECE : i === 2 ? CWR | PSH : 0),
    payload: Buffer.from(letter),
  }));
  const answers = talk.deliver(...burst);
  talk.ours += 4;
  await turn();
  assert.equal(talk.heard, "abcd");
  answers.push(...talk.say({ flags: FIN | ACK | CWR }), ...talk.after(MOMENT));
  assert.equal(answers.at(-1)!.ack, talk.ours);
  for (const { flags } of answers) assert.equal(flags & (ECE | CWR), 0);
});

test("a receive buffer doubles while it is what holds a peer up whose bytes are read, and shrinks when they are not", async () => {
  const limits = { receiveBuffer: 10_000, maxReceiveBuffer: 160_000, receiveBudget: 1_000_000 };
  const talk = Conversation.open({ limits, syn: { mss: MSS, windowScale: 0, timestamps: [1, 0] } });
  const { receiver } = talk.connection;
  const { budget } = talk.stack.layer;
  const fill = async (): Promise<void> => {
    for (let left = receiver.window; left > 0; left -= MSS)
      talk.say({ payload: Buffer.alloc(Math.min(left, MSS), "x") });
    await turn();
    talk.settle();
  };
  for (let i = 0; i < 12; i++) await fill();
  assert.equal(receiver.buffer, 160_000);
  assert.equal(budget.promised, 160_000);
  talk.stream.pause();
  await fill();
  talk.stream.resume();
  await turn();
  talk.settle();
  assert.ok(talk.connection.receiver.buffer <= 80_000, "half, at most");
  assert.equal(budget.promised, receiver.buffer);
});
