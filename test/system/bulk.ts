import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { after, before, describe, it } from "node:test";
import { digestOf, patternChunks, startSource, startTcpServer, type TcpPeer } from "../peers/echo.ts";
import { connectThrough } from "./client.ts";
import { type EngineUnderTest, startEngineUnderTest } from "./engine-under-test.ts";
import { type Peers, skipWithoutPeers, startPeers } from "./peers.ts";

const kinds = ["ssh", "socks5", "http"] as const;
type Kind = (typeof kinds)[number];

/** Tests: 1 GB through each upstream, or so many megabytes as `SOCKEYE_BULK_MB` says. */
export function carriesThroughUpstreams(): void {
  carries(Number(process.env["SOCKEYE_BULK_MB"] ?? 1024), "each upstream", ["direct", ...kinds]);
}

/** Tests: 1 GB through each upstream over this one, or `SOCKEYE_BULK_CHAIN_MB`. Only CI waits for 18 ways of 11 s each. */
export function carriesVia(via: Kind): void {
  const size = Number(process.env["SOCKEYE_BULK_CHAIN_MB"] ?? (process.env["CI"] ? 1024 : 16));
  carries(
    size,
    `each upstream via ${via}`,
    kinds.map((kind) => `${kind}-via-${via}`),
  );
}

/** Tests: so many megabytes both ways through each inbound and each of these upstreams. */
function carries(size: number, through: string, upstreams: readonly string[]): void {
  const bytes = size * 1024 * 1024;
  describe(
    `${size} MB, checksummed, through ${through}`,
    { skip: skipWithoutPeers(), timeout: 540_000 },
    () => {
      let peers: Peers;
      /** Dante refuses to connect to itself: the far end of a chain is another server. */
      let far: Peers;
      let sut: EngineUnderTest;
      let sink: TcpPeer;
      let source: TcpPeer;
      let expected: string;
      let configuration: Readonly<Record<string, unknown>>;

      before(async () => {
        [peers, far] = await Promise.all([startPeers(), startPeers()]);
        sink = await startTcpServer((socket) => answerDigest(socket, bytes));
        source = await startSource(bytes);
        expected = await digestOf(
          (async function* () {
            yield* patternChunks(bytes);
          })(),
        );
        const chained = kinds.flatMap((kind) =>
          kinds.map((via) => [`${kind}-via-${via}`, { ...far.upstreams[kind], via }] as const),
        );
        configuration = { upstreams: { ...peers.upstreams, ...Object.fromEntries(chained) } };
        sut = await startEngineUnderTest(configuration);
      });
      after(async () => {
        await sut[Symbol.asyncDispose]();
        await Promise.all([peers[Symbol.asyncDispose](), far[Symbol.asyncDispose]()]);
        await Promise.all([sink.stop(), source.stop()]);
      });

      for (const inbound of ["socks5", "http"] as const) {
        for (const upstream of upstreams) {
          it(`${inbound} → ${upstream}: up, and down`, async () => {
            await sut.reconfigure({ ...configuration, default: upstream });
            const up = await connectThrough(inbound, sut[inbound], { host: "127.0.0.1", port: sink.port });
            const [, answer] = await Promise.all([
              pipeline(patternChunks(bytes), up, { end: false }),
              readText(up),
            ]);
            assert.equal(answer, expected);
            const down = await connectThrough(inbound, sut[inbound], {
              host: "127.0.0.1",
              port: source.port,
            });
            assert.equal(await digestOf(down), expected);
            up.destroy();
            down.destroy();
          });
        }
      }
    },
  );
}

/**
 * Answers the digest of the first `expected` bytes, and ends. It does not wait for the client's end: squid takes an end in one
 * direction of a tunnel for the end of both.
 */
function answerDigest(socket: Socket, expected: number): void {
  const hash = createHash("sha256");
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    hash.update(chunk);
    if (bytes === expected) socket.end(`${bytes} ${hash.digest("hex")}`);
  });
}

async function readText(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk.toString();
  return text;
}
