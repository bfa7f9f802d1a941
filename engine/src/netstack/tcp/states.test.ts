import assert from "node:assert/strict";
import { test } from "node:test";
import { State } from "./connection.ts";
import { Conversation, turn } from "./test-conversation.ts";
import { ACK, FIN, RST, SYN } from "./test-wire.ts";

/** Brings a connection into each state (RFC 9293 §3.3.2, figure 5). */
const reach: Record<Exclude<State, "CLOSED">, () => Promise<Conversation>> = {
  "SYN-RECEIVED": async () => {
    const talk = new Conversation();
    talk.sayHello();
    return talk;
  },
  ESTABLISHED: async () => Conversation.open(),
  "FIN-WAIT-1": async () => {
    const talk = Conversation.open();
    await talk.end();
    return talk;
  },
  "FIN-WAIT-2": async () => {
    const talk = await reach["FIN-WAIT-1"]();
    talk.say({});
    return talk;
  },
  "CLOSE-WAIT": async () => {
    const talk = Conversation.open();
    talk.say({ flags: FIN | ACK });
    return talk;
  },
  CLOSING: async () => {
    const talk = await reach["FIN-WAIT-1"]();
    talk.say({ flags: FIN | ACK, ack: talk.theirs - 1 });
    return talk;
  },
  "LAST-ACK": async () => {
    const talk = await reach["CLOSE-WAIT"]();
    await talk.end();
    return talk;
  },
  "TIME-WAIT": async () => {
    const talk = await reach["FIN-WAIT-2"]();
    talk.say({ flags: FIN | ACK });
    return talk;
  },
};

const states = Object.keys(reach) as (keyof typeof reach)[];
const payload = Buffer.from("data");
const CHALLENGE_PAUSE = 60;

for (const state of states) {
  test(`${state}: it is reached`, async () => {
    const talk = await reach[state]();
    assert.equal(talk.connection.state, state);
  });

  test(`${state}: a RST with the very next number ends it`, async () => {
    const talk = await reach[state]();
    await turn();
    assert.deepEqual(talk.deliver({ flags: RST, ack: 0 }), []);
    assert.equal(talk.connection.state, State.closed);
    await turn();
    // Where both directions had ended, the stream is over and hears no more.
    const over = state === "CLOSING" || state === "LAST-ACK" || state === "TIME-WAIT";
    assert.equal(talk.error?.code, over ? undefined : "ECONNRESET");
    assert.ok(talk.closed);
    assert.equal(talk.stack.layer.size, 0);
    assert.equal(talk.stack.timers.size, 0);
  });

  test(`${state}: when the stack ends, the application's system hears of it as it must believe`, async () => {
    const talk = await reach[state]();
    talk.stack.layer.reset();
    const expected = state === "TIME-WAIT" ? [] : [{ flags: RST | ACK, seq: talk.theirs, ack: talk.ours }];
    assert.deepEqual(
      talk.settle().map(({ flags, seq, ack }) => ({ flags, seq, ack })),
      expected,
    );
    await turn();
    assert.ok(talk.closed);
    assert.equal(talk.stack.layer.size, 0);
    assert.equal(talk.stack.timers.size, 0);
  });

  test(`${state}: a RST elsewhere in the window is challenged, one outside of it ignored`, async () => {
    const talk = await reach[state]();
    talk.after(CHALLENGE_PAUSE);
    assert.deepEqual(talk.deliver({ flags: RST, seq: talk.ours - 1, ack: 0 }), []);
    assert.deepEqual(talk.deliver({ flags: RST, seq: talk.ours + 2 ** 30, ack: 0 }), []);
    const answers = talk.deliver({ flags: RST, seq: talk.ours + 1, ack: 0 });
    assert.equal(talk.connection.state, state);
    assert.equal(answers.length, 1);
    assert.equal(answers[0]!.flags, ACK);
    assert.equal(answers[0]!.ack, talk.ours);
  });

  test(`${state}: a SYN is challenged`, async () => {
    const talk = await reach[state]();
    talk.after(CHALLENGE_PAUSE);
    const seq = state === "TIME-WAIT" ? talk.ours - 500 : talk.ours + 10;
    const answers = talk.deliver({ flags: SYN, seq, ack: 0 });
    assert.equal(talk.connection.state, state);
    assert.deepEqual(
      answers.map(({ flags, ack }) => [flags, ack]),
      [[ACK, talk.ours]],
    );
  });

  test(`${state}: a SYN-ACK is challenged`, async () => {
    const talk = await reach[state]();
    talk.after(CHALLENGE_PAUSE);
    const answers = talk.deliver({ flags: SYN | ACK, seq: talk.ours - 1 });
    assert.equal(talk.connection.state, state);
    assert.deepEqual(
      answers.map(({ flags }) => flags),
      [ACK],
    );
  });

  test(`${state}: a segment without ACK is ignored`, async () => {
    const talk = await reach[state]();
    assert.deepEqual(talk.deliver({ flags: 0, payload }), []);
    assert.deepEqual(talk.deliver({ flags: FIN }), []);
    assert.equal(talk.connection.state, state);
    assert.equal(talk.heard, "");
  });

  test(`${state}: an old segment is acknowledged as what has come since`, async () => {
    const talk = await reach[state]();
    if (state === "SYN-RECEIVED") talk.say({});
    talk.after(CHALLENGE_PAUSE);
    const answers = talk.deliver({ seq: talk.ours - 4, payload });
    assert.equal(answers.length, 1);
    assert.equal(answers[0]!.ack, talk.ours);
    assert.equal(talk.heard, "");
  });

  test(`${state}: an acknowledgement of what was never sent changes nothing`, async () => {
    const talk = await reach[state]();
    const answers = talk.deliver({ ack: talk.theirs + 100, payload });
    assert.equal(talk.connection.state, state);
    assert.equal(talk.heard, "");
    assert.equal(answers.length, 1);
    if (state === "SYN-RECEIVED") {
      assert.equal(answers[0]!.flags, RST);
      assert.equal(answers[0]!.seq, (talk.theirs + 100) >>> 0);
    } else {
      assert.equal(answers[0]!.flags, ACK);
    }
  });
}

test("data is taken in ESTABLISHED, FIN-WAIT-1 and FIN-WAIT-2, and with the ACK of the SYN-ACK", async () => {
  for (const state of ["SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2"] as const) {
    const talk = await reach[state]();
    talk.say({ payload });
    await turn();
    assert.equal(talk.heard, "data", state);
  }
});

test("data after the FIN is not taken", async () => {
  for (const state of ["CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT"] as const) {
    const talk = await reach[state]();
    const answers = talk.deliver({
      payload,
      ack: state === "CLOSING" || state === "LAST-ACK" ? talk.theirs - 1 : talk.theirs,
    });
    assert.equal(talk.heard, "", state);
    assert.equal(talk.connection.state, state);
    assert.equal(answers.at(-1)!.ack, talk.ours, state);
  }
});

test("a FIN with data ends the stream behind the data, and both are acknowledged at once", async () => {
  const talk = Conversation.open();
  const [answer] = talk.say({ flags: FIN | ACK, payload });
  assert.equal(answer!.ack, talk.ours);
  assert.equal(talk.connection.state, State.closeWait);
  await turn();
  assert.equal(talk.heard, "data");
  assert.ok(talk.ended);
  assert.ok(!talk.closed);
});

test("FIN-WAIT-1: a FIN that also acknowledges ours leads to TIME-WAIT", async () => {
  const talk = await reach["FIN-WAIT-1"]();
  const [answer] = talk.say({ flags: FIN | ACK });
  assert.equal(answer!.ack, talk.ours);
  assert.equal(talk.connection.state, State.timeWait);
});

test("a simultaneous close goes through CLOSING to TIME-WAIT", async () => {
  const talk = await reach.CLOSING();
  talk.deliver({});
  assert.equal(talk.connection.state, State.timeWait);
  await turn();
  assert.ok(talk.closed);
  assert.equal(talk.error, undefined);
});

test("CLOSING: our FIN is sent again until it is acknowledged", async () => {
  const talk = await reach.CLOSING();
  const again = talk.after(1500).filter(({ flags }) => flags & FIN);
  assert.ok(again.length >= 1);
  assert.equal(again[0]!.seq, (talk.theirs - 1) >>> 0);
});

test("LAST-ACK: the acknowledgement of our FIN ends the connection", async () => {
  const talk = await reach["LAST-ACK"]();
  assert.deepEqual(talk.deliver({}), []);
  assert.equal(talk.connection.state, State.closed);
  assert.equal(talk.stack.layer.size, 0);
});

test("TIME-WAIT: a FIN that comes again is acknowledged again and begins the wait anew", async () => {
  const talk = await reach["TIME-WAIT"]();
  talk.after(9_000);
  const [answer] = talk.deliver({ flags: FIN | ACK, seq: talk.ours - 1 });
  assert.equal(answer!.ack, talk.ours);
  talk.after(9_000);
  assert.equal(talk.connection.state, State.timeWait);
  talk.after(1_100);
  assert.equal(talk.connection.state, State.closed);
  assert.equal(talk.stack.timers.size, 0);
});

test("TIME-WAIT: a SYN with a later number begins a new connection, beyond the old one's numbers", async () => {
  const talk = await reach["TIME-WAIT"]();
  const old = talk.theirs;
  talk.ours += 100_000;
  const synAck = talk.sayHello();
  assert.equal(synAck.flags, SYN | ACK);
  assert.ok(((synAck.seq - old) | 0) > 0);
  talk.say({ payload });
  await turn();
  assert.equal(talk.heard, "data");
});

test("TIME-WAIT: with timestamps, a later one decides (RFC 6191)", async () => {
  const syn = { mss: 1460, timestamps: [5000, 0] as const };
  const talk = Conversation.open({ syn });
  await talk.end();
  talk.say({ flags: FIN | ACK });
  const last = talk.stack.now;
  assert.equal(talk.connection.state, State.timeWait);
  talk.after(CHALLENGE_PAUSE);
  assert.equal(
    talk.deliver({ flags: SYN, ack: 0, seq: talk.ours + 1000, timestamps: [last - 1, 0] })[0]?.flags,
    ACK,
  );
  assert.equal(talk.stack.attempts.length, 1);
  talk.deliver({ flags: SYN, ack: 0, seq: talk.ours - 1000, timestamps: [last + 1, 0] });
  assert.equal(talk.stack.attempts.length, 2);
});

test("FIN-WAIT-2 and CLOSE-WAIT end when nothing comes for the half-close time", async () => {
  for (const state of ["FIN-WAIT-2", "CLOSE-WAIT"] as const) {
    const talk = await reach[state]();
    const sent = talk.after(601_000);
    assert.ok(sent.at(-1)!.flags & RST, state);
    await turn();
    assert.equal(talk.error?.code, "ETIMEDOUT");
    assert.equal(talk.stack.layer.size, 0);
  }
});
