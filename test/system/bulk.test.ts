import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { after, before, describe, it } from "node:test";
import { digestOf, patternChunks, startSource, startTcpServer, type TcpPeer } from "../peers/echo.ts";
import { connectThrough } from "./client.ts";
import { type EngineUnderTest, startEngineUnderTest } from "./engine-under-test.ts";
import { type Peers, skipWithoutPeers, startPeers } from "./peers.ts";

/** One gigabyte, as the requirement has it; fewer by SOCKEYE_BULK_MB where a quick look is enough. */
const BYTES = Number(process.env["SOCKEYE_BULK_MB"] ?? 1024) * 1024 * 1024;

describe(`${BYTES / 1024 / 1024} MB, checksummed`, { skip: skipWithoutPeers(), timeout: 300_000 }, () => {
  let peers: Peers;
  let sut: EngineUnderTest;
  let sink: TcpPeer;
  let source: TcpPeer;
  let expected: string;

  before(async () => {
    peers = await startPeers();
    sink = await startTcpServer(answerDigest);
    source = await startSource(BYTES);
    expected = await digestOf(
      (async function* () {
        yield* patternChunks(BYTES);
      })(),
    );
    sut = await startEngineUnderTest({ upstreams: peers.upstreams });
  });
  after(async () => {
    await sut[Symbol.asyncDispose]();
    await peers[Symbol.asyncDispose]();
    await Promise.all([sink.stop(), source.stop()]);
  });

  for (const inbound of ["socks5", "http"] as const) {
    for (const upstream of ["direct", "ssh", "socks5", "http"] as const) {
      it(`${inbound} → ${upstream}: up, and down`, async () => {
        await sut.reconfigure({ upstreams: peers.upstreams, default: upstream });
        const up = await connectThrough(inbound, sut[inbound], { host: "127.0.0.1", port: sink.port });
        const [, answer] = await Promise.all([
          pipeline(patternChunks(BYTES), up, { end: false }),
          readText(up),
        ]);
        assert.equal(answer, expected);
        const down = await connectThrough(inbound, sut[inbound], { host: "127.0.0.1", port: source.port });
        assert.equal(await digestOf(down), expected);
        up.destroy();
        down.destroy();
      });
    }
  }
});

/**
 * Answers the digest of the first BYTES bytes, and ends. It does not wait for the client's end: squid takes an end in one
 * direction of a tunnel for the end of both.
 */
function answerDigest(socket: Socket): void {
  const hash = createHash("sha256");
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    hash.update(chunk);
    if (bytes === BYTES) socket.end(`${bytes} ${hash.digest("hex")}`);
  });
}

async function readText(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk.toString();
  return text;
}
