import assert from "node:assert/strict";
import { test } from "node:test";
import { HeadReader } from "@sockeye/wire/http-head";
import { type PublicRequest, PublicRequestReader } from "@sockeye/wire/request-head";
import fc from "fast-check";
import { Answer } from "./answer.ts";
import { forwardedResponseHead } from "./heads.ts";

const request = (text: string): PublicRequest =>
  new PublicRequestReader().push(Buffer.from(`${text}\r\n\r\n`))!.request;
const KEPT = request("GET / HTTP/1.1\r\nHost: demo.test");
const CLOSED = request("GET / HTTP/1.1\r\nHost: demo.test\r\nConnection: close");
const OLD = request("GET / HTTP/1.0\r\nHost: demo.test\r\nConnection: keep-alive");

/** What the public gets of an answer that comes in these chunks. */
function passOn(to: PublicRequest, chunks: readonly Buffer[]) {
  const passed: Buffer[] = [];
  let end: "clean" | "with more" | undefined;
  const answer = new Answer(to, {
    requestComplete: true,
    answered: () => {},
    pass: (bytes) => passed.push(Buffer.from(bytes)) > 0,
    complete: (_head, clean) => (end = clean ? "clean" : "with more"),
    changed: () => {},
  });
  for (const chunk of chunks) if (end === undefined) answer.push(chunk);
  return { text: Buffer.concat(passed).toString("latin1"), end, keepAlive: answer.keepAlive };
}

const field = fc.constantFrom(
  "Date: Sun, 22 Nov 2026 09:00:00 GMT",
  "X-Empty:",
  "X-Tight:value",
  "X-Loose:  value\t",
  "Connection: keep-alive, X-Own",
  "connection: X-Own",
  "Keep-Alive: timeout=5",
  "X-Own: for one connection",
  "Upgrade: h2c",
  "Content-Length: 4",
  "Set-Cookie: a=b",
);

test("an answer is passed on as it would be written, whether its bytes are kept or made anew, cut anywhere", () => {
  fc.assert(
    fc.property(
      fc.array(field, { maxLength: 6 }),
      fc.constantFrom("HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 200", "HTTP/1.1 404 Not Found"),
      fc.constantFrom(KEPT, CLOSED, OLD),
      fc.array(fc.nat(200), { maxLength: 4 }),
      (fields, start, to, cuts) => {
        const head = [start, ...fields, "Content-Length: 4", "", ""].join("\r\n");
        const bytes = Buffer.from(`${head}body`, "latin1");
        const read = new HeadReader("response").push(bytes)!;
        const connection =
          to === KEPT ? undefined : to === OLD ? ("keep-alive" as const) : ("close" as const);
        const expected = `${forwardedResponseHead(read.head, { connection, chunked: false })}body`;
        const edges = [0, ...cuts.map((cut) => cut % bytes.length).toSorted((a, b) => a - b), bytes.length];
        const chunks = edges.slice(1).map((edge, i) => bytes.subarray(edges[i], edge));
        assert.deepEqual(passOn(to, chunks), { text: expected, end: "clean", keepAlive: to !== CLOSED });
      },
    ),
  );
});

test("an answer of which nothing is changed is not copied", () => {
  const chunk = Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  const passed: Buffer[] = [];
  const answer = new Answer(KEPT, {
    requestComplete: true,
    answered: () => {},
    pass: (bytes) => passed.push(bytes) > 0,
    complete: () => {},
    changed: () => {},
  });
  answer.push(chunk);
  assert.equal(passed[0], chunk);
});

test("what comes after an answer that is passed on as it came reaches nobody", () => {
  const text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  for (const more of ["x", "HTTP/1.1 200 OK\r\n\r\n"])
    assert.deepEqual(passOn(KEPT, [Buffer.from(text + more)]), { text, end: "with more", keepAlive: true });
  const none = "HTTP/1.1 204 No Content\r\n\r\n";
  assert.deepEqual(passOn(KEPT, [Buffer.from(`${none}x`)]), {
    text: none,
    end: "with more",
    keepAlive: true,
  });
});

test("a body's length is passed on even where Connection names it", () => {
  const text = "HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nok";
  assert.equal(passOn(KEPT, [Buffer.from(text)]).text, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
});
