import assert from "node:assert/strict";
import { once } from "node:events";
import { Readable } from "node:stream";
import { describe, it } from "node:test";
import { PairEnd } from "./stream-pair.ts";

describe("a pair of streams", () => {
  it("carries bytes both ways and each end on its own", async () => {
    const [engine, client] = PairEnd.create();
    client.write("question");
    assert.equal(String((await once(engine, "data"))[0]), "question");
    engine.end("answer");
    const [chunk] = (await once(client, "data")) as [Buffer];
    assert.equal(chunk.toString(), "answer");
  });

  it("holds a writer back until the other side reads", async () => {
    const [engine, client] = PairEnd.create();
    let written = 0;
    const source = new Readable({
      read() {
        written += 16_384;
        this.push(written > 4_000_000 ? null : Buffer.alloc(16_384));
      },
    });
    source.pipe(client);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(written < 500_000, `${written} bytes written unread`);
    let read = 0;
    engine.on("data", (chunk: Buffer) => (read += chunk.length));
    await once(engine, "end");
    assert.equal(read, written - 16_384);
  });

  it("fails the client's side when the engine's is cut, and closes the engine's when the client's is", async () => {
    const [engine, client] = PairEnd.create();
    const failed = once(client, "error");
    engine.destroy();
    assert.equal(((await failed)[0] as { code: string }).code, "closed");
    const [other, gone] = PairEnd.create();
    let error: unknown;
    other.on("error", (cause) => (error = cause));
    gone.destroy();
    await once(other, "close");
    assert.equal(error, undefined);
  });

  it("still gives what was sent before an end, though the sender is destroyed", async () => {
    const [engine, client] = PairEnd.create();
    engine.end("all of it");
    await once(engine, "finish");
    engine.destroy();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(String((await once(client, "data"))[0]), "all of it");
  });
});
