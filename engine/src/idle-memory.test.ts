import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { IdleMemory } from "./idle-memory.ts";

const MB = 1024 * 1024;

/** An engine that a test gives work and memory by hand. */
class Engine {
  work = { total: 0, up: 0, down: 0 };
  resident = 100 * MB;
  /** What is needed; the rest can be given back. */
  needed = 100 * MB;
  collections = 0;
  readonly memory = new IdleMemory({
    work: () => this.work,
    resident: () => this.resident,
    collect: () => {
      this.collections++;
      this.resident = this.needed;
    },
  });

  /** @returns the collections of so many checks. */
  after(checks: number, meanwhile: () => void = () => {}): number {
    const before = this.collections;
    for (let i = 0; i < checks; i++) {
      meanwhile();
      this.memory.check();
    }
    return this.collections - before;
  }

  [Symbol.dispose](): void {
    this.memory.close();
  }
}

test("memory is given back once, when the engine has been quiet for a while after it grew", () => {
  using engine = new Engine();
  assert.equal(engine.after(10), 0);
  engine.work = { ...engine.work, total: 10_000 };
  engine.resident = 300 * MB;
  assert.equal(engine.after(2), 0);
  assert.equal(engine.after(1), 1);
  assert.equal(engine.after(100), 0);
});

test("nothing is collected while flows come, or bytes are carried, one way or the other", () => {
  using engine = new Engine();
  engine.resident = 300 * MB;
  const busy = [
    () => (engine.work = { ...engine.work, total: engine.work.total + 10 }),
    () => (engine.work = { ...engine.work, up: engine.work.up + 1e6 }),
    () => (engine.work = { ...engine.work, down: engine.work.down + 1e6 }),
  ];
  for (const meanwhile of busy) assert.equal(engine.after(20, meanwhile), 0);
  assert.equal(engine.after(3), 1);
});

test("memory that is needed is not asked for again and again", () => {
  using engine = new Engine();
  engine.resident = engine.needed = 300 * MB;
  assert.equal(engine.after(100), 1);
  engine.resident = 320 * MB;
  assert.equal(engine.after(100), 0);
  engine.resident = 340 * MB;
  assert.equal(engine.after(100), 1);
});

test("V8 gives its pages back", () => {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc()");
  let work = { total: 0, up: 0, down: 0 };
  const before = process.memoryUsage().heapTotal;
  const memory = new IdleMemory({ work: () => work });
  try {
    let held: object[] | undefined = Array.from({ length: 1_500_000 }, (_, i) => ({ i }));
    assert.ok(held.length > 0);
    const grown = process.memoryUsage().heapTotal;
    assert.ok(grown > before + 40 * MB, `${grown} after ${before}`);
    held = undefined;
    work = { ...work, total: 1 };
    for (let i = 0; i < 3; i++) memory.check();
    const after = process.memoryUsage().heapTotal;
    assert.ok(after < before + 16 * MB, `${after} after ${before}`);
  } finally {
    memory.close();
  }
});
