import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { MemoryRegistry, type RegistryOptions } from "./memory-registry.ts";
import { type Claim, type Lease, type LeaseEnd, NameError, type PublicAddress } from "./registry.ts";

const demo: PublicAddress = { kind: "http", name: "demo" };
const never = new AbortController().signal;

class Time {
  now = 1_000;
  readonly clock = (): number => this.now;
}

function registryWith(options: Partial<RegistryOptions> = {}): MemoryRegistry & AsyncDisposable {
  const registry = new MemoryRegistry({
    policy: "reject",
    allow: ["*"],
    reserved: ["www"],
    ports: [{ low: 2000, high: 2010 }],
    leaseMs: 30_000,
    maxWaiting: 10,
    clock: () => 0,
    ...options,
  });
  return Object.assign(registry, { [Symbol.asyncDispose]: async () => registry.close() });
}

let sessions = 0;

function claimOf(identity: string, changes: Partial<Claim> = {}): Claim {
  return {
    identity,
    instance: `${identity}'s process`,
    holder: { relay: "r1", session: `s${++sessions}` },
    wanted: demo,
    scope: { names: ["*"], ports: [{ low: 1, high: 65_535 }], maxLeases: 10 },
    ...changes,
  };
}

function holderOf(registry: MemoryRegistry, address: PublicAddress = demo): string | undefined {
  const known = registry.resolve(address);
  return known.state === "held" ? known.lease.holder.session : undefined;
}

function fails(claim: Promise<Lease>, code: NameError["code"]): Promise<void> {
  return assert.rejects(claim, (error: unknown) => error instanceof NameError && error.code === code);
}

function ends(registry: MemoryRegistry): [Lease, LeaseEnd][] {
  const seen: [Lease, LeaseEnd][] = [];
  registry.onEnd((lease, why) => seen.push([lease, why]));
  return seen;
}

test("a name leads to its holder, in any case of its letters", async () => {
  await using registry = registryWith();
  const lease = await registry.claim(claimOf("ada", { wanted: { kind: "http", name: "Demo" } }));
  assert.deepEqual(lease.address, demo);
  assert.match(lease.id, /^[0-9A-Za-z]{20,}$/);
  assert.equal(holderOf(registry), lease.holder.session);
  assert.deepEqual(registry.resolve({ kind: "http", name: "other" }), { state: "unknown" });
});

test("names that are no labels of RFC 1123 are refused", async () => {
  await using registry = registryWith();
  const wrong = ["", "-a", "a-", "a.b", "a_b", "ä", "xn--caf-dma", "a b", "a\n", "x".repeat(64)];
  for (const name of wrong)
    await fails(registry.claim(claimOf("ada", { wanted: { kind: "http", name } })), "invalid");
  for (const port of [0, -1, 65_536, 1.5, NaN])
    await fails(registry.claim(claimOf("ada", { wanted: { kind: "tcp", port } })), "invalid");
});

test("reserved names are nobody's, and nobody goes beyond the relay's patterns or their own", async () => {
  await using registry = registryWith({ allow: ["demo", "team-*", "www"] });
  const scope = { names: ["demo", "x", "www"], ports: [{ low: 2005, high: 3000 }], maxLeases: 9 };
  const claim = (wanted: PublicAddress) => registry.claim(claimOf("ada", { wanted, scope }));
  await fails(claim({ kind: "http", name: "www" }), "reserved");
  await fails(claim({ kind: "http", name: "team-1" }), "not-allowed");
  await fails(claim({ kind: "http", name: "x" }), "not-allowed");
  await fails(claim({ kind: "tcp", port: 2004 }), "not-allowed");
  await fails(claim({ kind: "tcp", port: 2011 }), "not-allowed");
  await claim(demo);
  await claim({ kind: "tcp", port: 2005 });
});

test("a grant without patterns gives no name, and one without ranges no port", async () => {
  await using registry = registryWith();
  const scope = { names: [], ports: [], maxLeases: 9 };
  await fails(registry.claim(claimOf("ada", { scope })), "not-allowed");
  await fails(registry.claim(claimOf("ada", { scope, wanted: { kind: "http", any: true } })), "none-free");
  await fails(registry.claim(claimOf("ada", { scope, wanted: { kind: "tcp", any: true } })), "not-allowed");
});

test("the same identity takes its name back at once, and the old session hears of it", async () => {
  for (const policy of ["reject", "replace"] as const) {
    await using registry = registryWith({ policy });
    const seen = ends(registry);
    const first = await registry.claim(claimOf("ada"));
    const second = await registry.claim(claimOf("ada", { instance: "another process" }));
    assert.deepEqual(seen, [[first, "taken-back"]]);
    assert.equal(holderOf(registry), second.holder.session);
    assert.equal(await registry.renew(first), false);
    await registry.release(first);
    assert.equal(holderOf(registry), second.holder.session, "an old session's goodbye takes nothing");
  }
});

test("another identity is rejected, by policy", async () => {
  await using registry = registryWith({ policy: "reject" });
  const first = await registry.claim(claimOf("ada"));
  await fails(registry.claim(claimOf("bob")), "taken");
  assert.equal(holderOf(registry), first.holder.session);
});

test("another identity replaces the holder, by policy", async () => {
  await using registry = registryWith({ policy: "replace" });
  const seen = ends(registry);
  const first = await registry.claim(claimOf("ada"));
  const second = await registry.claim(claimOf("bob"));
  assert.deepEqual(seen, [[first, "replaced"]]);
  assert.equal(holderOf(registry), second.holder.session);
});

test("several share a name in turn, by policy; one that is back takes its own place and no second one", async () => {
  await using registry = registryWith({ policy: "balance" });
  const seen = ends(registry);
  const ada = await registry.claim(claimOf("ada"));
  const bob = await registry.claim(claimOf("bob"));
  const ada2 = await registry.claim(claimOf("ada", { instance: "ada's other process" }));
  const turns = Array.from({ length: 9 }, () => holderOf(registry)!);
  for (const { holder } of [ada, bob, ada2])
    assert.equal(turns.filter((turn) => turn === holder.session).length, 3);
  assert.deepEqual(seen, []);

  const back = await registry.claim(claimOf("ada"));
  assert.deepEqual(seen, [[ada, "taken-back"]]);
  const now = new Set(Array.from({ length: 9 }, () => holderOf(registry)));
  assert.deepEqual(now, new Set([bob, ada2, back].map(({ holder }) => holder.session)));
});

test("a lease that is not renewed ends, in time, and for everyone at once; one that is renewed does not", async () => {
  const time = new Time();
  await using registry = registryWith({ leaseMs: 30_000, clock: time.clock });
  const seen = ends(registry);
  const first = await registry.claim(claimOf("ada"));
  const other = await registry.claim(claimOf("ada", { wanted: { kind: "http", name: "other" } }));
  time.now += 20_000;
  assert.equal(await registry.renew(first), true);
  time.now += 10_000;
  assert.deepEqual(registry.resolve(other.address), { state: "away" });
  assert.deepEqual(seen, [[other, "expired"]]);
  assert.equal(holderOf(registry), first.holder.session);
  time.now += 20_000;
  assert.deepEqual(registry.resolve(demo), { state: "away" });
  assert.equal(await registry.renew(first), false);
  await registry.claim(claimOf("bob"));
});

test("leases end by a timer also where nobody asks", async () => {
  await using registry = registryWith({ leaseMs: 20, clock: () => performance.now() });
  const ended = new Promise((resolve) => registry.onEnd((_lease, why) => resolve(why)));
  await registry.claim(claimOf("ada"));
  const alive = setTimeout(() => {}, 10_000);
  assert.equal(await ended, "expired");
  clearTimeout(alive);
});

test("a name that was given back is away for a while, or unknown at once where it is given up", async () => {
  const time = new Time();
  await using registry = registryWith({ clock: time.clock });
  await registry.release(await registry.claim(claimOf("ada")));
  assert.deepEqual(registry.resolve(demo), { state: "away" });
  await registry.release(await registry.claim(claimOf("ada")), { lasting: true });
  assert.deepEqual(registry.resolve(demo), { state: "unknown" });
});

test("names that were held are remembered up to a number, the latest of them", async () => {
  await using registry = registryWith();
  for (let i = 0; i < 10_001; i++)
    await registry.release(await registry.claim(claimOf("ada", { wanted: { kind: "http", name: `n${i}` } })));
  assert.deepEqual(registry.resolve({ kind: "http", name: "n0" }), { state: "unknown" });
  assert.deepEqual(registry.resolve({ kind: "http", name: "n1" }), { state: "away" });
});

test("an identity holds so many names and so many ports, and a name taken back counts once", async () => {
  await using registry = registryWith();
  const scope = { names: ["*"], ports: [{ low: 2000, high: 2010 }], maxLeases: 2 };
  const claim = (wanted: Claim["wanted"]) => registry.claim(claimOf("ada", { wanted, scope }));
  await claim(demo);
  const second = await claim({ kind: "http", name: "b" });
  await fails(claim({ kind: "http", name: "c" }), "too-many");
  await claim(demo);
  await claim({ kind: "tcp", any: true });
  await registry.release(second);
  await claim({ kind: "http", name: "c" });
});

test("a name of the registry's choice can't be guessed, fits the patterns, and is not one that is held", async () => {
  await using registry = registryWith({ allow: ["demo-*", "*-x", "one"] });
  const claim = (names: string[]) =>
    registry.claim(
      claimOf("ada", { wanted: { kind: "http", any: true }, scope: { names, ports: [], maxLeases: 99 } }),
    );
  const lease = await claim(["demo-*"]);
  assert.ok(lease.address.kind === "http");
  assert.match(lease.address.name, /^demo-[0-9a-z]{26}$/);
  assert.deepEqual((await claim(["one"])).address, { kind: "http", name: "one" });
  await fails(claim(["one"]), "none-free");
  const wide = (await claim(["*"])).address;
  assert.ok(wide.kind === "http" && /^(demo-.{26}|.{26}-x)$/.test(wide.name), JSON.stringify(wide));
});

test("ports of the registry's choice are free ones, until there are none", async () => {
  await using registry = registryWith({
    ports: [
      { low: 2000, high: 2003 },
      { low: 9, high: 9 },
    ],
  });
  const scope = {
    names: [],
    ports: [
      { low: 2002, high: 3000 },
      { low: 1, high: 9 },
    ],
    maxLeases: 99,
  };
  const claim = () => registry.claim(claimOf("ada", { wanted: { kind: "tcp", any: true }, scope }));
  const given = [await claim(), await claim(), await claim()];
  const ports = given.map(({ address }) => (address.kind === "tcp" ? address.port : 0));
  assert.deepEqual(
    ports.sort((a, b) => a - b),
    [9, 2002, 2003],
  );
  await fails(claim(), "none-free");
});

test("a request waits for a holder that is away, and goes on the moment it is back", async () => {
  await using registry = registryWith({ policy: "balance" });
  await registry.release(await registry.claim(claimOf("ada")));
  const waiting = [1, 2].map(() => registry.waitFor(demo, 30_000, never));
  const lease = await registry.claim(claimOf("ada"));
  assert.deepEqual(await Promise.all(waiting), [lease, lease]);
  assert.equal(
    await registry.waitFor(demo, 30_000, never),
    lease,
    "with a holder there is nothing to wait for",
  );
});

test("waiting ends after its time and not before, for a name nobody has held yet as for one that is away", async (t: TestContext) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using registry = registryWith();
  const away: PublicAddress = { kind: "http", name: "away" };
  await registry.release(await registry.claim(claimOf("ada", { wanted: away })));
  const ended: string[] = [];
  const waits = [demo, away].map(async (address) => {
    assert.equal(await registry.waitFor(address, 30_000, never), undefined);
    ended.push(address.kind);
  });
  const turns = () => new Promise((resolve) => setImmediate(resolve));
  await turns();
  t.mock.timers.tick(29_999);
  await turns();
  assert.deepEqual(ended, []);
  t.mock.timers.tick(1);
  await Promise.all(waits);
  assert.equal(await registry.waitFor(away, 0, never), undefined, "no time at all is not waited for");
});

test("waiting ends by its signal, and with the registry", async () => {
  const registry = registryWith();
  const abort = new AbortController();
  const waiting = registry.waitFor(demo, 30_000, abort.signal);
  abort.abort(new Error("the client went away"));
  await assert.rejects(waiting, /the client went away/);
  await assert.rejects(registry.waitFor(demo, 30_000, abort.signal), /the client went away/);
  const last = registry.waitFor(demo, 30_000, never);
  registry.close();
  assert.equal(await last, undefined);
});

test("so many wait and no more; a place that is given up is another's", async () => {
  await using registry = registryWith({ maxWaiting: 2 });
  await registry.release(await registry.claim(claimOf("ada")));
  const abort = new AbortController();
  const first = registry.waitFor(demo, 30_000, abort.signal);
  const second = registry.waitFor(demo, 30_000, never);
  assert.equal(await registry.waitFor(demo, 30_000, never), undefined);
  abort.abort(new Error("gone"));
  await assert.rejects(first);
  const third = registry.waitFor(demo, 30_000, never);
  const lease = await registry.claim(claimOf("ada"));
  assert.deepEqual(await Promise.all([second, third]), [lease, lease]);
});

test("whatever happens in whatever order, a name has its holders and no others, and the counts add up", async () => {
  const command = fc.record({
    what: fc.constantFrom("claim", "renew", "release", "wait"),
    who: fc.constantFrom("ada", "bob", "eve"),
    instance: fc.constantFrom("1", "2"),
    name: fc.constantFrom("a", "b", "c"),
    by: fc.nat(15),
  });
  const policy = fc.constantFrom("reject" as const, "replace" as const, "balance" as const);
  await fc.assert(
    fc.asyncProperty(policy, fc.array(command, { maxLength: 40 }), async (policy, commands) => {
      const time = new Time();
      await using registry = registryWith({ policy, leaseMs: 20, clock: time.clock });
      const live = new Set<Lease>();
      registry.onEnd((lease) => assert.ok(live.delete(lease), "only what is held can end"));
      for (const { what, who, instance, name, by } of commands) {
        const of = [...live].find(
          (lease) => lease.identity === who && "name" in lease.address && lease.address.name === name,
        );
        if (what === "wait") time.now += by;
        else if (what === "claim") {
          const claim = claimOf(who, { instance, wanted: { kind: "http", name } });
          const lease = await registry
            .claim({ ...claim, scope: { ...claim.scope, maxLeases: 3 } })
            .catch((error: unknown) => {
              assert.ok(error instanceof NameError && ["taken", "too-many"].includes(error.code));
              return undefined;
            });
          if (lease !== undefined) live.add(lease);
        } else if (of !== undefined) {
          if (what === "release") {
            await registry.release(of);
            live.delete(of);
          } else await registry.renew(of);
        }
        registry.resolve(demo);
        assert.deepEqual(new Set(await registry.list()), live);
        for (const each of ["a", "b", "c"]) {
          const holders = [...live].filter((lease) => "name" in lease.address && lease.address.name === each);
          const known = registry.resolve({ kind: "http", name: each });
          if (known.state === "held") assert.ok(holders.includes(known.lease));
          else assert.deepEqual(holders, []);
          if (policy !== "balance") assert.ok(holders.length <= 1);
        }
        for (const each of ["ada", "bob", "eve"])
          assert.ok([...live].filter((lease) => lease.identity === each).length <= 3);
      }
    }),
    { numRuns: 60 },
  );
});
