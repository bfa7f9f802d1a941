import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import { PORT } from "../peers/far-services.ts";
import { enterNamespace } from "../peers/namespace.ts";
import { skipWithout } from "../peers/peer-process.ts";
import { exchange, open, until } from "../peers/tun-client.ts";
import { FAR, FAR6, shell, TunWorld } from "../peers/tun-world.ts";

const ROOM = 60;
const FLOWS = 300;

if (await enterNamespace(import.meta.filename)) {
  const world = await TunWorld.make({ upstreams: false });
  after(() => world[Symbol.asyncDispose]());
  const engine = await world.engine(world.everyWay());

  const mayOpen = (descriptors: number): string =>
    shell(`prlimit --pid ${engine.pid} --nofile=${descriptors}:`);

  /** Opens many at one time. @returns those that are connected, and why the others are not. */
  async function openMany(): Promise<{ connected: Socket[]; errors: string[] }> {
    const connected: Socket[] = [];
    const errors: string[] = [];
    await Promise.all(
      Array.from({ length: FLOWS }, (_, i) =>
        open(i % 2 === 0 ? FAR : FAR6, PORT.echo).then(
          (socket) => connected.push(socket),
          (error: unknown) => errors.push((error as NodeJS.ErrnoException).code ?? String(error)),
        ),
      ),
    );
    return { connected, errors };
  }

  test(
    "an engine that runs out of descriptors refuses what comes then, keeps what it has, and recovers",
    { skip: skipWithout("prlimit") },
    async (t) => {
      assert.equal(await exchange(FAR), "hello");
      const kept = await open(FAR, PORT.echo);
      mayOpen(readdirSync(`/proc/${engine.pid}/fd`).length + ROOM);
      const { connected, errors } = await openMany();
      t.diagnostic(`${connected.length} connected, ${errors.length} not: ${[...new Set(errors)].join(", ")}`);
      // Sockets that lay in stock are in use now, too.
      assert.ok(connected.length >= ROOM / 2 && errors.length > 0, "as many as there is room for");
      assert.equal(connected.length + errors.length, FLOWS, "each was answered");
      for (const code of errors) assert.match(code, /^(ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH)$/);

      kept.write("still here");
      const [back] = (await once(kept, "data")) as [Buffer];
      assert.equal(String(back), "still here");
      for (const socket of connected) socket.destroy();
      await until(
        () =>
          exchange(FAR6).then(
            () => true,
            () => false,
          ),
        "it serves again",
      );

      mayOpen(4096);
      const again = await openMany();
      assert.deepEqual(again.errors, []);
      for (const socket of again.connected) socket.destroy();
      assert.doesNotMatch(engine.output, /TUN mode ended by itself|"level":"(error|fatal)"/);
      assert.equal(await engine.stop(), 0);
    },
  );
}
