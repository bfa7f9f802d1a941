import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { HeadReader, headerValue, HttpHeadError, type HttpHeadErrorCode } from "./http-head.ts";

const FUZZ_MS = Number(process.env["SOCKEYE_FUZZ_MS"] ?? 2000);

const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,20}$/);
const unframed = token.filter((name) => !/^(host|content-length|transfer-encoding)$/i.test(name));
const value = fc.stringMatching(/^[\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]{0,30}[\x21-\x7e\x80-\xff])?$/);
const headers = fc.array(fc.record({ name: unframed, value }, { noNullPrototype: true }), { maxLength: 8 });
const headerText = (list: readonly { name: string; value: string }[]) =>
  list.map((header) => `${header.name}:  ${header.value}\t\r\n`).join("");

/** Feeds `bytes` cut at `cuts`. */
function feed<Kind extends "request" | "response">(
  reader: HeadReader<Kind>,
  bytes: Buffer,
  cuts: readonly number[],
) {
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (let i = 1; i < edges.length; i++) {
    const read = reader.push(bytes.subarray(edges[i - 1], edges[i]));
    if (read) return { head: read.head, rest: Buffer.concat([read.rest, bytes.subarray(edges[i])]) };
  }
  return undefined;
}

function refusal(text: string, kind: "request" | "response" = "response"): HttpHeadErrorCode | undefined {
  try {
    new HeadReader(kind).push(Buffer.from(text, "latin1"));
    return undefined;
  } catch (error) {
    assert(error instanceof HttpHeadError);
    return error.code;
  }
}

describe("HeadReader", () => {
  it("reads the same response from any split of its bytes, and hands back what follows", () => {
    fc.assert(
      fc.property(
        fc.record({
          status: fc.integer({ min: 100, max: 599 }),
          reason: fc.stringMatching(/^[\x20-\x7e]{0,20}$/),
        }),
        headers,
        fc.uint8Array({ maxLength: 40 }),
        fc.array(fc.nat(), { maxLength: 30 }),
        ({ status, reason }, list, after, cuts) => {
          const text = `HTTP/1.1 ${status} ${reason}\r\n${headerText(list)}\r\n`;
          const bytes = Buffer.concat([Buffer.from(text, "latin1"), after]);
          const read = feed(new HeadReader("response"), bytes, cuts);
          assert.deepEqual(read?.head, { kind: "response", status, reason, minorVersion: 1, headers: list });
          assert.deepEqual(read.rest, Buffer.from(after));
        },
      ),
    );
  });

  it("reads the same request from any split of its bytes", () => {
    fc.assert(
      fc.property(
        token,
        fc.stringMatching(/^[\x21-\x7e]{1,40}$/),
        headers,
        fc.array(fc.nat(), { maxLength: 30 }),
        (method, target, list, cuts) => {
          const bytes = Buffer.from(`${method} ${target} HTTP/1.0\r\n${headerText(list)}\r\n`, "latin1");
          const read = feed(new HeadReader("request"), bytes, cuts);
          assert.deepEqual(read?.head, { kind: "request", method, target, minorVersion: 0, headers: list });
          assert.equal(read.rest.length, 0);
        },
      ),
    );
  });

  it("accepts a status line without a reason, with and without its space", () => {
    for (const line of ["HTTP/1.0 200", "HTTP/1.0 200 "]) {
      assert.equal(new HeadReader("response").push(Buffer.from(`${line}\r\n\r\n`))?.head.status, 200);
    }
  });

  it("finds a header by its name in any letters", () => {
    const read = new HeadReader("response").push(
      Buffer.from("HTTP/1.1 200 OK\r\nX-One: 1\r\nx-one: 2\r\n\r\n"),
    );
    assert.equal(headerValue(read!.head.headers, "x-one"), "1");
    assert.equal(headerValue(read!.head.headers, "x-two"), undefined);
  });

  it("tells by the first byte that is wrong that an answer is not HTTP, without waiting for a line's end", () => {
    for (const text of ["\0", "S", "\n", "HTTQ", "http/1.1", "\x05\xff"])
      assert.equal(refusal(text), "start-line", JSON.stringify(text));
    const reader = new HeadReader("response");
    for (const byte of "HTTP") assert.equal(reader.push(Buffer.from(byte)), undefined);
    assert.throws(() => reader.push(Buffer.from(" ")), { code: "start-line" });
    assert.equal(refusal("\n", "request"), "line-ending");
  });

  it("refuses what a careful peer never sends, each with its code", () => {
    const ok = "HTTP/1.1 200 OK\r\n";
    const cases: readonly [string, HttpHeadErrorCode][] = [
      ["HTTP/1.1 200 OK\n\n", "line-ending"],
      [`${ok}A: b\n\r\n`, "line-ending"],
      [`${ok}A: b\rC: d\r\n\r\n`, "line-ending"],
      ["\r\nHTTP/1.1 200 OK\r\n\r\n", "start-line"],
      ["SSH-2.0-OpenSSH_9.2\r\n\r\n", "start-line"],
      ["HTTP/1.1 999 No\r\n\r\n", "start-line"],
      ["HTTP/1.1  200 OK\r\n\r\n", "start-line"],
      ["HTTP/2.0 200 OK\r\n\r\n", "version"],
      ["HTTP/1.2 200 OK\r\n\r\n", "version"],
      [`${ok}A: b\r\n c\r\n\r\n`, "folded"],
      [`${ok}\tA: b\r\n\r\n`, "folded"],
      [`${ok}A : b\r\n\r\n`, "header-name"],
      [`${ok}: b\r\n\r\n`, "header-name"],
      [`${ok}no colon\r\n\r\n`, "header-name"],
      [`${ok}A: b\0c\r\n\r\n`, "header-value"],
      [`${ok}A: b\x7f\r\n\r\n`, "header-value"],
      [`${ok}Host: a\r\nhost: a\r\n\r\n`, "duplicate-host"],
      [`${ok}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, "content-length"],
      [`${ok}Content-Length: 5, 5\r\n\r\n`, "content-length"],
      [`${ok}Content-Length: +5\r\n\r\n`, "content-length"],
      [`${ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`, "ambiguous-length"],
    ];
    for (const [text, code] of cases) assert.equal(refusal(text), code, JSON.stringify(text));
    assert.equal(refusal(`${ok}Content-Length: 5\r\ncontent-length: 5\r\n\r\n`), undefined);
    assert.equal(refusal("GET / index HTTP/1.1\r\n\r\n", "request"), "start-line");
    assert.equal(refusal("G(T / HTTP/1.1\r\n\r\n", "request"), "start-line");
    assert.equal(refusal("GET / HTTP/0.9\r\n\r\n", "request"), "version");
  });

  it("counts the cap as bytes arrive, and not the bytes after the head", () => {
    const head = Buffer.from("HTTP/1.1 200 OK\r\n\r\n");
    const read = new HeadReader("response", head.length).push(Buffer.concat([head, Buffer.alloc(1000)]));
    assert.equal(read?.rest.length, 1000);
    const reader = new HeadReader("response", 64);
    reader.push(Buffer.from("HTTP/1.1 200 OK\r\nA: "));
    for (let i = 0; i < 42; i++) assert.equal(reader.push(Buffer.from("a")), undefined);
    assert.throws(() => reader.push(Buffer.from("aaaa")), { code: "too-large" });
    const endless = new HeadReader("request");
    assert.throws(() => endless.push(Buffer.alloc(10_000_000, "a")), { code: "too-large" });
  });

  it("stays linear when a head at the cap comes byte by byte, or is all spaces", () => {
    const text = `HTTP/1.1 200 OK\r\nA: ${" ".repeat(32_000)}x${" ".repeat(700)}\r\n\r\n`;
    const bytes = Buffer.from(text);
    const reader = new HeadReader("response");
    const started = performance.now();
    let read;
    for (const byte of bytes) read = reader.push(Buffer.of(byte));
    assert.equal(read?.head.headers[0]?.value, "x");
    assert(performance.now() - started < 1000);
  });

  it("survives any bytes: a head, an HttpHeadError, or more wanted, the same however they are cut", () => {
    const parts = [
      "HTTP/1.1 ",
      "200",
      " OK",
      "\r\n",
      "\r",
      "\n",
      ": ",
      "Host",
      "Content-Length",
      "5",
      " ",
      "\0",
      "é",
    ];
    const input = fc.array(fc.oneof(fc.constantFrom(...parts), fc.string({ maxLength: 5 })), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(input, fc.array(fc.nat(), { maxLength: 10 }), (pieces, cuts) => {
        const bytes = Buffer.from(pieces.join(""), "latin1");
        assert.deepEqual(outcome(bytes, cuts), outcome(bytes, []));
      }),
      { interruptAfterTimeLimit: FUZZ_MS / 2, numRuns: 1_000_000 },
    );
  });
});

function outcome(bytes: Buffer, cuts: readonly number[]): unknown {
  try {
    return feed(new HeadReader("response", 100), bytes, cuts);
  } catch (error) {
    assert(error instanceof HttpHeadError);
    return error.code;
  }
}

it("a head's beginning is kept when the chunk that it came in is not", () => {
  const reader = new HeadReader("request");
  const chunk = Buffer.from("GET / HTTP/1.1\r\nHost: a");
  assert.equal(reader.push(chunk), undefined);
  chunk.fill(0);
  const read = reader.push(Buffer.from(".example\r\n\r\n"));
  assert.deepEqual(read?.head.headers, [{ name: "Host", value: "a.example" }]);
});
