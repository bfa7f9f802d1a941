import assert from "node:assert/strict";
import { pipeline } from "node:stream/promises";
import { after, before, describe, it } from "node:test";
import { digestOf, patternChunks, startSink, startSource, type TcpPeer } from "../peers/echo.ts";
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
    sink = await startSink();
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
          pipeline(patternChunks(BYTES), up, { end: true }),
          readText(up),
        ]);
        assert.equal(answer.trim(), expected);
        const down = await connectThrough(inbound, sut[inbound], { host: "127.0.0.1", port: source.port });
        down.end();
        assert.equal(await digestOf(down), expected);
      });
    }
  }
});

async function readText(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk.toString();
  return text;
}
