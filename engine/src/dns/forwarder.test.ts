import assert from "node:assert/strict";
import { test } from "node:test";
import { AnswerCache } from "./answer-cache.ts";
import { Forwarder, MAX_ASKED } from "./forwarder.ts";
import {
  type Asked,
  FLAG,
  HEADER_BYTES,
  type Message,
  RCODE,
  rcodeOf,
  readMessage,
  TYPE,
  writeAnswer,
  writeEdns,
  writeQuery,
} from "./message.ts";
import type { DnsPath } from "./path.ts";

const A = (ttl: number, last = 1) => ({ type: TYPE.A, ttl, data: Buffer.from([10, 0, 0, last]) });

function query(
  name: string,
  options: { id?: number; flags?: number; edns?: boolean; type?: number } = {},
): Asked {
  const { id = 1, flags = FLAG.RD, edns = true, type = TYPE.A } = options;
  const bytes = writeQuery(id, name, type)!;
  bytes.writeUInt16BE(flags, 2);
  if (edns) return readMessage(bytes) as Asked;
  bytes.writeUInt16BE(0, 10);
  return readMessage(bytes.subarray(0, -11)) as Asked;
}

/** A negative answer, with the SOA that says for how long it may be kept. */
function negative(asked: Asked, rcode: number, soa: { ttl: number; minimum: number }): Buffer {
  const data = Buffer.alloc(22);
  data.writeUInt32BE(soa.minimum, 18);
  const answer = writeAnswer(query(asked.question.name), rcode, [{ type: TYPE.SOA, ttl: soa.ttl, data }]);
  // The one record moves from the answer section to the authority.
  answer.writeUInt16BE(0, 6);
  answer.writeUInt16BE(1, 8);
  return answer;
}

interface Scripted extends DnsPath {
  readonly asked: Asked[];
}

function pathOf(script: (asked: Asked) => Buffer | Promise<Buffer>, key = "p", tries = 1): Scripted {
  const asked: Asked[] = [];
  const ask: DnsPath["ask"] = async (bytes) => {
    const message = readMessage(bytes) as Asked;
    asked.push(message);
    return script(message);
  };
  return { key, tries, asked, ask };
}

/** A forwarder on a clock of its own. */
function setUp(options: { maxAnswers?: number; maxBytes?: number } = {}) {
  const clock = { now: 0 };
  const cache = new AnswerCache({ ...options, now: () => clock.now });
  const forwarder = new Forwarder({ cache, deadlineMs: 300 });
  const ask = async (asked: Asked, path: DnsPath): Promise<Message> =>
    readMessage(await forwarder.forward(asked, path))!;
  return { clock, cache, forwarder, ask };
}

test("an answer is kept for its shortest TTL, which counts down, under each client's id and spelling", async () => {
  const { clock, ask } = setUp();
  const path = pathOf((asked) => writeAnswer(asked, 0, [A(30), A(100, 2)]));
  await ask(query("a.example", { id: 5 }), path);
  clock.now = 9_900;
  const kept = await ask(query("A.exAMPLe", { id: 77 }), path);
  assert.equal(path.asked.length, 1);
  assert.equal(kept.id, 77);
  assert.ok(kept.bytes.includes("exAMPLe"));
  assert.deepEqual(
    kept.records.slice(0, 2).map(({ ttl }) => ttl),
    [21, 91],
  );
  clock.now = 30_000;
  await ask(query("a.example"), path);
  assert.equal(path.asked.length, 2);
});

test("a TTL of 0, or one with the highest bit set, is not kept", async () => {
  const { ask } = setUp();
  for (const ttl of [0, 0x80000001]) {
    const path = pathOf((asked) => writeAnswer(asked, 0, [A(ttl)]), `ttl ${ttl}`);
    await ask(query("a.example"), path);
    await ask(query("a.example"), path);
    assert.equal(path.asked.length, 2);
  }
});

for (const [what, rcode] of [
  ["NXDOMAIN", RCODE.NXDOMAIN],
  ["NODATA", RCODE.NOERROR],
] as const) {
  test(`${what} is kept for the lesser of its SOA's TTL and MINIMUM`, async () => {
    for (const soa of [
      { ttl: 60, minimum: 900 },
      { ttl: 900, minimum: 60 },
    ]) {
      const { clock, ask } = setUp();
      const path = pathOf((asked) => negative(asked, rcode, soa));
      await ask(query("a.example"), path);
      clock.now = 59_000;
      assert.equal(rcodeOf(await ask(query("a.example"), path)), rcode);
      assert.equal(path.asked.length, 1);
      clock.now = 60_000;
      await ask(query("a.example"), path);
      assert.equal(path.asked.length, 2);
    }
  });

  test(`${what} without an SOA, or with one that is cut short, is not kept`, async () => {
    const { ask } = setUp();
    const short = (asked: Asked) => {
      const answer = writeAnswer(asked, rcode, [{ type: TYPE.SOA, ttl: 60, data: Buffer.alloc(8) }]);
      answer.writeUInt16BE(0, 6);
      answer.writeUInt16BE(1, 8);
      return answer;
    };
    for (const path of [pathOf((asked) => writeAnswer(asked, rcode), "none"), pathOf(short, "short")]) {
      await ask(query("a.example"), path);
      await ask(query("a.example"), path);
      assert.equal(path.asked.length, 2);
    }
  });
}

test("failures and cut answers are passed on and not kept", async () => {
  const { ask } = setUp();
  const cut = (asked: Asked) => {
    const answer = writeAnswer(asked, 0, [A(60)]);
    answer.writeUInt16BE(answer.readUInt16BE(2) | FLAG.TC, 2);
    return answer;
  };
  for (const path of [pathOf((asked) => writeAnswer(asked, RCODE.REFUSED), "refused"), pathOf(cut, "cut")]) {
    await ask(query("a.example"), path);
    await ask(query("a.example"), path);
    assert.equal(path.asked.length, 2);
  }
});

test("equal questions at one time are asked once, and each is answered under its own id", async () => {
  const { ask } = setUp();
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const path = pathOf(async (asked) => {
    await promise;
    return writeAnswer(asked, 0, [A(0)]);
  });
  const answers = [10, 11, 12].map((id) => ask(query("a.example", { id }), path));
  resolve(undefined);
  assert.deepEqual(
    (await Promise.all(answers)).map(({ id }) => id),
    [10, 11, 12],
  );
  assert.equal(path.asked.length, 1);
});

test("what an answer depends on keeps questions apart: way, type, class, flags and DNSSEC", async () => {
  const { ask } = setUp();
  const path = pathOf((asked) => writeAnswer(asked, 0, [A(60)]));
  const other = pathOf((asked) => writeAnswer(asked, 0, [A(60)]), "q");
  const signed = Buffer.from(query("a.example").bytes);
  signed[signed.length - 4] = 0x80;
  const chaos = Buffer.from(query("a.example").bytes);
  chaos.writeUInt16BE(3, query("a.example").question.end - 2);
  const all = [
    query("a.example"),
    query("a.example", { edns: false }),
    query("a.example", { flags: 0 }),
    query("a.example", { flags: FLAG.RD | FLAG.CD }),
    query("a.example", { type: 16 }),
    readMessage(signed) as Asked,
    readMessage(chaos) as Asked,
  ];
  for (const asked of all) await ask(asked, path);
  await ask(query("a.example"), other);
  assert.equal(path.asked.length, all.length);
  assert.equal(other.asked.length, 1);
});

test("flags, DNSSEC's bits, unknown types and their records pass untouched", async () => {
  const { ask } = setUp();
  const bytes = Buffer.from(query("a.example", { type: 65_280, flags: FLAG.RD | FLAG.CD | FLAG.AD }).bytes);
  bytes[bytes.length - 4] = 0x80;
  const record = { type: 65_280, ttl: 5, data: Buffer.from("whatever it means") };
  const path = pathOf((asked) => {
    const answer = writeAnswer(asked, 0, [record]);
    answer.writeUInt16BE(answer.readUInt16BE(2) | FLAG.AA | FLAG.AD, 2);
    return answer;
  });
  const answer = await ask(readMessage(bytes) as Asked, path);
  assert.equal(path.asked[0]!.flags, FLAG.RD | FLAG.CD | FLAG.AD);
  assert.ok(path.asked[0]!.edns!.dnssecOk);
  assert.equal(answer.flags, FLAG.QR | FLAG.AA | FLAG.RD | FLAG.RA | FLAG.AD | FLAG.CD);
  assert.ok(answer.edns!.dnssecOk);
  assert.ok(answer.bytes.includes(record.data));
});

test("EDNS options stay between neighbours, but for the words of an error", async () => {
  const { ask } = setUp();
  const cookie = Buffer.from([0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
  const words = Buffer.concat([Buffer.from([0, 15, 0, 8, 0, 22]), Buffer.from("no way")]);
  const bytes = Buffer.concat([
    query("a.example").bytes.subarray(0, -11),
    writeEdns({ dnssecOk: false }, cookie),
  ]);
  const path = pathOf((asked) => {
    const answer = writeAnswer(asked, RCODE.SERVFAIL);
    return Buffer.concat([
      answer.subarray(0, -11),
      writeEdns({ dnssecOk: false }, Buffer.concat([cookie, words])),
    ]);
  });
  const answer = await ask(readMessage(bytes) as Asked, path);
  assert.ok(!path.asked[0]!.bytes.includes(cookie));
  assert.ok(!answer.bytes.includes(cookie));
  assert.ok(answer.bytes.includes(words));
});

test("a client without EDNS gets an answer without, though the server added it", async () => {
  const { ask } = setUp();
  const asked = query("a.example", { edns: false });
  const path = pathOf((forwarded) => {
    assert.equal(forwarded.edns, undefined);
    const answer = Buffer.concat([writeAnswer(forwarded, 0, [A(60)]), writeEdns({ dnssecOk: false })]);
    answer.writeUInt16BE(1, 10);
    return answer;
  });
  for (let i = 0; i < 2; i++) {
    const answer = await ask(asked, path);
    assert.equal(answer.edns, undefined);
    assert.equal(answer.records.length, 1);
  }
});

test("a signed question is passed as it is, and its answer neither kept nor shared", async () => {
  const { ask } = setUp();
  const signature = Buffer.concat([Buffer.from([0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 4]), Buffer.from("SIGN")]);
  const bytes = Buffer.concat([query("a.example", { edns: false }).bytes, signature]);
  bytes.writeUInt16BE(1, 10);
  const path = pathOf((asked) => writeAnswer(asked, 0, [A(60)]));
  for (let i = 0; i < 2; i++) await ask(readMessage(bytes) as Asked, path);
  assert.equal(path.asked.length, 2);
  assert.deepEqual(path.asked[0]!.bytes, bytes);
});

test("an answer to another question is no answer, and is asked for once more", async () => {
  const { ask } = setUp();
  let liar = true;
  const path = pathOf(
    (asked) => {
      const told = liar ? query("evil.example") : asked;
      liar = false;
      return writeAnswer(told, 0, [A(60)]);
    },
    "p",
    2,
  );
  assert.equal(rcodeOf(await ask(query("a.example"), path)), RCODE.NOERROR);
  assert.equal(path.asked.length, 2);
});

test("what a server adds about other names is told to nobody who asks for those", async () => {
  const { ask } = setUp();
  const path = pathOf((asked) => {
    const answer = writeAnswer(query("a.example", { edns: false }), 0, [A(60)]);
    const extra = Buffer.from([
      3, 0x77, 0x77, 0x77, 4, 0x62, 0x61, 0x6e, 0x6b, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 6, 6, 6, 6,
    ]);
    answer.writeUInt16BE(1, 10);
    return asked.question.name === "a.example"
      ? Buffer.concat([answer, extra])
      : writeAnswer(asked, RCODE.NXDOMAIN);
  });
  assert.equal((await ask(query("a.example", { edns: false }), path)).records.length, 2);
  assert.equal(rcodeOf(await ask(query("www.bank", { edns: false }), path)), RCODE.NXDOMAIN);
});

test("the cache has a cap in answers and one in bytes, and forgets what was used the longest time ago", async () => {
  const { cache, ask } = setUp({ maxAnswers: 3 });
  const path = pathOf((asked) => writeAnswer(asked, 0, [A(60)]));
  for (const name of ["a", "b", "c", "a", "d"]) await ask(query(name), path);
  assert.equal(cache.size, 3);
  await ask(query("a"), path);
  assert.equal(path.asked.length, 4);
  await ask(query("b"), path);
  assert.equal(path.asked.length, 5);
  const small = setUp({ maxBytes: 2000 });
  for (let i = 0; i < 50; i++) await small.ask(query(`name-${i}.example`), path);
  assert.ok(small.cache.bytes <= 2000 && small.cache.size > 1);
  small.forwarder.clear();
  assert.equal(small.cache.bytes, 0);
});

test("beyond the cap of questions on their way one is answered SERVFAIL at once", async () => {
  const { forwarder, ask } = setUp();
  const path: DnsPath = {
    key: "p",
    tries: 1,
    ask: (_query, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("late")))),
  };
  const waiting = Array.from({ length: MAX_ASKED }, (_, i) => ask(query(`n${i}`), path));
  const before = performance.now();
  assert.equal(rcodeOf(await ask(query("one-more"), path)), RCODE.SERVFAIL);
  assert.ok(performance.now() - before < 300);
  forwarder.close();
  for (const answer of await Promise.all(waiting)) assert.equal(rcodeOf(answer), RCODE.SERVFAIL);
});

test("an answer that can't be read is SERVFAIL", async () => {
  const { ask } = setUp();
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(HEADER_BYTES, 255), Buffer.from("no")]) {
    assert.equal(
      rcodeOf(
        await ask(
          query("a.example"),
          pathOf(() => bytes),
        ),
      ),
      RCODE.SERVFAIL,
    );
  }
});

test("what was asked before everything was forgotten is neither kept nor shared", async () => {
  const { forwarder, ask } = setUp();
  const late = Promise.withResolvers<undefined>();
  const old = pathOf(async (asked) => {
    await late.promise;
    return writeAnswer(asked, 0, [A(300, 1)]);
  });
  const first = ask(query("a.example"), old);
  forwarder.clear();
  const next = pathOf((asked) => writeAnswer(asked, 0, [A(0, 2)]));
  const data = ({ bytes, records }: Message) => bytes[records[0]!.dataEnd - 1];
  assert.equal(data(await ask(query("a.example"), next)), 2);
  late.resolve(undefined);
  assert.equal(data(await first), 1);
  assert.equal(data(await ask(query("a.example"), next)), 2);
});

test("an answer that is passed as it is has the id of its question", async () => {
  const { ask } = setUp();
  const path = pathOf((asked) => {
    const answer = writeAnswer(asked, 0, [A(30)]);
    answer.writeUInt16BE(7, 0);
    return answer;
  });
  assert.equal((await ask(query("a.example", { id: 9, flags: FLAG.RD | FLAG.TC }), path)).id, 9);
});
