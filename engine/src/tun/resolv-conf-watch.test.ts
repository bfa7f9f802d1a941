import assert from "node:assert/strict";
import { test } from "node:test";
import { ResolvConfWatch } from "./resolv-conf-watch.ts";

const OURS = "nameserver 198.18.0.2\nnameserver fc00::2\n";

/** A file that a test and the watch write. */
class Machine {
  file = "nameserver 192.0.2.53\n";
  now = 0;
  isOurs = true;
  fails = false;
  readonly servers: string[] = [];
  readonly gaveUp: string[] = [];
  readonly errors: unknown[] = [];
  claims = 0;
  readonly watch = new ResolvConfWatch({
    read: () => this.file,
    onServers: (text) => this.servers.push(text),
    isOurs: () => this.isOurs,
    claim: () => {
      this.claims++;
      if (this.fails) return Promise.reject(new Error("no"));
      this.file = OURS;
      return Promise.resolve();
    },
    onGivingUp: (sentence) => this.gaveUp.push(sentence),
    onClaim: () => {},
    onError: (error) => this.errors.push(error),
    now: () => this.now,
  });

  /** TUN mode is on, and the file names us. */
  static connected(): Machine {
    const machine = new Machine();
    machine.file = OURS;
    machine.watch.settle();
    return machine;
  }

  async seconds(count: number, meanwhile: () => void = () => {}): Promise<void> {
    for (let i = 0; i < count; i += 2) {
      meanwhile();
      this.now += 2000;
      await this.watch.check();
    }
  }

  [Symbol.dispose](): void {
    this.watch.close();
  }
}

test("a file that another program wrote is ours again, and its servers are asked from then on", async () => {
  using machine = Machine.connected();
  await machine.seconds(60);
  assert.deepEqual([machine.claims, machine.servers], [0, []]);
  const foreign = "nameserver 10.9.9.9\n";
  machine.file = foreign;
  await machine.seconds(2);
  assert.deepEqual([machine.claims, machine.servers, machine.file], [1, [foreign], OURS]);
  await machine.seconds(60);
  assert.deepEqual([machine.claims, machine.servers.length], [1, 1]);
});

test("a program that insists is fought with growing pauses, a few times, and then a person is told", async () => {
  using machine = Machine.connected();
  const at: number[] = [];
  let claims = 0;
  await machine.seconds(3600, () => {
    if (machine.claims > claims) at.push(machine.now);
    claims = machine.claims;
    machine.file = "nameserver 10.9.9.9\n";
  });
  assert.equal(machine.claims, 3);
  assert.ok(at[1]! - at[0]! >= 5000 && at[2]! - at[1]! >= 10_000, String(at));
  assert.equal(machine.gaveUp.length, 1);
  assert.match(machine.gaveUp[0]!, /keeps changing \/etc\/resolv\.conf/);
  machine.watch.settle();
  await machine.seconds(2);
  assert.equal(machine.claims, 4);
});

test("a change now and then is no dispute", async () => {
  using machine = Machine.connected();
  for (let i = 0; i < 10; i++) {
    machine.file = `nameserver 10.9.9.${i}\n`;
    await machine.seconds(700);
  }
  assert.deepEqual([machine.claims, machine.gaveUp.length, machine.file], [10, 0, OURS]);
});

test("where the file is not to name us, new servers are taken over and nothing is written", async () => {
  using machine = new Machine();
  machine.isOurs = false;
  machine.file = "nameserver 10.9.9.9\n";
  await machine.seconds(20);
  assert.deepEqual([machine.claims, machine.servers], [0, ["nameserver 10.9.9.9\n"]]);
});

test("a file that is just being written waits, and one that lists us first is ours", async () => {
  using machine = Machine.connected();
  machine.file = "";
  await machine.seconds(4);
  machine.file = `${OURS}nameserver 10.9.9.9\n`;
  await machine.seconds(4);
  assert.deepEqual([machine.claims, machine.servers], [0, [machine.file]]);
});

test("a helper that refuses is told of, and not asked without end", async () => {
  using machine = Machine.connected();
  machine.fails = true;
  machine.file = "nameserver 10.9.9.9\n";
  await machine.seconds(600);
  assert.deepEqual([machine.claims, machine.errors.length, machine.gaveUp.length], [3, 3, 1]);
});
