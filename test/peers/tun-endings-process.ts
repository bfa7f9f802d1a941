/*
 * A process, or a worker thread of it, that ends while packets come in through its TUN device. Run in a namespace:
 * `node tun-endings-process.ts exit | throw | worker | forget`. It ends with status 0 where all went as it should.
 */
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { createTun, openTunDevice } from "@sockeye/engine/device/tun-device";

const WORKERS = 4;
const nothing = () => {};

if (isMainThread) await end(process.argv[2] ?? "");
else {
  let told = false;
  openTunDevice(workerData as number).start(() => {
    if (!told) parentPort?.postMessage("packets come");
    told = true;
  }, nothing);
}

async function end(how: string): Promise<void> {
  switch (how) {
    case "exit":
      openTunDevice(createFlooded()).start(() => process.exit(0), nothing);
      return;
    case "throw": {
      const thrown = once(process, "uncaughtException");
      const device = openTunDevice(createFlooded());
      device.start(() => {
        throw new Error("thrown by a burst's receiver");
      }, nothing);
      const [error] = (await thrown) as [Error];
      return process.exit(error.message.startsWith("thrown") ? 0 : 1);
    }
    case "worker": {
      for (let i = 0; i < WORKERS; i++) {
        const worker = new Worker(new URL(import.meta.url), { workerData: createFlooded() });
        await once(worker, "message");
        await worker.terminate();
      }
      return process.exit(0);
    }
    case "forget": {
      setFlagsFromString("--expose-gc");
      const collect = runInNewContext("gc") as () => void;
      const before = readdirSync("/proc/self/fd").length;
      for (let i = 0; i < 20; i++) openTunDevice(createTun(""));
      while (readdirSync("/proc/self/fd").length > before) {
        collect();
        await nextTurn();
      }
      return process.exit(0);
    }
    default:
      process.exit(2);
  }
}

/** @returns the descriptor of a device into which the kernel sends packets without end. */
function createFlooded(): number {
  const name = `flooded${process.hrtime.bigint() % 100_000n}`;
  const descriptor = createTun(name);
  execFileSync("ip", ["link", "set", name, "up"]);
  execFileSync("ip", ["addr", "replace", "10.98.0.1/24", "dev", name]);
  const socket = createSocket("udp4");
  socket.on("error", nothing);
  const flood = () => {
    for (let i = 0; i < 50; i++) socket.send("x", 9, "10.98.0.2", nothing);
    setImmediate(flood);
  };
  flood();
  return descriptor;
}
