import assert from "node:assert/strict";
import { test } from "node:test";
import { addBytes, fold, pseudoHeaderSum } from "./ip/checksum.ts";
import { PacketCollector } from "./packet-collector.ts";

const FIN_PSH_ACK = 0x19;

function writeTcp(collector: PacketCollector, payload: Buffer, segment: number): void {
  const at = collector.begin();
  const head = collector.heads.subarray(at, at + 40);
  head.fill(0);
  head.write("45", "hex");
  head.writeUInt16BE(40 + payload.length, 2);
  head.writeUInt16BE(0xffff, 4);
  head.writeUInt8(64, 8);
  head.writeUInt8(6, 9);
  head.write("0a0000010a000002", 12, "hex");
  head.writeUInt32BE(0xfffffff0, 24);
  head.writeUInt8(0x50, 32);
  head.writeUInt8(FIN_PSH_ACK, 33);
  const sum = pseudoHeaderSum(head, 12, 4, { protocol: 6, length: 20 + payload.length });
  head.writeUInt16BE(fold(sum), 36);
  collector.piece(payload, 0, 7);
  collector.piece(payload, 7, payload.length);
  collector.end(40, 20, 16, segment);
}

function sumOfTransport(packet: Buffer): number {
  const length = packet.length - 20;
  return fold(addBytes(pseudoHeaderSum(packet, 12, 4, { protocol: 6, length }), packet, 20, packet.length));
}

test("a packet leaves at flush(), whole and with its checksum complete", () => {
  const collector = new PacketCollector();
  const payload = Buffer.from("a payload in two pieces");
  writeTcp(collector, payload, 0);
  assert.deepEqual(collector.take(), []);
  collector.flush();
  const [packet, ...others] = collector.take();
  assert.deepEqual(others, []);
  assert.deepEqual(packet!.subarray(40), payload);
  assert.equal(sumOfTransport(packet!), 0xffff);
});

test("a large TCP packet is cut into segments as the kernel would", () => {
  const collector = new PacketCollector({ mtu: 140, segmentation: true });
  const payload = Buffer.from(Array.from({ length: 250 }, (_, index) => index));
  writeTcp(collector, payload, 100);
  collector.flush();
  const packets = collector.take();
  assert.deepEqual(
    packets.map((packet) => packet.length),
    [140, 140, 90],
  );
  assert.deepEqual(Buffer.concat(packets.map((packet) => packet.subarray(40))), payload);
  assert.deepEqual(
    packets.map((packet) => packet.readUInt32BE(24)),
    [0xfffffff0, 0x54, 0xb8],
  );
  assert.deepEqual(
    packets.map((packet) => packet[33]),
    [0x10, 0x10, FIN_PSH_ACK],
  );
  for (const packet of packets) {
    assert.equal(sumOfTransport(packet), 0xffff);
    assert.equal(fold(addBytes(0, packet, 0, 20)), 0xffff);
  }
});

test("a packet larger than the MTU, or a payload taken away before flush(), is a defect", () => {
  const collector = new PacketCollector({ mtu: 1280 });
  writeTcp(collector, Buffer.alloc(1300), 0);
  assert.throws(() => collector.flush(), /MTU 1280/);
  const other = new PacketCollector();
  const payload = Buffer.from(new ArrayBuffer(100));
  writeTcp(other, payload, 0);
  payload.buffer.transfer(0);
  assert.throws(() => other.flush(), /taken away/);
});
