import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, test } from "node:test";
import { PORT } from "../peers/far-services.ts";
import { enterNamespace } from "../peers/namespace.ts";
import { exchange, until } from "../peers/tun-client.ts";
import { FAR, FAR6, shell, TunWorld } from "../peers/tun-world.ts";

/** What each of the three processes needs beside its flows. */
const OTHER_DESCRIPTORS = 1000;
const WANTED = 10_000;
/** Connecting at one time. */
const AT_ONCE = 500;
const MEGABYTE = 1e6;
/** The heap stays as large as it was once needed; that nothing is left shows in that another round needs no more. */
const MOST_FOR_A_FLOW = 24_000;
const MOST_LEFT_BY_ANOTHER_ROUND = 48 * MEGABYTE;

if (await enterNamespace(import.meta.filename)) {
  const world = await TunWorld.make({ upstreams: false });
  after(() => world[Symbol.asyncDispose]());
  const limit = Number(shell("ulimit -H -n"));
  const flows = Math.min(WANTED, limit - OTHER_DESCRIPTORS);
  const engine = await world.engine(
    world.everyWay({
      limits: { max_connections: 2 * WANTED },
      log: { level: "info", format: "json" },
    }),
  );

  /** Opens all of them, has all answered while all are open, and closes them. @returns the engine's memory meanwhile. */
  async function round(): Promise<number> {
    const sockets: Socket[] = [];
    for (let first = 0; first < flows; first += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, flows - first) }, (_, i) =>
        connect({ host: (first + i) % 2 === 0 ? FAR : FAR6, port: PORT.echo }),
      );
      await Promise.all(some.map((socket) => once(socket, "connect")));
      sockets.push(...some);
    }
    let answered = 0;
    for (const [i, socket] of sockets.entries()) {
      const word = `flow ${i}`;
      socket.once("data", (back: Buffer) => (answered += String(back) === word ? 1 : 0));
      socket.write(word);
    }
    await until(() => answered === flows, "all are answered", 60_000);
    const memory = engine.memory();
    for (const socket of sockets) socket.end().resume();
    await until(async () => (await world.far.ask("state")).open === 0, "all are closed", 60_000);
    return memory;
  }

  test(`${flows} flows at once are all answered, and the same again takes no more memory`, async (t) => {
    await exchange(FAR);
    const before = engine.memory();
    const during = [await round()];
    const first = engine.memory();
    during.push(await round());
    // What the system gets back it gets once the engine is quiet.
    await until(
      () => engine.memory() - first < MOST_LEFT_BY_ANOTHER_ROUND,
      "another round leaves nothing behind",
      40_000,
    );
    const second = engine.memory();
    const mb = (bytes: number) => (bytes / MEGABYTE).toFixed();
    t.diagnostic(
      `${mb(before)} MB before, ${during.map(mb).join(" and ")} MB with ${flows} flows, ${mb(first)} and ${mb(second)} MB after`,
    );
    assert.ok((during[0]! - before) / flows < MOST_FOR_A_FLOW, "each flow takes too much");
    assert.equal(await exchange(FAR6), "hello");
    assert.doesNotMatch(engine.output, /"level":"(warn|error|fatal)"/);
  });
}
