import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, it } from "node:test";
import fc from "fast-check";
import { Checksum, type PacketDevice } from "../netstack/device.ts";
import { addBytes, finish, fold, pseudoHeaderSum } from "../netstack/ip/checksum.ts";
import { openPipeDevice } from "./pipe-device.ts";

const IP_HEAD = 20;
const UDP_HEAD = 8;
const folder = mkdtempSync(join(tmpdir(), "sockeye-packets-"));
after(() => rmSync(folder, { recursive: true }));

/** The helper's end: what it got, packet by packet, and how it was cut into batches. */
class Peer {
  readonly packets: Buffer[] = [];
  readonly batches: number[] = [];
  #rest = Buffer.alloc(0);
  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => this.#onBytes(bytes));
  }

  #onBytes(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= 4 && this.#rest.length >= 4 + this.#rest.readUInt32LE()) {
      const end = 4 + this.#rest.readUInt32LE();
      let count = 0;
      for (let at = 4; at < end; count++) {
        const length = this.#rest.readUInt16LE(at);
        this.packets.push(Buffer.from(this.#rest.subarray(at + 2, at + 2 + length)));
        at += 2 + length;
      }
      this.batches.push(count);
      this.#rest = this.#rest.subarray(end);
    }
  }
}

let server: Server | undefined;
let device: PacketDevice | undefined;
afterEach(() => {
  device?.close();
  server?.close();
});

async function open(): Promise<[PacketDevice, Peer]> {
  const path = join(folder, `packets-${Math.random()}`);
  const listening = createServer();
  server = listening;
  await new Promise<void>((resolve) => listening.listen(path, resolve));
  const connected = new Promise<Socket>((resolve) => listening.once("connection", resolve));
  device = await openPipeDevice({ name: "sockeye", mtu: 65_535, path });
  return [device, new Peer(await connected)];
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("it did not come to pass");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** An IPv4 packet of UDP; the checksum is complete, or the pseudo-header's sum alone. */
function datagram(payload: Buffer, complete: boolean): Buffer {
  const packet = Buffer.alloc(IP_HEAD + UDP_HEAD + payload.length);
  packet.set([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt16BE(4000, IP_HEAD);
  packet.writeUInt16BE(53, IP_HEAD + 2);
  packet.writeUInt16BE(packet.length - IP_HEAD, IP_HEAD + 4);
  packet.set(payload, IP_HEAD + UDP_HEAD);
  const sum = pseudoHeaderSum(packet, 12, 4, { protocol: 17, length: packet.length - IP_HEAD });
  const field = complete ? finish(addBytes(sum, packet, IP_HEAD, packet.length)) || 0xffff : fold(sum);
  packet.writeUInt16BE(field, IP_HEAD + 6);
  return packet;
}

function batchOf(packets: readonly Buffer[]): Buffer {
  const parts = packets.flatMap((packet) => {
    const length = Buffer.alloc(2);
    length.writeUInt16LE(packet.length);
    return [length, packet];
  });
  const length = Buffer.alloc(4);
  length.writeUInt32LE(parts.reduce((sum, part) => sum + part.length, 0));
  return Buffer.concat([length, ...parts]);
}

/** Sends a datagram as the stack does: headers in the heads, the payload in two pieces. */
function send(to: PacketDevice, payload: Buffer): void {
  const packet = datagram(payload, false);
  packet.copy(to.heads, to.begin(), 0, IP_HEAD + UDP_HEAD);
  const middle = payload.length >> 1;
  to.piece(payload, 0, middle);
  to.piece(payload, middle, payload.length);
  to.end(IP_HEAD + UDP_HEAD, IP_HEAD, 6, 0);
}

it("packets are sent in one batch at flush(), their checksums completed", async () => {
  const [tun, peer] = await open();
  const payloads = [0, 1, 2, 1472, 65_507].map((size) => Buffer.alloc(size, size));
  for (const payload of payloads) send(tun, payload);
  tun.flush();
  await until(() => peer.packets.length === payloads.length);
  assert.deepEqual(peer.batches, [payloads.length]);
  assert.deepEqual(
    peer.packets,
    payloads.map((payload) => datagram(payload, true)),
  );
});

it("more than a batch holds goes in several, in order, and buffers are used again", async () => {
  const [tun, peer] = await open();
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 300; i++) send(tun, Buffer.of(round, i & 0xff, i >> 8));
    tun.flush();
    const all = 300 * (round + 1);
    await until(() => peer.packets.length === all);
  }
  const marks = peer.packets.map((packet) => packet.readUIntLE(packet.length - 2, 2));
  assert.deepEqual(
    marks.slice(-300),
    Array.from({ length: 300 }, (_, i) => i),
  );
});

it("a packet that is too long for the pipe is lost, and the next is not", async () => {
  const [tun, peer] = await open();
  tun.begin();
  tun.piece(Buffer.alloc(65_508), 0, 65_508);
  tun.end(IP_HEAD + UDP_HEAD, IP_HEAD, 6, 0);
  send(tun, Buffer.from("next"));
  tun.flush();
  await until(() => peer.packets.length === 1);
  assert.deepEqual(peer.packets, [datagram(Buffer.from("next"), true)]);
});

it("a pipe that nobody reads loses packets and holds few", async () => {
  const [tun, peer] = await open();
  peer.socket.pause();
  const payload = Buffer.alloc(60_000);
  for (let i = 0; i < 400; i++) {
    send(tun, payload);
    tun.flush();
  }
  assert.ok((tun as PacketDevice & { readonly lost: number }).lost > 300);
  peer.socket.resume();
  await until(() => peer.packets.length >= 16);
  send(tun, Buffer.from("after"));
  tun.flush();
  await until(() => peer.packets.at(-1)!.toString().endsWith("after"));
});

it("batches come as bursts however the pipe cuts them, with their checksums judged", async () => {
  const [tun, peer] = await open();
  let got: [number, string][] = [];
  tun.start(
    ({ bytes, count, starts, lengths, checksums }) => {
      for (let i = 0; i < count; i++) {
        const packet = bytes.subarray(starts[i], starts[i]! + lengths[i]!);
        got.push([checksums[i]!, packet.toString("latin1", IP_HEAD + UDP_HEAD)]);
      }
    },
    () => {},
  );
  const text = fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 40 });
  const batches = fc.array(fc.array(fc.tuple(text, fc.boolean()), { minLength: 1, maxLength: 600 }), {
    maxLength: 4,
  });
  await fc.assert(
    fc.asyncProperty(batches, fc.integer({ min: 1, max: 5000 }), async (sent, cut) => {
      got = [];
      const expected: [number, string][] = [];
      const wire = sent.map((batch) =>
        batchOf(
          batch.map(([payload, good]) => {
            const packet = datagram(Buffer.from(payload, "latin1"), true);
            if (!good) packet[IP_HEAD + 6]! ^= 0x55;
            expected.push([good ? Checksum.good : Checksum.bad, payload]);
            return packet;
          }),
        ),
      );
      const bytes = Buffer.concat(wire);
      for (let at = 0; at < bytes.length; at += cut) peer.socket.write(bytes.subarray(at, at + cut));
      await until(() => got.length === expected.length);
      assert.deepEqual(got, expected);
    }),
    { numRuns: 40 },
  );
});

for (const [what, bytes] of [
  ["an empty batch", Buffer.from([0, 0, 0, 0])],
  ["a batch that is too long", Buffer.from([1, 0, 4, 0])],
  ["a packet that is longer than its batch", Buffer.from([4, 0, 0, 0, 3, 0, 1, 1])],
  ["half a length", Buffer.from([1, 0, 0, 0, 1])],
  ["the pipe's end", Buffer.alloc(0)],
] as const) {
  it(`${what} ends the device with an error, once`, async () => {
    const [tun, peer] = await open();
    const ends: (Error | undefined)[] = [];
    tun.start(
      () => assert.fail("there is no packet"),
      (error) => ends.push(error),
    );
    peer.socket.end(bytes);
    await until(() => ends.length > 0);
    assert.match(ends[0]!.message, /carries no packets/);
    tun.close();
    send(tun, Buffer.of(1));
    tun.flush();
    assert.equal(ends.length, 1);
  });
}

it("close() ends it without an error, and the helper sees the end", async () => {
  const [tun, peer] = await open();
  const ended = new Promise((resolve) => peer.socket.once("close", resolve));
  const closed = new Promise((resolve) => tun.start(() => {}, resolve));
  tun.close();
  assert.equal(await closed, undefined);
  await ended;
});
