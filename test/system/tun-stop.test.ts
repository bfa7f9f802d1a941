import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import { PORT } from "../peers/far-services.ts";
import { enterNamespace } from "../peers/namespace.ts";
import { exchange, open, readText, until } from "../peers/tun-client.ts";
import { FAR, program, shell, SILENT, TARGETS, TunWorld } from "../peers/tun-world.ts";

/** How soon an application hears of the stop, on a machine that does other things too; far below drain_timeout. */
const AT_ONCE_MS = 3000;
const IDLE = 100;

/** How a connection ends that waits for something to read: its error's code, and how long that took. */
async function endOf(socket: Socket): Promise<{ code: string; ms: number }> {
  const started = performance.now();
  const code = await new Promise<string>((resolve) => {
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
    socket.once("close", () => resolve("closed without a word"));
    setTimeout(() => resolve("nothing"), 20_000).unref();
    socket.resume();
  });
  return { code, ms: performance.now() - started };
}

/** Applications in all that a connection can be busy with, through every upstream. */
async function busyApplications(): Promise<Map<string, Socket>> {
  const applications = new Map<string, Socket>();
  for (const host of Object.values(TARGETS).flat()) {
    applications.set(`reads from ${host}`, await open(host, PORT.echo));

    const sends = await open(host, PORT.stubborn);
    await once(sends, "readable");
    sends.write(Buffer.alloc(20_000_000));
    applications.set(`sends to ${host}, which reads nothing`, sends);

    const receives = await open(host, PORT.source);
    receives.write("2000000000\n");
    applications.set(`receives from ${host}`, receives);
  }
  // Where an end in one direction comes through, the other stays.
  for (const host of [...TARGETS.direct, ...TARGETS.ssh]) {
    const ended = await open(host, PORT.stubborn);
    ended.end();
    await once(ended, "readable");
    assert.equal(String(ended.read()), "hello\n");
    applications.set(`has ended its direction to ${host}`, ended);
  }
  for (let i = 0; i < IDLE; i++) applications.set(`idle ${i}`, await open(FAR, PORT.echo));
  return applications;
}

if (await enterNamespace(import.meta.filename)) {
  const world = await TunWorld.make();
  after(() => world[Symbol.asyncDispose]());
  const config = world.everyWay({
    routes: [{ match: SILENT, to: "socks5" }],
    limits: { drain_timeout: 60 },
  });

  /** A flow of a listener, which is no business of the device's. */
  async function throughListener(): Promise<Socket> {
    const socket = await open("127.0.0.1", 1080);
    const greeting = Buffer.from([5, 1, 0, 5, 1, 0, 1, ...FAR.split(".").map(Number), 0, PORT.echo]);
    socket.write(greeting);
    let answer = Buffer.alloc(0);
    while (answer.length < 12) {
      const [chunk] = (await once(socket, "data")) as [Buffer];
      answer = Buffer.concat([answer, chunk]);
    }
    assert.equal(answer[3], 0);
    return socket;
  }

  async function assertReset(applications: Map<string, Socket>, stop: () => Promise<void>): Promise<void> {
    const ends = [...applications].map(async ([what, socket]) => ({ what, ...(await endOf(socket)) }));
    const hanging = open(SILENT, PORT.echo).then(
      () => "connected",
      (error: unknown) => (error as NodeJS.ErrnoException).code,
    );
    await until(() => shell(`ss -H -t -n state syn-sent dst ${SILENT}`) !== "", "its SYN was sent");
    await stop();
    for (const { what, code, ms } of await Promise.all(ends)) {
      assert.equal(code, "ECONNRESET", `the application that ${what}`);
      assert.ok(ms < AT_ONCE_MS, `the application that ${what} hears of it after ${ms} ms`);
    }
    assert.equal(await hanging, "ECONNREFUSED");
  }

  for (const filter of [0, 1]) {
    const name = filter === 1 ? ", behind a strict reverse path filter" : "";
    test(`when the engine stops, applications are told at once, and flows of the listeners go on${name}`, async () => {
      shell(`for each in all default; do echo ${filter} >/proc/sys/net/ipv4/conf/$each/rp_filter; done`);
      const engine = await world.engine(config);
      const listened = await throughListener();
      await assertReset(await busyApplications(), async () => {
        engine.child.kill("SIGTERM");
      });
      await engine.logs(/draining for at most 60 s/);
      listened.write("still here");
      assert.equal(String((await once(listened, "data"))[0]), "still here");
      listened.end();
      await readText(listened);
      if (!engine.ended) await once(engine.child, "exit");
      assert.equal(engine.child.exitCode, 0);
    });
  }

  test("when a reload switches the device off, applications are told at once, and connect anew by another way", async () => {
    const engine = await world.engine(config);
    const listened = await throughListener();
    await assertReset(await busyApplications(), async () => {
      await engine.reconfigure(world.config({ ...config, tun: { ...config.tun, enabled: false } }));
    });
    listened.write("still here");
    assert.equal(String((await once(listened, "data"))[0]), "still here");
    listened.destroy();
    assert.equal(await exchange(FAR), "hello");
    await engine.stop();
  });

  test("a program that waits for a download ends with an error when the engine stops, and does not hang", async () => {
    const engine = await world.engine(config);
    const { open: before } = await world.far.ask("state");
    const curl = program(["curl", "-sS", "-m", "25", "-o", "/dev/null", `telnet://${FAR}:${PORT.echo}`]);
    await until(async () => (await world.far.ask("state")).open > before, "it is connected");
    engine.child.kill("SIGTERM");
    const { status, stderr } = await curl;
    assert.equal(status, 56, stderr);
  });
}
