import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DialError } from "../../engine/src/errors.ts";
import type { Endpoint } from "../../engine/src/endpoint.ts";
import type { Dialer } from "../../engine/src/upstream/dialer.ts";
import { digestOf, patternChunks, startSink, startSource, startSpeakFirst, type Peer } from "./echo.ts";

/** A signal that ends a dial of a test that hangs. */
export function soon(ms = 5000): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new DialError("timeout", "the test's deadline")), ms).unref();
  return controller.signal;
}

/** Dials and expects a DialError. */
export async function dialFailure(dialer: Dialer, target: Endpoint, signal = soon()): Promise<DialError> {
  try {
    (await dialer.dial(target, { signal })).destroy();
  } catch (error) {
    assert(error instanceof DialError, `not a DialError: ${String(error)}`);
    return error;
  }
  return assert.fail("the dial succeeded");
}

/** What the dialer's far end can do: some proxies (squid, tinyproxy) close both directions when one ends. */
export interface ProxyTraits {
  readonly halfClose: boolean;
}

/** Sends `text`, and reads until `expected` has come back. With half-close it is sent with an end, and read to the end. */
export async function assertAnswers(
  stream: Duplex,
  text: string,
  expected: string,
  { halfClose }: ProxyTraits,
): Promise<void> {
  if (halfClose) stream.end(text);
  else stream.write(text);
  let all = "";
  for await (const chunk of stream) {
    all += String(chunk);
    if (!halfClose && all.length >= expected.length) break;
  }
  assert.equal(all, expected);
}

/** Bytes that the far end sent before we said anything arrive, and what we send after them does. */
export async function assertEarlyBytesKept(dialer: Dialer, traits: ProxyTraits): Promise<void> {
  const peer = await startSpeakFirst("220 hello\r\n");
  try {
    const stream = await dialer.dial(peer, { signal: soon() });
    await assertAnswers(stream, "QUIT", "220 hello\r\nQUIT", traits);
  } finally {
    await peer.stop();
  }
}

/** Every byte arrives, in order, in both directions. With half-close, up ends first and the answer to it still comes. */
export async function assertCarries(dialer: Dialer, bytes: number, traits: ProxyTraits): Promise<void> {
  const expected = await digestOf(asyncChunks(bytes));
  const peers: Peer[] = [await startSink(traits.halfClose ? Infinity : bytes), await startSource(bytes)];
  try {
    const up = await dialer.dial(peers[0]!, { signal: soon() });
    const answer = readAll(up);
    await pipeline(patternChunks(bytes), up, { end: traits.halfClose });
    assert.equal(await answer, `${expected}\n`);
    up.destroy();
    const down = await dialer.dial(peers[1]!, { signal: soon() });
    assert.equal(await digestOf(down), expected);
    down.destroy();
  } finally {
    await Promise.all(peers.map((peer) => peer.stop()));
  }
}

async function readAll(stream: Duplex): Promise<string> {
  let all = "";
  for await (const chunk of stream) all += String(chunk);
  return all;
}

async function* asyncChunks(bytes: number): AsyncIterable<Buffer> {
  yield* patternChunks(bytes);
}

/** Waits until `condition` holds; fails with its text when it does not within a second or two. */
export async function until(condition: () => boolean, what: string, ms = 2000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
