import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HttpHeadError, type HttpHeadErrorCode } from "./http-head.ts";
import { MAX_REQUEST_HEAD_BYTES, type PublicRequest, PublicRequestReader, statusOf } from "./request-head.ts";

function read(
  text: string,
  cuts: readonly number[] = [],
): { request: PublicRequest; rest: string } | undefined {
  const reader = new PublicRequestReader();
  const bytes = Buffer.from(text, "latin1");
  const edges = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  let from = 0;
  for (const edge of edges) {
    const found = reader.push(bytes.subarray(from, edge));
    if (found) return { request: found.request, rest: found.rest.toString("latin1") + text.slice(edge) };
    from = edge;
  }
  return undefined;
}

/** What a request may end in: a framing, or the code that it is refused with. */
function outcome(text: string, cuts: readonly number[] = []): unknown {
  try {
    const found = read(text, cuts);
    return found && { ...found.request, rest: found.rest };
  } catch (error) {
    if (error instanceof HttpHeadError) return error.code;
    throw error;
  }
}

const HOST = "Host: a.example\r\n";

test("an ordinary request is read with its host, its framing and what follows it", () => {
  const found = read(
    "POST /x?y=1 HTTP/1.1\r\nHost: Demo.Example.COM:8080\r\nContent-Length: 3\r\n\r\nabcGET",
  );
  assert.ok(found);
  assert.equal(found.request.method, "POST");
  assert.equal(found.request.target, "/x?y=1");
  assert.equal(found.request.host, "Demo.Example.COM:8080");
  assert.equal(found.request.hostname, "demo.example.com");
  assert.deepEqual(found.request.framing, { kind: "length", length: 3 });
  assert.equal(found.request.keepAlive, true);
  assert.equal(found.rest, "abcGET");
});

const smuggling: readonly (readonly [name: string, text: string, code: HttpHeadErrorCode])[] = [
  ["no Host", "GET / HTTP/1.1\r\n\r\n", "host"],
  ["no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "host"],
  ["two Hosts", `GET / HTTP/1.1\r\n${HOST}Host: b.example\r\n\r\n`, "duplicate-host"],
  ["the same Host twice", `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`, "duplicate-host"],
  ["two Hosts in one line", "GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n", "host"],
  ["an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "host"],
  ["a Host with a user", "GET / HTTP/1.1\r\nHost: a.example@b.example\r\n\r\n", "host"],
  ["a Host with a path", "GET / HTTP/1.1\r\nHost: a.example/b\r\n\r\n", "host"],
  ["a Host with a space", "GET / HTTP/1.1\r\nHost: a.example b.example\r\n\r\n", "host"],
  ["a Host with bytes above ASCII", "GET / HTTP/1.1\r\nHost: a\xe9.example\r\n\r\n", "host"],
  ["a Host with an endless port", "GET / HTTP/1.1\r\nHost: a.example:123456\r\n\r\n", "host"],
  ["a Host that is too long", `GET / HTTP/1.1\r\nHost: ${"a".repeat(300)}\r\n\r\n`, "host"],
  ["absolute-form", `GET http://b.example/ HTTP/1.1\r\n${HOST}\r\n`, "target"],
  ["authority-form", `CONNECT b.example:443 HTTP/1.1\r\n${HOST}\r\n`, "target"],
  ["asterisk-form", `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, "target"],
  ["a target with a space", `GET /a b HTTP/1.1\r\n${HOST}\r\n`, "start-line"],
  ["a target with a tab", `GET /a\tb HTTP/1.1\r\n${HOST}\r\n`, "start-line"],
  ["a target with NUL", `GET /a\0 HTTP/1.1\r\n${HOST}\r\n`, "start-line"],
  ["no target", `GET HTTP/1.1\r\n${HOST}\r\n`, "start-line"],
  ["two spaces", `GET  / HTTP/1.1\r\n${HOST}\r\n`, "start-line"],
  ["a method that is no token", `GE(T / HTTP/1.1\r\n${HOST}\r\n`, "start-line"],
  ["HTTP/0.9", "GET /\r\n\r\n", "start-line"],
  ["HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\n", "version"],
  ["HTTP/1.2", `GET / HTTP/1.2\r\n${HOST}\r\n`, "version"],
  ["HTTP/1.10", `GET / HTTP/1.10\r\n${HOST}\r\n`, "start-line"],
  ["a lower-case version", `GET / http/1.1\r\n${HOST}\r\n`, "start-line"],
  ["an empty first line", `\r\nGET / HTTP/1.1\r\n${HOST}\r\n`, "start-line"],
  ["a bare LF at the end of the first line", `GET / HTTP/1.1\n${HOST}\r\n`, "line-ending"],
  ["a bare LF at the end of a header", "GET / HTTP/1.1\r\nHost: a.example\n\r\n", "line-ending"],
  ["bare LFs at the end of the head", "GET / HTTP/1.1\r\nHost: a.example\r\n\n", "line-ending"],
  ["a bare CR in a value", "GET / HTTP/1.1\r\nHost: a.example\r\nX: a\rY: b\r\n\r\n", "line-ending"],
  ["CR CR LF", "GET / HTTP/1.1\r\nHost: a.example\r\r\n\r\n", "line-ending"],
  ["a folded header", `GET / HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`, "folded"],
  ["a first header that is folded", `GET / HTTP/1.1\r\n ${HOST}\r\n`, "folded"],
  ["a space before the colon", "GET / HTTP/1.1\r\nHost : a.example\r\n\r\n", "header-name"],
  ["a tab before the colon", `GET / HTTP/1.1\r\n${HOST}Content-Length\t: 3\r\n\r\n`, "header-name"],
  ["a name that is no token", `GET / HTTP/1.1\r\n${HOST}X(y): 1\r\n\r\n`, "header-name"],
  ["a name with NUL", `GET / HTTP/1.1\r\n${HOST}X\0: 1\r\n\r\n`, "header-name"],
  ["no name", `GET / HTTP/1.1\r\n${HOST}: 1\r\n\r\n`, "header-name"],
  ["no colon", `GET / HTTP/1.1\r\n${HOST}X\r\n\r\n`, "header-name"],
  ["a value with NUL", `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, "header-value"],
  ["a value with a vertical tab", `GET / HTTP/1.1\r\n${HOST}X: a\vb\r\n\r\n`, "header-value"],
  [
    "Content-Length and Transfer-Encoding",
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`,
    "ambiguous-length",
  ],
  [
    "two Content-Lengths that differ",
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nContent-Length: 4\r\n\r\n`,
    "content-length",
  ],
  ["a list of Content-Lengths", `POST / HTTP/1.1\r\n${HOST}Content-Length: 3, 3\r\n\r\n`, "content-length"],
  ["Content-Length with a plus", `POST / HTTP/1.1\r\n${HOST}Content-Length: +3\r\n\r\n`, "content-length"],
  ["a negative Content-Length", `POST / HTTP/1.1\r\n${HOST}Content-Length: -1\r\n\r\n`, "content-length"],
  ["a hexadecimal Content-Length", `POST / HTTP/1.1\r\n${HOST}Content-Length: 0x3\r\n\r\n`, "content-length"],
  ["an empty Content-Length", `POST / HTTP/1.1\r\n${HOST}Content-Length:\r\n\r\n`, "content-length"],
  [
    "Content-Length in other words",
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 1e3\r\n\r\n`,
    "content-length",
  ],
  ["gzip, chunked", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n`, "transfer-coding"],
  [
    "chunked, identity",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, identity\r\n\r\n`,
    "transfer-coding",
  ],
  ["xchunked", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n`, "transfer-coding"],
  ["a quoted chunked", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: "chunked"\r\n\r\n`, "transfer-coding"],
  ["an empty Transfer-Encoding", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding:\r\n\r\n`, "transfer-coding"],
  [
    "chunked twice",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
    "transfer-coding",
  ],
  ["chunked in HTTP/1.0", `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`, "transfer-coding"],
  [
    "chunked with a vertical tab",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: \vchunked\r\n\r\n`,
    "header-value",
  ],
];

for (const [name, text, code] of smuggling) {
  test(`refused: ${name}`, () => {
    assert.equal(outcome(text), code);
    for (let cut = 1; cut < text.length; cut++) assert.equal(outcome(text, [cut]), code, `cut at ${cut}`);
  });
}

test("the head is capped while its bytes arrive, whether or not a line ever ends", () => {
  for (const filling of ["a", "X: y\r\n"]) {
    const reader = new PublicRequestReader();
    const text = `GET / HTTP/1.1\r\n${HOST}X: ${filling.repeat(MAX_REQUEST_HEAD_BYTES / filling.length + 1)}`;
    let pushed = 0;
    assert.throws(
      () => {
        for (const byte of Buffer.from(text)) {
          pushed++;
          reader.push(Buffer.of(byte));
        }
      },
      { code: "too-large" },
    );
    assert.equal(pushed, MAX_REQUEST_HEAD_BYTES);
  }
});

test("each refusal has a status of its own kind", () => {
  assert.equal(statusOf(new HttpHeadError("too-large", "")), 431);
  assert.equal(statusOf(new HttpHeadError("version", "")), 505);
  assert.equal(statusOf(new HttpHeadError("transfer-coding", "")), 501);
  assert.equal(statusOf(new HttpHeadError("host", "")), 400);
});

test("a connection is kept as the version and its options say", () => {
  const keepAlive = (version: string, option: string) =>
    read(`GET / HTTP/${version}\r\n${HOST}${option === "" ? "" : `Connection: ${option}\r\n`}\r\n`)?.request
      .keepAlive;
  assert.equal(keepAlive("1.1", ""), true);
  assert.equal(keepAlive("1.1", "Close"), false);
  assert.equal(keepAlive("1.1", "x, close"), false);
  assert.equal(keepAlive("1.0", ""), false);
  assert.equal(keepAlive("1.0", "Keep-Alive"), true);
});

test("an upgrade counts only where the connection names it", () => {
  const upgrade = (headers: string) => read(`GET / HTTP/1.1\r\n${HOST}${headers}\r\n`)?.request.upgrade;
  assert.equal(upgrade("Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"), "websocket");
  assert.equal(upgrade("Upgrade: websocket\r\n"), undefined);
  assert.equal(upgrade("Upgrade: a/1\r\nUpgrade: b\r\nConnection: upgrade\r\n"), "a/1, b");
});

test("an upgrade to HTTP/2 is passed over, however it is written and whatever stands beside it", () => {
  const upgrade = (value: string) =>
    read(`GET / HTTP/1.1\r\n${HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: ${value}\r\n\r\n`)?.request
      .upgrade;
  for (const value of ["h2c", "H2C", "h2", "HTTP/2.0", " h2c ,h2c", "h2c\r\nUpgrade: H2C", ","])
    assert.equal(upgrade(value), undefined, value);
  for (const value of ["websocket, h2c", "h2c,websocket", "h2c\r\nUpgrade: websocket"])
    assert.equal(upgrade(value), "websocket", value);
});

test("any split of the bytes reads the same", () => {
  const text = fc.oneof(
    fc.constantFrom(...smuggling.map(([, text]) => text)),
    fc.constant(`POST /a HTTP/1.1\r\n${HOST}Content-Length: 3\r\nX: y\r\n\r\nabcdef`),
    fc.constant(`POST /a HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`),
  );
  fc.assert(
    fc.property(text, fc.array(fc.nat(200), { maxLength: 6 }), (text, cuts) => {
      assert.deepEqual(outcome(text, cuts), outcome(text));
    }),
  );
});

test("whatever comes is read or refused, and what is read has one meaning", () => {
  const piece = fc.constantFrom(
    ..."GET / HTTP/1.1|\r\n|\n|\r| |\t|:|Host: a.b|Host|Content-Length: 3|Transfer-Encoding: chunked|\0|\xff|,|chunked|x".split(
      "|",
    ),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const result = outcome(`GET / HTTP/1.1\r\n${pieces.join("")}\r\n\r\n`);
      if (result === undefined || typeof result === "string") return;
      const { headers, hostname } = result as PublicRequest;
      const names = headers.map((header) => header.name.toLowerCase());
      assert.equal(names.filter((name) => name === "host").length, 1);
      assert.ok(!(names.includes("content-length") && names.includes("transfer-encoding")));
      assert.match(hostname, /^[a-z0-9._-]+$/);
      for (const { value } of headers) assert.doesNotMatch(value, /[\r\n\0]/);
    }),
    { numRuns: 3000 },
  );
});
