import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  answersQuestion,
  type Asked,
  CLASS_IN,
  FLAG,
  fitDatagram,
  RCODE,
  rcodeOf,
  readMessage,
  readName,
  TYPE,
  writeAnswer,
  writeBareError,
  writeName,
  writeQuery,
} from "./message.ts";

const query = (name: string, type: number = TYPE.A): Asked =>
  readMessage(writeQuery(7, name, type)!) as Asked;

test("a query that was written is read again, its name in lower case", () => {
  const { id, flags, question, records, edns } = query("Git.Corp.Internal");
  assert.equal(id, 7);
  assert.equal(flags, FLAG.RD);
  assert.equal(question.name, "git.corp.internal");
  assert.equal(question.type, TYPE.A);
  assert.equal(question.class, CLASS_IN);
  assert.deepEqual(edns, { udpSize: 1232, extendedRcode: 0, version: 0, dnssecOk: false });
  assert.equal(records.length, 1);
});

test("an answer has the query's id, question, flags and OPT, and records of the name that was asked for", () => {
  const asked = query("a.example");
  const answer = readMessage(
    writeAnswer(asked, RCODE.NOERROR, [{ type: TYPE.A, ttl: 60, data: Buffer.from([198, 18, 0, 3]) }]),
  )!;
  assert.equal(answer.id, 7);
  assert.ok(answersQuestion(answer, asked));
  assert.equal(answer.flags, FLAG.QR | FLAG.RD | FLAG.RA);
  assert.equal(readName(answer.bytes, answer.records[0]!.start), "a.example");
  assert.deepEqual(
    [...answer.bytes.subarray(answer.records[0]!.dataStart, answer.records[0]!.dataEnd)],
    [198, 18, 0, 3],
  );
  assert.ok(answer.edns);
});

test("a response code beyond 15 goes into OPT", () => {
  assert.equal(rcodeOf(readMessage(writeAnswer(query("a"), RCODE.BADVERS))!), RCODE.BADVERS);
});

test("reading never throws, and what is read lies within the bytes", () => {
  const real = writeAnswer(query("a.b.c.example"), 0, [{ type: TYPE.A, ttl: 1, data: Buffer.alloc(4) }]);
  const mutated = fc
    .array(fc.tuple(fc.nat(real.length - 1), fc.nat(255)), { maxLength: 6 })
    .map((changes) => {
      const bytes = Buffer.from(real);
      for (const [at, value] of changes) bytes[at] = value;
      return bytes;
    });
  const random = fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes));
  const cut = fc.nat(real.length).map((end) => real.subarray(0, end));
  fc.assert(
    fc.property(fc.oneof(mutated, random, cut), (bytes) => {
      const message = readMessage(bytes);
      for (const record of message?.records ?? []) {
        assert.ok(record.start < record.dataStart && record.dataStart <= record.dataEnd);
        assert.ok(record.dataEnd <= bytes.length);
        readName(bytes, record.start);
        readName(bytes, record.dataStart);
      }
      const error = writeBareError(bytes, RCODE.FORMERR);
      assert.ok(error === undefined || error.length === 12);
      if (message?.question) assert.ok(readMessage(writeAnswer(message as Asked, RCODE.SERVFAIL)));
    }),
    { numRuns: 3000 },
  );
});

test("compression pointers in a circle, forwards, or into the header are no name", () => {
  const header = Buffer.alloc(12);
  const circle = Buffer.concat([header, Buffer.from([1, 0x61, 0xc0, 12])]);
  assert.equal(readName(circle, 12), undefined);
  assert.equal(readName(Buffer.concat([header, Buffer.from([0xc0, 12])]), 12), undefined);
  assert.equal(readName(Buffer.concat([header, Buffer.from([0xc0, 14, 0])]), 12), undefined);
  assert.equal(readName(Buffer.concat([header, Buffer.from([0xc0, 0])]), 12), undefined);
  const pair = Buffer.concat([header, Buffer.from([0xc0, 14, 0xc0, 12])]);
  assert.equal(readName(pair, 14), undefined);
  assert.equal(readName(pair, 12), undefined);
});

test("a long chain of pointers ends with the longest name there may be", () => {
  const pieces = [Buffer.alloc(12), Buffer.from([1, 0x61, 0])];
  for (let at = 12, i = 0; i < 5000; i++) {
    pieces.push(Buffer.from([1, 0x61, 0xc0 | (at >> 8), at & 255]));
    at = 15 + 4 * i;
  }
  const bytes = Buffer.concat(pieces);
  assert.equal(readName(bytes, 15 + 4 * 4000), undefined);
  assert.equal(readName(bytes, 15 + 4 * 100)!.length, 101 * 2 + 1);
});

test("any bytes in a label come back from their text", () => {
  const label = fc.uint8Array({ minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(label, { maxLength: 8 }), (labels) => {
      const lower = labels.map((bytes) => bytes.map((byte) => (byte >= 65 && byte <= 90 ? byte + 32 : byte)));
      const wire = Buffer.concat([
        ...lower.flatMap((bytes) => [Buffer.from([bytes.length]), bytes]),
        Buffer.from([0]),
      ]);
      const name = readName(Buffer.concat([Buffer.alloc(12), wire]), 12)!;
      assert.deepEqual(writeName(name), wire);
    }),
  );
});

test("what is too long, or no name, is not written", () => {
  assert.ok(writeName("a".repeat(63)));
  assert.equal(writeName("a".repeat(64)), undefined);
  assert.equal(writeName("a..b"), undefined);
  assert.equal(writeName("ä.example"), undefined);
  assert.ok(writeName("a.".repeat(126) + "a"));
  assert.equal(writeName("a.".repeat(127) + "a"), undefined);
});

test("an answer that is too long for the client's datagrams is cut, with TC and its question", () => {
  const record = { type: 16, ttl: 1, data: Buffer.alloc(100) };
  const asked = query("big.example", 16);
  const answer = writeAnswer(asked, RCODE.NOERROR, new Array<typeof record>(20).fill(record));
  const cut = readMessage(fitDatagram(answer, asked))!;
  assert.ok(cut.bytes.length < 512);
  assert.equal(cut.flags & FLAG.TC, FLAG.TC);
  assert.ok(answersQuestion(cut, asked));
  const fits = writeAnswer(asked, RCODE.NOERROR, new Array<typeof record>(8).fill(record));
  assert.equal(fitDatagram(fits, asked), fits);
  const old = readMessage(asked.bytes.subarray(0, asked.question.end).fill(0, 10, 12)) as Asked;
  assert.ok(fitDatagram(fits, old).length <= 512, "a client without EDNS takes 512 bytes");
});

test("bytes without a whole header and responses get no error", () => {
  assert.equal(writeBareError(Buffer.alloc(11), RCODE.FORMERR), undefined);
  const response = Buffer.alloc(12);
  response.writeUInt16BE(FLAG.QR, 2);
  assert.equal(writeBareError(response, RCODE.FORMERR), undefined);
});

test("two questions, two OPT records, or an OPT record among the answers are no message", () => {
  const two = Buffer.from(query("a").bytes);
  two.writeUInt16BE(2, 4);
  assert.equal(readMessage(two), undefined);
  const opt = query("a").bytes.subarray(-11);
  const twice = Buffer.concat([query("a").bytes, opt]);
  twice.writeUInt16BE(2, 10);
  assert.equal(readMessage(twice), undefined);
  const answer = Buffer.from(query("a").bytes);
  answer.writeUInt16BE(1, 6);
  answer.writeUInt16BE(0, 10);
  assert.equal(readMessage(answer), undefined);
});
