import assert from "node:assert/strict";
import { PassThrough, type Duplex } from "node:stream";
import { describe, test, type TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { DialError } from "../errors.ts";
import { Backoff } from "./backoff.ts";
import { SessionPool, type ConnectOptions, type Session, type SessionPoolOptions } from "./session-pool.ts";

const target = { host: "db.internal", port: 5432 };

class FakeSession implements Session {
  readonly streams = new Set<Duplex>();
  readonly latencyMs = 10;
  closedBy: DialError | undefined;
  refreshed = 0;
  refuse: DialError | undefined;
  #listeners: ((error: DialError) => void)[] = [];

  get active(): number {
    return this.streams.size;
  }

  async dial(): Promise<Duplex> {
    if (this.closedBy) throw this.closedBy;
    if (this.refuse) throw this.refuse;
    const stream = new PassThrough();
    stream.on("error", () => undefined);
    this.streams.add(stream);
    stream.once("close", () => this.streams.delete(stream));
    return stream;
  }

  onceClosed(listener: (error: DialError) => void): void {
    this.#listeners.push(listener);
  }

  refresh(): void {
    this.refreshed++;
  }

  close(): void {
    this.die(new DialError("closed", "closed by us", { scope: "upstream" }));
  }

  die(error = new DialError("closed", "the peer is gone", { scope: "upstream" })): void {
    if (this.closedBy) return;
    this.closedBy = error;
    for (const stream of this.streams) stream.destroy(error);
    for (const listener of this.#listeners) listener(error);
  }
}

interface Attempt extends ConnectOptions {
  succeed(): FakeSession;
  fail(error?: DialError): void;
}

const refused = new DialError("refused", "nobody listens", { scope: "upstream", step: "tcp" });

/** A pool whose connection attempts the test decides. */
function makePool(options: Partial<SessionPoolOptions> = {}) {
  const attempts: Attempt[] = [];
  const events: string[] = [];
  const pool = new SessionPool({
    size: 1,
    strategy: "round-robin",
    connect: async ({ signal, onStep }) => {
      const { promise, resolve, reject } = Promise.withResolvers<Session>();
      attempts.push({
        signal,
        onStep,
        succeed: () => {
          const session = new FakeSession();
          resolve(session);
          return session;
        },
        fail: (error = refused) => reject(error),
      });
      return await promise;
    },
    onStateChange: (connected) => events.push(connected ? "up" : "down"),
    onReconnect: () => events.push("reconnect"),
    backoff: new Backoff(250, 30_000, () => 0.999),
    ...options,
  });
  const dial = async (signal = new AbortController().signal): Promise<Duplex> =>
    pool.dial(target, { signal });
  return { pool, attempts, events, dial };
}

function mockTime(context: TestContext): (ms: number) => Promise<void> {
  let now = 1000;
  context.mock.method(performance, "now", () => now);
  context.mock.timers.enable({ apis: ["setTimeout"] });
  return async (ms) => {
    now += ms;
    context.mock.timers.tick(ms);
    await turn();
  };
}

describe("filling", () => {
  test("nothing is connected before the first dial, and dials that come together share one connection", async () => {
    const { pool, attempts, dial } = makePool({ size: 3 });
    assert.equal(pool.status().state, "idle");
    assert.equal(attempts.length, 0);
    const dials = [dial(), dial(), dial()];
    assert.equal(pool.status().state, "connecting");
    assert.equal(attempts.length, 1);
    const session = attempts[0]!.succeed();
    await Promise.all(dials);
    assert.equal(session.active, 3);
    assert.deepEqual(pool.status().pool, { size: 3, ready: 1, connecting: 1, active: 3 });
  });

  test("one more is connected when all are busy, up to the size, and nobody waits for it", async () => {
    const { pool, attempts, dial } = makePool({ size: 2, strategy: "least-connections" });
    const first = dial();
    const one = attempts[0]!.succeed();
    (await first).destroy();
    await turn();
    await dial();
    assert.equal(attempts.length, 1, "an idle one is enough");
    await dial();
    assert.equal(attempts.length, 2);
    assert.equal(one.active, 2);
    const two = attempts[1]!.succeed();
    await turn();
    await dial();
    await dial();
    await dial();
    assert.deepEqual([one.active, two.active], [3, 2]);
    assert.equal(attempts.length, 2);
    assert.equal(pool.status().pool.active, 5);
  });

  test("round-robin takes turns", async () => {
    const { attempts, dial } = makePool({ size: 2 });
    const dials = [dial(), dial()];
    const one = attempts[0]!.succeed();
    await Promise.all(dials);
    const two = attempts[1]!.succeed();
    await turn();
    for (let count = 0; count < 10; count++) await dial();
    assert.deepEqual([one.active, two.active], [7, 5]);
  });

  test("the steps of the attempt reach whoever waits, and the present one whoever comes later", async () => {
    const { pool, attempts } = makePool();
    const seen: string[] = [];
    const dialWith = (who: string): Promise<Duplex> =>
      pool.dial(target, {
        signal: new AbortController().signal,
        onStep: (step) => seen.push(`${who} ${step}`),
      });
    const first = dialWith("a");
    attempts[0]!.onStep("tcp");
    const second = dialWith("b");
    attempts[0]!.onStep("handshake");
    attempts[0]!.succeed();
    await Promise.all([first, second]);
    assert.deepEqual(seen, ["a tcp", "b tcp", "a handshake", "b handshake"]);
  });
});

describe("being kept warm", () => {
  test("it connects before any dial, and again when the session ends, until it is no longer wanted", async () => {
    const { pool, attempts } = makePool({ backoff: new Backoff(1, 1) });
    const until = async (count: number) => {
      while (attempts.length < count) await turn();
    };
    pool.keepWarm(true);
    pool.keepWarm(true);
    assert.equal(attempts.length, 1);
    assert.equal(pool.status().state, "connecting");
    attempts[0]!.fail();
    await until(2);
    const session = attempts[1]!.succeed();
    await turn();
    assert.equal(pool.status().state, "connected");
    session.die();
    await until(3);
    pool.keepWarm(false);
    attempts[2]!.fail();
    for (let turns = 0; turns < 20; turns++) await turn();
    assert.equal(attempts.length, 3);
    assert.equal(pool.status().state, "failing");
  });

  test("where a person has to see to it first, it is not tried again unasked", async () => {
    const { pool, attempts } = makePool({ backoff: new Backoff(1, 1) });
    pool.keepWarm(true);
    attempts[0]!.fail(new DialError("auth", "not accepted", { scope: "upstream" }));
    for (let turns = 0; turns < 20; turns++) await turn();
    assert.equal(attempts.length, 1);
  });
});

describe("failing", () => {
  test("all who wait for an attempt get its error", async () => {
    const { pool, attempts, events, dial } = makePool();
    const dials = [dial(), dial()];
    attempts[0]!.fail();
    for (const outcome of await Promise.allSettled(dials)) {
      assert.equal(outcome.status, "rejected");
      assert.equal(outcome.reason, refused);
    }
    assert.deepEqual(events, ["down"]);
    const { state, lastError } = pool.status();
    assert.deepEqual([state, lastError?.code, lastError?.message], ["failing", "refused", "nobody listens"]);
  });

  test("a dial waits out a short pause, and is told at once of a long one", async (context) => {
    const pass = mockTime(context);
    const { pool, attempts, dial } = makePool();
    for (let failures = 1; failures <= 3; failures++) {
      const dialling = dial();
      await pass(1000);
      attempts.at(-1)!.fail();
      await assert.rejects(dialling, refused);
    }
    assert.equal(attempts.length, 3, "pauses of 250, 500 and 1000 ms were waited out");
    const dialling = dial();
    await pass(1000);
    attempts.at(-1)!.fail();
    await assert.rejects(dialling, refused);
    await assert.rejects(dial(), {
      code: "refused",
      message: "nobody listens (next try in 2 s)",
      scope: "upstream",
    });
    assert.equal(attempts.length, 4);
    assert.equal(pool.status().pool.active, 0);
    await pass(2000);
    assert.equal(attempts.length, 4, "what was never up is not called unasked");
    const later = dial();
    attempts.at(-1)!.succeed();
    await later;
  });

  test("a dial that is cancelled while it waits ends with its own reason, and the attempt goes on", async () => {
    const { pool, attempts, dial } = makePool();
    const controller = new AbortController();
    const impatient = dial(controller.signal);
    const patient = dial();
    controller.abort(new DialError("timeout", "too late"));
    await assert.rejects(impatient, { code: "timeout" });
    attempts[0]!.succeed();
    await patient;
    assert.equal(pool.status().pool.active, 1);
  });

  test("a refused target is the dial's own failure and leaves the session", async () => {
    const { pool, attempts, dial } = makePool();
    const first = dial();
    const session = attempts[0]!.succeed();
    await first;
    session.refuse = new DialError("refused", "nothing listens there");
    await assert.rejects(dial(), { code: "refused", scope: "target" });
    assert.equal(pool.status().pool.ready, 1);
    assert.equal(attempts.length, 1);
    assert.equal(pool.status().pool.active, 1);
  });

  test("what is thrown that is no DialError is our own defect", async () => {
    const { dial } = makePool({ connect: async () => Promise.reject(new TypeError("oops")) });
    await assert.rejects(dial(), { name: "DialError", code: "internal", scope: "upstream" });
  });
});

describe("replacing", () => {
  test("a session in use that dies is replaced unasked, and the reconnect is told", async (context) => {
    const pass = mockTime(context);
    const { attempts, events, dial } = makePool();
    const first = dial();
    const session = attempts[0]!.succeed();
    await first;
    await pass(10_000);
    session.die();
    assert.equal(attempts.length, 2, "it had been up for long: at once");
    attempts[1]!.succeed();
    await pass(0);
    assert.deepEqual(events, ["up", "down", "up", "reconnect"]);
  });

  test("a server that hangs up as soon as we are in is called with growing pauses", async (context) => {
    const pass = mockTime(context);
    const { attempts, dial } = makePool();
    const first = dial();
    attempts[0]!.succeed().die();
    await first.catch(() => undefined);
    const pauses: number[] = [];
    for (let count = 0; count < 5; count++) {
      const before = attempts.length;
      let waited = 0;
      while (attempts.length === before && waited < 60_000) {
        await pass(50);
        waited += 50;
      }
      pauses.push(waited);
      const session = attempts.at(-1)!.succeed();
      await pass(0);
      session.die();
    }
    assert.deepEqual(
      pauses,
      [...pauses].sort((a, b) => a - b),
    );
    assert.ok(pauses.at(-1)! > 2000, pauses.join());
  });

  test("a session that nobody has used for a minute is not replaced before somebody asks", async (context) => {
    const pass = mockTime(context);
    const { attempts, events, dial } = makePool();
    const first = dial();
    const session = attempts[0]!.succeed();
    (await first).destroy();
    await pass(61_000);
    session.die();
    await pass(10_000);
    assert.equal(attempts.length, 1);
    const second = dial();
    attempts[1]!.succeed();
    await second;
    assert.deepEqual(events, ["up", "down", "up", "reconnect"]);
  });

  for (const code of ["auth", "host-key"] as const) {
    test(`what only a person can mend (${code}) is not tried again unasked, not even on a new network`, async (context) => {
      const pass = mockTime(context);
      const { pool, attempts, dial } = makePool();
      const first = dial();
      const session = attempts[0]!.succeed();
      await first;
      await pass(10_000);
      session.die();
      assert.equal(attempts.length, 2);
      attempts[1]!.fail(new DialError(code, "no", { scope: "upstream" }));
      await pass(40_000);
      pool.refresh();
      assert.equal(attempts.length, 2);
      const second = dial();
      attempts[2]!.succeed();
      await second;
    });
  }

  test("a dial whose session dies under it goes to another, once", async (context) => {
    const pass = mockTime(context);
    const { attempts, dial } = makePool();
    const first = dial();
    const session = attempts[0]!.succeed();
    await first;
    await pass(10_000);
    session.dial = async () => {
      session.die();
      throw session.closedBy!;
    };
    const second = dial();
    await turn();
    const replacement = attempts[1]!.succeed();
    await second;
    assert.equal(replacement.active, 1);
  });

  test("with others left, a death is no change of state", async () => {
    const { pool, attempts, events, dial } = makePool({ size: 2 });
    const dials = [dial(), dial()];
    const one = attempts[0]!.succeed();
    await Promise.all(dials);
    attempts[1]!.succeed();
    await turn();
    one.die();
    assert.deepEqual(events, ["up"]);
    assert.equal(pool.status().state, "connected");
  });

  test("refresh asks every session, and forgets the pause", async (context) => {
    const pass = mockTime(context);
    const { pool, attempts, dial } = makePool();
    const first = dial();
    const session = attempts[0]!.succeed();
    await first;
    pool.refresh();
    assert.equal(session.refreshed, 1);
    session.die();
    await pass(300);
    attempts.at(-1)!.fail();
    await pass(0);
    const before = attempts.length;
    pool.refresh();
    assert.equal(attempts.length, before + 1);
  });
});

describe("closing", () => {
  test("waits for the last stream, refuses new ones, and then ends the sessions", async () => {
    const { pool, attempts, dial } = makePool();
    const first = dial();
    const session = attempts[0]!.succeed();
    const stream = await first;
    let closed = false;
    const closing = pool.close(10_000).then(() => (closed = true));
    await assert.rejects(dial(), { code: "closed", scope: "upstream" });
    await turn();
    assert.equal(closed, false);
    assert.equal(session.closedBy, undefined);
    stream.destroy();
    await closing;
    assert.notEqual(session.closedBy, undefined);
  });

  test("cuts what is left when its time is over, at once with zero", async () => {
    for (const drainMs of [0, 20]) {
      const { pool, attempts, dial } = makePool();
      const first = dial();
      attempts[0]!.succeed();
      const stream = await first;
      await pool.close(drainMs);
      assert.equal(stream.destroyed, true);
    }
  });

  test("ends attempts and those who wait for them; what connects too late is closed", async () => {
    const { pool, attempts, dial } = makePool();
    const waiting = dial();
    const rejected = assert.rejects(waiting, { code: "closed" });
    await pool.close(0);
    await rejected;
    assert.equal(attempts[0]!.signal.aborted, true);
    const late = attempts[0]!.succeed();
    await turn();
    assert.notEqual(late.closedBy, undefined);
  });
});

test("whatever happens in whatever order, the pool keeps to its size, its counts, and its word", async () => {
  const action = fc.constantFrom(
    "dial",
    "dial",
    "dial",
    "succeed",
    "fail",
    "die",
    "end",
    "cancel",
    "refresh",
  );
  const cases = fc.record({
    size: fc.integer({ min: 1, max: 4 }),
    strategy: fc.constantFrom("round-robin" as const, "least-connections" as const),
    actions: fc.array(fc.tuple(action, fc.nat(100)), { maxLength: 40 }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ size, strategy, actions }) => {
      const { pool, attempts, events } = makePool({ size, strategy, backoff: new Backoff(0, 0) });
      const sessions: FakeSession[] = [];
      const streams = new Set<Duplex>();
      const controllers: AbortController[] = [];
      let pending = 0;
      let settled = 0;
      const unsettled = (): Attempt[] => attempts.slice(settled);
      for (const [name, pick] of actions) {
        switch (name) {
          case "dial": {
            const controller = new AbortController();
            controllers.push(controller);
            pending++;
            pool
              .dial(target, { signal: controller.signal })
              .then(
                (stream) => streams.add(stream.once("close", () => streams.delete(stream))),
                (error: unknown) => assert.ok(error instanceof DialError),
              )
              .finally(() => pending--);
            break;
          }
          case "succeed": {
            const [attempt] = unsettled();
            if (attempt === undefined) break;
            settled++;
            sessions.push(attempt.succeed());
            break;
          }
          case "fail":
            if (unsettled().length > 0) attempts[settled++]!.fail();
            break;
          case "die":
            sessions[pick % Math.max(1, sessions.length)]?.die();
            break;
          case "end":
            [...streams][pick % Math.max(1, streams.size)]?.destroy();
            break;
          case "cancel":
            controllers[pick % Math.max(1, controllers.length)]?.abort();
            break;
          case "refresh":
            pool.refresh();
            break;
        }
        await turn();
        const { ready, connecting, active } = pool.status().pool;
        const alive = sessions.filter((session) => session.closedBy === undefined).length;
        assert.ok(ready + connecting <= size, `${ready} ready and ${connecting} connecting of ${size}`);
        assert.equal(ready, alive);
        assert.equal(active, pending + streams.size);
        if (ready > 0) assert.equal(pending, 0, "nobody waits while a session is up");
        if (events.length > 0) {
          const last = events.filter((event) => event !== "reconnect").at(-1);
          assert.equal(last, ready > 0 ? "up" : "down");
        }
      }
      await pool.close(0);
      await turn();
      assert.equal(pending, 0);
      assert.equal(pool.status().pool.active, 0);
      assert.ok(sessions.every((session) => session.closedBy !== undefined));
    }),
    { numRuns: 200 },
  );
});
