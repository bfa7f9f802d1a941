import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { PORT } from "../peers/far-services.ts";
import { enterNamespace } from "../peers/namespace.ts";
import {
  checksumOf,
  connectFailure,
  exchange,
  open,
  patternChecksum,
  readText,
  until,
} from "../peers/tun-client.ts";
import { patternChunks } from "../peers/echo.ts";
import { DEEP, FAR, FAR6, NO_WAY, shell, SILENT, TARGETS, TunWorld } from "../peers/tun-world.ts";

/** Through these a half-close comes through; tinyproxy has none. */
const HALF_CLOSING = [...TARGETS.direct, ...TARGETS.ssh, ...TARGETS.socks5];
/** An answer that comes "at once", on a machine that does other things too. */
const AT_ONCE_MS = 1000;
const BLOCKED = "10.77.4.1";
const NOWHERE = "10.77.5.1";
const REFUSED_BY_UPSTREAM = "10.77.6.1";

/** How an established connection of this machine ends, as an application sees it. */
async function endOf(socket: Socket): Promise<string> {
  if (socket.errored !== null) return (socket.errored as NodeJS.ErrnoException).code ?? "error";
  if (socket.readableEnded) return "end";
  return new Promise((resolve) => {
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
    socket.once("end", () => resolve("end"));
    setTimeout(() => resolve("nothing"), 10_000).unref();
    socket.resume();
  });
}

/** Connections of this machine's applications to captured targets, in any state but TIME-WAIT. */
function kernelConnections(): string[] {
  const lines = shell("ss -H -t -a -n -o").split("\n");
  return lines.filter(
    (line) =>
      /10\.77\.|203\.0\.113\.20|fd77::|2001:db8:10::20/.test(line) &&
      !/^TIME-WAIT|^LISTEN/.test(line) &&
      /198\.18\.0\.1|fc00::1/.test(line),
  );
}

if (await enterNamespace(import.meta.filename)) {
  const world = await TunWorld.make();
  const { ssh, socks5, http } = world.upstreams;
  const everyWay = world.everyWay({
    upstreams: {
      ssh,
      socks5,
      http,
      lost: { type: "socks5", address: `${NO_WAY}:1080` },
      closed: { type: "socks5", address: `${FAR}:${PORT.nobody}` },
    },
    routes: [
      { match: BLOCKED, to: "block" },
      { match: NOWHERE, to: "lost" },
      { match: REFUSED_BY_UPSTREAM, to: "closed" },
      { match: SILENT, to: "socks5" },
    ],
    limits: { drain_timeout: 0 },
  });
  const engine = await world.engine(everyWay);
  after(() => world[Symbol.asyncDispose]());

  for (const host of HALF_CLOSING) {
    test(`an application that ends its direction still gets the answer (${host})`, async () => {
      const socket = await open(host, PORT.echo);
      const answer = checksumOf(socket);
      for (const chunk of patternChunks(1_000_000)) if (!socket.write(chunk)) await once(socket, "drain");
      socket.end();
      assert.equal(await answer, patternChecksum(1_000_000));
      await once(socket, "close");
    });

    test(`a target that ends its direction still gets what is sent (${host})`, async () => {
      const far = host === FAR || host === FAR6 ? world.far : world.deep;
      const { read } = await far.ask("state");
      const socket = await open(host, PORT.greets);
      assert.equal(await readText(socket), "hello\n");
      for (const chunk of patternChunks(300_000)) if (!socket.write(chunk)) await once(socket, "drain");
      socket.end();
      await once(socket, "close");
      await until(async () => (await far.ask("state")).read === read + 300_000, "it has come");
    });
  }

  for (const [upstream, [host]] of Object.entries(TARGETS)) {
    test(`an application that stops reading pauses what comes through ${upstream}, and then gets all of it`, async () => {
      const bytes = 48_000_000;
      const before = engine.memory();
      const socket = await open(host, PORT.source);
      socket.pause();
      socket.write(`${bytes}\n`);
      await delay(1500);
      const held = engine.memory() - before;
      assert.ok(held < 40e6, `the engine holds ${(held / 1e6).toFixed()} MB of what nobody reads`);
      assert.equal(await checksumOf(socket), patternChecksum(bytes));
      socket.destroy();
    });

    test(`a target that stops reading stops the application that sends through ${upstream}, and then gets all of it`, async () => {
      const far = host === FAR ? world.far : world.deep;
      const bytes = 48_000_000;
      const before = engine.memory();
      const socket = await open(host, PORT.stubborn);
      await once(socket, "readable");
      assert.equal(String(socket.read()), "hello\n");
      let sent = 0;
      const chunks = patternChunks(bytes);
      const sending = (async () => {
        for (const chunk of chunks) {
          sent += chunk.length;
          if (!socket.write(chunk)) await once(socket, "drain");
        }
        if (upstream === "http") await until(() => socket.writableLength === 0, "it is written");
        else socket.end();
      })();
      let last = -1;
      await until(async () => {
        const now = sent;
        await delay(300);
        const stands = now === last && now > 0;
        last = now;
        return stands;
      }, "the sending stops");
      assert.ok(sent < bytes, "all was taken though nobody reads");
      const held = engine.memory() - before;
      assert.ok(held < 40e6, `the engine holds ${(held / 1e6).toFixed()} MB of what nobody reads`);
      await far.ask("resume");
      await sending;
      // Without a half-close the target can't know the end; that it was written is then all.
      if (upstream !== "http") assert.equal((await readText(socket)).trim(), patternChecksum(bytes));
      socket.destroy();
    });
  }

  for (const host of [FAR, FAR6, TARGETS.socks5[0]]) {
    test(`a reset of the target resets the application (${host})`, async () => {
      const socket = await open(host, PORT.resets);
      socket.write("x");
      const end = await endOf(socket);
      socket.destroy();
      // Dante tells its client of a reset by an end.
      assert.equal(end, host === TARGETS.socks5[0] ? "end" : "ECONNRESET");
    });

    test(`a reset of the application ends the target's connection, whatever state it is in (${host})`, async () => {
      const far = host === TARGETS.socks5[0] ? world.deep : world.far;
      const { open: before } = await far.ask("state");
      for (const state of [
        "established",
        "sending",
        "after its own end",
        "after the target's end",
        "unread",
      ]) {
        const port = state === "after the target's end" ? PORT.greets : PORT.echo;
        const socket = await open(host, port);
        if (state === "sending") socket.write(Buffer.alloc(3_000_000));
        if (state === "unread") {
          socket.pause();
          socket.write(Buffer.alloc(300_000));
          await delay(50);
        }
        // While an end is under way, Node does not reset.
        if (state === "after its own end") await once(socket.end("x"), "finish");
        if (state === "after the target's end") await readText(socket);
        socket.resetAndDestroy();
        await until(async () => (await far.ask("state")).open === before, `nothing is left of "${state}"`);
      }
    });

    test(`ends that cross each other leave nothing behind (${host})`, async () => {
      const far = host === TARGETS.socks5[0] ? world.deep : world.far;
      const { open: before } = await far.ask("state");
      await Promise.all(
        Array.from({ length: 60 }, async (_, i) => {
          const socket = await open(host, PORT.ends);
          socket.write("x");
          // The target's end comes a moment after the byte; ours before, with, and after it.
          if (i % 3 > 0) await delay(i % 20);
          socket.end();
          assert.equal(await endOf(socket), "end");
        }),
      );
      await until(async () => (await far.ask("state")).open === before, "the target has closed all");
      await until(() => kernelConnections().length === 0, "the kernel has closed all");
    });
  }

  for (const [upstream, hosts] of Object.entries(TARGETS)) {
    for (const host of hosts) {
      test(`a port where nobody listens is refused at once through ${upstream} (${host})`, async (t) => {
        const { code, ms } = await connectFailure(host, PORT.nobody);
        t.diagnostic(`${code} after ${ms.toFixed()} ms`);
        assert.equal(code, upstream === "http" ? code : "ECONNREFUSED");
        assert.match(code, /ECONNREFUSED|EHOSTUNREACH/);
        assert.ok(ms < AT_ONCE_MS, `${ms} ms`);
      });
    }
  }

  test("what a route blocks is refused at once", async () => {
    const { code, ms } = await connectFailure(BLOCKED, PORT.echo);
    assert.equal(code, "ECONNREFUSED");
    assert.ok(ms < AT_ONCE_MS, `${ms} ms`);
  });

  for (const [host, what] of [
    [NOWHERE, "that there is no way to"],
    [REFUSED_BY_UPSTREAM, "where nobody listens"],
  ] as const) {
    test(`behind an upstream ${what} the host is unreachable, quickly`, async (t) => {
      const { code, ms } = await connectFailure(host, PORT.echo);
      t.diagnostic(`${code} after ${ms.toFixed()} ms`);
      assert.equal(code, "EHOSTUNREACH");
      assert.ok(ms < 3 * AT_ONCE_MS, `${ms} ms`);
    });
  }

  for (const how of ["is closed", "is reset", "dies with its process"] as const) {
    test(`a dial that hangs is cancelled when the application's socket ${how}`, async () => {
      const from = engine.output.length;
      const script = `require("net").connect(${PORT.echo}, "${SILENT}")`;
      if (how === "dies with its process") {
        shell(`timeout -s KILL 0.7 "${process.execPath}" -e '${script}' || true`);
      } else {
        const attempt = open(SILENT, PORT.echo, { signal: AbortSignal.timeout(500) });
        await assert.rejects(attempt);
      }
      await engine.logs(/"target":"10\.77\.0\.66:7"[^\n]*(cancelled|gave up|closed)/, from);
    });
  }

  test("after all of it the engine serves as before", async () => {
    assert.equal(await exchange(DEEP.replace(".0.7", ".2.7")), "hello");
    assert.doesNotMatch(engine.output, /"level":"(error|fatal)"/);
  });
}
