import assert from "node:assert/strict";
import { test } from "node:test";
import { TestStack } from "./test-stack.ts";
import { ACK, decode, encode, FIN, PSH, RST, SYN, type Wire } from "./test-wire.ts";

const client = { source: "10.0.0.1", sourcePort: 40000, target: "192.0.2.7", targetPort: 443 };
const base: Wire = { ...client, seq: 1000, ack: 0, flags: SYN, window: 65535, payload: Buffer.alloc(0) };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function only(packets: readonly Buffer[]): Wire {
  assert.equal(packets.length, 1, `${packets.length} packets`);
  return decode(packets[0]!)!;
}

test("a connection is accepted, carries bytes both ways and ends", async () => {
  const stack = new TestStack();
  assert.deepEqual(stack.arrive(encode({ ...base, mss: 1460, windowScale: 7, sackPermitted: true })), []);
  const [attempt] = stack.attempts;
  assert.deepEqual(attempt!.source, { host: "10.0.0.1", port: 40000 });
  assert.deepEqual(attempt!.target, { host: "192.0.2.7", port: 443 });
  const stream = attempt!.accept();
  assert.equal(stack.woken, 1);
  const synAck = only(stack.settle());
  assert.equal(synAck.flags, SYN | ACK);
  assert.equal(synAck.ack, 1001);
  assert.equal(synAck.mss, 1460);
  const seq = (synAck.seq + 1) >>> 0;
  const said: string[] = [];
  stream.on("data", (chunk: Buffer) => said.push(chunk.toString()));
  stream.resume();
  await turn();
  stack.arrive(encode({ ...base, seq: 1001, ack: seq, flags: ACK }));
  stack.arrive(encode({ ...base, seq: 1001, ack: seq, flags: ACK | PSH, payload: Buffer.from("hello") }));
  assert.deepEqual(said, ["hello"]);
  stream.write("good day");
  const answer = only(stack.settle());
  assert.equal(answer.payload.toString(), "good day");
  assert.equal(answer.ack, 1006);
  stream.end();
  await turn();
  const fin = only(stack.settle());
  assert.equal(fin.flags, FIN | ACK);
  assert.equal(fin.seq, (seq + 8) >>> 0);
  const last = only(stack.arrive(encode({ ...base, seq: 1006, ack: (seq + 9) >>> 0, flags: FIN | ACK })));
  assert.equal(last.ack, 1007);
  await turn();
  await turn();
  assert.ok(stream.destroyed);
  assert.equal(stack.layer.size, 1);
  stack.after(20_000);
  assert.equal(stack.layer.size, 0);
  assert.equal(stack.layer.budget.promised, 0);
  assert.equal(stack.timers.size, 0);
});

test("a refused attempt gets a RST", () => {
  const stack = new TestStack();
  stack.arrive(encode(base));
  stack.attempts[0]!.refuse("refused");
  const rst = only(stack.settle());
  assert.equal(rst.flags, RST | ACK);
  assert.equal(rst.ack, 1001);
});
