import assert from "node:assert/strict";
import { test } from "node:test";
import { Checksum } from "../device.ts";
import { Conversation, turn } from "./test-conversation.ts";
import { TestStack } from "./test-stack.ts";
import { ACK, asIpPacket, decode, encode, FIN, RST, SYN, type Wire } from "./test-wire.ts";

const base: Wire = {
  source: "10.0.0.1",
  sourcePort: 40000,
  target: "192.0.2.7",
  targetPort: 443,
  seq: 1000,
  ack: 0,
  flags: SYN,
  window: 65535,
  payload: Buffer.alloc(0),
};

function syn(fields: Partial<Wire> = {}): Buffer {
  return encode({ ...base, ...fields });
}

function only(packets: readonly Buffer[]): Wire {
  assert.equal(packets.length, 1, `${packets.length} packets`);
  return decode(packets[0]!)!;
}

test("a SYN is answered only when it is accepted, with an MSS and what the SYN offered", () => {
  const stack = new TestStack({ mtu: 9000 });
  const options = { mss: 1460, windowScale: 7, sackPermitted: true, timestamps: [77, 0] as const };
  assert.deepEqual(stack.arrive(syn(options)), []);
  const [attempt] = stack.attempts;
  assert.deepEqual(attempt!.source, { host: "10.0.0.1", port: 40000 });
  assert.deepEqual(attempt!.target, { host: "192.0.2.7", port: 443 });
  attempt!.accept();
  assert.equal(stack.woken, 1);
  const synAck = only(stack.settle());
  assert.equal(synAck.flags, SYN | ACK);
  assert.equal(synAck.ack, 1001);
  assert.equal(synAck.mss, 8960);
  assert.ok(synAck.windowScale! > 0);
  assert.ok(synAck.sackPermitted);
  assert.equal(synAck.timestamps![1], 77);
});

test("a SYN without options gets only the MSS", () => {
  const stack = new TestStack();
  stack.arrive(syn());
  stack.attempts[0]!.accept();
  const synAck = only(stack.settle());
  assert.equal(synAck.mss, 1460);
  assert.equal(synAck.windowScale, undefined);
  assert.equal(synAck.sackPermitted, undefined);
  assert.equal(synAck.timestamps, undefined);
});

test("IPv6 addresses are told in their canonical form", () => {
  const stack = new TestStack();
  stack.arrive(syn({ source: "fd00::1", target: "2001:db8:0:1::" }));
  assert.equal(stack.attempts[0]!.source.host, "fd00::1");
  assert.equal(stack.attempts[0]!.target.host, "2001:db8:0:1::");
});

test("a SYN that is repeated during the dial does not make a second attempt", () => {
  const stack = new TestStack();
  for (const wait of [0, 1000, 2000, 4000, 8000, 16_000]) {
    assert.deepEqual(stack.after(wait), []);
    assert.deepEqual(stack.arrive(syn()), []);
  }
  assert.equal(stack.attempts.length, 1);
  assert.equal(stack.layer.attempts, 1);
});

test("a SYN that is repeated after the SYN-ACK gets the same SYN-ACK", () => {
  const stack = new TestStack();
  stack.arrive(syn());
  stack.attempts[0]!.accept();
  const first = only(stack.settle());
  const second = only(stack.arrive(syn()));
  assert.equal(second.flags, SYN | ACK);
  assert.equal(second.seq, first.seq);
});

test("a RST of the application cancels the attempt; one with another number does not", () => {
  const stack = new TestStack();
  let cancelled = 0;
  stack.arrive(syn());
  stack.attempts[0]!.onCancel(() => cancelled++);
  assert.deepEqual(stack.arrive(syn({ flags: RST, seq: 5000 })), []);
  assert.equal(cancelled, 0);
  assert.deepEqual(stack.arrive(syn({ flags: RST, seq: 1001 })), []);
  assert.equal(cancelled, 1);
  assert.equal(stack.layer.size, 0);
  assert.equal(stack.timers.size, 0);
  assert.ok(stack.attempts[0]!.accept().destroyed);
  assert.deepEqual(stack.settle(), []);
  assert.equal(stack.layer.budget.promised, 0);
});

test("an application that does not repeat its SYN has given up", () => {
  const stack = new TestStack();
  let cancelled = 0;
  stack.arrive(syn());
  stack.attempts[0]!.onCancel(() => cancelled++);
  stack.after(4900);
  stack.arrive(syn());
  stack.after(16_000);
  assert.equal(cancelled, 0);
  stack.after(2000);
  assert.equal(cancelled, 1);
  assert.equal(stack.layer.size, 0);
});

test("a SYN with another number on the same ports is another connection", () => {
  const stack = new TestStack();
  let cancelled = 0;
  stack.arrive(syn());
  stack.attempts[0]!.onCancel(() => cancelled++);
  stack.arrive(syn({ seq: 777_000 }));
  assert.equal(cancelled, 1);
  assert.equal(stack.attempts.length, 2);
  stack.attempts[1]!.accept();
  assert.equal(only(stack.settle()).ack, 777_001);
});

test("attempts are bounded in all and for each source, and a slot is free again after each kind of end", () => {
  const stack = new TestStack({ limits: { attempts: 4, attemptsPerSource: 3 } });
  for (let port = 1; port <= 5; port++) stack.arrive(syn({ sourcePort: port }));
  assert.equal(stack.attempts.length, 3);
  stack.arrive(syn({ source: "10.0.0.2" }));
  stack.arrive(syn({ source: "10.0.0.3" }));
  assert.equal(stack.attempts.length, 4);
  assert.equal(stack.layer.counters.attemptsDropped, 3);
  stack.attempts[0]!.refuse("refused");
  stack.attempts[1]!.accept();
  const synAck = stack
    .settle()
    .map((packet) => decode(packet)!)
    .find(({ flags }) => flags === (SYN | ACK))!;
  stack.arrive(encode({ ...base, sourcePort: 2, seq: 1001, ack: synAck.seq + 1, flags: ACK }));
  stack.arrive(syn({ sourcePort: 3, flags: RST, seq: 1001 }));
  for (let port = 11; port <= 15; port++) stack.arrive(syn({ sourcePort: port }));
  assert.equal(stack.attempts.length, 7);
  assert.equal(stack.layer.attempts, 4);
  stack.after(100_000);
  assert.equal(stack.layer.attempts, 0);
});

test("a refused attempt gets a RST, an unreachable one ICMP where that is to be had", () => {
  const told: [string, string][] = [];
  const stack = new TestStack({
    refuseUnreachable: (packet, why) => told.push([packet.toString("hex"), why]),
  });
  stack.arrive(syn());
  stack.attempts[0]!.refuse("refused");
  const rst = only(stack.settle());
  assert.deepEqual([rst.flags, rst.seq, rst.ack], [RST | ACK, 0, 1001]);
  stack.arrive(syn());
  stack.attempts[1]!.refuse("prohibited");
  assert.deepEqual(stack.settle(), []);
  assert.deepEqual(told, [[syn().toString("hex"), "prohibited"]]);
  const plain = new TestStack();
  plain.arrive(syn());
  plain.attempts[0]!.refuse("unreachable");
  assert.equal(only(plain.settle()).flags, RST | ACK);
  assert.equal(plain.layer.size + stack.layer.size, 0);
});

test("segments of unknown connections get the RST of RFC 9293 §3.10.7.1, so many in a second", () => {
  const stack = new TestStack({ limits: { resetsPerSecond: 3 } });
  const withAck = only(stack.arrive(syn({ flags: ACK, ack: 4242 })));
  assert.deepEqual([withAck.flags, withAck.seq], [RST, 4242]);
  const without = only(stack.arrive(syn({ flags: FIN, payload: Buffer.from("abc") })));
  assert.deepEqual([without.flags, without.seq, without.ack], [RST | ACK, 0, 1004]);
  assert.deepEqual(stack.arrive(syn({ flags: RST | ACK })), []);
  assert.equal(stack.arrive(syn({ flags: SYN | ACK, ack: 9 })).length, 1);
  assert.deepEqual(stack.arrive(syn({ flags: ACK, ack: 1 })), []);
  stack.now += 400;
  assert.equal(stack.arrive(syn({ flags: ACK, ack: 1 })).length, 1);
});

test("a SYN-ACK that nobody answers is repeated a few times, and then the connection ends", async () => {
  const stack = new TestStack();
  stack.arrive(syn());
  const stream = stack.attempts[0]!.accept();
  let code: string | undefined;
  stream.on("error", (error: NodeJS.ErrnoException) => (code = error.code));
  assert.equal(stack.settle().length, 1);
  const sent = stack.after(200_000).map((packet) => decode(packet)!.flags);
  assert.deepEqual(sent, [SYN | ACK, SYN | ACK, SYN | ACK, SYN | ACK, SYN | ACK, RST | ACK]);
  await turn();
  assert.equal(code, "ETIMEDOUT");
  assert.equal(stack.layer.size, 0);
});

test("what has a wrong checksum, or is no TCP, is dropped and counted", () => {
  const stack = new TestStack();
  const wrong = syn();
  wrong[30]! ^= 1;
  stack.arrive(wrong);
  const cut = asIpPacket(syn(), Checksum.good);
  cut.end -= 1;
  stack.layer.arrive(cut);
  const offset = syn();
  offset[32] = 0xf0;
  stack.layer.arrive(asIpPacket(offset, Checksum.good));
  stack.layer.arrive(asIpPacket(syn(), Checksum.bad));
  assert.equal(stack.attempts.length, 0);
  assert.equal(stack.layer.counters.bad, 4);
  // A sum that the kernel left to its device is none of ours.
  const partial = syn();
  partial.writeUInt16BE(0x1234, 36);
  stack.layer.arrive(asIpPacket(partial, Checksum.good));
  assert.equal(stack.attempts.length, 1);
});

test("initial sequence numbers differ by four-tuple, and go on with time on the same one (RFC 6528)", () => {
  const stack = new TestStack();
  const iss = (port: number): number => {
    stack.arrive(syn({ sourcePort: port }));
    stack.attempts.at(-1)!.accept();
    const { seq } = only(stack.settle());
    stack.arrive(syn({ sourcePort: port, flags: RST, seq: 1001 }));
    return seq;
  };
  const first = iss(1);
  assert.ok(Math.abs(iss(2) - first) > 1000);
  stack.now += 1000;
  assert.equal((iss(1) - first) >>> 0, 250_000);
});

test("a stack that ends cancels attempts, fails connections, and tells the applications' system", async () => {
  const stack = new TestStack();
  let cancelled = 0;
  stack.arrive(syn(), syn({ sourcePort: 2 }));
  stack.attempts[0]!.onCancel(() => cancelled++);
  const stream = stack.attempts[1]!.accept();
  let code: string | undefined;
  stream.on("error", (error: NodeJS.ErrnoException) => (code = error.code));
  const synAck = decode(stack.settle()[0]!)!;
  stack.layer.reset();
  const resets = stack.settle().map((packet) => decode(packet)!);
  assert.deepEqual(
    resets.map(({ targetPort, seq, ack, flags }) => ({ targetPort, seq, ack, flags })).sort(byPort),
    [
      { targetPort: base.sourcePort, seq: 0, ack: 1001, flags: RST | ACK },
      { targetPort: 2, seq: (synAck.seq + 1) >>> 0, ack: 1001, flags: RST | ACK },
    ].sort(byPort),
  );
  await turn();
  assert.equal(cancelled, 1);
  assert.equal(code, "ENETDOWN");
  assert.equal(stack.layer.size, 0);
  assert.equal(stack.timers.size, 0);
});

function byPort(one: { targetPort: number }, other: { targetPort: number }): number {
  return one.targetPort - other.targetPort;
}

test("one connection more than there may be is reset, and changed limits count at once", () => {
  const stack = new TestStack({ limits: { connections: 2 } });
  stack.arrive(syn({ sourcePort: 1 }), syn({ sourcePort: 2 }));
  stack.attempts[0]!.accept();
  stack.settle();
  const reset = only(stack.arrive(syn({ sourcePort: 3 })));
  assert.equal(reset.flags, RST | ACK);
  assert.equal(reset.ack, 1001);
  assert.equal(stack.attempts.length, 2);
  assert.equal(stack.layer.counters.attemptsDropped, 1);
  stack.layer.setLimits({ connections: 3 });
  assert.deepEqual(stack.arrive(syn({ sourcePort: 3 })), []);
  assert.equal(stack.attempts.length, 3);
});

test("a SYN-ACK that nobody answers holds the place of its SYN until it is answered or given up", () => {
  const stack = new TestStack({ limits: { attempts: 2 } });
  stack.arrive(syn({ sourcePort: 1 }), syn({ sourcePort: 2 }));
  for (const attempt of stack.attempts) attempt.accept();
  const [first] = stack.settle().map((packet) => decode(packet)!);
  assert.equal(stack.layer.attempts, 0);
  stack.arrive(syn({ sourcePort: 3 }));
  assert.equal(stack.attempts.length, 2);
  stack.arrive(encode({ ...base, sourcePort: 1, seq: 1001, ack: first!.seq + 1, flags: ACK }));
  stack.arrive(syn({ sourcePort: 3 }));
  assert.equal(stack.attempts.length, 3);
  stack.arrive(syn({ sourcePort: 4 }));
  assert.equal(stack.attempts.length, 3);
  stack.after(200_000);
  stack.arrive(syn({ sourcePort: 4 }), syn({ sourcePort: 5 }), syn({ sourcePort: 6 }));
  assert.equal(stack.attempts.length, 5);
});

test("segments, resets, half-open connections and what is sent again are counted as they happen", async () => {
  const talk = new Conversation();
  const { layer } = talk.stack;
  const counts = () => {
    const { segmentsIn, segmentsOut, resetsReceived, resetsSent, retransmissions } = layer.counters;
    return { segmentsIn, segmentsOut, resetsReceived, resetsSent, retransmissions, halfOpen: layer.halfOpen };
  };
  const none = { resetsReceived: 0, resetsSent: 0, retransmissions: 0 };
  talk.sayHello();
  assert.deepEqual(counts(), { ...none, segmentsIn: 1, segmentsOut: 1, halfOpen: 1 });
  talk.say({});
  assert.deepEqual(counts(), { ...none, segmentsIn: 2, segmentsOut: 1, halfOpen: 0 });
  talk.stream.write("hello");
  await turn();
  talk.settle();
  talk.after(1500);
  const [sent, again] = [counts().segmentsOut, counts().retransmissions];
  assert.ok(again >= 1, "sent again");
  assert.equal(sent, 2 + again);
  talk.say({ flags: RST });
  assert.deepEqual(counts(), {
    segmentsIn: 3,
    segmentsOut: sent,
    resetsReceived: 1,
    resetsSent: 0,
    retransmissions: again,
    halfOpen: 0,
  });
  talk.deliver({ flags: ACK });
  assert.equal(counts().resetsSent, 1);
});
