import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { calls, type UpstreamNumbers } from "../control/contract.ts";
import { FINEST_STEP_MS, type HistoryRow, type HistorySample } from "./history-rows.ts";
import { HistoryStore } from "./history-store.ts";
import { History } from "./history.ts";

const folder = mkdtempSync(join(tmpdir(), "sockeye-history-"));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
const newFile = (): string => join(folder, String(++files), "history.db");

const HOUR = 3_600_000;
/** The begin of an hour. */
const NOON = Math.floor(1_800_000_000_000 / HOUR) * HOUR;

function row(upstream: string, changes: Partial<HistoryRow> = {}): HistoryRow {
  return {
    upstream,
    up: 1,
    down: 10,
    connections: 1,
    dials: 1,
    dialMs: 20,
    errors: 0,
    reconnects: 0,
    ...changes,
  };
}

function sample(at: number, ...rows: HistoryRow[]): HistorySample {
  return { at, rows };
}

test("samples come back as they were, in the steps that are asked for, with spans without an engine left out", () => {
  const store = new HistoryStore(newFile(), { now: () => NOON + HOUR });
  assert.equal(store.setAside, undefined);
  store.write([
    sample(NOON, row("a"), row("b", { dials: 0, dialMs: 0, errors: 2 })),
    sample(NOON + 10_000, row("a", { dials: 3, dialMs: 100 })),
    sample(NOON + 20_000),
    // Nobody was there from 30 s to 60 s.
    sample(NOON + 60_000, row("a")),
  ]);
  const fine = store.query({ from: NOON, to: NOON + 70_000, points: 100 });
  assert.equal(fine.stepMs, 10_000);
  const [a, b] = fine.series;
  assert.deepEqual(
    a!.points.map(({ at, down, dialMs }) => [at - NOON, down, dialMs]),
    [
      [0, 10, 20],
      [10_000, 10, 100 / 3],
      [20_000, 0, undefined],
      [60_000, 10, 20],
    ],
  );
  assert.deepEqual(b!.points[0], {
    at: NOON,
    up: 1,
    down: 10,
    connections: 1,
    dials: 0,
    errors: 2,
    reconnects: 0,
  });
  assert.equal(b!.points.length, 4);
  const coarse = store.query({ from: NOON, to: NOON + 70_000, points: 2, upstream: "a" });
  assert.deepEqual(
    coarse.series.map(({ upstream, points }) => [upstream, points.map(({ down }) => down)]),
    [["a", [20, 10]]],
  );
  calls["metrics.history"].result.parse(coarse);
  for (const points of [1, 2, 3, 7, 50]) {
    const { series } = store.query({ from: NOON + 3_333, to: NOON + 68_765, points });
    assert.ok(series.every((one) => one.points.length <= points));
  }
  store.close();
});

test("it is kept across a restart, and coarser for longer", () => {
  const file = newFile();
  const first = new HistoryStore(file, { now: () => NOON });
  for (let i = 0; i < 12; i++) first.write([sample(NOON + i * 10_000, row("a"))]);
  first.close();
  for (const [later, stepMs, points] of [
    [HOUR, 10_000, 12],
    [24 * HOUR, 60_000, 2],
    [300 * 24 * HOUR, HOUR, 1],
  ] as const) {
    const store = new HistoryStore(file, { now: () => NOON + later });
    store.prune();
    const answer = store.query({ from: NOON, to: NOON + 120_000, points: 2_000 });
    assert.equal(answer.stepMs, stepMs);
    assert.equal(answer.series[0]!.points.length, points);
    assert.equal(
      answer.series[0]!.points.reduce((sum, { down }) => sum + down, 0),
      120,
    );
    store.close();
  }
  const late = new HistoryStore(file, { now: () => NOON + 1_000 * 24 * HOUR });
  late.prune();
  assert.deepEqual(late.query({ from: NOON, to: NOON + 120_000, points: 9 }).series, []);
  late.close();
});

test("the file stays under its cap, and the oldest and finest goes first", () => {
  const file = newFile();
  const maxBytes = 512 * 1024;
  let now = NOON;
  const store = new HistoryStore(file, { maxBytes, now: () => now });
  const upstreams = Array.from({ length: 100 }, (_, i) => row(`an-upstream-with-a-long-name-${i}`));
  for (let i = 0; i < 120; i++) {
    now = NOON + i * 10_000;
    store.write([sample(now, ...upstreams)]);
  }
  store.prune();
  const bytes = statSync(file).size;
  assert.ok(bytes <= maxBytes * 1.05, `${bytes} bytes`);
  const { series, stepMs } = store.query({
    from: NOON,
    to: now + 1,
    points: 1,
    upstream: upstreams[0]!.upstream,
  });
  assert.ok(stepMs >= 60_000 && series.length === 1, "the coarse rows are still there");
  store.close();
});

test("of two engines with one file one writes, both read, and the other takes over when it is gone", () => {
  const file = newFile();
  let now = NOON;
  const options = { now: () => now };
  const [one, two] = [new HistoryStore(file, options), new HistoryStore(file, options)];
  assert.equal(one.write([sample(NOON, row("a"))]), true);
  assert.equal(two.write([sample(NOON, row("a"))]), false);
  const downs = (store: HistoryStore) =>
    store.query({ from: NOON, to: NOON + 60_000, points: 9 }).series[0]!.points.map(({ down }) => down);
  assert.deepEqual(downs(two), [10]);
  // The first is killed: it says nothing more.
  now += 3 * 60_000;
  assert.equal(two.write([sample(NOON, row("a"))]), true);
  assert.equal(one.write([sample(NOON, row("a"))]), false);
  two.close();
  assert.equal(one.write([sample(NOON, row("a"))]), true, "one that closes lets go at once");
  assert.deepEqual(downs(one), [30]);
  now -= 24 * HOUR;
  const three = new HistoryStore(file, options);
  assert.equal(three.write([]), true, "a clock that was set back locks nobody out");
  three.close();
  one.close();
});

test("a broken file is put aside and a new one begun; one of a later version is left alone", () => {
  const junk = newFile();
  new HistoryStore(junk).close();
  writeFileSync(junk, "this is no database, and long enough to be looked at ".repeat(20));
  const store = new HistoryStore(junk, { now: () => 7 });
  assert.equal(store.setAside, `${junk}.broken-7`);
  assert.equal(store.write([sample(NOON, row("a"))]), true);
  store.close();
  const torn = newFile();
  const whole = new HistoryStore(torn);
  for (let i = 0; i < 50; i++)
    whole.write([sample(NOON + i * 10_000, ...Array.from({ length: 40 }, (_, n) => row(`u${n}`)))]);
  whole.prune();
  whole.close();
  truncateSync(torn, 8192);
  const mended = new HistoryStore(torn);
  assert.ok(mended.setAside !== undefined);
  mended.close();
});

test("a process that is killed while it writes leaves a whole file", () => {
  const file = newFile();
  const script = `
    const { HistoryStore } = await import(${JSON.stringify(new URL("./history-store.ts", import.meta.url).href)});
    const store = new HistoryStore(${JSON.stringify(file)});
    const rows = Array.from({ length: 50 }, (_, n) => ({ upstream: "u" + n, up: 1, down: 1, connections: 1, dials: 0, dialMs: 0, errors: 0, reconnects: 0 }));
    setTimeout(() => process.kill(process.pid, "SIGKILL"), 300);
    for (let i = 0; ; i++) { store.write([{ at: ${NOON} + i * 10_000, rows }]); await new Promise(setImmediate); }`;
  const { signal } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { timeout: 20_000 });
  assert.equal(signal, "SIGKILL");
  const store = new HistoryStore(file, { now: () => NOON });
  assert.equal(store.setAside, undefined);
  const { series } = store.query({ from: NOON, to: NOON + 100 * HOUR, points: 1 });
  assert.equal(series.length, 50);
  const [first, ...others] = series.map(({ points }) => points[0]!.down);
  assert.ok(
    others.every((down) => down === first),
    "each sample is there whole or not at all",
  );
  store.close();
});

function numbers(down: number): UpstreamNumbers {
  return {
    upstream: "a",
    connections: down,
    active: 0,
    up: 0,
    down,
    dials: 1,
    dialSeconds: 0.5,
    dialErrors: { refused: 2, timeout: 1 },
    reconnects: 0,
    connected: true,
  };
}

test("the engine's totals become what happened in each span, in a thread of its own", async () => {
  const file = newFile();
  const said: string[] = [];
  const log = {
    info: (text: unknown) => said.push(String(text)),
    warn: (text: unknown) => said.push(String(text)),
  };
  let down = 100;
  const history = new History({ file, numbers: () => [numbers(down)], log, sampleMs: 20 });
  const total = async (): Promise<number> => {
    const { series } = await history.query({ from: Date.now() - 60_000, to: Date.now() + 1, points: 100 });
    return series.flatMap(({ points }) => points).reduce((sum, point) => sum + point.down, 0);
  };
  down = 150;
  const deadline = Date.now() + 15_000;
  while ((await total()) !== 50) {
    assert.ok(Date.now() < deadline, "what came since the start is there");
    await sleep(20);
  }
  const second = new History({ file, numbers: () => [numbers(1)], log, sampleMs: 20 });
  while (!said.some((text) => text.includes("another engine keeps the history"))) {
    assert.ok(Date.now() < deadline, said.join("\n"));
    await sleep(20);
  }
  // The upstream was taken out and put back: its totals began anew.
  down = 7;
  while ((await total()) !== 57) {
    assert.ok(Date.now() < deadline);
    await sleep(20);
  }
  await second.close();
  await history.close();
  await assert.rejects(history.query({ from: 0, to: 1, points: 1 }), /there is no history/);
  assert.ok(!readdirSync(join(file, "..")).includes("history.db-wal"), "nothing is left open");
});

test("a file that can't be had is said once, and the engine goes on without a history", async () => {
  const said: string[] = [];
  const blocked = join(folder, "a-file");
  writeFileSync(blocked, "");
  const history = new History({
    file: join(blocked, "history.db"),
    numbers: () => [],
    log: { info: () => {}, warn: (text: unknown) => said.push(String(text)) },
    sampleMs: 5,
  });
  await assert.rejects(history.query({ from: 0, to: 1, points: 1 }), /there is no history/);
  await history.close();
  assert.equal(said.length, 1, said.join("\n"));
});

test("nothing of Node's own is written for people, and the file is its owner's", () => {
  const file = newFile();
  const script = `
    const { History } = await import(${JSON.stringify(new URL("./history.ts", import.meta.url).href)});
    const log = { info() {}, warn(text) { console.error(text); } };
    const history = new History({ file: ${JSON.stringify(file)}, numbers: () => [], log, sampleMs: ${FINEST_STEP_MS} });
    console.log(JSON.stringify(await history.query({ from: 0, to: 1, points: 1 })));
    await history.close();`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  assert.match(stdout, /"series":\[\]/);
  if (process.platform !== "win32") assert.equal(statSync(join(file, "..")).mode & 0o077, 0);
});
