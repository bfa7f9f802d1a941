/*
 * In namespaces of its own, under allocation-counter.c: writes echo requests to a TUN device, so many in one flush, and reads
 * what the kernel answers, which comes as one burst. Prints, for flushes of few and of many packets, what each took of memory.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { openSync, readSync } from "node:fs";
import { createTun, openTunDevice } from "@sockeye/engine/device/tun-device";
import { addBytes, finish } from "@sockeye/engine/netstack/ip/checksum";
import { putIpHeader } from "./raw-packets.ts";

export interface Allocations {
  /** Packets in each flush, and in each burst. */
  readonly batch: number;
  readonly bursts: number;
  /** Calls of malloc(3) and its like by the main thread, per round. */
  readonly mallocs: number;
  /** Bytes of V8's heap, per round. */
  readonly heapBytes: number;
}

const KERNEL = "10.99.0.1";
const OURS = "10.99.0.2";
const ICMP = 1;
const ROUNDS = 700;
const FEW = 10;
const MANY = 200;
const PAYLOAD_BYTES = 32;

const counted = openSync(process.env["ALLOCATIONS"] ?? "/dev/null", "r");
const word = Buffer.alloc(8);

function mallocs(): number {
  readSync(counted, word, 0, 8, 0);
  return Number(word.readBigUInt64LE());
}

const payload = Buffer.alloc(PAYLOAD_BYTES, "x");
const head = echoRequest();

function echoRequest(): Buffer {
  const bytes = Buffer.alloc(28);
  putIpHeader(bytes, 0, { from: OURS, to: KERNEL }, { protocol: ICMP, length: 8 + PAYLOAD_BYTES });
  bytes[20] = 8;
  const whole = Buffer.concat([bytes, payload]);
  bytes.writeUInt16BE(finish(addBytes(0, whole, 20, whole.length)), 22);
  return bytes;
}

const device = openTunDevice(createTun("allocations0"));
for (const command of [
  "link set allocations0 up",
  `addr add ${KERNEL}/24 dev allocations0`,
  // Only the answers are to come.
  "link set dev allocations0 multicast off",
])
  execFileSync("ip", command.split(" "));

const events = new EventEmitter();
let batch = 0;
let rounds = 0;
let came = 0;
let bursts = 0;

device.start(
  (burst) => {
    bursts++;
    for (let i = 0; i < burst.count; i++) if (burst.bytes[burst.starts[i]! + 9] === ICMP) came++;
    if (came < batch) return;
    assert.equal(came, batch);
    if (--rounds > 0) write();
    else events.emit("done");
  },
  () => {},
);

function write(): void {
  came = 0;
  for (let i = 0; i < batch; i++) {
    const at = device.begin();
    head.copy(device.heads, at);
    device.piece(payload, 0, PAYLOAD_BYTES);
    device.end(head.length, 20, -1, 0);
  }
  device.flush();
}

async function measure(size: number): Promise<Allocations> {
  batch = size;
  rounds = ROUNDS;
  bursts = 0;
  const done = once(events, "done");
  gc!();
  const before = { mallocs: mallocs(), heap: process.memoryUsage().heapUsed };
  write();
  await done;
  const heapBytes = (process.memoryUsage().heapUsed - before.heap) / ROUNDS;
  return { batch, bursts, mallocs: (mallocs() - before.mallocs) / ROUNDS, heapBytes };
}

// What is compiled on the way takes memory as well, once.
for (const size of [FEW, MANY, FEW, MANY]) await measure(size);
console.log(JSON.stringify([await measure(FEW), await measure(MANY)]));
device.close();
