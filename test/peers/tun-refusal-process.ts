/*
 * In namespaces of its own, under offload-refuser.c: the kernel's TCP talks through a TUN device with our stack, which sends
 * back what comes. Prints what came back, and how large packets were.
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { crc32 } from "node:zlib";
import { createTun, openTunDevice } from "@sockeye/engine/device/tun-device";
import { StackDriver } from "@sockeye/engine/netstack/driver";

export interface Refusal {
  /** Packets that the kernel did not take. */
  readonly lost: number;
  readonly sent: number;
  readonly back: number;
  /** Whose checksums are equal. */
  readonly whole: boolean;
  /** The largest packet from the kernel. */
  readonly largest: number;
  readonly wrongChecksums: number;
}

const BYTES = 2_000_000;

const device = openTunDevice(createTun("refusal0"));
for (const command of ["link set refusal0 up", "addr add 10.99.0.1/24 dev refusal0"])
  execFileSync("ip", command.split(" "));

let largest = 0;
const start = device.start.bind(device);
device.start = (onBurst, onClose) =>
  start((burst) => {
    for (let i = 0; i < burst.count; i++) largest = Math.max(largest, burst.lengths[i]!);
    onBurst(burst);
  }, onClose);
const driver = new StackDriver({
  device,
  handler: {
    tcp: (attempt) => {
      const stream = attempt.accept();
      stream.on("error", () => {}).pipe(stream);
    },
    udp: (source) => source.close(),
  },
  onLost: () => process.exit(1),
});

const bytes = Buffer.alloc(BYTES);
for (let i = 0; i + 4 <= BYTES; i += 4) bytes.writeUInt32BE((i * 2654435761) >>> 0, i);
const socket = connect({ host: "10.99.0.2", port: 7 });
socket.end(bytes);
let [back, sum] = [0, 0];
socket.on("data", (chunk: Buffer) => {
  back += chunk.length;
  sum = crc32(chunk, sum);
});
await once(socket, "close");
const said: Refusal = {
  lost: device.lost,
  sent: BYTES,
  back,
  whole: sum === crc32(bytes),
  largest,
  wrongChecksums: driver.stats.tcpCounters.bad,
};
console.log(JSON.stringify(said));
driver.close();
