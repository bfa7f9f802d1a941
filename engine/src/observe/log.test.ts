import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import fc from "fast-check";
import { DialError } from "../errors.ts";
import { createLogger, type Logger, type LoggerOptions } from "./log.ts";
import { RING_SIZE } from "./ring.ts";

function capture(options: Partial<LoggerOptions> = {}): { log: Logger; lines: string[]; last: () => Line } {
  const lines: string[] = [];
  const destination = { write: (line: string) => lines.push(line) };
  const log = createLogger({ level: "info", format: "json", ...options, destination });
  return { log, lines, last: () => JSON.parse(lines.at(-1)!) as Line };
}
type Line = Record<string, unknown>;

test("a record is one line of JSON: an ISO time, the level as a word, the message and the roadmap's fields", () => {
  const { log, lines, last } = capture();
  const fields = { upstream: "production", target: "db:5432", seq: 7, request_id: "r-1", duration_ms: 12.5 };
  log.info(fields, "connected");
  const { time, ...rest } = last();
  assert.match(time as string, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(rest, { level: "info", ...fields, msg: "connected" });
  assert.match(lines[0]!, /^[^\n]+\n$/);
});

test("secrets are taken out at any depth, in any spelling, in records and in a child's fields", () => {
  const { log, lines } = capture();
  const secret = "hunter2hunter2";
  log.info({ password: secret, Token: secret, "Proxy-Authorization": secret, apiToken: secret }, "flat");
  log.info(
    { a: { b: [{ c: { passphrase: { text: secret } } }] }, auth: { username: "u", password: secret } },
    "deep",
  );
  log.child({ auth: { password: secret }, authorization: secret }).info("child");
  log.info(
    { headers: new Map([["authorization", secret]]), url: new URL(`http://u:${secret}@h/`) },
    "objects",
  );
  log.info(
    { err: new DialError("auth", "no", { cause: new Error(`http://u:${secret}@h/x failed`) }) },
    "error",
  );
  log.info(`GET http://user:${secret}@proxy:8080/ with Authorization: Basic ${secret}`);
  log.info({ url: `socks5://user:p@${secret}@proxy:1080`, line: `Bearer ${secret}` }, "values");
  assert.equal(lines.length, 7);
  for (const line of lines) assert.ok(!line.includes(secret), line);
  assert.match(lines[1]!, /"username":"u"/);
  assert.match(lines[5]!, /http:\/\/\[redacted\]@proxy:8080\//);
  const remembered = JSON.stringify(log.recent("trace"));
  assert.ok(!remembered.includes(secret));
});

test("what is no secret stays as it is", () => {
  const { log, last } = capture();
  log.info(
    { password_file: "/run/pw", target: "user@example.com", url: "http://example.com/a@b" },
    "a Basic authentication test",
  );
  const { time, level, ...rest } = last();
  assert.ok(time !== undefined && level === "info");
  assert.deepEqual(rest, {
    password_file: "/run/pw",
    target: "user@example.com",
    url: "http://example.com/a@b",
    msg: "a Basic authentication test",
  });
});

test("no password under a secret key is ever written, whatever surrounds it", () => {
  const marker = "S3cr3tMarker";
  const leaf = fc.constantFrom(marker, { text: marker }, [marker]);
  const key = fc.constantFrom("password", "PASSPHRASE", "token", "x-authorization", "proxy_password");
  const tree = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 8 },
      fc.string(),
      fc.dictionary(key, leaf, { maxKeys: 3 }),
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(fc.string(), tie("tree"), { maxKeys: 3 }),
    ),
  })).tree;
  fc.assert(
    fc.property(tree, (value) => {
      const { log, lines } = capture();
      log.info({ value }, "x");
      assert.ok(!lines[0]!.includes(marker));
      JSON.parse(lines[0]!);
    }),
    { numRuns: 200 },
  );
});

test("a circular, deep, wide or odd value costs a short record, never a crash", () => {
  const { log, lines } = capture();
  const circular: Record<string, unknown> = { name: "loop" };
  circular["self"] = circular;
  let deep: unknown = "end";
  for (let i = 0; i < 10_000; i++) deep = { deep };
  const wide = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`k${i}`, i]));
  log.info(
    { circular, deep, wide, long: "x".repeat(1e6), huge: 10n, bytes: Buffer.alloc(1e6), f: () => 1 },
    "odd",
  );
  assert.ok(lines[0]!.length < 10_000, `${lines[0]!.length} bytes`);
  JSON.parse(lines[0]!);
});

test("an error with a code is told without a stack, a defect with one", () => {
  const { log, last } = capture();
  const cause = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
  log.warn({ err: new DialError("refused", "nothing listens there", { cause, step: "tcp" }) }, "dial failed");
  assert.deepEqual(last()["err"], {
    type: "DialError",
    message: "nothing listens there",
    code: "refused",
    step: "tcp",
    cause: { type: "Error", message: "connect ECONNREFUSED", code: "ECONNREFUSED" },
  });
  log.error({ err: new TypeError("x is undefined") }, "defect");
  assert.match((last()["err"] as Line)["stack"] as string, /log\.test\.ts/);
});

test("the level changes at run time, for children made before too, and an off level makes no record", () => {
  const { log, lines } = capture({ level: "warn" });
  const child = log.child({ upstream: "a" });
  log.info("no");
  child.debug("no");
  assert.equal(child.enabled("info"), false);
  log.setLevel("debug");
  child.debug("yes");
  assert.equal(child.level, "debug");
  log.setLevel("silent");
  child.error("no");
  assert.deepEqual(lines.length, 1);
});

test("pretty format gives one line a person can read, without colours where they are not wanted", () => {
  const { log, lines } = capture({ format: "pretty", colour: false });
  log.info({ upstream: "production", duration_ms: 3 }, "connected");
  log.warn({ err: new DialError("dns", "no such\nname") }, "two\nlines");
  assert.match(
    lines[0]!,
    /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: connected \{"upstream":"production","duration_ms":3\}\n$/,
  );
  for (const line of lines) assert.equal(line.indexOf("\n"), line.length - 1);
  const coloured = capture({ format: "pretty", colour: true });
  coloured.log.info("x");
  assert.match(coloured.lines[0]!, /\x1b\[32m/);
});

test("what a peer sends can't move the cursor or forge a line", () => {
  for (const format of ["json", "pretty"] as const) {
    const { log, lines } = capture({ format, colour: false });
    const hostile = "a\x1b[2J\r\u009b31m\u2028b\nINFO: forged";
    log.info({ target: hostile, err: new Error(hostile) }, hostile);
    assert.doesNotMatch(lines[0]!.slice(0, -1), /[\x00-\x1f\x7f-\x9f\u2028]/);
  }
});

test("the ring remembers the newest records by level, and a subscriber hears the next", () => {
  const { log } = capture({ level: "debug" });
  const heard: string[] = [];
  const stop = log.subscribe("warn", (record) => heard.push(record.message));
  for (let i = 0; i < RING_SIZE + 10; i++) log.debug({ seq: i }, `m${i}`);
  log.warn({ upstream: "a" }, "careful");
  stop();
  log.warn("unheard");
  assert.deepEqual(heard, ["careful"]);
  const all = log.recent("trace");
  assert.equal(all.length, RING_SIZE);
  assert.deepEqual(all.at(-1), { ...all.at(-1)!, message: "unheard", level: "warn", fields: {} });
  assert.equal(all[0]!.fields["seq"], 12);
  all.forEach((record, i) => assert.equal(record.id, all[0]!.id + i));
  assert.deepEqual(
    log.recent("warn").map((record) => record.message),
    ["careful", "unheard"],
  );
});

test("a call whose level is off costs nanoseconds", () => {
  const { log } = capture();
  const fields = { upstream: "a" };
  const started = performance.now();
  for (let i = 0; i < 1_000_000; i++) log.debug(fields, "x");
  const nanoseconds = performance.now() - started;
  assert.ok(nanoseconds < 300, `${nanoseconds} ns`);
});

test("a reader of standard error that stops reading, or goes, does not stall or end the process", async () => {
  const script = `
    import { createLogger } from ${JSON.stringify(new URL("./log.ts", import.meta.url).href)};
    const log = createLogger({ level: "info", format: "json" });
    for (let i = 0; i < 40000; i++) log.info({ upstream: "x".repeat(200) }, "fill the pipe");
    process.stdout.write("alive");
    setTimeout(() => process.exit(0), 200);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [alive] = (await once(child.stdout, "data")) as [Buffer];
  assert.equal(alive.toString(), "alive");
  child.stderr.destroy();
  const [code] = (await once(child, "exit")) as [number];
  assert.equal(code, 0);
});

test("what comes by the thousand is logged twenty times in ten seconds, and then counted", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { log, lines, last } = capture();
  const fail = (upstream: string) => log.sparingly("warn", { upstream, code: "refused" }, "dial failed");
  for (let i = 0; i < 10_000; i++) fail("a");
  fail("b");
  assert.equal(lines.length, 21);
  t.mock.timers.tick(10_000);
  assert.equal(lines.length, 22);
  const { time, ...rest } = last();
  assert.ok(time);
  const msg = "dial failed: 9980 more in 10 s";
  assert.deepEqual(rest, { level: "warn", upstream: "a", code: "refused", count: 9980, msg });
  fail("a");
  assert.equal(lines.length, 23);
  log.setLevel("debug");
  for (let i = 0; i < 100; i++) fail("a");
  assert.equal(lines.length, 123);
});
