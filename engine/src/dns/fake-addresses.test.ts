import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatAddress } from "../router/address.ts";
import { FAKE_TTL, FakeAddresses, type FakePair } from "./fake-addresses.ts";

const ipv4 = (pair: FakePair | undefined) => pair && formatAddress(pair.ipv4);
const ipv6 = (pair: FakePair | undefined) => pair && formatAddress(pair.ipv6);

test("a name keeps its pair of addresses, and both lead back to it", () => {
  const fake = new FakeAddresses();
  const first = fake.assign("git.corp.internal");
  assert.deepEqual(fake.assign("git.corp.internal"), first);
  assert.match(ipv4(first)!, /^198\.1[89]\./);
  assert.match(ipv6(first)!, /^fc00:/);
  assert.equal(fake.nameOf(ipv4(first)!), "git.corp.internal");
  assert.equal(fake.nameOf(ipv6(first)!), "git.corp.internal");
  assert.notDeepEqual(fake.assign("other.corp.internal"), first);
});

test("addresses of the pools that stand for no name are told from those outside", () => {
  const fake = new FakeAddresses();
  for (const address of ["198.18.0.0", "198.19.255.255", "fc00::1", "fc00:3fff::1"]) {
    assert.equal(fake.nameOf(address), undefined);
    assert.ok(fake.includes(address), address);
  }
  for (const address of ["198.17.255.255", "198.20.0.0", "fc00:4000::", "fd00::1", "::1", "name"]) {
    assert.ok(!fake.includes(address), address);
  }
});

test("the first, the last and the reserved addresses of a pool are never handed out", () => {
  const options = { ipv4: "198.18.0.0/29", ipv6: "fc00::/125", reserved: ["198.18.0.2", "fc00::4"] };
  const fake = new FakeAddresses(options);
  assert.equal(fake.capacity, 4);
  const given = ["a", "b", "c", "d"].map((name) => fake.assign(name)!);
  assert.deepEqual(given.map((pair) => ipv4(pair)).sort(), [
    "198.18.0.1",
    "198.18.0.3",
    "198.18.0.5",
    "198.18.0.6",
  ]);
  assert.deepEqual(given.map((pair) => ipv6(pair)).sort(), ["fc00::1", "fc00::3", "fc00::5", "fc00::6"]);
  assert.equal(fake.assign("e"), undefined);
});

test("an IPv6 address from another run is unknown, and an IPv4 one is unlikely to be known", () => {
  const before = new FakeAddresses().assign("a")!;
  const after = new FakeAddresses();
  after.assign("b");
  assert.equal(after.nameOf(ipv6(before)!), undefined);
});

test("the name that was used the longest time ago loses its address, once its TTL is over", () => {
  let now = 0;
  const fake = new FakeAddresses({ maxNames: 2, now: () => now });
  const a = fake.assign("a")!;
  now = 1000;
  fake.assign("b");
  now = 2000;
  fake.assign("a");
  assert.equal(fake.assign("c"), undefined);
  now = 1000 + FAKE_TTL * 1000;
  assert.ok(fake.assign("c"));
  assert.equal(fake.nameOf(ipv4(a)!), "a");
  assert.equal(fake.assign("b"), undefined, "a was answered later");
});

test("a held address keeps its name for as long as it is held, and a TTL more", () => {
  let now = 0;
  const fake = new FakeAddresses({ maxNames: 1, now: () => now });
  const address = ipv6(fake.assign("a"))!;
  assert.ok(fake.hold(address));
  assert.ok(fake.hold(ipv4(fake.assign("a"))!));
  now = 1e9;
  fake.release(address);
  assert.equal(fake.assign("b"), undefined);
  fake.release(address);
  assert.equal(fake.assign("b"), undefined);
  now += FAKE_TTL * 1000;
  assert.ok(fake.assign("b"));
  assert.equal(fake.nameOf(address), "b");
  assert.ok(!fake.hold("198.18.77.77"));
});

test("pools without room, or of the wrong family, are refused", () => {
  assert.throws(() => new FakeAddresses({ ipv4: "198.18.0.0/31" }), SyntaxError);
  assert.throws(() => new FakeAddresses({ ipv4: "fc00::/18" }), SyntaxError);
  assert.throws(() => new FakeAddresses({ ipv6: "10.0.0.0/8" }), SyntaxError);
});

/** What the pool promises, kept in the plainest way. */
interface Model {
  now: number;
  /** Address → the name, until when it must stay, and how many hold it. */
  readonly given: Map<string, { name: string; until: number; holds: number }>;
}

const CAPACITY = 5;
const names = fc.constantFrom("a", "b", "c", "d", "e", "f", "g", "h");
const picks = fc.nat(20);

class Assign implements fc.Command<Model, FakeAddresses> {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
  check = () => true;
  run(model: Model, fake: FakeAddresses) {
    const pair = fake.assign(this.name);
    const known = [...model.given].find(([, { name }]) => name === this.name);
    const free = [...model.given.values()].filter(({ holds, until }) => holds === 0 && until <= model.now);
    if (pair === undefined) {
      assert.equal(known, undefined, "a name that has an address keeps it");
      assert.equal(model.given.size, CAPACITY);
      assert.equal(free.length, 0, "no address could have been reused");
      return;
    }
    const address = ipv4(pair)!;
    if (known) assert.equal(address, known[0]);
    const before = model.given.get(address);
    if (before && before.name !== this.name) {
      assert.equal(before.holds, 0, "a flow used it");
      assert.ok(before.until <= model.now, "its last answer could still be kept");
      assert.equal(model.given.size, CAPACITY, "there were fresh addresses");
      assert.ok(
        free.every(({ until }) => before.until <= until),
        "others were idle for longer",
      );
    }
    const holds = before?.holds ?? 0;
    model.given.set(address, { name: this.name, until: model.now + FAKE_TTL * 1000, holds });
    assert.equal(fake.nameOf(address), this.name);
    assert.equal(fake.nameOf(ipv6(pair)!), this.name);
    assert.ok(fake.size <= CAPACITY);
  }
  toString = () => `assign(${this.name})`;
}

class Hold implements fc.Command<Model, FakeAddresses> {
  readonly pick: number;
  constructor(pick: number) {
    this.pick = pick;
  }
  check = (model: Readonly<Model>) => model.given.size > 0;
  run(model: Model, fake: FakeAddresses) {
    const [address, entry] = [...model.given][this.pick % model.given.size]!;
    assert.ok(fake.hold(address));
    entry.holds += 1;
  }
  toString = () => `hold(${this.pick})`;
}

class Release implements fc.Command<Model, FakeAddresses> {
  readonly pick: number;
  constructor(pick: number) {
    this.pick = pick;
  }
  check = (model: Readonly<Model>) => [...model.given.values()].some(({ holds }) => holds > 0);
  run(model: Model, fake: FakeAddresses) {
    const held = [...model.given].filter(([, { holds }]) => holds > 0);
    const [address, entry] = held[this.pick % held.length]!;
    fake.release(address);
    entry.holds -= 1;
    if (entry.holds === 0) entry.until = model.now + FAKE_TTL * 1000;
  }
  toString = () => `release(${this.pick})`;
}

class Wait implements fc.Command<Model, FakeAddresses> {
  readonly seconds: number;
  constructor(seconds: number) {
    this.seconds = seconds;
  }
  check = () => true;
  run(model: Model) {
    model.now += this.seconds * 1000;
  }
  toString = () => `wait(${this.seconds})`;
}

test("whatever is asked, held, released and waited for, no address changes its name too early", () => {
  const commands = fc.commands(
    [
      names.map((name) => new Assign(name)),
      picks.map((pick) => new Hold(pick)),
      picks.map((pick) => new Release(pick)),
      fc.integer({ min: 1, max: FAKE_TTL }).map((seconds) => new Wait(seconds)),
    ],
    { maxCommands: 60 },
  );
  fc.assert(
    fc.property(commands, (sequence) => {
      const model: Model = { now: 0, given: new Map() };
      const fake = new FakeAddresses({ ipv4: "10.9.8.0/29", maxNames: CAPACITY, now: () => model.now });
      fc.modelRun(() => ({ model, real: fake }), sequence);
    }),
    { numRuns: 500 },
  );
});
