import assert from "node:assert/strict";
import { lookup, type LookupAddress } from "node:dns";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { startTcpServer, startUdpEcho } from "../../../test/peers/echo.ts";
import { dialFailure, soon, until } from "../../../test/peers/exercise.ts";
import type { DialError } from "../errors.ts";
import { DirectDialer } from "./direct.ts";
import { type Answer, type GetAddrInfo, MAX_QUEUED, MAX_QUEUED_PER_SOURCE, Resolver } from "./resolver.ts";

const LOOPBACK: readonly LookupAddress[] = [{ address: "127.0.0.1", family: 4 }];

/** A system whose name servers answer when the test says so; `localhost` it knows by itself. */
function slowSystem() {
  const asked: string[] = [];
  const pending = new Map<string, (answer: Answer) => void>();
  const getAddrInfo: GetAddrInfo = (name, done) => {
    asked.push(name);
    if (name === "localhost") lookup(name, { all: true }, done);
    else
      pending.set(name, (answer) => {
        pending.delete(name);
        if (answer instanceof Error) done(answer, []);
        else done(null, answer);
      });
  };
  const answer = (name: string, addresses: Answer = LOOPBACK) => pending.get(name)!(addresses);
  return { asked, pending, getAddrInfo, answer };
}

function setup(maxRunning = 4) {
  const system = slowSystem();
  const resolver = new Resolver({ getAddrInfo: system.getAddrInfo, maxRunning });
  return { ...system, resolver, dialer: new DirectDialer(resolver) };
}

const ignore = () => {};
const neverHeard = () => assert.fail("it had left");

/** Bytes that are held once what is garbage is collected. */
function heldMemory(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc()");
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

describe("the resolver", () => {
  it("joins equal names in flight, whatever their case, and remembers the answer", () => {
    const { resolver, asked, answer } = setup();
    const heard: Answer[] = [];
    for (const name of ["a.test", "A.TEST", "a.test"]) resolver.ask(name, name, (told) => heard.push(told));
    assert.deepEqual(asked, ["a.test"]);
    answer("a.test");
    assert.deepEqual(heard, [LOOPBACK, LOOPBACK, LOOPBACK]);
    assert.deepEqual(resolver.recall("A.test"), LOOPBACK);
    assert.equal(resolver.recall("b.test"), undefined);
  });

  it("forgets addresses after 5 seconds and failures after one", (context) => {
    const { resolver, answer } = setup();
    let now = 1000;
    context.mock.method(performance, "now", () => now);
    for (const name of ["good.test", "bad.test", "empty.test"]) resolver.ask(name, "", ignore);
    answer("good.test");
    answer("bad.test", systemError("EAI_AGAIN"));
    answer("empty.test", []);
    const known = () => ["good.test", "bad.test", "empty.test"].filter((name) => resolver.recall(name));
    assert.deepEqual(known(), ["good.test", "bad.test", "empty.test"]);
    assert.equal((resolver.recall("empty.test") as NodeJS.ErrnoException).code, "ENOTFOUND");
    now += 1000;
    assert.deepEqual(known(), ["good.test"]);
    now += 4000;
    assert.deepEqual(known(), []);
  });

  it("runs few look-ups at a time, and the rest in turn by source", () => {
    const { resolver, asked, answer } = setup(3);
    for (const name of ["a1", "a2", "a3", "a4"]) resolver.ask(name, "a", ignore);
    assert.deepEqual(asked, ["a1", "a2"], "one source has not all of them");
    for (const name of ["b1", "b2"]) resolver.ask(name, "b", ignore);
    resolver.ask("c1", "c", ignore);
    assert.deepEqual(asked.splice(0), ["a1", "a2", "b1"]);
    assert.deepEqual(resolver.load, { running: 3, queued: 4 });
    answer("a1");
    answer("a2");
    answer("b1");
    assert.deepEqual(asked.splice(0).sort(), ["a3", "b2", "c1"]);
    for (const name of ["a3", "b2", "c1"]) answer(name);
    answer("a4");
    assert.deepEqual(resolver.load, { running: 0, queued: 0 });
  });

  it("lets a name that a flood has queued be looked up in another's turn", () => {
    const { resolver, asked, answer } = setup(2);
    for (let i = 0; i < 100; i += 1) resolver.ask(`n${i}`, "flood", ignore);
    let heard: Answer | undefined;
    resolver.ask("n99", "other", (told) => (heard = told));
    answer("n0");
    assert.equal(asked.at(-1), "n99");
    answer("n99");
    assert.equal(heard, LOOPBACK);
  });

  it("drops a queued name when the last who waits for it leaves, and no sooner", () => {
    const { resolver, asked, answer } = setup(1);
    resolver.ask("slow", "a", ignore);
    const [first, again, other] = ["a", "a", "b"].map((source) => resolver.ask("left", source, neverHeard)!);
    resolver.ask("kept", "a", ignore);
    for (const leave of [first, first, again]) {
      leave!();
      assert.equal(resolver.load.queued, 2);
    }
    other!();
    assert.equal(resolver.load.queued, 1);
    answer("slow");
    answer("kept");
    assert.deepEqual(asked, ["slow", "kept"]);
    other!();
    assert.deepEqual(resolver.load, { running: 0, queued: 0 });
  });

  it("keeps its caps, for one source and in all, and serves again when there is room", () => {
    const { resolver } = setup(1);
    const leaves: (() => void)[] = [];
    const fill = (source: string) => {
      for (let i = 0; ; i += 1) {
        const leave = resolver.ask(`${source}-${i}`, source, ignore);
        if (!leave) return i;
        leaves.push(leave);
      }
    };
    assert.equal(fill("a"), 1 + MAX_QUEUED_PER_SOURCE);
    for (let left = MAX_QUEUED - MAX_QUEUED_PER_SOURCE, i = 0; left > 0; i += 1) left -= fill(`b${i}`);
    assert.equal(fill("c"), 0);
    assert.deepEqual(resolver.load, { running: 1, queued: MAX_QUEUED });
    assert(resolver.ask("a-0", "c", ignore), "to wait for what runs costs nothing");
    assert(resolver.ask("localhost", "c", ignore));
    for (const leave of leaves) leave();
    assert.deepEqual(resolver.load, { running: 1, queued: 0 });
    assert(resolver.ask("again", "c", ignore));
  });
});

describe("a direct dial by name", () => {
  it("reaches localhost while 300 names of one source are slow, and another source is served first", async () => {
    const { dialer, resolver, asked, answer, pending } = setup(3);
    const server = await startTcpServer((socket) => socket.resume());
    const flood = new AbortController();
    const options = { signal: flood.signal, source: "10.0.0.1" };
    const dials = Array.from({ length: 300 }, (_, i) =>
      dialer.dial({ host: `n${i}.test`, port: 80 }, options).catch((error: unknown) => error),
    );
    await until(() => resolver.load.queued === MAX_QUEUED_PER_SOURCE, "a full queue");
    const refused = (await Promise.race(dials)) as DialError;
    assert.deepEqual([refused.code, refused.step, refused.scope], ["limit", "name", "target"]);

    const started = performance.now();
    (await dialer.dial({ host: "localhost", port: server.port }, { signal: soon() })).destroy();
    assert(performance.now() - started < 500);
    const other = dialer.dial(
      { host: "other.test", port: server.port },
      { signal: soon(), source: "10.0.0.2" },
    );
    await until(() => pending.has("other.test"), "the other's look-up");
    answer("other.test");
    (await other).destroy();

    flood.abort();
    await Promise.all(dials);
    assert.deepEqual(resolver.load, { running: 2, queued: 0 });
    for (const name of [...pending.keys()]) answer(name);
    assert.deepEqual(asked.toSorted(), ["localhost", "n0.test", "n1.test", "other.test"]);
    await server.stop();
  });

  it("tries every address of a name, and tells the step and the system's error", async () => {
    const { dialer, answer, pending } = setup();
    const server = await startTcpServer((socket) => socket.resume());
    const steps: string[] = [];
    const dial = () =>
      dialer.dial(
        { host: "both.test", port: server.port },
        { signal: soon(), onStep: (step) => steps.push(step) },
      );
    const first = dial();
    await until(() => pending.size === 1, "the look-up");
    answer("both.test", [{ address: "::1", family: 6 }, ...LOOPBACK]);
    (await first).destroy();
    (await dial()).destroy();
    assert.deepEqual(steps, ["name", "tcp", "name", "tcp"]);
    const failed = dialFailure(dialer, { host: "bad.test", port: 1 });
    await until(() => pending.size === 1, "the look-up");
    answer("bad.test", systemError("EAI_AGAIN"));
    for (const error of [await failed, await dialFailure(dialer, { host: "bad.test", port: 1 })])
      assert.deepEqual([error.code, error.step], ["dns", "name"]);
    await server.stop();
  });
});

describe("direct datagrams by name", () => {
  const receiver = { onDatagram: ignore, onClose: ignore };

  it("of 100,000 distinct names hold little memory and no other's name, and leave nothing when they end", async () => {
    const { dialer, resolver, asked } = setup(3);
    const association = await dialer.udp.associate(receiver, { signal: soon(), source: "10.0.0.1" });
    const before = heldMemory();
    for (let i = 0; i < 100_000; i += 1)
      association.send({ host: `n${i}.test`, port: 9 }, Buffer.alloc(1200));
    // What was made just now is freed by the turns of the event loop and the collections that follow, not by the first.
    let grown = heldMemory() - before;
    for (let tries = 0; grown >= 5e6 && tries < 50; tries++) {
      await sleep(20);
      grown = heldMemory() - before;
    }
    assert(resolver.load.queued <= MAX_QUEUED_PER_SOURCE);
    assert(grown < 5e6, `${Math.round(grown / 1e6)} MB for 120 MB of datagrams`);
    resolver.ask("tcp.test", "10.0.0.1", ignore);
    assert.equal(asked.at(-1), "tcp.test", "connections of the same source have a turn of their own");
    association.close();
    assert.deepEqual(resolver.load, { running: 3, queued: 0 });
  });

  it("wait for their name in order, up to 16, and then go without delay", async () => {
    const { dialer, pending, answer, asked } = setup();
    const echo = await startUdpEcho();
    const got: string[] = [];
    const association = await dialer.udp.associate(
      { onDatagram: (_source, payload) => got.push(payload.toString()), onClose: ignore },
      { signal: soon() },
    );
    const target = { host: "echo.test", port: echo.port };
    for (let i = 0; i < 20; i += 1) association.send(target, Buffer.from(`${i}`));
    assert.equal(pending.size, 1);
    answer("echo.test");
    association.send(target, Buffer.from("last"));
    await until(() => got.length === 17, "17 datagrams back");
    assert.deepEqual(got, [...Array.from({ length: 16 }, (_, i) => `${i}`), "last"]);
    assert.deepEqual(asked, ["echo.test"]);
    association.close();
    await echo.stop();
  });
});
