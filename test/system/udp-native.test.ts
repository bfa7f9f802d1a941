import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { assertNativeCheck } from "../peers/native-check.ts";
import { skipWithout } from "../peers/peer-process.ts";

const FOLDER = join(import.meta.dirname, "../../native/udp");
const MODULE = join(FOLDER, "build/Release/udp.node");
const BATCH = join(import.meta.dirname, "../../engine/src/upstream/udp-batch.ts");
const noModule =
  process.platform === "linux"
    ? !existsSync(MODULE) && process.env["CI"] === undefined && "native/udp is not built"
    : "native/udp is Linux's";

interface NativeSockets {
  readonly toSend: Int32Array;
  readonly outgoing: Uint8Array<ArrayBuffer>;
  readonly incoming: Uint8Array<ArrayBuffer>;
  open(family: 4 | 6): number;
  flush(count: number): void;
  source(index: number): unknown;
  close(socket: number): void;
}

test(
  "whatever JavaScript wrote into the shared memory, native code stays within it",
  { skip: noModule },
  () => {
    const { UdpSockets } = createRequire(import.meta.url)(MODULE) as {
      UdpSockets: new (callback: () => void) => NativeSockets;
    };
    const sockets = new UdpSockets(() => {});
    const open = [sockets.open(4), sockets.open(6)];
    const field = fc.oneof(fc.constantFrom(...open), fc.integer(), fc.nat(300_000), fc.constant(-1));
    try {
      fc.assert(
        fc.property(fc.array(field, { maxLength: 64 }), fc.nat(400), fc.integer(), (fields, count, index) => {
          sockets.toSend.set(fields);
          sockets.flush(count);
          sockets.source(index);
        }),
        { numRuns: 300 },
      );
      // JavaScript may take the memory away.
      structuredClone(sockets.outgoing.buffer, { transfer: [sockets.outgoing.buffer] });
      structuredClone(sockets.incoming.buffer, { transfer: [sockets.incoming.buffer] });
      sockets.flush(4);
    } finally {
      for (const socket of open) sockets.close(socket);
    }
  },
);

test("a thread may end with sockets open and datagrams under way", { skip: noModule }, async () => {
  const code = `
    import(${JSON.stringify(BATCH)}).then(({ udpBatch }) => {
      const sockets = [4, 6, 4].map((family) => udpBatch().open(family, undefined, { onDatagram() {}, onError() {} }));
      for (const socket of sockets) socket.send("127.0.0.1", 9, Buffer.alloc(100));
      require("node:worker_threads").parentPort.postMessage("open");
    })`;
  for (let i = 0; i < 3; i++) {
    const worker = new Worker(code, { eval: true });
    await once(worker, "message");
    assert.equal(await worker.terminate(), 1);
  }
});

test(
  "native code sends batches of datagrams whole and in order, keeps what there is no room for, and touches no byte beyond",
  { skip: process.platform === "linux" ? skipWithout("c++") : "native/udp is Linux's" },
  () => assertNativeCheck(FOLDER, ["check.cc", "socket.cc"]),
);
