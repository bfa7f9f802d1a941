import assert from "node:assert/strict";
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { releaseChunk } from "../../release.ts";
import { agreesWithNode, loadNative, sshCrypto } from "./crypto.ts";
import type { NativeGcm } from "./gcm.ts";
import { GcmReceiver, GcmSender } from "./gcm.ts";
import type { GcmCipher, GcmDecipher } from "./internals.ts";

const native = loadNative();
const skip =
  typeof native === "string" && process.env["CI"] === undefined ? `no compiled module: ${native}` : false;

function module(): NativeGcm {
  if (typeof native === "string") throw new Error(native);
  return native;
}

/** A plain packet of RFC 4253 §6 with the least padding that AES-GCM asks for. */
function plainPacket(payload: Buffer): Buffer {
  let padding = 16 - ((payload.length + 1) % 16);
  if (padding < 4) padding += 16;
  const packet = Buffer.alloc(4 + 1 + payload.length + padding);
  packet.writeUInt32BE(packet.length - 4);
  packet[4] = padding;
  payload.copy(packet, 5);
  return packet;
}

/** The nth nonce after this one: RFC 5647 §7.1. */
function nonceAfter(nonce: Buffer, n: bigint): Buffer {
  const next = Buffer.from(nonce);
  next.writeBigUInt64BE(BigInt.asUintN(64, next.readBigUInt64BE(4) + n), 4);
  return next;
}

function sealWithNode(key: Buffer, nonce: Buffer, packet: Buffer): Buffer {
  const cipher = createCipheriv(key.length === 16 ? "aes-128-gcm" : "aes-256-gcm", key, nonce);
  cipher.setAAD(packet.subarray(0, 4));
  const body = Buffer.concat([cipher.update(packet.subarray(4)), cipher.final()]);
  return Buffer.concat([packet.subarray(0, 4), body, cipher.getAuthTag()]);
}

function openWithNode(key: Buffer, nonce: Buffer, sealed: Buffer): Buffer {
  const decipher = createDecipheriv(key.length === 16 ? "aes-128-gcm" : "aes-256-gcm", key, nonce);
  decipher.setAAD(sealed.subarray(0, 4)).setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(sealed.subarray(4, -16)), decipher.final()]);
}

function receiver(
  key: Buffer,
  nonce: Buffer,
): { receive(data: Buffer, from?: number): number | undefined; payloads: Buffer[]; host: GcmDecipher } {
  const payloads: Buffer[] = [];
  const host: GcmDecipher = {
    inSeqno: 0,
    _decipherKey: Buffer.from(key),
    _decipherIV: Buffer.from(nonce),
    _lenBytes: 0,
    _onPayload: (payload) => void payloads.push(Buffer.from(payload)),
    decrypt: () => undefined,
    free: () => undefined,
  };
  const inner = new GcmReceiver(module(), host);
  return { receive: (data, from = 0) => inner.receive(data, from, data.length), payloads, host };
}

function sender(key: Buffer, nonce: Buffer): { sender: GcmSender; written: () => Buffer; host: GcmCipher } {
  const chunks: Buffer[] = [];
  const host: GcmCipher = {
    outSeqno: 0,
    _dead: false,
    _encKey: Buffer.from(key),
    _encIV: Buffer.from(nonce),
    _onWrite: (data) => void chunks.push(Buffer.from(data)),
    encrypt: () => undefined,
    free: () => undefined,
  };
  return { sender: new GcmSender(module(), host), written: () => Buffer.concat(chunks.splice(0)), host };
}

test("the compiled module is in use, and says so", { skip }, () => {
  assert.ok(agreesWithNode(module()));
  assert.deepEqual(sshCrypto(), { kind: "native" });
});

test(
  "a packet of every length is sealed as node:crypto seals it, each under the next nonce",
  { skip },
  () => {
    for (const key of [randomBytes(16), randomBytes(32)]) {
      const nonce = Buffer.concat([randomBytes(4), Buffer.from("fffffffffffffff0", "hex")]);
      const mine = sender(key, nonce);
      for (let length = 0; length < 300; length++) {
        const packet = plainPacket(randomBytes(length));
        mine.sender.sendPacket(packet);
        assert.deepEqual(mine.written(), sealWithNode(key, nonceAfter(nonce, BigInt(length)), packet));
      }
      assert.equal(mine.host.outSeqno, 300);
    }
  },
);

test("channel data of every length becomes packets that node:crypto opens", { skip }, () => {
  const key = randomBytes(16);
  const nonce = randomBytes(12);
  const mine = sender(key, nonce);
  let packets = 0n;
  for (const length of [...Array(200).keys(), 1000, 32767, 32768, 32769, 65536, 300_000, 1_000_001]) {
    const data = randomBytes(length);
    mine.sender.sealData(0x01020304, data, 0, length, 32768);
    mine.sender.flush();
    const opened: Buffer[] = [];
    for (let wire = mine.written(); wire.length > 0; packets++) {
      const end = 4 + wire.readUInt32BE(0) + 16;
      const plain = openWithNode(key, nonceAfter(nonce, packets), wire.subarray(0, end));
      const padding = plain[0]!;
      assert.ok(padding >= 4 && plain.length % 16 === 0);
      assert.equal(plain[1], 94);
      assert.equal(plain.readUInt32BE(2), 0x01020304);
      const bytes = plain.readUInt32BE(6);
      assert.equal(plain.length, 1 + 9 + bytes + padding);
      assert.ok(bytes <= 32768);
      opened.push(plain.subarray(10, 10 + bytes));
      wire = wire.subarray(end);
    }
    assert.ok(Buffer.concat(opened).equals(data), `${length} bytes`);
  }
  assert.equal(BigInt(mine.host.outSeqno), packets);
});

test("a message of every length becomes a packet that node:crypto opens", { skip }, () => {
  const key = randomBytes(32);
  const nonce = randomBytes(12);
  const mine = sender(key, nonce);
  for (let length = 0; length < 300; length++) {
    const payload = randomBytes(length);
    mine.sender.sealPayload(payload);
    mine.sender.flush();
    const plain = openWithNode(key, nonceAfter(nonce, BigInt(length)), mine.written());
    assert.ok(plain[0]! >= 4 && plain.length % 16 === 0);
    assert.deepEqual(plain.subarray(1, -plain[0]!), payload);
  }
  assert.equal(mine.host.outSeqno, 300);
});

test("packets are opened however the stream is split: at every byte, and byte by byte", { skip }, () => {
  const key = randomBytes(32);
  const nonce = randomBytes(12);
  const payloads = [randomBytes(1), randomBytes(40), Buffer.alloc(0), randomBytes(11)].map((p) => mark(p));
  const wire = Buffer.concat(
    payloads.map((payload, i) => sealWithNode(key, nonceAfter(nonce, BigInt(i)), plainPacket(payload))),
  );
  for (let at = 0; at <= wire.length; at++) {
    const mine = receiver(key, nonce);
    mine.receive(Buffer.from(wire.subarray(0, at)));
    mine.receive(Buffer.from(wire.subarray(at)));
    assert.deepEqual(mine.payloads, payloads, `split at ${at}`);
  }
  const mine = receiver(key, nonce);
  for (const byte of wire) mine.receive(Buffer.from([byte]));
  assert.deepEqual(mine.payloads, payloads);
  assert.equal(mine.host.inSeqno, payloads.length);
});

test("any packets, cut anywhere, come out as they went in", { skip }, () => {
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc.uint8Array({ minLength: 8000, maxLength: 20_000 }),
  );
  fc.assert(
    fc.property(fc.array(payload, { maxLength: 12 }), fc.array(fc.nat(70_000)), (bodies, cuts) => {
      const key = randomBytes(16);
      const nonce = randomBytes(12);
      const out = sender(key, nonce);
      const payloads = bodies.map((body) => mark(Buffer.from(body)));
      for (const body of payloads) out.sender.sealPacket(plainPacket(body));
      out.sender.flush();
      const wire = out.written();
      const mine = receiver(key, nonce);
      let from = 0;
      for (const cut of [...cuts.map((c) => c % (wire.length + 1)).sort((a, b) => a - b), wire.length]) {
        mine.receive(Buffer.from(wire.subarray(from, cut)));
        from = cut;
      }
      assert.deepEqual(mine.payloads, payloads);
    }),
    { numRuns: 60 },
  );
});

test("a byte changed anywhere is refused, and nothing of that packet comes out", { skip }, () => {
  const key = randomBytes(16);
  const nonce = randomBytes(12);
  const first = sealWithNode(key, nonce, plainPacket(mark(Buffer.from("good"))));
  const second = sealWithNode(key, nonceAfter(nonce, 1n), plainPacket(mark(Buffer.from("forged"))));
  for (let at = 0; at < second.length; at++) {
    for (const split of [0, 10]) {
      const forged = Buffer.from(second);
      forged[at]! ^= 0x10;
      const mine = receiver(key, nonce);
      const stream = Buffer.concat([first, forged, Buffer.alloc(300_000)]);
      assert.throws(
        () => {
          mine.receive(Buffer.from(stream.subarray(0, first.length + split)));
          mine.receive(Buffer.from(stream.subarray(first.length + split)));
        },
        /Bad packet/,
        `byte ${at}`,
      );
      assert.equal(mine.payloads.length, 1, "the packet before it is good");
    }
  }
});

test("a length that no packet has is refused at once", { skip }, () => {
  for (const length of [0, 15, 17, 256 * 1024 + 16, 0x7ffffff0, 0xfffffff0]) {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(length);
    assert.throws(
      () => receiver(randomBytes(16), randomBytes(12)).receive(Buffer.from(head)),
      /Bad packet length/,
    );
  }
});

test("padding that is too short, or longer than its packet, is refused", { skip }, () => {
  const key = randomBytes(16);
  const nonce = randomBytes(12);
  for (const padding of [0, 3, 48, 255]) {
    const packet = plainPacket(randomBytes(30));
    packet[4] = padding;
    const sealed = sealWithNode(key, nonce, packet);
    assert.throws(() => receiver(key, nonce).receive(Buffer.from(sealed)), /Bad padding/);
    const inPieces = receiver(key, nonce);
    inPieces.receive(Buffer.from(sealed.subarray(0, 9)));
    assert.throws(() => inPieces.receive(Buffer.from(sealed.subarray(9))), /Bad padding/);
  }
});

test("what follows a key exchange message is left for the next keys", { skip }, () => {
  const key = randomBytes(16);
  const nonce = randomBytes(12);
  const NEWKEYS = 21;
  const mine = receiver(key, nonce);
  mine.host._onPayload = (payload) => {
    mine.payloads.push(Buffer.from(payload));
    return payload[0] === NEWKEYS ? false : undefined;
  };
  const under = sealWithNode(key, nonce, plainPacket(Buffer.from([NEWKEYS])));
  const next = randomBytes(64);
  assert.equal(mine.receive(Buffer.concat([under, next])), under.length);
  assert.deepEqual(mine.payloads, [Buffer.from([NEWKEYS])]);
});

test("what was read before new keys keeps its memory, though its reader is slow", { skip }, () => {
  const NEWKEYS = 21;
  const [key, nonce] = [randomBytes(16), randomBytes(12)];
  const said = Buffer.from("^ what the server said before");
  const newKeys = plainPacket(Buffer.from([NEWKEYS]));
  const under = Buffer.concat([
    sealWithNode(key, nonce, plainPacket(said)),
    sealWithNode(key, nonceAfter(nonce, 1n), newKeys),
  ]);
  // The first bytes of a packet under the next keys: of it nothing is handed out yet.
  const next = sealWithNode(key, nonce, plainPacket(randomBytes(100))).subarray(0, 50);
  const read = Buffer.from(new Uint8Array([...under, ...next]).buffer);

  const held: Buffer[] = [];
  const before = receiver(key, nonce);
  before.host._onPayload = (payload) => {
    held.push(payload);
    return payload[0] === NEWKEYS ? false : undefined;
  };
  const at = before.receive(read);
  assert.equal(at, under.length);
  assert.equal(receiver(key, nonce).receive(read, at), undefined);
  assert.deepEqual(held, [said, Buffer.from([NEWKEYS])]);
});

test(
  "data of adjacent packets for one channel comes in one piece, and for each channel in its order",
  { skip },
  () => {
    const step = fc.record({
      channel: fc.nat(2),
      bytes: fc.oneof(fc.nat(60), fc.nat(70_000)),
      end: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.array(fc.nat(200_000)), (steps, cuts) => {
        const key = randomBytes(16);
        const nonce = randomBytes(12);
        const out = sender(key, nonce);
        const said = new Map([0, 1, 2].map((channel) => [channel, ""]));
        for (const { channel, bytes, end } of steps) {
          const data = randomBytes(bytes);
          out.sender.sealData(channel, data, 0, bytes, 32768);
          said.set(channel, said.get(channel)! + data.toString("hex"));
          if (!end) continue;
          out.sender.sealPacket(plainPacket(channelEof(channel)));
          said.set(channel, `${said.get(channel)!}.`);
        }
        out.sender.flush();
        const wire = out.written();
        const mine = receiver(key, nonce);
        let from = 0;
        for (const cut of [...cuts.map((c) => c % (wire.length + 1)).sort((a, b) => a - b), wire.length]) {
          mine.receive(Buffer.from(wire.subarray(from, cut)));
          from = cut;
        }
        const heard = new Map([0, 1, 2].map((channel) => [channel, ""]));
        for (const payload of mine.payloads) {
          const channel = payload.readUInt32BE(1);
          if (payload[0] === 94) assert.equal(payload.readUInt32BE(5), payload.length - 9);
          heard.set(channel, heard.get(channel)! + (payload[0] === 94 ? payload.toString("hex", 9) : "."));
        }
        assert.deepEqual(heard, said);
      }),
      { numRuns: 60 },
    );
    const key = randomBytes(16);
    const out = sender(key, Buffer.alloc(12));
    out.sender.sealData(7, randomBytes(100_000), 0, 100_000, 32768);
    out.sender.flush();
    const mine = receiver(key, Buffer.alloc(12));
    mine.receive(out.written());
    assert.equal(mine.payloads.length, 1);
    assert.equal(mine.host.inSeqno, 4);
  },
);

test(
  "memory that a reader still holds is not written again, and that which all released is",
  { skip },
  () => {
    const [key, nonce] = [randomBytes(16), randomBytes(12)];
    const out = sender(key, nonce);
    const mine = receiver(key, nonce);
    const held: { payload: Buffer; copy: Buffer }[] = [];
    const released = new Set<ArrayBufferLike>();
    let packets = 0;
    mine.host._onPayload = (payload) => {
      if (packets++ % 3 === 0) held.push({ payload, copy: Buffer.from(payload) });
      else {
        released.add(payload.buffer);
        releaseChunk(payload);
      }
      return undefined;
    };
    for (let i = 0; i < 30; i++) {
      out.sender.sealData(1, randomBytes(20_000), 0, 20_000, 32768);
      out.sender.flush();
      const wire = out.written();
      mine.receive(Buffer.from(wire.subarray(0, 7000)));
      mine.receive(Buffer.from(wire.subarray(7000)));
    }
    assert.equal(packets, 30);
    for (const { payload, copy } of held) assert.ok(payload.equals(copy));
    assert.ok(released.size <= 11, `20 payloads in ${released.size} pieces of memory`);
  },
);

test("the keys are wiped where ssh2 keeps them", { skip }, () => {
  const key = randomBytes(32);
  assert.deepEqual(sender(key, randomBytes(12)).host._encKey, Buffer.alloc(32));
  assert.deepEqual(receiver(key, randomBytes(12)).host._decipherKey, Buffer.alloc(32));
});

test("the compiled module refuses every offset and length that is not inside its buffer", { skip }, () => {
  const { AesGcmSealer, AesGcmOpener } = module();
  const sealer = new AesGcmSealer(randomBytes(16), randomBytes(12));
  const opener = new AesGcmOpener(randomBytes(16), randomBytes(12), 35_000);
  const bytes = Buffer.alloc(64);
  const out = Buffer.alloc(256);
  const records = new Uint32Array(8);
  for (const bad of [-1, 65, 2 ** 32, 2 ** 53, NaN, Infinity]) {
    assert.throws(() => sealer.seal(Buffer.alloc(20), bytes, bad), RangeError);
    assert.throws(() => sealer.sealPayload(Buffer.alloc(9), bytes, bad), RangeError);
    assert.throws(() => sealer.sealData(1, bytes, bad, 64, 32768, Buffer.alloc(200), 0), RangeError);
    assert.throws(() => sealer.sealData(1, bytes, 0, bad, 32768, Buffer.alloc(200), 0), RangeError);
    assert.throws(() => opener.open(bytes, bad, 64, out, 0, records), RangeError);
    assert.throws(() => opener.open(bytes, 0, bad, out, 0, records), RangeError);
    assert.throws(() => opener.open(bytes, 0, 64, out, bad === 65 ? 257 : bad, records), RangeError);
  }
  assert.throws(() => sealer.seal(Buffer.alloc(60), bytes, 0), RangeError, "no room for the tag");
  assert.throws(() => sealer.sealPayload(Buffer.alloc(40), bytes, 0), RangeError, "no room for the tag");
  assert.throws(() => sealer.sealData(1, bytes, 0, 64, 0, Buffer.alloc(200), 0), RangeError);
  assert.throws(() => opener.open(bytes, 0, 64, out, 0, new Uint32Array(7)), RangeError);
  assert.throws(() => opener.open(bytes, 0, 64, Buffer.alloc(72), 0, records), RangeError, "no room");
  assert.throws(() => new AesGcmSealer(Buffer.alloc(24), Buffer.alloc(12)), RangeError);
  assert.throws(() => new AesGcmOpener(Buffer.alloc(16), Buffer.alloc(8), 35_000), RangeError);
  const detached = new Uint8Array(64);
  detached.buffer.transfer(0);
  assert.throws(() => opener.open(detached, 0, 64, out, 0, records), RangeError);
  sealer.free();
  assert.throws(() => sealer.seal(Buffer.alloc(20), bytes, 0), /freed/);
});

test("no bytes from a peer crash the module or come out as a payload", { skip }, () => {
  const until = performance.now() + Number(process.env["SOCKEYE_FUZZ_MS"] ?? 1000);
  const key = randomBytes(16);
  const nonce = randomBytes(12);
  let refused = 0;
  while (performance.now() < until) {
    const good = sealWithNode(key, nonce, plainPacket(mark(randomBytes(Math.floor(Math.random() * 2000)))));
    const noise = randomBytes(Math.floor(Math.random() * 4000));
    if (Math.random() < 0.5 && noise.length >= 4) noise.writeUInt32BE(16 * Math.floor(Math.random() * 200));
    const mine = receiver(key, nonce);
    const wire = Buffer.concat([good, noise]);
    try {
      for (let at = 0; at < wire.length;) {
        const bytes = 1 + Math.floor(Math.random() * wire.length);
        mine.receive(Buffer.from(wire.subarray(at, at + bytes)));
        at += bytes;
      }
    } catch (error) {
      assert.match((error as Error).message, /^Bad /);
      refused++;
    }
    assert.ok(mine.payloads.length <= 1);
  }
  assert.ok(refused > 0);
});

function channelEof(channel: number): Buffer {
  const payload = Buffer.alloc(5, 96);
  payload.writeUInt32BE(channel, 1);
  return payload;
}

/** A payload needs a message number; 94 is one that ends no batch. */
function mark(payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([94]), payload]);
}
